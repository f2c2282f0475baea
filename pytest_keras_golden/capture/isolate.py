"""The isolating pass: every layer alone, on golden inputs.

Outermost calls are run again eagerly. Each layer, operation and attention core is fed the golden's
tensors, measured, and answered for with the golden's outputs, so nothing it changed reaches the
next. What arrives changed although everything before it was golden was made between layers: by the
code of the layer around them, which is blamed for it.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..errors import CaptureError, StoreError
from ..records import LayerCall
from ..store.digest import digest
from .backends import from_numpy, to_numpy
from .calls import Arguments, argument_tensors, in_order, is_measured, output_tensors, title
from .gates import Run
from .layers import is_eager
from .outermost import Outermost, weights_kept
from .precision import arithmetic, is_numeric, tensors_of
from .state import Snapshot, unchanged
from .watch import Call, watching

if TYPE_CHECKING:
    from ..records import Array

Part = Literal["output", "between"]


@dataclass(frozen=True, slots=True)
class LocalMeasurement:
    """One layer's own change: what it makes of golden inputs, beside what the golden has.

    name: structural name of the call, with the block's prefix; layer: its class. order: position
    in the golden's calls. part: `output` of a leaf, operation or attention core; `between` what
    the layer's own code makes between or after the layers inside it. at: which tensor, in words.
    actual and golden may differ in dtype and shape, which is then a change of structure; where
    `identical`, both are the run's array. precision: coarsest arithmetic of this call alone.
    """

    name: str
    order: int
    layer: str
    part: Part
    at: str
    precision: str
    identical: bool
    actual: Array
    golden: Array


ABSENT: Array = np.empty((0,), bool)
"""Stands for an output that only the run or only the golden has."""

Measure = Callable[[LocalMeasurement], None]


class Isolation:
    """Observer that forces golden tensors at every measured call.

    missing: golden calls that did not happen; new: calls that the golden does not have. Neither
    is a drift: their effect would show as one elsewhere.
    """

    def __init__(
        self,
        calls: Sequence[LayerCall],
        pool: Mapping[str, Array],
        measure: Measure,
        prefix: str = "",
    ) -> None:
        self._calls = {call.name: (order, call) for order, call in enumerate(calls)}
        self._pool = pool
        self._measure = measure
        self._prefix = prefix
        self.missing = set(self._calls)
        self.new: list[str] = []

    def around(self, call: Call, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        if not is_measured(call):
            return run(*args, **kwargs)
        name = self._prefix + call.name
        if name not in self._calls:
            self.new.append(name)
            return run(*args, **kwargs)
        self.missing.discard(name)
        order, golden = self._calls[name]
        args, kwargs = self._inputs(call, order, golden, in_order(call, args, kwargs))
        outputs = run(*args, **kwargs)
        return self._outputs(call, order, golden, outputs, [args, kwargs])

    def _inputs(self, call: Call, order: int, golden: LayerCall, given: Arguments) -> Arguments:
        live = argument_tensors(*given)
        forced = {}
        for index, (tensor, key) in enumerate(zip(live, golden.inputs, strict=False)):
            array = to_numpy(tensor)
            if digest(array) == key or same_numbers(array, self._pool[key]):
                continue
            self._between(call, order, f"input {index} of {self._prefix + call.name}", array, key)
            forced[index] = self._forced(tensor, self._pool[key])
        args, kwargs = replaced([given[0], dict(sorted(given[1].items()))], forced)
        return args, kwargs

    def _outputs(self, call: Call, order: int, golden: LayerCall, outputs: Any, given: Any) -> Any:
        forced = {}
        part: Part = "output" if call.leaf else "between"
        live = output_tensors(call, outputs)
        precision = arithmetic(call.target, [*tensors_of(given), *live])
        for index, (tensor, key) in enumerate(zip_longest(live, golden.outputs)):
            array = ABSENT if tensor is None else to_numpy(tensor)
            identical = key is not None and digest(array) == key
            wanted = self._golden(key) if not identical else array
            self._measure(
                LocalMeasurement(
                    name=golden.name,
                    order=order,
                    layer=title(call),
                    part=part,
                    at=f"output {index}" if max(len(live), len(golden.outputs)) > 1 else "output",
                    precision=precision,
                    identical=identical,
                    actual=array,
                    golden=wanted,
                )
            )
            if not identical and tensor is not None:
                forced[index] = self._forced(tensor, wanted)
        return replaced(outputs, forced)

    def _golden(self, key: str | None) -> Array:
        return ABSENT if key is None else self._pool[key]

    def _between(self, call: Call, order: int, at: str, array: Array, key: str) -> None:
        above = call.parent
        blamed = call if above is None else above
        target = blamed.target
        self._measure(
            LocalMeasurement(
                name=self._prefix + blamed.name,
                order=order,
                layer=title(blamed),
                part="between",
                at=at,
                precision=arithmetic(target, []),
                identical=False,
                actual=array,
                golden=self._pool[key],
            )
        )

    @staticmethod
    def _forced(tensor: Any, golden: Array) -> Any:
        """The golden tensor in the place of a live one; the live one where shapes differ."""
        if tuple(tensor.shape) != golden.shape:
            return tensor
        import keras

        new = from_numpy(golden, tensor)
        if new.dtype != tensor.dtype:
            new = keras.ops.cast(new, keras.backend.standardize_dtype(tensor.dtype))
        return with_mask_of(tensor, new)


def isolate(
    outermost: Iterable[Outermost],
    before: Snapshot,
    calls: Sequence[LayerCall],
    pool: Mapping[str, Array],
    *,
    root: Any | None = None,
    prefix: str = "",
    aliases: Sequence[tuple[str, str]] = (),
    measure: Measure,
) -> Isolation:
    """Run the outermost calls again from the state `before` them, and measure every layer.

    pool: digest → array; looked up once per use, so it may read lazily. State, statistics, seeds
    and random generators are afterwards as they were. Raises CaptureError where the replay fails.
    """
    outermost = list(outermost)
    isolation = Isolation(calls, pool, measure, prefix)
    targets = [call.target for call in outermost]
    with unchanged(targets), weights_kept(outermost), _without_gradients():
        before.restore()
        with watching(root, isolation, aliases=aliases, accept=is_eager):
            for call in outermost:
                _replay(call)
    return isolation


def _replay(call: Outermost) -> None:
    try:
        call.again()
    except StoreError:
        # A damaged golden: nothing that the user's model did.
        raise
    except Exception as error:
        raise CaptureError(
            f"the isolating pass failed in {type(call.target).__name__}: {error}",
            "Use capture(..., isolate=False) to do without it.",
        ) from error


def same_numbers(live: Array, golden: Array) -> bool:
    """Equal but for what moved between layers over releases: casts, and the shape of a mask."""
    if live.dtype.kind == "b" and golden.dtype.kind == "b" and live.shape != golden.shape:
        return _broadcast_equal(live, golden)
    if live.shape != golden.shape or live.dtype == golden.dtype:
        return False
    if live.dtype.kind in "biu" or golden.dtype.kind in "biu":
        return bool((live == golden).all())
    narrow = min(live.dtype, golden.dtype, key=lambda dtype: dtype.itemsize)
    return digest(live.astype(narrow)) == digest(golden.astype(narrow))


def _broadcast_equal(live: Array, golden: Array) -> bool:
    if live.squeeze().shape == golden.squeeze().shape:
        return np.array_equal(live.squeeze(), golden.squeeze())
    try:
        return bool((live == golden).all())
    except ValueError:
        return False


def replaced(nest: Any, forced: Mapping[int, Any]) -> Any:
    """`nest` with its n-th tensor exchanged for `forced[n]`, containers of the same types."""
    return _Exchange(forced).apply(nest) if forced else nest


class _Exchange:
    def __init__(self, forced: Mapping[int, Any]) -> None:
        self._forced = forced
        self._at = -1

    def apply(self, nest: Any) -> Any:
        # The order of `backends.flatten`.
        if isinstance(nest, Mapping):
            return rebuilt(nest, {key: self.apply(value) for key, value in nest.items()})
        if isinstance(nest, tuple) and hasattr(nest, "_fields"):
            return type(nest)(*map(self.apply, nest))
        if isinstance(nest, (list, tuple)):
            return type(nest)(map(self.apply, nest))
        if not is_numeric(nest):
            return nest
        self._at += 1
        return self._forced.get(self._at, nest)


def rebuilt(nest: Mapping[Any, Any], pairs: dict[Any, Any]) -> Any:
    if type(nest) is dict:
        return pairs
    fresh: Any = copy.copy(nest)
    fresh.update(pairs)
    return fresh


def with_mask_of(tensor: Any, new: Any) -> Any:
    """`new`, carrying the Keras mask of `tensor`; numpy arrays cannot carry any."""
    mask = getattr(tensor, "_keras_mask", None)
    if mask is not None:
        new._keras_mask = mask
    return new


def _without_gradients() -> AbstractContextManager[None]:
    torch = sys.modules.get("torch")
    return nullcontext() if torch is None else torch.no_grad()
