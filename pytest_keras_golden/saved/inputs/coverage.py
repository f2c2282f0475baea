"""What the inputs of a saved model's test leave unseen: layers whose outputs hardly say anything.

A pass says nothing of a channel that is 0 whatever comes in, nor of a softmax that is 1 and 0.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...records import Array

SATURATED = 1e-3
"""How near to 0 and 1 a probability says nothing any more."""

FEW = 3
"""Layers named one by one."""


@dataclass
class Coverage:
    """Outputs of layers, over all cases: lowest and highest of each channel, and whether all that
    a layer gave are probabilities of 0 and 1."""

    _channels: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    _certain: dict[str, bool] = field(default_factory=dict)

    def add(self, outputs: Mapping[str, Array]) -> None:
        """The outputs of one case, by the layers' names."""
        for name, value in outputs.items():
            if value.ndim >= 2 and value.size and value.dtype.kind not in "biuOSUc":
                self._see(name, value)

    def _see(self, name: str, value: Array) -> None:
        import numpy as np

        flat: Any = value.astype(np.float64).reshape(-1, value.shape[-1])
        low, high = flat.min(axis=0), flat.max(axis=0)
        known = self._channels.get(name)
        if known is not None and known[0].shape == low.shape:
            low, high = np.minimum(low, known[0]), np.maximum(high, known[1])
        self._channels[name] = low, high
        self._certain[name] = self._certain.get(name, True) and _certain(flat)

    def degenerate(self) -> list[str]:
        """One line per kind of degenerate layer; empty where every layer answers its inputs."""
        dead = {n: _counted(low == high, low == 0) for n, (low, high) in self._channels.items()}
        zero = {name: text for name, (text, _) in dead.items() if text}
        constant = {name: text for name, (_, text) in dead.items() if text}
        certain = [name for name, yes in self._certain.items() if yes]
        return [
            *_line("always 0", zero),
            *_line("constant", constant),
            *_line("saturated", dict.fromkeys(certain, "")),
        ]


def _certain(flat: Any) -> bool:
    """Whether rows are probabilities, and each of them as good as 0 or 1."""
    import numpy as np

    inside = bool(((flat >= 0) & (flat <= 1)).all())
    if not inside or flat.shape[1] < 2 or not np.allclose(flat.sum(axis=1), 1.0, atol=1e-3):
        return False
    return bool((flat.max(axis=1) > 1 - SATURATED).all())


def _counted(constant: Any, zero: Any) -> tuple[str, str]:
    """`3 of 16` channels that are always 0, and that are always the same other number."""
    size = constant.size
    dead, same = int((constant & zero).sum()), int((constant & ~zero).sum())
    return f"{dead} of {size}" if dead else "", f"{same} of {size}" if same else ""


def _line(what: str, layers: Mapping[str, str]) -> Iterator[str]:
    if not layers:
        return
    shown: Sequence[str] = [f"{name} ({n} channels)" if n else name for name, n in layers.items()]
    rest = f" and {len(shown) - FEW} more" if len(shown) > FEW else ""
    yield f"{what}: {', '.join(shown[:FEW])}{rest}"
