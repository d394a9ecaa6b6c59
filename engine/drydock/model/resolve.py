"""What each instruction comes to once variables are replaced: the identity that a builder's cache compares.

Sources: moby builder/dockerfile/dispatchers.go (v20.10.24), buildkit frontend/dockerfile/dockerfile2llb/convert.go.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from drydock.model.context import Context, Selection, select
from drydock.model.dockerfile import Dockerfile, Instruction, Stage, parse
from drydock.model.expansion import ExpansionError, expand
from drydock.model.lines import DockerfileError

# Set by Docker from the caller's environment; they never make a step miss unless the Dockerfile declares them.
PROXIES = tuple(n for p in ("http", "https", "ftp", "no", "all") for n in (f"{p}_proxy", f"{p.upper()}_PROXY"))
SHELL = ("/bin/sh", "-c")


@dataclass(frozen=True)
class Base:
    """What a stage takes over from the image it starts from."""

    id: str  # "" is scratch
    env: tuple[str, ...] = ()
    workdir: str = ""
    user: str = ""
    shell: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    onbuild: tuple[str, ...] = ()


SCRATCH = Base("")


@dataclass(frozen=True)
class Resolved:
    """One instruction with everything that the cache compares."""

    stage: int
    index: int  # within the stage; -1 for a trigger that the base image's ONBUILD adds
    instruction: Instruction
    comment: str  # the classic builder's name of the step; {hash} stands for what COPY brings
    definition: str  # BuildKit's: everything but the parent and the files; "" where it makes no step
    source: int | str | None = None  # COPY --from: a stage's index, or an image
    selections: tuple[Selection, ...] | None = None  # files that come from the context
    remote: bool = False  # ADD of a URL
    link: bool = False  # COPY --link
    args: tuple[tuple[str, str], ...] = ()  # build arguments that a RUN can see


@dataclass
class Scope:
    """What the instructions above have set."""

    base: Base
    globals: Mapping[str, str]
    given: Mapping[str, str]
    escape: str
    env: dict[str, str] = field(default_factory=dict)
    args: dict[str, str | None] = field(default_factory=dict)
    workdir: str = ""
    user: str = ""
    shell: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.env = dict(pair.partition("=")[::2] for pair in self.base.env)
        self.workdir, self.user, self.shell = self.base.workdir, self.base.user, self.base.shell

    def seen(self) -> dict[str, str]:
        """Return the variables that an instruction can use: ENV wins over ARG."""
        return {**{k: v for k, v in self.args.items() if v is not None}, **self.env}

    def expand(self, word: str) -> str:
        """Return the word with its variables replaced."""
        return expand(word, self.seen(), self.escape)


def global_args(dockerfile: Dockerfile, given: Mapping[str, str]) -> dict[str, str]:
    """Return the values of the ARGs before the first FROM."""
    found: dict[str, str] = {}
    for i in dockerfile.globals:
        for word in i.words:
            name, has, value = word.partition("=")
            if name in given:
                found[name] = given[name]
            elif has:
                found[name] = expand(value, found, dockerfile.escape)
    return found


def bases(dockerfile: Dockerfile, given: Mapping[str, str]) -> tuple[int | str, ...]:
    """Return what each stage starts from: the index of an earlier stage, or an image's name."""
    values = global_args(dockerfile, given)
    found: list[int | str] = []
    for stage in dockerfile.stages:
        name = _expanded(stage.base, values, stage.instructions[0], dockerfile.escape)
        earlier = dockerfile.stage(name, stage.index) if not name.isdecimal() else None
        found.append(earlier.index if earlier else name)
    return tuple(found)


def _expanded(word: str, values: Mapping[str, str], i: Instruction, escape: str) -> str:
    try:
        return expand(word, values, escape)
    except ExpansionError as error:
        raise DockerfileError(i.lines[0], f"{word}: {error}", "Set the variable, or correct the ${...}.") from None


