"""The store where nothing can be measured: the same calls and values, from the model, and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from drydock.model.shop import MODEL, Comparison, Plan
from drydock.model.shop_rule import simulated

NOBODY = (
    "No store runs here, so nobody can be asked ({model}). parts/cart.py says what a customer would find: it writes, "
    "then it counts, and nothing takes that back when the payment fails."
)


class ModelStore:
    """The same store where nothing can be measured: what the model says, in the same values, and why it is asked."""

    images: tuple[str, ...] = ()
    urls: Mapping[str, str] = MappingProxyType({})

    def __init__(self, why: str) -> None:
        self.why = why

    def start(self) -> Iterator[Comparison]:
        """Yield both designs as they come up in the model, which does not know how long that takes."""
        for one in simulated(Plan(), self.why):
            runs = (replace(run, requests=(), events=(), parts=_unstarted(run.parts), held=()) for run in one.runs)
            yield Comparison(tuple(runs))

    def calm(self, seconds: float = 3.0) -> Iterator[Comparison]:
        """Yield what the model says of a store in which nothing happens."""
        return self.play(seconds=seconds)

    def play(
        self, deed: str = "nothing", part: str = "recommendations", remedies: Iterable[str] = (), **more: Any
    ) -> Iterator[Comparison]:
        """Yield what the model says of a plan.  Raises: ValueError for a word that no Plan knows."""
        return simulated(Plan(deed, part, tuple(remedies), **more), self.why)

    def visit(self, *pages: str, design: str = "services") -> str:
        """Say that there is nobody to ask."""
        return NOBODY.format(model=MODEL)

    def close(self) -> None:
        """Do nothing: nothing was started."""

    def __enter__(self) -> ModelStore:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def _unstarted(parts: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(replace(part, started=None) for part in parts)
