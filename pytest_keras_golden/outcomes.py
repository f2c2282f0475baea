"""What a run says about each test: the values behind `--golden-log`, the reports and `accept`.

JSON follows schema 1 of the design: absent is null, non-finite numbers are "inf", "-inf", "nan",
every value is a builtin type (a numpy scalar on a report crashes pytest-xdist).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .records import SCHEMA, Kind, Mode, Observer, Source, Tolerance, Verdict

FAILING: frozenset[str] = frozenset(
    {"drift", "structure", "nonfinite", "incomparable", "vacuous", "unstable"}
)
"""Verdicts that fail a test whatever the settings; `systematic`, `accumulated` depend on them."""


QUIET: frozenset[str] = frozenset({"identical", "within"})
"""Verdicts that need no reader."""

LEFT_OUT = "not captured: "
"""How warnings begin about what automatic capture could not take of a test."""


@dataclass(frozen=True, slots=True)
class TensorOutcome:
    """One tensor against its baseline. Metrics are None where nothing could be measured.

    k: max |a − g| / (ε·(|g| + scale)). bias: slope of the error on the value in units of ε,
    bias_t its t statistic. index: where max_abs is. local: this layer's own change on golden
    inputs, where isolation ran. note: one sentence for the report. extra: metrics of one kind
    only (logits, attention, three-way), JSON-able.
    """

    name: str
    order: int
    kind: Kind
    dtype: str
    precision: str
    shape: tuple[int, ...]
    judged: bool
    verdict: Verdict
    source: Source = "materialised"
    tolerance: Tolerance | None = None
    max_abs: float | None = None
    max_rel: float | None = None
    k: float | None = None
    rel_l2: float | None = None
    cosine: float | None = None
    mismatches: int | None = None
    max_ulp: int | None = None
    bias: float | None = None
    bias_t: float | None = None
    detects: float | None = None
    index: tuple[int, ...] | None = None
    note: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LocalOutcome:
    """One layer's own change, measured on golden inputs. `name` is the call's structural name."""

    name: str
    order: int
    verdict: Verdict
    precision: str = ""
    k: float | None = None
    rel_l2: float | None = None
    bias: float | None = None
    bias_t: float | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """One golden test. `outcome`: passed, failed, error, recorded, skipped or xfailed.

    unseen: kinds of calls into Keras that the test made and nothing looked at (`fit`, `loss`, …).
    """

    __test__ = False

    nodeid: str
    outcome: str
    reason: str | None = None
    baseline: str | None = None
    golden: str | None = None
    candidate: str | None = None
    stack: Mapping[str, Any] = field(default_factory=dict)
    stack_changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    mode: Mode | None = None
    observer: Observer | None = None
    isolation: str | None = None
    weights: str = "unknown"
    first_drift: str | None = None
    local_drift: tuple[str, ...] = ()
    tensors: tuple[TensorOutcome, ...] = ()
    locals: tuple[LocalOutcome, ...] = ()
    written: bool = False
    warnings: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()


def first_drift(tensors: Iterable[TensorOutcome]) -> str | None:
    """The first judged tensor, in execution order, that is neither identical nor inside its
    tolerance."""
    moved = [tensor for tensor in tensors if tensor.judged and tensor.verdict not in QUIET]
    return min(moved, key=lambda tensor: tensor.order).name if moved else None


def to_json(value: Any) -> Any:
    """A dataclass, mapping or sequence as builtin JSON values (see the module's text)."""
    if type(value) in (str, int, bool, type(None)):
        # Nearly every value of a large log: checked first, for speed.
        return value
    if isinstance(value, Tolerance):
        return value.to_json()
    if hasattr(value, "__dataclass_fields__"):
        return {name: to_json(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, float):
        return _json_float(float(value))
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [to_json(item) for item in value]
    return _json_scalar(value)


def _json_scalar(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool)):
        return value
    if not isinstance(value, (int, float)):
        return _json_scalar(value.item())
    return int(value) if isinstance(value, int) else _json_float(float(value))


def _json_float(value: float) -> float | str:
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return value


def test_from_json(entry: Mapping[str, Any]) -> TestOutcome:
    """The inverse of `to_json` for one test; unknown keys (a newer writer's) are ignored."""
    known = _known(TestOutcome, entry)
    known["tensors"] = tuple(_tensor_from_json(item) for item in entry.get("tensors", ()))
    known["locals"] = tuple(
        LocalOutcome(**_floats(_known(LocalOutcome, item))) for item in entry.get("locals", ())
    )
    known["local_drift"] = tuple(entry.get("local_drift", ()))
    known["warnings"] = tuple(entry.get("warnings", ()))
    known["unseen"] = tuple(entry.get("unseen", ()))
    known["stack_changes"] = {
        key: (pair[0], pair[1]) for key, pair in entry.get("stack_changes", {}).items()
    }
    return TestOutcome(**known)


test_from_json.__test__ = False  # type: ignore[attr-defined]

_FLOATS = ("max_abs", "max_rel", "k", "rel_l2", "cosine", "bias", "bias_t", "detects")


def _tensor_from_json(entry: Mapping[str, Any]) -> TensorOutcome:
    known = _floats(_known(TensorOutcome, entry))
    known["shape"] = tuple(entry.get("shape", ()))
    known["index"] = None if entry.get("index") is None else tuple(entry["index"])
    if entry.get("tolerance") is not None:
        known["tolerance"] = Tolerance(**entry["tolerance"])
    return TensorOutcome(**known)


def _floats(known: dict[str, Any]) -> dict[str, Any]:
    for name in _FLOATS:
        if isinstance(known.get(name), str):
            known[name] = float(known[name])
    return known


def _known(cls: Any, entry: Mapping[str, Any]) -> dict[str, Any]:
    names = cls.__dataclass_fields__
    return {key: value for key, value in entry.items() if key in names}


def log_json(
    exitstatus: int,
    stack: Mapping[str, Any],
    tests: Iterable[TestOutcome],
    collection_errors: Iterable[str] = (),
) -> dict[str, Any]:
    """The `--golden-log` document, schema 1."""
    return {
        "schema": SCHEMA,
        "exitstatus": int(exitstatus),
        "stack": to_json(stack),
        "collection_errors": list(collection_errors),
        "tests": [to_json(test) for test in tests],
    }
