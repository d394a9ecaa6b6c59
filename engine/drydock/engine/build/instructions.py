"""One instruction of a Dockerfile carried out: found in the cache, or done and made into an image.

Source: moby builder/dockerfile (dispatchers.go, evaluator.go: dispatch), tag v20.10.24. Instructions that only change
the configuration make no container and no snapshot here, though the stream names one as dockerd's does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from drydock.engine.build.config import Config, clean
from drydock.engine.build.copy import copy
from drydock.engine.build.copying import Draft
from drydock.engine.build.messages import Message, StepFailed, say, short
from drydock.engine.build.run import run
from drydock.engine.build.settings import set_by
from drydock.engine.build.sources import CopyFailed
from drydock.engine.build.step import Step
from drydock.engine.errors import BadParameter, EngineError
from drydock.model.context import Context
from drydock.model.dockerfile import Instruction
from drydock.model.expansion import ExpansionError
from drydock.model.resolve import Resolved


def take(at: Step, i: Instruction, index: int) -> Iterator[Message]:
    """Carry one instruction out.

    Raises: EngineError, StepFailed.
    """
    at.container = ""
    try:
        resolved = at.settings.resolve(at.site.dockerfile, at.stage, index, i, NOTHING)
    except ExpansionError as error:
        raise BadParameter(f'failed to process "{unexpanded(at, i)}": {error.docker}') from None
    try:
        yield from STEPS.get(i.keyword, setting)(at, i, resolved)
    except (EngineError, StepFailed):
        if at.container and at.site.request.force_remove:
            yield say(f"Removing intermediate container {short(at.container)}\n")
        raise
    if at.container and at.site.request.remove:
        yield say(f"Removing intermediate container {short(at.container)}\n")


def unexpanded(at: Step, i: Instruction) -> str:
    """Return the word of an instruction whose variables cannot be replaced."""
    for word in [value for _, value in i.pairs] if i.keyword in ("ENV", "LABEL", "ARG") else i.words:
        try:
            at.settings.scope.expand(word)
        except ExpansionError:
            return word
    return i.arguments


NOTHING = Context()  # a step's files are looked at by the step itself, which has more to say than the model


def setting(at: Step, i: Instruction, resolved: Resolved) -> Iterator[Message]:
    """ENV, CMD and their kin: a new configuration on the same files."""
    set_by(at.settings, i)
    yield from map(say, at.settings.notes)
    before = " ".join(at.settings.shell) + " #(nop) "
    config = at.configured([*at.settings.shell, "#(nop) ", resolved.comment[len(before) :].removeprefix(" ")])
    if at.hit(config):
        yield say(" ---> Using cache\n")
        return
    yield at.begin()
    at.commit(in_container(at, config), None)


def in_container(at: Step, config: Config) -> Config:
    """Return the configuration as dockerd's container has it after its creation: completed by the image's.

    Source: daemon/commit.go (merge), daemon/create.go. The health check is one object there, so that what is filled in
    shows in the new image too.
    """
    image = (at.image.config.get("config") or {}) if at.image else {}
    if config.get("Healthcheck") and image.get("Healthcheck"):
        config = config | {"Healthcheck": {**image["Healthcheck"], **config["Healthcheck"]}}
        at.settings.config["Healthcheck"] = config["Healthcheck"]
    return config | {
        "Hostname": short(at.container),
        "WorkingDir": clean(config["WorkingDir"]),
        "Entrypoint": config["Entrypoint"] or image.get("Entrypoint"),
        "Labels": config["Labels"] or {},
    }


def workdir(at: Step, i: Instruction, resolved: Resolved) -> Iterator[Message]:
    """WORKDIR: the directory is made where it is not there."""
    set_by(at.settings, i)
    path = at.settings.config["WorkingDir"]
    config = at.configured([*at.settings.shell, f"#(nop) WORKDIR {path}"])
    if at.hit(config):
        yield say(" ---> Using cache\n")
        return
    yield at.begin()
    draft = Draft(at.site.layers.view(at.chain()))
    try:
        draft.folder(draft.view.resolve(path), (0, 0))
    except CopyFailed:
        raise EngineError(f"Cannot mkdir: {path} is not a directory") from None
    at.commit(in_container(at, config), at.site.layers.write(draft.done()))


STEPS: dict[str, Callable[[Step, Instruction, Resolved], Iterator[Message]]] = {
    "ADD": copy,
    "COPY": copy,
    "RUN": run,
    "WORKDIR": workdir,
}
