"""Twins: what every layer makes of golden inputs in float64.

The outermost call is run again with its layers lifted. Each layer, operation and attention core is
fed the golden's tensors, cast up, and answered for with the golden's outputs, as in the isolating
pass; what it gives in between is its twin. Rounding of the model's own precision is gone from it,
so that twins of two releases differ where the releases compute something else, however small beside
one rounding.

A layer may compute in float32 whatever it is told: keras-hub's norms and rotary embeddings do. Such
casts are seen, and the twin is then held in the coarsest precision that was asked for: its dtype
says what it can tell.

Kept of a twin is a sample, whose places follow from the shape alone: releases are compared at the
same elements, and a golden hardly grows. What it says of the rest is bounded in `capture.causes`.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING, Any
from zlib import crc32

import ml_dtypes
import numpy as np

from ...compare.sketch import sketched
from ...errors import CaptureError
from ...records import LayerCall
from ...tolerance import EPSILON
from ..backends import active, from_numpy, to_numpy
from ..state.masks import with_mask_of
from ..state.variables import unchanged
from ..tap.precision import dtype_of
from ..tap.taps import is_mask
from ..watch.calls import Call
from ..watch.patches import Run
from .isolate import replaced
from .lifted import FLOAT32_FOR, FLOAT64_FOR, downcasts, lifted
from .outermost import Outermost
from .pullback import Pulled, gradients, states
from .recorder import argument_tensors, in_order, is_measured, output_tensors

if TYPE_CHECKING:
    import numpy.typing as npt

    from ...records import Array

SAMPLE = 1024
"""Elements of a twin that are kept."""

Calls = Mapping[str, "tuple[int, LayerCall]"]
"""The watch's name of a call → its place in the golden's calls, and what is there."""


Samples = dict[str, "tuple[Array | None, ...]"]

Gradients = dict[str, "dict[str, Array]"]
"""The watch's name of a call → what a gradient is of → its sketch."""

LOW = (*FLOAT32_FOR, *FLOAT64_FOR)
"""The precisions that are lifted."""


def twins(
    made: Outermost,
    calls: Calls,
    pool: Mapping[str, Array],
    backward: bool = False,
    whole: bool = False,
) -> Lifting:
    """The twin of every call that `calls` names; backward: and of its gradients; whole: all of each
    twin beside its sample. Raises CaptureError where the call fails with lifted layers: a custom
    layer may insist on its own dtype, in any way it likes."""
    lifting = Lifting(calls, pool, backward=backward, whole=whole)
    try:
        with lifted([made.target], LOW, "float64"), downcasts(lifting.pinned):
            made.again(lifting)
    except (AttributeError, ImportError) as error:
        # A release whose insides are elsewhere: nothing that a test should fail for.
        raise CaptureError(f"this Keras does not compute in float64: {error}") from error
    return lifting


def backwards(made: Outermost, calls: Calls, pool: Mapping[str, Array]) -> Gradients:
    """The gradients of every call that `calls` names, in its own precision. Raises CaptureError
    where the call fails the second time."""
    pulling = Lifting(calls, pool, raised=False, backward=True)
    made.again(pulling)
    return pulling.gradients


