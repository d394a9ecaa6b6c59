"""What is known to differ between dockerd and the embedded engine, each thing once and with its reason.

A scenario names the entries that apply to it. An entry rewrites lines of both transcripts so that only what is known
to differ becomes equal; one that no scenario needs fails `test_every_known_difference_is_needed`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """One thing that differs: what a learner sees, why, and the text that is put in its place on both sides."""

    what: str
    why: str
    pattern: str
    put: str = "<known difference>"
    rungs: str = "ABC"  # where it differs: an entry counts on these rungs of the sandbox ladder only

    def hide(self, transcript: str) -> str:
        """Return the transcript with what is known to differ replaced."""
        return re.sub(self.pattern, self.put, transcript, flags=re.MULTILINE)


DIFFERENCES: dict[str, Difference] = {
    "owner-seen": Difference(
        "A program that looks at an owner after chown sees root, or the user it runs as; the layer has the true owner.",
        "One user of the host is all that an ordinary user's namespace has; owners are written down, not set.",
        r"^(?:5:6|0:0)$|(?<=srv/e  file 0600 )\d+:\d+|(?<=drwxr-xr-x )\d+:\d+(?= /home/student$)",
    ),
    "damaged-archive": Difference(
        "A damaged archive is refused in other words.",
        "dockerd's words are those of its tar library.",
        r"Error processing tar file.*$|the archive ends too early.*$",
    ),
    "setuid": Difference(
        "A program that changes its user goes on as the one it was: `su student` stays root.",
        "One user of the host is all that an ordinary user's namespace has; set*id is answered with success.",
        r"(?<=^owned\n)\w+$",
        rungs="AB",
    ),
    "host-variable": Difference(
        "A container has a variable HOST, its address.",
        "Containers share the machine's network; a program that listens on $HOST meets no other container's port.",
        r"^HOST=.*\n",
        "",
    ),
    "cure": Difference(
        "An error of a registry ends with what it probably means and what to try.",
        "dockerd quotes its libraries and leaves it at that.",
        r"Head \"[^\"]+\": (?=no basic auth)"
        r"|\. (?:Nothing listens there|The registry wants|The name or the password is|<reg> cannot be)[^'\n]*",
        "",
    ),
    "no-platform": Difference(
        "An index without an image for the platform, and a platform that is none, are refused in other words.",
        "The index is read before the answer begins, so it is an error with a status and no line in a stream.",
        r"(?:^multi: Pulling from .*\n)?^! (?:Error response from daemon: )?(?:no matching manifest|\"nonsense).*$",
    ),
    "no-image": Difference(
        "What is in a registry and no image is refused with the reason.",
        "dockerd names the media type alone.",
        r"^! .*application/vnd\.course\.notes\.config.*$",
    ),
    "search": Difference(
        "A registry that does not answer a search is told as for a pull.",
        "dockerd tries two addresses of a protocol that is no more, and quotes both.",
        r"(?<=from daemon: )(?:invalid registry endpoint|Get \"http://<ip>:9/v1/search).*$",
    ),
    "limits": Difference(
        "A memory limit bounds what each process asks for, and is no sum: a request for more fails, nothing is killed, "
        "and OOMKilled stays false. CPU limits are written down. Both with a warning.",
        "They need cgroups, and cgroups need privileges. RLIMIT_DATA needs none.",
        r"^(?:! WARNING: )?(?:Your kernel does not support.*discarded\.|No cgroup here: .*)\n",
        "",
    ),
    "swarm": Difference(
        "Swarm commands are refused without the advice to begin a swarm.",
        "A student's engine has no swarm mode.",
        r"(?<=not a swarm manager\. ).*$",
    ),
    "bad-requests": Difference(
        "Requests that make no sense get status 400 and words of their own.",
        "dockerd answers some with 500, as if the fault were its own, in the words of Go's libraries.",
        r"(?<=create )(?:500|400) .*(?:unexpected EOF|invalid JSON).*$|(?<=nonsense )\d+ .*$|(?<=limit=x )\d+ .*$",
    ),
    "same-mode": Difference(
        "chmod to the mode that a file has writes no layer.",
        "overlay copies a file before it changes anything; a comparison of two trees sees that nothing changed.",
        r"^layer 6\n  srv  .*\n  srv/old  .*\n",
        "",
        rungs="BC",
    ),
    "lower-hardlinks": Difference(
        "Writing to one name of a file with several changes all its names, also across steps.",
        "overlay breaks hard links between layers; in a working tree they are one file, as on any disk.",
        r"(?<=^layer 3\n)(?:  srv.*\n)+",
        rungs="BC",
    ),
    "own-processes": Difference(
        "On rung C a program is not process 1, so signals that the kernel keeps from process 1 end it.",
        "PRoot changes paths and nothing else: process numbers of one's own need a name space.",
        r"^\[exit 1(?:37|43)\]\n|^\d+\n(?=fd$)|(?<=^box\n)\d+$",
        "",
        rungs="C",
    ),
    "tmpfs-sizes": Difference(
        "On rung C a tmpfs and /dev/shm are folders on the disk: their size is the disk's.",
        "Mounting takes a name space; PRoot shows a folder in the place.",
        r"^(?:full|64|1024|16384|65536|\d{7,})\n",
        "",
        rungs="C",
    ),
    "read-only-words": Difference(
        "On rung C a write to what is read-only fails with `Permission denied`.",
        "Landlock refuses it there, not a mount, and has its own error number.",
        r"(?<=: )(?:Read-only file system|Permission denied)$",
        rungs="C",
    ),
    "read-only-in-tmp": Difference(
        "On rung C with PRoot 5.1, what lies in the machine's /tmp can be written although it is mounted read-only.",
        "PRoot before 5.2 needs /tmp for itself, and Landlock cannot take back below a folder what it allowed there.",
        r"^! (?:sh: can't create /s/no|touch: /b/x): .*\n\[exit 1\]\n|^no\n",
        "",
        rungs="C",
    ),
    "interfaces-seen": Difference(
        "On rung C a container without a network sees the machine's interfaces in /sys; it can open no socket.",
        "There is no network name space: a filter refuses internet sockets, the loopback's too.",
        r"^(?:[a-z]+\d+|(?:veth|br-|docker|virbr|en|wl)\w+)\n|^loopback\n|^! ping: .*\n",
        "",
        rungs="C",
    ),
    "working-folder-variable": Difference(
        "On rung C a program has the variable PWD.",
        "PRoot sets it for every program that it starts.",
        r"^PWD=/\n",
        "",
        rungs="C",
    ),
    "engines-own-user": Difference(
        "On rung C with PRoot 5.1, a file given to the user ID that the engine runs as is root's in the layer.",
        "That PRoot puts the real user's ID in the place of root's before anybody can see which was meant.",
        r"\b(?:1000|0)(?=:33 )",
        rungs="C",
    ),
}


def hidden(transcript: str, names: tuple[str, ...] | list[str], rung: str) -> str:
    """Return a transcript without the known differences of these names."""
    for name in names:
        if rung in DIFFERENCES[name].rungs:
            transcript = DIFFERENCES[name].hide(transcript)
    return transcript
