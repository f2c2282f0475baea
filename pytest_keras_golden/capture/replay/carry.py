"""How far roundings that were measured alone reach when a model carries them on.

Every layer's own change on golden inputs is put on that layer's output again, each element with a
random sign, in a forward pass that is otherwise left alone; what this moves the outputs by is what
depth can do. Random signs, since roundings have no direction that layers could agree on (a bias is
another verdict): Monte Carlo arithmetic, Parker, UCLA CSD-970002 (1997); Denis, de Oliveira Castro
& Petit, Verificarlo, ARITH 23 (2016).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from zlib import crc32

import numpy as np

from ..backends import to_numpy
from ..watch.calls import Call, Observer
from ..watch.patches import Run
from .isolate import LocalMeasurement, TensorPlace, in_place_of, replaced
from .recorder import argument_tensors, in_order, is_measured, output_tensors

if TYPE_CHECKING:
    import numpy.typing as npt

    from ...records import Array

    _Floats = npt.NDArray[np.float64]

SAMPLES = 4
"""Forward passes with other signs. The largest of four lies below the middle of what such passes
give once in sixteen times, which the factor of `compare.depth` leaves room for."""

Nudges = Mapping[TensorPlace, "_Floats"]
"""Tensor at a call → size of the error that was measured there, float64, of the tensor's shape."""


def nudges(changes: Iterable[LocalMeasurement]) -> dict[TensorPlace, _Floats]:
    """The sizes of changes, where they are of finite floating-point numbers of one shape."""
    sizes: dict[TensorPlace, _Floats] = {}
    for change in changes:
        if change.identical or change.actual.shape != change.golden.shape:
            continue
        if change.actual.dtype.kind in "biu" or change.golden.dtype.kind in "biu":
            continue
        with np.errstate(all="ignore"):
            error = change.actual.astype(np.float64) - change.golden.astype(np.float64)
        sizes[change.place] = np.abs(np.where(np.isfinite(error), error, 0.0))
    return sizes


class Nudging:
    """Observer around another one: adds errors of the sizes given, with random signs."""

    def __init__(self, inner: Observer, sizes: Nudges, sample: int) -> None:
        self._inner = inner
        self._sizes = sizes
        self._sample = sample

    def around(self, call: Call, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        if not is_measured(call):
            return self._inner.around(call, run, args, kwargs)
        given = in_order(call, args, kwargs)
        live = argument_tensors(*given)
        forced = self._moved(call, "input", live)
        args, kwargs = replaced([given[0], dict(sorted(given[1].items()))], forced)

        def nudged(*inner: Any, **named: Any) -> Any:
            __tracebackhide__ = True
            outputs = run(*inner, **named)
            return replaced(outputs, self._moved(call, "output", output_tensors(call, outputs)))

        return self._inner.around(call, nudged, args, kwargs)

    def _moved(self, call: Call, side: Any, tensors: Sequence[Any]) -> dict[int, Any]:
        moved = {}
        for index, tensor in enumerate(tensors):
            place = TensorPlace(call.name, side, index)
            size = self._sizes.get(place)
            if size is not None and tuple(tensor.shape) == size.shape:
                moved[index] = in_place_of(tensor, self._with_error(tensor, size, place))
        return moved

    def _with_error(self, tensor: Any, size: _Floats, place: TensorPlace) -> Array:
        value = to_numpy(tensor)
        key = crc32(f"{place.call}:{place.side}:{place.index}".encode())
        signs = np.random.default_rng([key, self._sample]).choice((-1.0, 1.0), value.shape)
        with np.errstate(all="ignore"):
            moved: Array = (value.astype(np.float64) + signs * size).astype(value.dtype)
        return moved
