"""The same layers, weights and inputs in higher precision, for the three-way rule.

Layers are lifted to float32 where any was of low precision, else to float64 (not on jax), and the
call is made again. See `replay.lifted`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import CaptureError
from ..records import TensorRecord
from .backends import active
from .record.host import LayerCapture
from .replay.lifted import FLOAT32_FOR, FLOAT64_FOR, lifted
from .replay.outermost import Outermost
from .tap.limit import Limit
from .tap.precision import dtype_of
from .tap.request import Request
from .watch.structure import is_own, walk

if TYPE_CHECKING:
    from ..records import Array


HIGHER = {"bfloat16": "float32", "float32": "float64"}


def is_of_keras_alone(root: Any) -> bool:
    """Whether nothing but code of Keras runs in a call of this layer: code of others may count its
    calls, print, or keep what it is given, and would be seen to run twice."""
    return all(is_own(node) for _, node in walk(root))


def may_run_again(root: Any, asked: bool) -> bool:
    """asked: the test names its model itself."""
    return asked or is_of_keras_alone(root)


def references(
    made: Outermost, records: Sequence[TensorRecord], named: Mapping[str, str], request: Request
) -> dict[str, Array]:
    """Tensor name → float32 array, for the records of low precision; float64 where there is none.

    records: of the outermost call; named: the watch's names of its tensors → theirs. Empty where
    there is no higher precision and where the call fails in it: a reference helps to judge and is
    never a condition.
    """
    low = FLOAT32_FOR if any(r.precision in FLOAT32_FOR for r in records) else FLOAT64_FOR
    wanted = {record.name: record for record in records if record.precision in low}
    if not wanted or (low is FLOAT64_FOR and active() == "jax"):
        return {}
    capture = LayerCapture(request.select, limit=Limit(rows=request.limit.rows))
    with lifted([made.target], low, HIGHER[low[0]]):
        try:
            made.again(capture)
        except CaptureError:  # a custom layer may insist on its own dtype, in any way it likes
            return {}
    exact = ((named.get(record.name, ""), record) for record in capture.records)
    return {
        name: record.value
        for name, record in exact
        # A compiled call of many batches is made again with its first one: other shapes.
        if name in wanted and _fits(record, wanted[name], low)
    }


def _fits(exact: TensorRecord, record: TensorRecord, low: Sequence[str]) -> bool:
    same = exact.value.shape == record.value.shape
    return same and dtype_of(exact.value) == HIGHER[low[0]] and exact.precision not in low
