"""Functions that stand in for those by which a Keras backend draws, and step back."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any

Function = Callable[..., Any]


class StandIns:
    """True while any stands."""

    def __init__(self) -> None:
        self._standing: list[tuple[Any, str, Function, Function]] = []

    def __bool__(self) -> bool:
        return bool(self._standing)

    def stand_in(
        self, names: Set[str], made: Callable[[str, Function], Function], module: str = "random"
    ) -> None:
        """made: name and function of the backend's module → what stands there from now on."""
        from keras.src import backend

        home = getattr(backend, module)
        for name in names & vars(home).keys():
            original = getattr(home, name)
            ours = made(name, original)
            self._standing.append((home, name, original, ours))
            setattr(home, name, ours)

    def step_back(self) -> None:
        """Where somebody else has put a function of their own meanwhile, that one stays."""
        while self._standing:
            module, name, original, ours = self._standing.pop()
            if getattr(module, name) is ours:
                setattr(module, name, original)
