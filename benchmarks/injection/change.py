"""A numeric change: code of layers exchanged while it is applied, nothing else touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

Patch = tuple[Any, str, Any]
"""Class or module, attribute, and what the attribute is while the change is applied."""


@dataclass(frozen=True)
class Change:
    """What another release might compute. blamed: globs over the names of the layers whose own
    numbers it changes; a change without any is harmless: the same mathematics, rounded otherwise.
    cause: that of its layers; of "precision", the same formula in a lower one.
    """

    name: str
    patches: tuple[Patch, ...]
    blamed: tuple[str, ...] = ()
    cause: str = "meaning"

    @property
    def harmless(self) -> bool:
        return not self.blamed

    def blames(self, layer: str) -> bool:
        return any(fnmatchcase(layer, pattern) for pattern in self.blamed)

    @contextmanager
    def applied(self) -> Iterator[None]:
        with ExitStack() as stack:
            for owner, attribute, value in self.patches:
                stack.enter_context(replaced(owner, attribute, value))
            yield


def harmful(name: str, blamed: str, *patches: Patch) -> Change:
    """blamed: globs, separated by spaces."""
    return Change(name, patches, tuple(blamed.split()))


def lowered(name: str, blamed: str, *patches: Patch) -> Change:
    """The same formula, with a part of it in a lower precision."""
    return Change(name, patches, tuple(blamed.split()), "precision")


def harmless(name: str, *patches: Patch) -> Change:
    return Change(name, patches)


@contextmanager
def replaced(owner: Any, attribute: str, value: Any) -> Iterator[None]:
    missing = object()
    before = vars(owner).get(attribute, missing)
    setattr(owner, attribute, value)
    try:
        yield
    finally:
        if before is missing:
            delattr(owner, attribute)
        else:
            setattr(owner, attribute, before)


@dataclass(frozen=True)
class Subject:
    """A model under test. build: dtype policy → (model with weights, arguments of its call).

    draw: model, seed → other arguments; it may fill the model with other weights. policies: those
    under which the model answers with numbers.
    """

    name: str
    build: Callable[[str], tuple[Any, tuple[Any, ...]]]
    changes: Sequence[Change] = field(default_factory=tuple)
    draw: Callable[[Any, int], tuple[Any, ...]] = lambda model, seed: ()
    policies: Sequence[str] = ("float32", "bfloat16", "float16")