def resolve(
    dockerfile: Dockerfile, context: Context, given: Mapping[str, str], images: Mapping[str, Base]
) -> tuple[tuple[Resolved, ...], ...]:
    """Return every stage's instructions below its FROM, resolved; `images` holds what is known of base images.

    Raises: DockerfileError where a variable cannot be replaced.
    """
    ends: list[Base] = []
    stages: list[tuple[Resolved, ...]] = []
    values = global_args(dockerfile, given)
    for stage, start in zip(dockerfile.stages, bases(dockerfile, given), strict=True):
        base = ends[start] if isinstance(start, int) else SCRATCH if start == "scratch" else images.get(start)
        scope = Scope(base or SCRATCH, values, given, dockerfile.escape)
        steps = [step(dockerfile, stage, -1, i, scope, context) for i in triggers(scope.base)]
        for index, i in enumerate(stage.instructions[1:], 1):
            try:
                steps.append(step(dockerfile, stage, index, i, scope, context))
            except ExpansionError as error:
                cure = "Set the variable, or correct the ${...}."
                raise DockerfileError(i.lines[0], f"{i.keyword}: {error}", cure) from None
        ends.append(_end(scope, stage))
        stages.append(tuple(steps))
    return tuple(stages)


def triggers(base: Base) -> tuple[Instruction, ...]:
    """Return the instructions that the base image's ONBUILD lines add in front of the stage's own."""
    text = "\n".join(["FROM scratch", *base.onbuild])
    return parse(text).stages[0].instructions[1:] if base.onbuild else ()


def _end(scope: Scope, stage: Stage) -> Base:
    env = tuple(f"{k}={v}" for k, v in scope.env.items())
    onbuild = tuple(i.arguments for i in stage.instructions if i.keyword == "ONBUILD")
    return Base("stage", env, scope.workdir, scope.user, scope.shell, scope.cmd, onbuild)


def quoted(words: tuple[str, ...]) -> str:
    """Return a list of words as Go's %q prints it.

    >>> quoted(("/bin/sh", "-c", 'echo "hi"'))
    '["/bin/sh" "-c" "echo \\\\"hi\\\\""]'
    """
    return "[" + " ".join(json.dumps(word, ensure_ascii=False) for word in words) + "]"


def step(df: Dockerfile, stage: Stage, index: int, i: Instruction, scope: Scope, context: Context) -> Resolved:
    """Return one instruction resolved; `scope` then knows what it has set.

    >>> df = parse("FROM a\\nENV A=1 B=$A")
    >>> step(df, df.stages[0], 1, df.stages[0].instructions[1], Scope(SCRATCH, {}, {}, df.escape), Context()).comment
    '/bin/sh -c #(nop)  ENV A=1 B='
    """
    rule = RULES.get(i.keyword, _config)
    made = rule(df, stage, index, i, scope, context)
    shell = " ".join(scope.shell or SHELL)
    return made if made.comment.startswith("|") or i.keyword == "RUN" else _named(made, shell)


def _named(made: Resolved, shell: str) -> Resolved:
    return replace(made, comment=f"{shell} #(nop) {made.comment}")


def _run(df: Dockerfile, stage: Stage, index: int, i: Instruction, scope: Scope, context: Context) -> Resolved:
    shell = scope.shell or SHELL
    command = i.words if i.json else (*shell, i.arguments)
    args = {k: v for k, v in scope.args.items() if v is not None and k not in scope.env}
    visible = sorted(f"{k}={v}" for k, v in args.items())
    # Proxies of the caller that nobody declared are not counted, but that there are some shows: "|0 /bin/sh -c".
    silent = any(k in PROXIES and k not in scope.env and k not in args for k in scope.given)
    comment = " ".join([f"|{len(visible)}", *visible, *command] if args or silent else command)
    source, selections = _mounts(df, stage, i, context)
    definition = ["RUN", command, [f"{k}={v}" for k, v in {**args, **scope.env}.items()], scope.workdir, scope.user,
                  i.flags, [h.content for h in i.heredocs]]  # fmt: skip
    shown = tuple(sorted(args.items()))
    return Resolved(stage.index, index, i, comment, json.dumps(definition), source, selections, args=shown)


