"""The isolating pass: every layer alone, on golden inputs.

The outermost call is run again eagerly. Each layer, operation and attention core is fed the
golden's tensors, measured, and answered for with the golden's outputs, so nothing it changed
reaches the next. What arrives changed although everything before it was golden was made between
layers: by the code of the layer around them, which is blamed for it. What the outermost call itself
is given comes from the test, and is nobody's change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ...records import LayerCall
from ...store.digest import digest
from ..backends import from_numpy, to_numpy
from ..backends.nest import exchanged
from ..state.given import called_otherwise, carried_by, given_to
from ..state.masks import with_mask_of
from ..tap.precision import arithmetic, is_numeric, tensors_of
from ..watch.calls import Call
from ..watch.patches import Run
from .outermost import Outermost
from .recorder import Arguments, argument_tensors, in_order, is_measured, output_tensors, title

if TYPE_CHECKING:
    from ...records import Array

Part = Literal["output", "between", "given"]


@dataclass(frozen=True, slots=True)
class TensorPlace:
    """A tensor at a call: the `index`-th of its inputs or outputs. call: as the watch names it."""

    call: str
    side: Literal["input", "output"]
    index: int


@dataclass(frozen=True, slots=True)
class LocalMeasurement:
    """One layer's own change: what it makes of golden inputs, beside what the golden has.

    name: of the call it is the change of, as the golden names it; layer: its class. order: position
    in the golden's calls. part: `output` of a leaf, operation or attention core; `between` what the
    layer's own code makes between or after the layers inside it; `given` what the test handed to
    the outermost call. place, at: which tensor, for us and in words. actual and golden may differ
    in dtype and shape, which is then a change of structure; where `identical`, both are the run's
    array. precision: coarsest arithmetic of this call alone.
    why: what else is known of the cause, "" for nothing.
    """

    name: str
    order: int
    layer: str
    part: Part
    place: TensorPlace
    at: str
    precision: str
    identical: bool
    actual: Array
    golden: Array
    why: str = ""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is blamed for a change, as `LocalMeasurement` has it."""

    name: str
    layer: str
    part: Part
    order: int
    precision: str
    why: str = ""


ABSENT: Array = np.empty((0,), bool)
"""Stands for an output that only the run or only the golden has."""

Measure = Callable[[LocalMeasurement], None]


