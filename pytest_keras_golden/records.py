"""The frozen values that travel from capture to report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[np.generic]

SCHEMA = 1

Kind = Literal["attention", "logits", "block", "tensor"]
Source = Literal["materialised", "reconstructed"]
Mode = Literal["eager", "compiled"]
ObserverEffect = Literal["identical", "changed"]
Verdict = Literal[
    "identical",
    "within",
    "accumulated",
    "drift",
    "systematic",
    "structure",
    "nonfinite",
    "incomparable",
    "loading",
    "vacuous",
    "unstable",
]


SEVERITY: tuple[Verdict, ...] = (
    "identical",
    "within",
    "accumulated",
    "systematic",
    "drift",
    "unstable",
    "vacuous",
    "nonfinite",
    "structure",
    "incomparable",
    "loading",
)
"""Verdicts from harmless to what makes all other numbers meaningless."""


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Either `k` (atol = k·ε·rms, rtol = k·ε) or absolute `rtol`/`atol`; never both.

    All fields are non-negative finite numbers; `tolerance.parse` is the only constructor
    users' text goes through.
    """

    k: float | None = None
    rtol: float | None = None
    atol: float | None = None

    def to_json(self) -> dict[str, float]:
        pairs = (("k", self.k), ("rtol", self.rtol), ("atol", self.atol))
        return {name: value for name, value in pairs if value is not None}


@dataclass(frozen=True, slots=True)
class ToleranceRule:
    """One line of `golden_tolerances`: a dtype name or a glob over names, and its tolerance."""

    pattern: str
    tolerance: Tolerance


@dataclass(frozen=True, slots=True)
class Sample:
    """What is kept of a large tensor (see `compare.sampling`).

    shape: of the whole. steps: along each axis one of so many positions is kept, a power of two.
    digest: of what is kept; sums: of the sums over all elements.
    """

    shape: tuple[int, ...]
    steps: tuple[int, ...]
    digest: str
    sums: str

    @property
    def kept(self) -> tuple[int, ...]:
        """Shape of what is kept."""
        return lengths_at(self.shape, self.steps)


