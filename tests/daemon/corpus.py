"""Edits to builds, each with what is there before and after: what the cache's rules are tried on."""

from dataclasses import dataclass, field

BASE = "drydock-corpus/base"
OTHER = "drydock-corpus/other"
HEAD = f"FROM {BASE}\nENV CASE=%s\n"
USUAL = "COPY a.txt /a.txt\nRUN cat /a.txt > /b.txt\nCOPY dir /dir\nRUN echo end > /end\nCMD cat /b.txt\n"
FILES = {"a.txt": "one\n", "b.txt": "two\n", "dir/c.txt": "three\n", "notes.md": "n\n"}


@dataclass(frozen=True)
class Case:
    """One edit: files and Dockerfile before; what changes; options of the two builds."""

    name: str
    before: str = USUAL
    after: str | None = None  # the Dockerfile below its head; None: unchanged
    files: dict[str, str | None] = field(default_factory=dict)  # changed or (None) removed
    first: dict[str, object] = field(default_factory=dict)
    second: dict[str, object] = field(default_factory=dict)
    start: dict[str, str] = field(default_factory=dict)  # more files from the beginning
    mode: dict[str, int] = field(default_factory=dict)
    touch: tuple[str, ...] = ()
    depends: bool = False  # a DEPENDS is allowed: equal output of a stage, a URL
    head: str = HEAD
    builders: tuple[str, ...] = ("classic", "buildkit")


STAGES = (
    f"FROM {BASE} AS one\nENV CASE=%s\nCOPY a.txt /a\nRUN cat /a > /x\nFROM {BASE} AS two\nENV CASE=%s\n"
    "COPY b.txt /b\nRUN cat /b > /y\nFROM {base}\nENV CASE=%s\nCOPY --from=one /x /x\nCOPY --from=two /y /y\nRUN cat /x /y > /z\n"
).replace("{base}", BASE)
SAME = f"FROM {BASE} AS one\nENV CASE=%s\nCOPY a.txt /a\nRUN echo same > /x\nFROM {BASE}\nENV CASE=%s\nCOPY --from=one /x /x\nRUN cat /x\n"


def swap(text: str, old: str, new: str) -> str:
    """Return the text with one thing replaced, and refuse to replace nothing."""
    assert old in text, old
    return text.replace(old, new)


def one(name: str, line: str, new: str, **other) -> Case:
    """An edit of one line that stands between a COPY and a RUN."""
    around = "COPY a.txt /a.txt\n{}\nRUN true\nCOPY b.txt /b.txt\n"
    return Case(name, around.format(line), around.format(new), **other)