class Isolation:
    """Observer that forces golden tensors at every measured call.

    calls: the golden's by the name that the watch gives them. pool: digest → array, looked up once
    per use, so it may read lazily. missing: golden calls that did not happen; new: calls that the
    golden does not have. Neither is a drift: their effect would show as one elsewhere.
    """

    def __init__(
        self,
        calls: Mapping[str, tuple[int, LayerCall]],
        pool: Mapping[str, Array],
        measure: Measure,
        prefix: str = "",
    ) -> None:
        self._calls = calls
        self._pool = pool
        self._measure = measure
        self._prefix = prefix
        self.missing = set(calls)
        self.new: list[str] = []
        # Calls that are given something else than the golden's, and by whom.
        self._otherwise: dict[str, Caller] = {}
        self._masked: Caller | None = None

    def around(self, call: Call, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        if not is_measured(call):
            return run(*args, **kwargs)
        if call.name not in self._calls:
            self.new.append(call.name)
            return run(*args, **kwargs)
        self.missing.discard(call.name)
        order, golden = self._calls[call.name]
        args, kwargs = in_order(call, args, kwargs)
        self._see_caller(call, golden, args, kwargs)
        args, kwargs = self._inputs(call, order, golden, (args, kwargs))
        outputs = run(*args, **kwargs)
        return self._outputs(call, order, golden, outputs, [args, kwargs])

    def _see_caller(
        self, call: Call, golden: LayerCall, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        """Whether it is called as the golden's was, or inside of one that is not."""
        above = call.parent
        if above is not None and above.name in self._otherwise:
            self._otherwise[call.name] = self._otherwise[above.name]
            return
        if call.method == "_compute_attention":
            # A layer's own method: whether it is handed a mask or told to be causal is the layer's
            # affair, and differs over releases.
            return
        otherwise = called_otherwise(golden.name, golden.given, given_to(call, args, kwargs))
        if otherwise is None:
            return
        # Whoever calls it otherwise: the code around it, or the layer whose mask came along.
        caller = self._masked if otherwise.by_mask else None
        self._otherwise[call.name] = replace(
            caller or self._around(call, self._calls[call.name][0]), why=otherwise.why
        )

    def _around(self, call: Call, order: int) -> Caller:
        """The code that hands a call what it is given."""
        above = call.parent
        blamed = call if above is None else above
        known = self._calls.get(blamed.name)
        return Caller(
            known[1].name if known else self._prefix + blamed.name,
            title(blamed),
            "given" if above is None else "between",
            order,
            arithmetic(blamed.target, []),
        )

    def _inputs(self, call: Call, order: int, golden: LayerCall, given: Arguments) -> Arguments:
        live = argument_tensors(*given)
        forced = {}
        for index, (tensor, key) in enumerate(zip(live, golden.inputs, strict=False)):
            array = to_numpy(tensor)
            if digest(array) == key or same_numbers(array, self._pool[key]):
                continue
            self._measure(self._arrived(call, order, golden, index, array))
            forced[index] = self._forced(tensor, self._pool[key])
        args, kwargs = replaced([given[0], dict(sorted(given[1].items()))], forced)
        return args, kwargs

    def _arrived(
        self, call: Call, order: int, golden: LayerCall, index: int, array: Array
    ) -> LocalMeasurement:
        caller = self._around(call, order)
        return LocalMeasurement(
            name=caller.name,
            order=caller.order,
            layer=caller.layer,
            part=caller.part,
            place=TensorPlace(call.name, "input", index),
            at=f"input {index} of {golden.name}",
            precision=caller.precision,
            identical=False,
            actual=array,
            golden=self._pool[golden.inputs[index]],
        )

    def _outputs(self, call: Call, order: int, golden: LayerCall, outputs: Any, given: Any) -> Any:
        forced = {}
        live = output_tensors(call, outputs)
        precision = arithmetic(call.target, [*tensors_of(given), *live])
        for index, (tensor, key) in enumerate(zip_longest(live, golden.outputs)):
            array = ABSENT if tensor is None else to_numpy(tensor)
            identical = key is not None and digest(array) == key
            wanted = self._golden(key) if not identical else array
            part: Part = "output" if call.leaf else "between"
            own = Caller(golden.name, title(call), part, order, precision)
            caller = own if identical else self._otherwise.get(call.name, own)
            at = f"output {index}" if max(len(live), len(golden.outputs)) > 1 else "output"
            self._measure(
                LocalMeasurement(
                    name=caller.name,
                    order=caller.order,
                    layer=caller.layer,
                    part=caller.part,
                    place=TensorPlace(call.name, "output", index),
                    at=at if caller is own else f"{at} of {golden.name}",
                    precision=precision,
                    identical=identical,
                    actual=array,
                    golden=wanted,
                    why=caller.why,
                )
            )
            if not identical and tensor is not None:
                forced[index] = self._forced(tensor, wanted)
        self._see_masks(call, order, golden, live)
        return replaced(outputs, forced)

    def _see_masks(self, call: Call, order: int, golden: LayerCall, live: list[Any]) -> None:
        """The first layer whose outputs carry other masks: they reach the next ones unseen."""
        if self._masked is None and golden.given is not None and golden.masks != carried_by(live):
            precision = arithmetic(call.target, live)
            self._masked = Caller(golden.name, title(call), "output", order, precision)

    def _golden(self, key: str | None) -> Array:
        return ABSENT if key is None else self._pool[key]

    @staticmethod
    def _forced(tensor: Any, golden: Array) -> Any:
        """The golden tensor in the place of a live one; the live one where shapes differ."""
        return tensor if tuple(tensor.shape) != golden.shape else in_place_of(tensor, golden)


def isolate(
    made: Outermost,
    calls: Mapping[str, tuple[int, LayerCall]],
    pool: Mapping[str, Array],
    measure: Measure,
    prefix: str = "",
) -> Isolation:
    """Run an outermost call again and measure every layer alone. Raises CaptureError where the
    call fails the second time."""
    isolation = Isolation(calls, pool, measure, prefix)
    made.again(isolation)
    return isolation


def in_place_of(tensor: Any, array: Array) -> Any:
    """`array` as a tensor of the library, device, dtype and mask of `tensor`."""
    import keras

    new = from_numpy(array, tensor)
    if new.dtype != tensor.dtype:
        new = keras.ops.cast(new, keras.backend.standardize_dtype(tensor.dtype))
    return with_mask_of(tensor, new)


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
    if not forced:
        return nest
    at = -1

    def exchange(leaf: Any) -> Any:
        nonlocal at
        if not is_numeric(leaf):
            return leaf
        at += 1
        return forced.get(at, leaf)

    return exchanged(nest, exchange)
