"""What learners often believe about containers and is not so: one table, by the id that a check's verdict carries."""

MISCONCEPTIONS = {
    "light-vm": "A container is a light virtual machine.",
    "image-runs": "An image runs, and editing a container edits the image.",
    "stop-deletes": "Stopping a container deletes it.",
    "line-is-layer": "Every line of a Dockerfile is a layer.",
    "rm-shrinks": "A later `rm` shrinks the image, or hides a secret.",
    "update-refetches": "`apt-get update` fetches the lists anew on every build.",
    "edit-busts-all": "Saving a file, or an edit anywhere, makes every step run again.",
    "order-is-free": "The order of the lines does not matter.",
    "run-is-cmd": "RUN happens at `docker run`, CMD at build.",
    "arguments-replace-entrypoint": "Arguments of `docker run` replace the ENTRYPOINT.",
    "expose-publishes": "EXPOSE publishes a port, and localhost is shared.",
    "latest-is-newest": "`latest` is the newest.",
    "sizes-add-up": "The sizes of images add up.",
    "push-sends-all": "A push sends the whole image, and a tag once pushed follows the image here.",
    "commit-makes-images": "`docker commit` is how images are made.",
    "screen-differs": "My screen differs, so I did it wrong.",
    "arg-stays": "A build argument is still there when the container runs.",
}


def told(misconception: str) -> str:
    """Return what the id stands for, or nothing.

    >>> told("run-is-cmd")
    'RUN happens at `docker run`, CMD at build.'
    """
    return MISCONCEPTIONS.get(misconception, "")