CASES = [
    Case("nothing changes"),
    Case("a file's content changes", files={"a.txt": "one!\n"}),
    Case("a file changes and keeps its size", files={"a.txt": "eno\n"}),
    Case("a file in a copied folder changes", files={"dir/c.txt": "3\n"}),
    Case("a file is added to a copied folder", files={"dir/new.txt": "x"}),
    Case("a file is removed from a copied folder", files={"dir/c.txt": None, "dir/d.txt": "x"}),
    Case("a file that nobody copies changes", files={"notes.md": "changed"}),
    Case("only the time of a file changes", touch=("a.txt", "dir/c.txt")),
    Case("only the mode of a file changes", mode={"a.txt": 0o755}),
    Case("only the mode of a folder changes", mode={"dir": 0o700}),
    Case("a file is renamed in the folder", files={"dir/c.txt": None, "dir/c2.txt": "three\n"}),
    Case("content changes and comes back", first={"again": {"a.txt": "else"}}),
    Case("a comment is added", after="# hello\n" + USUAL),
    Case("blank lines are added", after=USUAL.replace("\n", "\n\n")),
    Case("an instruction's case changes", after=swap(USUAL, "COPY a", "copy a")),
    Case("a line is continued", after=swap(USUAL, "RUN cat /a.txt > /b.txt", "RUN cat /a.txt \\\n> /b.txt")),
    Case("one space more in RUN", after=swap(USUAL, "RUN cat /a.txt", "RUN cat  /a.txt")),
    Case("one space more in COPY", after=swap(USUAL, "COPY a.txt /a", "COPY a.txt  /a")),
    Case("the text of RUN changes", after=swap(USUAL, "RUN cat /a.txt", "RUN sort /a.txt")),
    Case("the last RUN changes", after=swap(USUAL, "echo end", "echo END")),
    Case("CMD changes", after=swap(USUAL, "CMD cat /b.txt", 'CMD ["cat", "/a.txt"]')),
    Case("two lines change places", after=swap(USUAL, "COPY dir /dir\nRUN echo end > /end\n", "RUN echo end > /end\nCOPY dir /dir\n")),
    Case("a line is inserted on top", after="RUN true\n" + USUAL),
    Case("a line is removed", after=swap(USUAL, "RUN cat /a.txt > /b.txt\n", "")),
    Case("a line is added at the end", after=USUAL + "RUN echo more\n"),
    Case("RUN in JSON form changes", "RUN [\"echo\", \"a\"]\nRUN true\n", 'RUN ["echo", "b"]\nRUN true\n'),
    Case("RUN goes from shell to JSON form", "RUN echo a\nRUN true\n", 'RUN ["/bin/sh", "-c", "echo a"]\nRUN true\n'),
    one("ENV changes", "ENV A=1", "ENV A=2"),
    one("ENV old form means the same", "ENV A 1", "ENV A=1"),
    one("ENV is put in quotes", "ENV A=1", 'ENV A="1"'),
    one("ENV is added", "ENV A=1", "ENV A=1 B=2"),
    one("ENV used in COPY changes", "ENV A=1\nCOPY b.txt /$A", "ENV A=2\nCOPY b.txt /$A"),
    one("LABEL changes", "LABEL a=1", "LABEL a=2 'b c'=d"),
    one("WORKDIR changes", "WORKDIR /w", "WORKDIR /v"),
    one("WORKDIR stays, spelled otherwise", "WORKDIR /w", "WORKDIR /w/"),
    one("WORKDIR is relative", "WORKDIR /w\nWORKDIR x", "WORKDIR /w\nWORKDIR y"),
    one("WORKDIR is the root", "WORKDIR /", "WORKDIR /."),
    one("USER changes", "USER 1", "USER 2"),
    one("EXPOSE changes", "EXPOSE 80", "EXPOSE 443 22/udp"),
    one("EXPOSE is ordered otherwise", "EXPOSE 80 443", "EXPOSE 443 80"),
    one("VOLUME changes", "VOLUME /d", 'VOLUME ["/d", "/e"]'),
    one("ENTRYPOINT changes", 'ENTRYPOINT ["echo"]', "ENTRYPOINT echo"),
    one("STOPSIGNAL changes", "STOPSIGNAL SIGTERM", "STOPSIGNAL SIGKILL"),
    one("SHELL changes", 'SHELL ["/bin/sh", "-c"]', 'SHELL ["/bin/sh", "-e", "-c"]'),
    one("HEALTHCHECK changes", "HEALTHCHECK --interval=5s CMD true", "HEALTHCHECK --interval=90s --retries=3 CMD true"),
    one("HEALTHCHECK goes away", 'HEALTHCHECK CMD ["true"]', "HEALTHCHECK NONE"),
    one("MAINTAINER changes", "MAINTAINER me", "MAINTAINER you"),
    one("ONBUILD changes", "ONBUILD RUN true", "ONBUILD RUN false"),
    one("ADD changes", "ADD a.txt /added", "ADD b.txt /added"),
    one("COPY --chown changes", "COPY --chown=1:1 b.txt /c", "COPY --chown=1:2 b.txt /c"),
    one("COPY from a wildcard", "COPY *.txt /t/", "COPY ?.txt /t/"),
    Case("a file joins a wildcard", "COPY *.txt /t/\nRUN ls /t\n", files={"z.txt": "z"}),
    Case("COPY . . sees an edit", "COPY . .\nRUN true\n", files={"notes.md": "new"}),
    Case("COPY . . sees an edit of the Dockerfile", "COPY . .\nRUN true\n", "COPY . .\nRUN true\nCMD a\n"),
    Case(".dockerignore leaves a file out", "COPY . .\nRUN true\n", files={"notes.md": "new"}, start={".dockerignore": "*.md\n"}),
    Case(".dockerignore lets a file in again", "COPY . .\nRUN true\n", files={"notes.md": "new"},
         start={".dockerignore": "*.md\n!notes.md\n"}),
    Case(".dockerignore leaves the Dockerfile out", "COPY . .\nRUN true\n", "COPY . .\nRUN true\nCMD a\n",
         start={".dockerignore": "Dockerfile\n.dockerignore\n"}),
    Case(".dockerignore changes", "COPY dir /d\nRUN true\n", files={".dockerignore": "dir/c.txt\n"}, start={"dir/k": "k"}),
    Case("a build argument changes", "ARG V=1\nRUN echo $V\nRUN true\n", second={"buildargs": {"V": "2"}}),
    Case("a build argument is given as its default", "ARG V=1\nRUN echo hi\n", second={"buildargs": {"V": "1"}}),
    Case("a build argument's default changes", "ARG V=1\nRUN echo hi\n", "ARG V=2\nRUN echo hi\n"),
    Case("an argument is declared below", "RUN true\nARG V=1\nRUN echo $V\n", second={"buildargs": {"V": "2"}}),
    Case("an argument that ENV hides changes", "ARG V=1\nENV V=x\nRUN echo $V\n", second={"buildargs": {"V": "2"}}),
    Case("an argument in ENV changes", "ARG V=1\nENV W=$V\nRUN echo $W\n", second={"buildargs": {"V": "2"}}),
    Case("an argument in COPY changes", "ARG V=a\nCOPY $V.txt /f\nRUN true\n", second={"buildargs": {"V": "b"}}),
    Case("a proxy argument changes", "RUN true\n", second={"buildargs": {"http_proxy": "http://127.0.0.1:1"}}),
    Case("an argument before FROM changes", head=f"ARG B={BASE}\nFROM $B\nENV CASE=%s\n", second={"buildargs": {"B": OTHER}}),
    Case("the base changes", head=f"FROM {BASE}\nENV CASE=%s\n", second={"head": f"FROM {OTHER}\nENV CASE=%s\n"}),
    Case("--no-cache", second={"nocache": True}),
    Case("a build without the cache feeds the next one", first={"nocache": True}),
    Case("--target an early stage", STAGES, head="", second={"target": "one"}),
    Case("--target an early stage, then all", STAGES, head="", first={"target": "one"}, depends=True),
    Case("stages, nothing changes", STAGES, head=""),
    Case("one of two stages changes", STAGES, head="", files={"b.txt": "2"}, depends=True),
    Case("the last stage changes", STAGES, swap(STAGES, "RUN cat /x /y", "RUN sort /x /y"), head=""),
    Case("a stage is renamed", STAGES, STAGES.replace("one", "uno"), head=""),
    Case("a stage gives the same files again", SAME, head="", files={"a.txt": "other"}, depends=True),
    Case("two stages with the same steps", f"FROM {BASE} AS p\nENV CASE=%s\nRUN echo p\nFROM {BASE}\nENV CASE=%s\nRUN echo p\n",
         f"FROM {BASE} AS p\nENV CASE=%s\nRUN echo q\nFROM {BASE}\nENV CASE=%s\nRUN echo q\nCOPY --from=p /a /b\n".replace("COPY --from=p /a /b\n", ""), head=""),
    Case("a stage on a stage", f"FROM {BASE} AS p\nENV CASE=%s\nRUN echo 1 > /1\nFROM p\nCOPY a.txt /a\nRUN true\n", head="", files={"a.txt": "!"}),
    Case("a stage that nobody needs changes", f"FROM {BASE} AS u\nENV CASE=%s\nCOPY b.txt /b\nFROM {BASE}\nENV CASE=%s\nRUN true\n",
         head="", files={"b.txt": "!"}),
    Case("COPY --from an image", f"COPY --from={OTHER} /bin/other /o\nRUN true\n"),
    Case("FROM scratch", "COPY a.txt /a\nCOPY b.txt /b\n", head="FROM scratch\nENV CASE=%s\n", files={"b.txt": "!"}),
    Case("a heredoc changes", "COPY <<E /h\none\nE\nRUN <<E\necho 1\nE\n", "COPY <<E /h\none\nE\nRUN <<E\necho 2\nE\n", builders=("buildkit",)),
    Case("a mounted file changes", "RUN --mount=type=bind,source=a.txt,target=/m cat /m\nRUN true\n", files={"a.txt": "!"}, builders=("buildkit",)),
    Case("COPY --link stands for itself", "RUN echo 1\nCOPY --link a.txt /l\nRUN true\n", "RUN echo 2\nCOPY --link a.txt /l\nRUN true\n", builders=("buildkit",)),
    Case("COPY --chmod changes", "COPY --chmod=644 a.txt /a\n", "COPY --chmod=755 a.txt /a\n", builders=("buildkit",)),
    Case("a symbolic link's target changes", "COPY link /l\nRUN true\n", files={"a.txt": "!"}, start={"link": "->a.txt"}),
    Case("a link in a folder points elsewhere", "COPY dir /dir\nRUN true\n", files={"dir/l": "->../b.txt"}, start={"dir/l": "->../a.txt"}),
]  # fmt: skip
