"""What a run says about each test: the values behind `--golden-log`, the reports and `accept`.

JSON follows schema 1 of the design: absent is null, non-finite numbers are "inf", "-inf", "nan",
every value is a builtin type (a numpy scalar on a report crashes pytest-xdist).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import NoneType
from typing import Annotated, Any, Literal

from .io.strict import FieldError, parse_object, shown
from .io.typed import reader
from .records import SCHEMA, Kind, Mode, ObserverEffect, Source, Tolerance, Verdict

FAILING: frozenset[str] = frozenset(
    {"drift", "structure", "nonfinite", "incomparable", "loading", "vacuous", "unstable"}
)
"""Verdicts that fail a test whatever the settings; `systematic`, `accumulated` depend on them."""

LOCAL_DRIFT: frozenset[str] = frozenset({"drift", "systematic", "structure", "nonfinite"})
"""Verdicts of a layer alone that are more than rounding."""

QUIET: frozenset[str] = frozenset({"identical", "within"})
"""Verdicts that need no reader."""

OUTCOMES = ("passed", "failed", "error", "recorded", "skipped", "xfailed")

LONGEST_FACT = 500
"""Characters of a value in a stack, such as a version."""

NO_GOLDEN = "no golden to compare with"
"""The reason of a test that was never recorded, or not in this slot."""

REPLACED = "replaced: the golden was damaged: "
"""How the warning begins about a golden that an update wrote for that reason."""

OPERATIONS, RANDOM, TRACED = "keras.ops", "keras.random", "traced calls"
UPDATES = "train_on_batch updates"
"""Kinds of what a test did that nobody looked at: functions that it called outside of any layer,
calls in functions that were compiled, of which no number came out, and weights that a step of
training left and no later call ran with."""

RAISED = "calls that raised"
"""The same of calls that ended in an exception, which the test expected: they have no numbers."""

UNCOVERED, UNCOMPILED = "not covered by these inputs, ", "not compiled: "
"""How warnings begin about a saved model's layers of which a pass says little, and about one whose
training configuration does not load."""

LEFT_OUT = "not captured: "
"""How warnings begin about what automatic capture could not take of a test."""


def _known_outcome(value: str) -> str | None:
    return None if value in OUTCOMES else f"expected one of {', '.join(OUTCOMES)}"


def unlike_a_stack(stack: Mapping[str, Any]) -> str | None:
    """What is wrong with a stack: its facts are printed, and four of them name a golden's slot."""
    for key in ("keras", "backend", "device", "dtype_policy"):
        if not isinstance(stack.get(key), (str, NoneType)):
            return f"{key!r} of the stack should be a text"
    return _novel(stack)


def _novel(facts: Mapping[str, Any]) -> str | None:
    long = (key for key, value in facts.items() if len(repr(value)) > LONGEST_FACT)
    key = next(long, None)
    return None if key is None else f"{shown(key)} should be one short fact"


@dataclass(frozen=True, slots=True)
class _Flip:
    golden: int
    actual: int
    position: int | tuple[int, ...]
    margin_ulp: float | None = None
    tie: bool = False


@dataclass(frozen=True, slots=True)
class _Reference:
    accuracy: str


@dataclass(frozen=True, slots=True)
class _Extra:
    """What reports read of `extra`."""

    rows: int = 0
    flips_real: int = 0
    flips_tie: int = 0
    flips: tuple[_Flip, ...] = ()
    reference: _Reference | None = None


def _known_extra(extra: Mapping[str, Any]) -> str | None:
    reader(_Extra)(extra)
    return None


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
    extra: Annotated[Mapping[str, Any], _known_extra] = field(default_factory=dict)


Cause = Literal["meaning", "precision", "rounding", "random", "structure"]


@dataclass(frozen=True, slots=True)
class Twin:
    """A layer against its twins, what it makes of the same inputs in higher precision.

    precision: of the coarser twin. k: largest difference of the run's twin and the golden's, in
    units of float32's ε·(|golden| + rms). ratio: error of the run against the finer twin over that
    of the golden. accuracy: `better` below ⅔, `worse` above 3 (2 with a new cast), else `equal`.
    """

    precision: str
    k: float
    ratio: float
    accuracy: str


@dataclass(frozen=True, slots=True)
class LocalOutcome:
    """One layer's own change, measured on golden inputs. `name` is the call's structural name.

    cause: why, None where nothing changed or nothing could tell, for the reason in no_cause; twin:
    the figures behind it.
    """

    name: str
    order: int
    verdict: Verdict
    precision: str = ""
    k: float | None = None
    rel_l2: float | None = None
    bias: float | None = None
    bias_t: float | None = None
    note: str | None = None
    cause: Cause | None = None
    no_cause: str | None = None
    twin: Twin | None = None


_COMPONENT = re.compile(
    r"data|(accumulation|backward|clipping|loss|metric|optimizer|random|schedule|statistics):.*",
    re.DOTALL,
)


def is_component(name: str) -> bool:
    """Whether what is blamed is a component of a training step and no layer: `optimizer:Adam`."""
    return _COMPONENT.fullmatch(name) is not None


def is_blamed(layer: LocalOutcome, systematic: str = "fail", precision: str = "pass") -> bool:
    """Whether a layer's own change is more than rounding.

    Its cause decides where one is known, else its numbers. systematic: `off` blames no bias;
    precision: `fail` blames what became more accurate, too.
    """
    if layer.cause == "precision":
        worse = layer.twin is None or layer.twin.accuracy == "worse"
        return worse or precision == "fail"
    if layer.cause in ("meaning", "random", "rounding"):
        return layer.cause != "rounding"
    if layer.verdict == "systematic":
        return systematic != "off"
    return layer.verdict in LOCAL_DRIFT


