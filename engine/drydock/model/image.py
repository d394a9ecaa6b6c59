"""Images: a stack of layers, how to run them, and the history that says which instruction wrote which layer.

Source: OCI image-spec config.md. A row of the history has a layer unless `empty_layer` says otherwise: a layer of
0 bytes (a new directory, a deleted file) is still a layer.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from drydock.model.layer import Layer, counted, human, shown


@dataclass(frozen=True)
class HistoryRow:
    """One instruction that made the image, and the layer it wrote, if any."""

    created_by: str
    created: str = ""
    comment: str = ""
    empty: bool = False
    layer: int | None = None  # which of the image's layers, counted from 0 at the base

    @property
    def instruction(self) -> str:
        """Return the row as a Dockerfile would say it.

        >>> HistoryRow('/bin/sh -c #(nop)  CMD ["sh"]').instruction, HistoryRow("/bin/sh -c make").instruction
        ('CMD ["sh"]', 'RUN make')
        >>> HistoryRow("RUN /bin/sh -c make # buildkit").instruction
        'RUN make'
        """
        text = self.created_by.strip().removesuffix("# buildkit").strip()
        if match := re.match(r"/bin/sh -c #\(nop\)\s+(.*)", text, re.DOTALL):
            return match[1]
        if match := re.match(r"(?:RUN )?(?:\|\d+ .*?)?/bin/sh -c (.*)", text, re.DOTALL):
            return "RUN " + match[1].strip()
        return text


@dataclass(frozen=True)
class ImageConfig:
    """How a container of the image starts, unless `docker run` says otherwise."""

    env: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    exposed: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    shell: tuple[str, ...] = ()
    stop_signal: str = ""
    onbuild: tuple[str, ...] = ()

    @classmethod
    def parse(cls, config: Mapping[str, Any]) -> ImageConfig:
        """Read the `config` part of an image's JSON; parts of a wrong type count as absent.

        >>> ImageConfig.parse({"Cmd": ["sh"], "ExposedPorts": {"80/tcp": {}}, "Env": None})
        ImageConfig(env=(), cmd=('sh',), ..., exposed=('80/tcp',), ...)
        """
        labels = config.get("Labels")
        return cls(
            env=_texts(config.get("Env")),
            cmd=_texts(config.get("Cmd")),
            entrypoint=_texts(config.get("Entrypoint")),
            workdir=str(config.get("WorkingDir") or ""),
            user=str(config.get("User") or ""),
            labels=tuple(sorted((k, str(v)) for k, v in labels.items())) if isinstance(labels, dict) else (),
            exposed=_texts(config.get("ExposedPorts")),
            volumes=_texts(config.get("Volumes")),
            shell=_texts(config.get("Shell")),
            stop_signal=str(config.get("StopSignal") or ""),
            onbuild=_texts(config.get("OnBuild")),
        )


@dataclass(frozen=True)
class Image:
    """What `docker run` starts from: layers, base first, and a configuration."""

    id: str
    names: tuple[str, ...]
    platform: str
    config: ImageConfig
    history: tuple[HistoryRow, ...]
    layers: tuple[Layer, ...]
    source: str = ""  # where it was read: "Docker 20.10.24", a file's name
    # (layer, path) -> the file's bytes as of that layer's tar, at most 1 MiB of them
    content: Callable[[int, str], bytes] | None = field(default=None, compare=False, repr=False)

    @property
    def size(self) -> int:
        """Return the bytes of all layers, hidden ones included: they are stored and sent all the same."""
        return sum(layer.size for layer in self.layers)

    def picture(self) -> str:
        """Draw the stack, base first: each instruction, the size it added, the layer it wrote.

        >>> rows = (HistoryRow("COPY a /", layer=0), HistoryRow("CMD sh", empty=True))
        >>> print(Image("", ("a:1",), "linux/amd64", ImageConfig(), rows, (Layer("sha256:1", "", 5),)).picture())
        a:1  linux/amd64  1 layer  5B
        layer 0        5B  COPY a /
              -         -  CMD sh
        """
        count = counted(len(self.layers), "layer")
        names = ", ".join(map(shown, self.names)) or self.id[:19]
        rows = [f"{names}  {shown(self.platform)}  {count}  {human(self.size)}"]
        for row in self.history:
            text = shown(" ".join(row.instruction.split())) or "(the history does not say)"
            text = text if len(text) <= 80 else text[:79] + "…"
            if row.layer is None:
                rows.append(f"      -         -  {text}")
            else:
                rows.append(f"layer {row.layer:<2}{human(self.layers[row.layer].size):>8}  {text}")
        return "\n".join(rows)


def join_history(history: Sequence[Mapping[str, Any]], layers: int) -> tuple[HistoryRow, ...]:
    """Return the history with each row's layer; layers the history does not know get a row of their own.

    >>> [(r.created_by, r.layer) for r in join_history([{"created_by": "ENV a=1", "empty_layer": True}], 1)]
    [('ENV a=1', None), ('', 0)]
    """
    rows: list[HistoryRow] = []
    used = 0
    for row in history:
        empty = bool(row.get("empty_layer"))
        number = None if empty or used >= layers else used
        used += number is not None
        rows.append(
            HistoryRow(
                str(row.get("created_by") or ""),
                str(row.get("created") or ""),
                str(row.get("comment") or ""),
                empty,
                number,
            )
        )
    return (*rows, *(HistoryRow("", comment="not in the history", layer=n) for n in range(used, layers)))


def _texts(value: object) -> tuple[str, ...]:
    """Return a JSON list's items, or an object's keys, as texts."""
    return tuple(str(item) for item in value) if isinstance(value, list | dict) else ()
