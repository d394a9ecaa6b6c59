"""Docker's Engine API over a Unix socket: what the docker command and docker-py talk to, one module per noun.

    server.py    the socket, HTTP, versions, errors as JSON
    router.py    which function answers which path
    wire.py      a request as its handler sees it, and the kinds of answer
    body.py      a request's body, read to its end and no further
    streams.py   progress as JSON, output in frames, a hijacked connection
    everything else: one noun each

Source: moby/api/swagger.yaml, moby/api/server (v20.10 and v26), https://docs.docker.com/reference/api/engine/
"""

API = (1, 44)  # the newest that docker 20.10 to 29 all accept, older than the manifest lists of 1.47
OLDEST = (1, 24)  # the oldest that docker-py and the newest command line still speak