class Lifting:
    """Observer of a call whose layers are lifted.

    raised: whether golden tensors are given in float64, else in the precision that they have.
    twins: the watch's name of a call → per output a sample of its twin, None where it has none.
    whole: where they are asked for, all of the twins that are sampled and not cast.
    input_twins: per input the same of what code between layers made of their golden outputs.
    gradients: what each leaf sends back, where `backward` asks for it, and what it keeps of the
    batch, as sketches. drew: the calls that advanced a random generator.
    """

    def __init__(
        self,
        calls: Calls,
        pool: Mapping[str, Array],
        *,
        raised: bool = True,
        backward: bool = False,
        whole: bool = False,
    ) -> None:
        self.twins: Samples = {}
        self.whole: Samples = {}
        self.input_twins: Samples = {}
        self.gradients: Gradients = {}
        self.drew: set[str] = set()
        self._calls = calls
        self._pool = pool
        self._raised = raised
        self._backward = backward
        self._keeps_whole = whole
        self._computing: list[set[str]] = []
        # An output that was put in is the next call's input: once is enough.
        self._forced: dict[int, tuple[weakref.ref[Any], str]] = {}

    def pinned(self, dtype: str) -> None:
        """Told that whatever is called just now casts numbers to a precision of its own choice."""
        if self._computing:
            self._computing[-1].add(dtype)

    def around(self, call: Call, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        if not is_measured(call) or call.name not in self._calls:
            return run(*args, **kwargs)
        golden = self._calls[call.name][1]
        given = in_order(call, args, kwargs)
        live = argument_tensors(*given)
        if self._computing:
            self.input_twins[call.name] = tuple(self._between(live, golden.inputs))
        args, kwargs = replaced(
            [given[0], dict(sorted(given[1].items()))], self._golden(live, golden.inputs)
        )
        seeds = _seeds(call)
        self._computing.append(set())
        try:
            pulled = self._pulled(call, run, args, kwargs)
            outputs = run(*args, **kwargs)
        finally:
            pins = self._computing.pop()
        if seeds != _seeds(call):
            self.drew.add(call.name)
        self.gradients[call.name] = {name: self._sketch(grad, pins) for name, grad in pulled}
        made = output_tensors(call, outputs)
        if is_mask(call, made):
            return outputs
        whole = [
            _twin(tensor, self._pool[key])
            for tensor, key in zip(made, golden.outputs, strict=False)
        ]
        self.twins[call.name] = tuple(_sampled(array, pins) for array in whole)
        if self._keeps_whole and not pins:
            self.whole[call.name] = tuple(
                array if array is not None and array.size > SAMPLE else None for array in whole
            )
        return replaced(outputs, self._golden(made, golden.outputs))

    def _between(self, live: Sequence[Any], keys: Sequence[str]) -> Iterator[Array | None]:
        """Twins of what code between layers made; what a layer returned has one there."""
        for tensor, key in zip(live, keys, strict=False):
            returned = self._is_golden(tensor, key)
            twin = None if returned else _twin(tensor, self._pool[key])
            yield _sampled(twin, self._computing[-1])

    def _is_golden(self, tensor: Any, key: str) -> bool:
        known, of = self._forced.get(id(tensor), (None, ""))
        return known is not None and known() is tensor and of == key

    def _golden(self, live: Sequence[Any], keys: Sequence[str]) -> dict[int, Any]:
        """The golden's tensors in the places of live ones, numbers of the model as float64: norms
        cast nothing that they are given."""
        forced = {}
        for index, (tensor, key) in enumerate(zip(live, keys, strict=False)):
            golden = self._pool[key]
            if self._is_golden(tensor, key) or tuple(tensor.shape) != golden.shape:
                continue
            number = _raised(golden) if self._raised else golden
            new = with_mask_of(tensor, from_numpy(number, tensor))
            self._forced[id(new)] = weakref.ref(new), key
            forced[index] = new
        return forced

    def _pulled(self, call: Call, run: Run, args: Any, kwargs: dict[str, Any]) -> Pulled:
        if not self._backward or not call.leaf:
            return ()
        # Not of seeds alone: torch has a generator of its own, which dropout draws from.
        with unchanged(()):
            return (*gradients(call, run, args, kwargs), *states(call, run, args, kwargs))

    def _sketch(self, grad: Array, pins: set[str]) -> Array:
        """Gradients of weights come in the dtype of these, whatever they were computed in."""
        if not self._raised:
            return sketched(grad, SAMPLE)
        return held(sketched(grad.astype(np.float64), SAMPLE), pins)


def _twin(tensor: Any, golden: Array) -> Array | None:
    array = to_numpy(tensor)
    if dtype_of(golden) not in LOW or dtype_of(array) != "float64" or array.shape != golden.shape:
        return None
    return array


def _sampled(twin: Array | None, pins: set[str]) -> Array | None:
    return None if twin is None else held(sampled(twin), pins)


def held(twin: Array, pins: set[str]) -> Array:
    """A twin in the coarsest of the precisions that were asked for while it was made."""
    if not pins:
        return twin
    name = max(pins, key=EPSILON.__getitem__)
    return twin.astype(np.dtype(getattr(ml_dtypes, name, name)))


def _raised(array: Array) -> Array:
    return array.astype(np.float64) if dtype_of(array) in LOW else array


def _seeds(call: Call) -> list[bytes]:
    generators = getattr(call.target, "_seed_generators", None) or ()
    states = [generator.state for generator in generators]
    if active() == "torch":
        states.append(sys.modules["torch"].get_rng_state())
    return [to_numpy(state).tobytes() for state in states]


def sampled(array: Array, count: int = SAMPLE) -> Array:
    """`count` elements of an array, flat, or all where it has no more.

    Drawn by its shape, none twice; numpy promises that a bit generator's stream never changes.
    """
    flat = array.reshape(-1)
    if flat.size <= count:
        return np.array(flat)
    return np.array(flat[_places(array.shape, count)])


@lru_cache(maxsize=64)
def _places(shape: tuple[int, ...], count: int) -> npt.NDArray[Any]:
    size = prod(shape)
    drawn = np.random.Philox(key=crc32(str(shape).encode()))
    if size <= 4 * count:
        return np.argsort(drawn.random_raw(size), kind="stable")[:count]
    every: npt.NDArray[Any] = drawn.random_raw(2 * count) % np.uint64(size)
    return every[np.sort(np.unique(every, return_index=True)[1])][:count]