def lengths_at(shape: Sequence[int], steps: Sequence[int]) -> tuple[int, ...]:
    """How many positions there are along each axis of which one in so many is kept."""
    return tuple(-(-length // step) for length, step in zip(shape, steps, strict=True))


@dataclass(frozen=True, slots=True)
class TensorRecord:
    """One captured tensor on the host.

    value: C-order numpy array (bfloat16 and float8 through ml_dtypes), owned by the record; with
    `sample`, what that says is kept, beside its sums.
    precision: dtype name of the coarsest arithmetic that produced it; "" means the value's own.
    tolerance: what the test asked for at this tensor; most specific of all.
    reference: the same tensor in higher precision, same shape, for the three-way rule.
    slack: units of k that its making costs on top of any tolerance, as the difference of two large
    numbers does. call: name of the outermost call that it was captured in; "" where a test checked
    it itself. digest: of the whole tensor, where it was taken already; else "". known: whether it
    is the golden's, under the name that it has there, and was not computed again.
    """

    name: str
    value: Array
    kind: Kind = "tensor"
    precision: str = ""
    judged: bool = True
    source: Source = "materialised"
    tolerance: Tolerance | None = None
    reference: Array | None = None
    call: str = ""
    slack: float = 0.0
    digest: str = ""
    sample: Sample | None = None
    sums: Array | None = None
    known: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the whole tensor."""
        return self.sample.shape if self.sample else tuple(map(int, self.value.shape))

    @property
    def arithmetic(self) -> str:
        """The precision that it is judged in."""
        return self.precision or str(self.value.dtype.name)


@dataclass(frozen=True, slots=True)
class Given:
    """What a call was given beside the numbers of its tensors.

    tensors, masks: places of its tensors by the names of its parameters, those that are boolean
    apart. flags: place → text of what is no tensor. carried: digests of the Keras masks on tensors.
    """

    tensors: tuple[str, ...] = ()
    masks: tuple[str, ...] = ()
    flags: Mapping[str, str] = field(default_factory=dict)
    carried: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LayerCall:
    """One call of a leaf layer, an operation or an attention core, as isolation needs it.

    name: structural name of the call (`blocks/0/attention`, `dense@1` for the second call).
    inputs, outputs: the host arrays in flattening order, as keys into the recording's `pool`
    (digest → array), so that an output that is the next call's input is held once. call: the
    outermost call that it was part of. given: None where nobody looked; masks: digests of the Keras
    masks that its outputs carry. twins: per output, a sample of what the call makes of the same
    inputs in higher precision, "" where it is of no higher precision; empty where nobody looked.
    input_twins: per input, the same of what code between layers made of their golden outputs, "" of
    any other. backward: in a training step, what a gradient of this call alone is of (`input 0`,
    the name of a weight) → its sketch, for golden inputs and a cotangent drawn by shape;
    backward_twins: the same in higher precision.
    """

    name: str
    layer: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    precision: str = ""
    call: str = ""
    given: Given | None = None
    masks: tuple[str, ...] = ()
    twins: tuple[str, ...] = ()
    input_twins: tuple[str, ...] = ()
    backward: Mapping[str, str] = field(default_factory=dict)
    backward_twins: Mapping[str, str] = field(default_factory=dict)

    @property
    def keys(self) -> tuple[str, ...]:
        """Into the pool."""
        sketches = (*self.backward.values(), *self.backward_twins.values())
        samples = filter(None, (*self.twins, *self.input_twins))
        return (*self.inputs, *self.outputs, *samples, *sketches)


@dataclass(frozen=True, slots=True)
class OutermostCall:
    """What one outermost call of a model or layer ran with, and what it returned.

    name: structural name of the call, `predict` and the like for a model's methods; path: of the
    layer called, with which the names of its weights begin. outputs: place → digest of what it
    returned. updates: weight or state → digest, where it is not what it was
    before the call before. draws: seed → digest, of the random generators that the call advanced.
    flags: place → text of what the test passed that is no tensor, None where nobody looked. batch:
    of a method that cuts its inputs into batches, how large these are. Its inputs are in the
    golden's `inputs`, each name beginning with the call's.
    """

    name: str
    path: str = ""
    outputs: Mapping[str, str] = field(default_factory=dict)
    updates: Mapping[str, str] = field(default_factory=dict)
    draws: Mapping[str, str] = field(default_factory=dict)
    flags: Mapping[str, str] | None = None
    batch: int | None = None


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """What a golden's metadata says about one tensor, readable without its bytes.

    order: position in execution order. digest: xxh3-128 hex over dtype, shape and C-order bytes.
    rms: root mean square of the finite values, to 6 significant digits. detects: the smallest
    relative drift its check would have caught under `tolerance`. noise: largest k between repeats.
    sample: what is kept of it, None where that is all; shape and digest are the whole tensor's.
    """

    name: str
    order: int
    kind: Kind
    dtype: str
    shape: tuple[int, ...]
    precision: str
    judged: bool
    source: Source
    digest: str
    rms: float
    detects: float | None = None
    noise: float | None = None
    tolerance: Tolerance | None = None
    sample: Sample | None = None

    @property
    def arithmetic(self) -> str:
        """The precision that it was judged in."""
        return self.precision or self.dtype


def record_of(entry: TensorEntry, value: Array, sums: Array | None) -> TensorRecord:
    """A tensor of a golden as if it were captured. value, sums: what the golden has of it."""
    return TensorRecord(
        entry.name,
        value,
        kind=entry.kind,
        precision=entry.precision,
        judged=entry.judged,
        source=entry.source,
        sample=entry.sample,
        sums=sums,
    )


@dataclass(frozen=True, slots=True)
class ProgramRun:
    """One run of a program that jax compiled for the test, and that ran once more to be watched.

    name: the call, and which of its steps. digest: over the program, what it was given, what it
    returned, and how that is recorded and judged. first, last: names of what was recorded of it,
    and of nothing else, in execution order.
    """

    name: str
    digest: str
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class GoldenHeader:
    """The metadata of one golden file.

    weights: structural name → digest, before the first call of each model. inputs: call and place
    → digest. outermost: in the order in which they were made. calls: what isolation needs (may be
    empty). programs: runs that need not be watched again where they are the same.
    """

    stack: Mapping[str, Any]
    mode: Mode
    tensors: tuple[TensorEntry, ...]
    weights: Mapping[str, str] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    outermost: tuple[OutermostCall, ...] = ()
    calls: tuple[LayerCall, ...] = ()
    isolation: str = "complete"
    reason: str | None = None
    observer: ObserverEffect | None = None
    programs: tuple[ProgramRun, ...] = ()
    schema: int = SCHEMA

    def entry(self, name: str) -> TensorEntry | None:
        return next((entry for entry in self.tensors if entry.name == name), None)


@dataclass(frozen=True, slots=True)
class Recording:
    """Everything one test produced under one stack, ready to be compared or written.

    pool: digest → array of the isolation tensors named by `calls`.
    """

    header: GoldenHeader
    records: tuple[TensorRecord, ...]
    pool: Mapping[str, Array] = field(default_factory=dict)
