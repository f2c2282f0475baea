"""The same layers, weights and inputs in higher precision, for the three-way rule.

Low-precision policies are lifted in place: every layer computes in float32 and Keras' own autocast
raises the stored weights, which is exact; then the calls are replayed. Nothing is rebuilt, so
models without a config work too. A Sequential casts its inputs to the dtype that it was built
for, so its records stay of low precision and get no reference.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..records import TensorRecord
from .eager import EagerCapture
from .precision import dtype_of
from .state import unchanged
from .structure import walk

if TYPE_CHECKING:
    from ..records import Array

LOW_PRECISION = ("bfloat16", "float16")


def references(eager: EagerCapture, records: Sequence[TensorRecord]) -> dict[str, Array]:
    """Tensor name → float32 array, for the records of low precision.

    Empty where no layer computes in low precision and where the replay fails: a reference helps
    to judge and is never a condition.
    """
    wanted = {record.name: record for record in records if record.precision in LOW_PRECISION}
    targets = [target for _, target, _, _ in eager.outermost]
    if not wanted or not targets:
        return {}
    with unchanged(targets), lifted(targets):
        try:
            exact = eager.replay()
        except Exception:  # a custom layer may insist on its own dtype, in any way it likes
            return {}
    return {
        record.name: record.value
        for record in exact
        if record.name in wanted and _fits(record, wanted[record.name])
    }


@contextmanager
def lifted(targets: Iterable[Any]) -> Iterator[int]:
    """Let every low-precision layer compute in float32; yields how many there are."""
    changed: list[tuple[Any, str, Any]] = []
    try:
        for layer in _layers(targets):
            for attribute in ("_dtype_policy", "dtype_policy"):
                policy = vars(layer).get(attribute)
                if getattr(policy, "compute_dtype", None) in LOW_PRECISION:
                    changed.append((layer, attribute, policy))
                    object.__setattr__(layer, attribute, _computing_in_float32(policy))
        yield len(changed)
    finally:
        for layer, attribute, policy in changed:
            object.__setattr__(layer, attribute, policy)


def _computing_in_float32(policy: Any) -> Any:
    lifted_policy = copy.copy(policy)
    lifted_policy._compute_dtype = "float32"
    # Equal dtypes would switch autocast off, and low-precision weights would meet float32 inputs.
    lifted_policy._variable_dtype = policy.variable_dtype
    return lifted_policy


def _layers(targets: Iterable[Any]) -> Iterator[Any]:
    seen: set[int] = set()
    for target in targets:
        for _, layer in walk(target):
            if id(layer) not in seen:
                seen.add(id(layer))
                yield layer


def _fits(exact: TensorRecord, record: TensorRecord) -> bool:
    same = exact.value.shape == record.value.shape
    return same and dtype_of(exact.value) == "float32" and exact.precision not in LOW_PRECISION
