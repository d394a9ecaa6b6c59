"""Record what an engine says of pulls and pushes: python tests/daemon/record_streams.py HOST >NAME.json

The streams are those of tests/engine/streams, which tests/engine/test_transfer.py reads as the kit reads an engine.
Needs docker-registry.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import docker
import requests
from docker.errors import APIError
from registries import image, layer, registry


def main(host: str) -> None:
    client = docker.DockerClient(base_url=host, timeout=120)
    with registry() as open_to_all, registry(password=True) as closed:
        names = [f"{open_to_all}/class/app:1", f"{open_to_all}/class/app:2", f"{open_to_all}/other/app:1"]
        names.append(f"{closed}/app:1")
        below = layer("base", "base", 900_000), layer("middle", "middle", 100_000)
        first, second = (image(name, *below, layer("top", tag, 2000)) for name, tag in zip(names, "12", strict=False))
        streams = dict(steps(client, names, first, second))
        asked = f"http://{open_to_all}/v2/class/app/manifests/"
        accept = {"Accept": "application/vnd.docker.distribution.manifest.v2+json"}
        manifests = [requests.get(asked + tag, headers=accept, timeout=10).text for tag in "12"]
        diff_ids = [client.api.inspect_image(name)["RootFS"]["Layers"] for name in names[:2]]
        for name in names:
            client.api.remove_image(name, force=True)
    text = json.dumps({"diff_ids": diff_ids, "manifests": manifests, "streams": streams}, indent=1)
    # a port is chance
    print(text.replace(open_to_all, "localhost:5055").replace(closed, "localhost:5056"))


def steps(client: docker.DockerClient, names: list[str], *archives: bytes) -> Iterator[tuple[str, list[object]]]:
    """Yield each pull or push with its events."""
    one, two, other, closed = names
    for archive in archives:
        client.images.load(archive)
    yield "first push", listen(client.api.push, one)
    yield "second push", listen(client.api.push, one)
    yield "changed push", listen(client.api.push, two)
    for name in (other, closed):
        client.api.tag(one, *name.rsplit(":", 1))
    yield "mounted push", listen(client.api.push, other)
    yield "refused push", listen(client.api.push, closed)
    yield "absent push", listen(client.api.push, one + "none")
    yield "pull that finds nothing new", listen(client.api.pull, one)
    for name in names:
        client.api.remove_image(name)
    yield "first pull", listen(client.api.pull, one)
    yield "changed pull", listen(client.api.pull, two)
    for name in (other, closed):
        client.api.tag(one, *name.rsplit(":", 1))


def listen(call: object, name: str) -> list[object]:
    """Return the events of one call, or the error that it began with; the bars in text are left out."""
    repository, _, tag = name.rpartition(":")
    try:
        events = call(repository, tag=tag, stream=True, decode=True)  # type: ignore[operator]
        return [{key: value for key, value in event.items() if key != "progress"} for event in events]
    except APIError as error:
        return [{"error": str(error.explanation)}]


if __name__ == "__main__":
    main(sys.argv[1])
