"""What all the kit's widgets share: one snapshot as state, a still picture for paper, and a brake for fast streams."""

from __future__ import annotations

import difflib
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from IPython.display import display

from drydock_widgets.card import figure

HERE = Path(__file__).parent
UNKNOWN = "{widget} does not know the argument {name!r}.{nearest} It takes: {known}."
PERIOD = 0.05  # seconds: 20 updates a second; a browser keeps up with 200 [measured]
KEPT = 8  # lists that a click may still speak of


def asset(name: str) -> str:
    """Return a widget's JavaScript or CSS with the shared part in front: a module from a Blob cannot import files."""
    common = HERE / f"common{Path(name).suffix}"
    return common.read_text("utf-8") + "\n" + (HERE / name).read_text("utf-8")


class Throttle:
    """Pass on at most one value every 50 ms, and always the last one, also when nothing comes after it."""

    def __init__(self, send: Callable[[Any], None], period: float = PERIOD) -> None:
        self._send, self._period = send, period
        self._lock = threading.RLock()
        self._timer: threading.Timer | None = None
        self._waiting: list[Any] = []
        self._sent = float("-inf")

    def push(self, value: Any) -> None:
        """Send the value now, or, if one was sent just before, when its time has come, unless a newer one comes."""
        with self._lock:
            self._waiting = [value]
            wait = self._sent + self._period - time.monotonic()
            if wait <= 0:
                self.flush()
            elif self._timer is None:
                self._timer = threading.Timer(wait, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Send what waits, at once."""
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._waiting:
                value = self._waiting.pop()
                self._sent = time.monotonic()
                self._send(value)


class Shown:
    """Remember the last few lists that were on the screen: row 1 of the next one is another file.

    A click names the list it saw. It may be an older one: the kernel was busy, or the list changed under the finger.

    >>> shown = Shown()
    >>> first, second = shown.name(["a", "b"]), shown.name(["b"])
    >>> shown.row(first, 0), shown.row(second, 0), shown.row(second, 1), shown.row("another", 0)
    ('a', 'b', None, None)
    """

    def __init__(self) -> None:
        self._lists: dict[str, Sequence[Any]] = {}
        self._named = 0

    def name(self, rows: Sequence[Any]) -> str:
        """Return the name of the list that is shown now; eight are kept."""
        if not self._lists or self._lists[str(self._named)] != rows:
            self._named += 1
            self._lists[str(self._named)] = rows
            self._lists.pop(str(self._named - KEPT), None)
        return str(self._named)

    def row(self, name: object, n: object) -> Any:
        """Return a row of a list that was shown, or None where there is no such list or row any more."""
        rows = self._lists.get(name, ()) if isinstance(name, str) else ()
        return rows[n] if isinstance(n, int) and 0 <= n < len(rows) else None


class Picture(anywidget.AnyWidget):
    """A widget that is also a picture: live in JupyterLab, still in a saved notebook, text in a terminal."""

    state = traitlets.Dict().tag(sync=True)  # one snapshot of all there is to see, at most 20 kB
    output = traitlets.Dict().tag(sync=True)  # what the notebook is to keep, where that is newer than what it displayed
    arguments: tuple[str, ...] = ()  # what the constructor takes by name

    def __init__(self, **unknown: Any) -> None:
        for name in unknown:
            found = difflib.get_close_matches(name, self.arguments, 1)
            nearest = f" Did you mean {found[0]!r}?" if found else ""
            known = ", ".join(self.arguments)
            raise TypeError(UNKNOWN.format(widget=type(self).__name__, name=name, nearest=nearest, known=known))
        super().__init__()
        self._guard = threading.RLock()
        self._feed: Iterable[Any] | None = None
        self._displayed = False
        self.on_msg(self._heard)

    def snapshot(self) -> dict[str, Any]:
        """Return all that the browser is to show."""
        raise NotImplementedError

    def still(self) -> tuple[str, str, list[Any], list[str], list[list[Any]]]:
        """Return the still picture: sentence, title, marks, and a table's head and rows."""
        raise NotImplementedError

    def picture(self) -> str:
        """Return the widget as text."""
        raise NotImplementedError

    def hear(self, message: Mapping[str, Any]) -> None:
        """Do what a click asks for: short, and right on whichever thread it comes."""

    def take(self, value: Any) -> None:
        """Take a newer value to show."""

    def refresh(self) -> None:
        """Send the browser what there is to see now, and what a saved notebook is to show of it."""
        with self._guard:
            self._draw()
            self._keep_picture()

    def _draw(self) -> None:
        with self._guard:
            self.state = {**self.snapshot(), "seq": self.state.get("seq", 0) + 1}

    def _keep_picture(self) -> None:
        with self._guard:
            if self._displayed:
                self.output = self._repr_mimebundle_()

    def watch(self, values: Iterable[Any]) -> Any:
        """Show each value as it comes, wait for the end, and return the last one."""
        last, throttle = None, Throttle(lambda _: self._draw())
        try:
            for last in values:
                with self._guard:
                    self.take(last)
                throttle.push(None)
        finally:
            throttle.flush()
            self._keep_picture()  # once, when the stream has ended: the browser draws meanwhile from `state` alone
        return last

    def _heard(self, _: Any, content: Any, __: Any) -> None:
        if not isinstance(content, dict):
            return
        with self._guard:
            self.hear(content)
            self.refresh()

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        view = {"version_major": 2, "version_minor": 0, "model_id": self.model_id}
        return {
            "application/vnd.jupyter.widget-view+json": view,
            "text/html": figure(*self.still()),
            "text/plain": self.picture(),
        }

    def _ipython_display_(self) -> None:
        # The picture in the notebook is as old as its display. What comes later is put there by `output` and the kit's
        # JupyterLab extension; the end of a live stream also without them: in a headless run, or another front end.
        feed, self._feed = self._feed, None
        self._displayed = True
        handle = display(self._repr_mimebundle_(), raw=True, display_id=feed is not None or None)
        if feed is not None:
            try:
                self.watch(feed)
            finally:
                if handle is not None:  # outside a notebook there is nothing to replace
                    handle.update(self.output, raw=True)