@dataclass(frozen=True, slots=True)
class Renamed:
    """run, golden: the layer's path in each. by: `digest` where its weights, or the tensors of one
    without weights, are the same bit for bit; `place` where only shapes and order say so."""

    run: str
    golden: str
    by: Literal["digest", "place"]


@dataclass(frozen=True, slots=True)
class Names:
    """What became of the names of layers.

    renamed: under a name that the golden lacks, or that took part in such a chain (one layer more,
    and each counted name stands for the one before). moved: names of both sides that only changed
    places: a reordering, or weights loaded the other way round. aliases: (name in this run, name in
    the golden), as `golden_aliases` takes them; none for what moved, which may be the fault itself.
    """

    renamed: tuple[Renamed, ...] = ()
    moved: tuple[Renamed, ...] = ()
    gone: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """One golden test. `outcome`: passed, failed, error, recorded, skipped or xfailed.

    carried: in a gate, what of the old side was put in: initial weights, random inputs and states,
    and whether both sides drew from one stream.
    names: which layers are gone, new or go by another name; None where none is.
    unseen: what of Keras ran in the test and was not looked into, by kind. asked: the test is
    marked or uses the fixture; others are captured because `golden_auto` is on. options: what of
    pytest's command line a command that finds the same golden has to repeat. typed: the node id as
    it is typed where pytest was started, where that is another folder than the rootdir. unwatched:
    judged tensors inside of compiled steps that were, bit for bit, the golden's program on its
    inputs with its results, and so did not run again to be watched.
    """

    __test__ = False

    nodeid: str
    outcome: Annotated[str, _known_outcome]
    reason: str | None = None
    baseline: str | None = None
    golden: str | None = None
    candidate: str | None = None
    stack: Annotated[Mapping[str, Any], unlike_a_stack] = field(default_factory=dict)
    stack_changes: Annotated[Mapping[str, tuple[Any, Any]], _novel] = field(default_factory=dict)
    mode: Mode | None = None
    observer: ObserverEffect | None = None
    isolation: str | None = None
    weights: str = "unknown"
    carried: tuple[str, ...] = ()
    names: Names | None = None
    first_drift: str | None = None
    local_drift: tuple[str, ...] = ()
    tensors: tuple[TensorOutcome, ...] = ()
    locals: tuple[LocalOutcome, ...] = ()
    written: bool = False
    warnings: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    asked: bool = True
    options: tuple[str, ...] = ()
    unwatched: int = 0
    typed: str | None = None


def first_drift(tensors: Iterable[TensorOutcome]) -> str | None:
    """The first judged tensor, in execution order, that is neither identical nor inside its
    tolerance."""
    moved = [tensor for tensor in tensors if tensor.judged and tensor.verdict not in QUIET]
    return min(moved, key=lambda tensor: tensor.order).name if moved else None


def to_json(value: Any) -> Any:
    """A dataclass, mapping or sequence as builtin JSON values (see the module's text)."""
    if type(value) in _BUILTIN:
        # Nearly every value of a large log: checked first, for speed.
        return value
    if isinstance(value, Tolerance):
        return value.to_json()
    fields = getattr(value, "__dataclass_fields__", None)
    if fields is not None:
        return {name: to_json(getattr(value, name)) for name in fields}
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, float):
        return _json_float(float(value))
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [to_json(item) for item in value]
    return _json_scalar(value)


_BUILTIN = frozenset({str, int, bool, type(None)})


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
    """The inverse of `to_json` for one test; unknown keys (a newer writer's) are ignored.

    Raises FieldError.
    """
    outcome: TestOutcome = reader(TestOutcome)(entry)
    return outcome


test_from_json.__test__ = False  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class RunLog:
    """What a run left with `--golden-log`.

    left_out: why it was a run of a part of the suite only; empty where it was one of the whole,
    None where the log does not tell.
    """

    tests: tuple[TestOutcome, ...]
    exitstatus: int = 0
    stack: Annotated[Mapping[str, Any], unlike_a_stack] = field(default_factory=dict)
    collection_errors: tuple[str, ...] = ()
    left_out: tuple[str, ...] | None = None


def log_from_json(document: Mapping[str, Any]) -> RunLog:
    """The inverse of `log_json`. Raises FieldError for anything but a log of schema 1."""
    schema = document.get("schema")
    if type(schema) is not int or schema != SCHEMA:
        raise FieldError(f"has schema {shown(schema)}, this version reads {SCHEMA}")
    log: RunLog = reader(RunLog)(document)
    return log


def checked_log(text: str | bytes) -> dict[str, Any]:
    """A log's JSON, once `log_from_json` has read it. Raises FieldError, a ValueError."""
    document = parse_object(text)
    log_from_json(document)
    return document


def log_json(
    exitstatus: int,
    stack: Mapping[str, Any],
    tests: Iterable[TestOutcome],
    collection_errors: Iterable[str] = (),
    left_out: Iterable[str] | None = None,
) -> dict[str, Any]:
    """The `--golden-log` document, schema 1.

    left_out: why the run was of a part of the suite only; empty where it was of the whole, None
    where nobody knows.
    """
    return {
        "schema": SCHEMA,
        "exitstatus": int(exitstatus),
        "stack": to_json(stack),
        "collection_errors": list(collection_errors),
        "left_out": None if left_out is None else list(left_out),
        "tests": [to_json(test) for test in tests],
    }