def _mounts(
    df: Dockerfile, stage: Stage, i: Instruction, context: Context
) -> tuple[int | str | None, tuple[Selection, ...] | None]:
    """Return what RUN --mount=type=bind brings in: another stage, an image, or files of the context."""
    for name, value in i.flags:
        options = dict(part.partition("=")[::2] for part in value.split(",")) if name == "mount" else {}
        if options.get("type", "bind") != "bind" or not options:
            continue
        if "from" in options:
            return _source(df, stage, options["from"]), None
        return None, select(context, [options.get("source") or options.get("src") or "."])
    return None, None


def _source(df: Dockerfile, stage: Stage, name: str) -> int | str:
    found = df.stage(name, stage.index)
    return found.index if found else name


def _copy(df: Dockerfile, stage: Stage, index: int, i: Instruction, scope: Scope, context: Context) -> Resolved:
    words = tuple(word if i.json and "$" not in word else scope.expand(word) for word in i.words)
    *sources, target = words
    flags = tuple((k, scope.expand(v)) for k, v in i.flags)
    chown = dict(flags).get("chown", "")
    comment = f"{i.keyword} {f'--chown={chown}' if chown else ''}{{hash}} in {target} "
    inline = {f"<<{'-' if h.chomp else ''}{h.name}" for h in i.heredocs}
    named = [s for s in sources if s.replace('"', "").replace("'", "") not in inline]
    remote = any(re.match(r"(https?|git|ssh)://|git@", s) for s in named) and i.keyword == "ADD"
    absolute = _clean(posixpath.join("/", scope.workdir, target))
    absolute += "/" if target == "." or target.endswith(("/", "/.")) else ""
    bodies = [scope.expand(h.content) if h.expand else h.content for h in i.heredocs]
    own = [(k, v) for k, v in flags if k != "from"]  # a stage is known by its files, whatever it is called
    definition = json.dumps([i.keyword, sources, absolute, own, bodies])
    origin = dict(flags).get("from")
    source = _source(df, stage, origin) if origin else None
    chosen = None if origin or remote else select(context, named)
    return Resolved(stage.index, index, i, comment, definition, source, chosen, remote, i.flag("link") == "true")


def _workdir(df: Dockerfile, stage: Stage, index: int, i: Instruction, scope: Scope, context: Context) -> Resolved:
    """Both builders clean a relative path and keep an absolute one as it was typed (`/w/` is not `/w`), for the comment
    and for the processes that start there; the folder that BuildKit makes is the same (moby
    builder/dockerfile/dispatchers_unix.go, buildkit util/system/path.go: NormalizeWorkdir)."""
    asked = scope.expand(i.arguments)
    path = asked if asked.startswith("/") else "/" + _clean(posixpath.join("/", scope.workdir, asked)).lstrip("/")
    scope.workdir = path
    definition = "" if path == "/" else json.dumps(["WORKDIR", _clean(path)])
    return Resolved(stage.index, index, i, f"WORKDIR {path}", definition)


def _clean(path: str) -> str:
    """Return an absolute path without `.`, `..` and doubled slashes, as Go's path.Clean does."""
    return "/" + posixpath.normpath(path).lstrip("/")


def _config(df: Dockerfile, stage: Stage, index: int, i: Instruction, scope: Scope, context: Context) -> Resolved:
    return Resolved(stage.index, index, i, " " + _comment(i, scope), "")


