"""The store where nothing can be executed: the same calls and values, from the model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from drydock.model.shop import Comparison, Plan
from drydock.model.shop_rule import reckoned


class ModelStore:
    """The same store where nothing can be executed: what the model says, in the same values."""

    images: tuple[str, ...] = ()
    urls: Mapping[str, str] = MappingProxyType({})

    def start(self) -> Iterator[Comparison]:
        """Yield both designs as they come up in the model."""
        for comparison in reckoned(Plan()):
            yield Comparison(
                tuple(
                    type(r)(r.design, r.plan, parts=r.parts, measured=False, memory_is=r.memory_is, done=r.done)
                    for r in comparison.runs
                )
            )

    def play(
        self, deed: str = "nothing", part: str = "recommendations", remedies: Iterable[str] = (), **more: Any
    ) -> Iterator[Comparison]:
        """Yield what the model says of a plan.  Raises: ValueError for a word that no Plan knows."""
        return reckoned(Plan(deed, part, tuple(remedies), **more))

    def close(self) -> None:
        """Do nothing: nothing was started."""

    def __enter__(self) -> ModelStore:
        return self

    def __exit__(self, *_: object) -> None:
        pass