def _comment(i: Instruction, scope: Scope) -> str:
    """Return the classic builder's name of an instruction that only changes the configuration."""
    if i.keyword in ("ENV", "LABEL"):
        pairs = [(scope.expand(k), scope.expand(v)) for k, v in i.pairs]
        if i.keyword == "ENV":
            scope.env.update(pairs)
        return " ".join([i.keyword, *(f"{k}={v}" for k, v in pairs)])
    if i.keyword == "ARG":
        return "ARG " + " ".join(_arg(word, scope) for word in i.words)
    if i.keyword in ("CMD", "ENTRYPOINT"):
        words = i.words if i.json else (*(scope.shell or SHELL), i.arguments) if i.arguments else ()
        return f"{i.keyword} {quoted(words)}"
    if i.keyword == "EXPOSE":
        ports = [port for word in sorted(i.words) for port in scope.expand(word).split()]  # sorted, then replaced
        return f"EXPOSE {' '.join(ports)}"
    if i.keyword == "VOLUME":
        return f"VOLUME [{' '.join(scope.expand(word) for word in i.words)}]"
    if i.keyword == "USER":
        scope.user = scope.expand(i.arguments)
        return f"USER {scope.user}"
    if i.keyword == "SHELL":
        scope.shell = i.words
        return f"SHELL [{' '.join(i.words)}]"
    if i.keyword == "HEALTHCHECK":
        return f"HEALTHCHECK {_health(i)}"
    if i.keyword == "STOPSIGNAL":
        return f"STOPSIGNAL {scope.expand(i.arguments)}"
    return f"{i.keyword} {i.arguments}"


def _health(i: Instruction) -> str:
    """Return a health check as the Go of 20.10 prints it: test, interval, timeout, start period, retries."""
    test = health_test(i)
    times = [duration(i.flag(name) or "0s") for name in ("interval", "timeout", "start-period")]
    retries = int(i.flag("retries") or 0)
    rune = {7: "a", 8: "b", 9: "t", 10: "n", 11: "v", 12: "f", 13: "r", 39: "'", 92: "\\"}.get(retries)
    shown = f"\\{rune}" if rune else chr(retries) if 32 <= retries < 127 else f"\\x{retries:02x}"
    return f"&{{{quoted(test)} {' '.join(json.dumps(t) for t in times)} '{shown}'}}"


def health_test(i: Instruction) -> tuple[str, ...]:
    """Return what a health check runs: NONE, CMD with its words, or CMD-SHELL with one line.

    >>> health_test(parse('FROM a\\nHEALTHCHECK CMD ["true"]').stages[0].instructions[1])
    ('CMD', 'true')
    """
    kind, _, rest = i.arguments.partition(" ")
    if kind.upper() == "NONE":
        return ("NONE",)
    words = _json_words(rest.strip())
    return ("CMD", *words) if words is not None else ("CMD-SHELL", rest.strip())


def _json_words(text: str) -> list[str] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, list) else None


def nanoseconds(text: str) -> int:
    """Return a duration as Go counts it.

    >>> nanoseconds("1m30s"), nanoseconds("1.5ms")
    (90000000000, 1500000)
    """
    units = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
    return round(sum(float(n) * units[u] for n, u in re.findall(r"([\d.]+)(h|ms|us|ns|m|s)", text)))


def duration(text: str) -> str:
    """Return a duration as Go prints it.

    >>> duration("90s"), duration("5m"), duration("1h"), duration("0s")
    ('1m30s', '5m0s', '1h0m0s', '0s')
    """
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    total = sum(float(n) * units[u] for n, u in re.findall(r"([\d.]+)(h|ms|m|s)", text))
    if 0 < total < 1:
        return f"{total * 1000:g}ms"
    hours, rest = divmod(total, 3600)
    minutes, seconds = divmod(rest, 60)
    return (f"{hours:g}h" if hours else "") + (f"{minutes:g}m" if hours or minutes else "") + f"{seconds:g}s"


def _arg(word: str, scope: Scope) -> str:
    """Declare a build argument: the value given with the build wins, then the default, then the one before FROM."""
    name, has, default = word.partition("=")
    value = scope.expand(default) if has else None
    scope.args[name] = scope.given.get(name, value if has else scope.globals.get(name))
    return f"{name}={value}" if has else name  # a value from before FROM does not show (tried on 20.10 and 26.1)


RULES = {"RUN": _run, "COPY": _copy, "ADD": _copy, "WORKDIR": _workdir}
