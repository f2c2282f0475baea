"""What one test is made of while it runs: tensors, blocks, and the golden that it belongs to."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from ..compare.calls import Ran
from ..config import Settings
from ..errors import CaptureError, GoldenError, StoreError
from ..outcomes import OPERATIONS, RAISED, RANDOM, LocalOutcome
from ..records import (
    LayerCall,
    Mode,
    ObserverEffect,
    OutermostCall,
    ProgramRun,
    TensorEntry,
    TensorRecord,
    Tolerance,
)
from ..tolerance import resolve
from .goldens import Goldens
from .marker import VersionMarker

if TYPE_CHECKING:
    from collections.abc import Mapping, Set

    from ..capture.examine import Examined
    from ..records import Array
    from ..saved.faults import LoadingFault


class CapturedBlock(Ran, Protocol):
    """What a finished capture block hands over (see `capture.block.CaptureBlock`)."""

    @property
    def records(self) -> Sequence[TensorRecord]: ...
    @property
    def calls(self) -> Sequence[LayerCall]: ...
    @property
    def pool(self) -> Mapping[str, Array]: ...
    @property
    def examined(self) -> Mapping[str, Examined]: ...
    @property
    def renamed(self) -> Mapping[str, str]: ...
    @property
    def programs(self) -> Sequence[ProgramRun]: ...
    @property
    def mode(self) -> Mode: ...
    @property
    def observer(self) -> ObserverEffect | None: ...
    @property
    def policy(self) -> str | None: ...
    @property
    def isolates(self) -> bool: ...
    @property
    def isolation(self) -> str: ...
    @property
    def damage(self) -> StoreError | None: ...
    @property
    def saw_calls(self) -> bool: ...
    @property
    def why_empty(self) -> str: ...


_BESIDE_NOTHING = (OPERATIONS, RANDOM, RAISED)
"""Kinds of what is not looked into that are told only where nothing was captured: nearly every test
makes its inputs with operations and draws, and many expect an exception beside what they check."""

LARGE = 1 << 20
"""Bytes from which on it pays to look whether the golden has a tensor before it is copied."""


@dataclass(slots=True)
class Case:
    """Collects one test's tensors and judges them once, when the body has finished."""

    nodeid: str
    settings: Settings
    marker: VersionMarker = field(default_factory=VersionMarker)
    records: dict[str, TensorRecord] = field(default_factory=dict)
    blocks: list[CapturedBlock] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    asked_for: bool = True
    carried: set[str] = field(default_factory=set)
    roundings: Mapping[str, Set[str]] = field(default_factory=dict)
    empty_block: str | None = None
    closed: bool = False
    repeats: list[dict[str, Array]] = field(default_factory=list)
    examines: bool = True
    plain: bool = False
    saw_calls: bool = False
    unseen: dict[str, int] = field(default_factory=dict)
    damage: StoreError | None = None
    loading: list[LoadingFault] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    kept_whole: set[str] = field(default_factory=set)
    exported: dict[str, Examined] = field(default_factory=dict)
    unwatched: int = 0
    goldens: Goldens = field(init=False)
    _digests: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.goldens = Goldens(self.nodeid, self.settings, self.marker)

    # -- collecting -------------------------------------------------------------------------

    def add(self, record: TensorRecord) -> None:
        """Raises CaptureError where the name was used before in this test, or after its body."""
        if self.closed:
            raise CaptureError(
                f"{record.name!r} is checked after the test was judged: nothing would compare it",
                "Check in the test's body, or in a fixture before its yield.",
            )
        if not record.name or record.name.startswith("@"):
            raise CaptureError(
                f"{record.name!r} is no tensor name", "Use a non-empty name without a leading '@'."
            )
        if record.name in self.records:
            raise CaptureError(
                f"{record.name!r} is checked twice in one test: the second would hide the first",
                "Give each check its own name (a capture block takes name='…').",
            )
        self.records[record.name] = record

    def add_block(self, block: CapturedBlock) -> None:
        """Takes a finished capture block; isolates it where a judged tensor moved.

        Raises CaptureError where the block saw nothing.
        """
        if not block.records:
            self.empty_block = (
                f"the capture block saw no tensor of the selection: {block.why_empty}"
            )
            raise CaptureError(
                self.empty_block,
                "Call the model inside the block; compile (jax.jit, tf.function) inside it too.",
            )
        self.goldens.note_policy(block.policy, own=False)
        self.blocks.append(block)
        for record in block.records:
            self.add(record)
        self.damage = self.damage or block.damage

    def saw(self, calls: bool, unseen: Mapping[str, int]) -> None:
        """What an automatic block saw, however the body ended: calls, and what it did not look
        into, by kind."""
        self.saw_calls = self.saw_calls or calls
        for kind, count in unseen.items():
            self.unseen[kind] = self.unseen.get(kind, 0) + count

    @contextmanager
    def whole_block(self) -> Iterator[None]:
        """A test that goes on from an exception out of a capture block compares nothing of it."""
        try:
            yield
        except BaseException as error:
            self.empty_block = (
                f"a capture block was left by {type(error).__name__}, and nothing of it compared"
            )
            raise

    def digest(self, record: TensorRecord) -> str:
        """xxh3-128 of the record's value, hashed once per test."""
        from ..store.digest import digest

        if record.name not in self._digests:
            self._digests[record.name] = record.digest or digest(record.value)
        return self._digests[record.name]

    def known(self, name: str, array: Array) -> TensorRecord | None:
        """Of a large tensor what a record needs beside the golden: its bytes from there where they
        are the same, a sample where the golden has one; None where all of it has to be copied."""
        if array.nbytes < LARGE or self.settings.update:
            return None
        from .checked import beside

        with suppress(GoldenError):  # which the end of the test tells
            golden = self.goldens.baseline()
            if golden is not None and golden.has(name):
                return beside(golden, name, array)
        return None

    @contextmanager
    def repeating(self) -> Iterator[None]:
        """Collect another run of the same body apart, as a repeat for the noise floor."""
        first = self.records, self.blocks, self._digests
        self.records, self.blocks, self._digests = {}, [], {}
        self.examines = False
        try:
            yield
            self.repeats.append(dict(_by_first_name(first[0].values(), self.records.values())))
        finally:
            self.records, self.blocks, self._digests = first
            self.examines = True

    @property
    def kinds_unseen(self) -> tuple[str, ...]:
        """What ran and was not looked into, by kind."""
        kinds = (kind for kind, count in self.unseen.items() if count)
        return tuple(sorted(k for k in kinds if not (self.records and k in _BESIDE_NOTHING)))

    @property
    def mode(self) -> Mode:
        return "compiled" if any(block.mode == "compiled" for block in self.blocks) else "eager"

    @property
    def observer(self) -> ObserverEffect | None:
        """What watching did; of runs that are the golden's own, what it did there."""
        seen = {block.observer for block in self.blocks}
        golden = self.goldens.baseline() if self.unwatched else None
        if golden is not None:
            seen.add(golden.header.observer)
        if "changed" in seen:
            return "changed"
        return "identical" if "identical" in seen else None

    @property
    def renamed(self) -> dict[str, str]:
        """Structural name → what an alias made of it, in all blocks."""
        return {old: new for block in self.blocks for old, new in block.renamed.items()}

    @property
    def weights(self) -> dict[str, str]:
        """Structural name → digest, before the first call of each model."""
        return {name: key for block in self.blocks for name, key in block.weights.items()}

    @property
    def inputs(self) -> dict[str, str]:
        """Call and place → digest."""
        return {place: key for block in self.blocks for place, key in block.inputs.items()}

    @property
    def outermost(self) -> tuple[OutermostCall, ...]:
        """The calls of all blocks, in the order in which they ended."""
        return tuple(call for block in self.blocks for call in block.outermost)

    @property
    def examined(self) -> dict[str, Examined]:
        """Outermost call → what was found out about it; of exports, case of inputs → the same."""
        seen = {name: found for block in self.blocks for name, found in block.examined.items()}
        return {**seen, **self.exported}

    @property
    def locals(self) -> tuple[LocalOutcome, ...]:
        """Each layer's own change, where a call was isolated."""
        return tuple(local for examined in self.examined.values() for local in examined.locals)

    def against(
        self, record: TensorRecord, entry: TensorEntry | None
    ) -> tuple[TensorRecord, Tolerance]:
        """The record with the tolerance that it is judged by.

        What making a tensor costs is taken from the golden where that is less: a gradient that
        vanished must not excuse itself.
        """
        if not record.slack or entry is None:
            return record, self.tolerance(record)
        plain = self.tolerance(replace(record, slack=0.0))
        known = entry.tolerance.k if entry.tolerance is not None else None
        if plain.k is not None and known is not None:
            record = replace(record, slack=min(record.slack, max(0.0, known - plain.k)))
        record = replace(record, judged=entry.judged)
        return record, self.tolerance(record)

    def tolerance(self, record: TensorRecord) -> Tolerance:
        tolerance = resolve(
            record.name,
            record.arithmetic,
            argument=record.tolerance,
            marker=self.marker.tolerances,
            ini=self.settings.tolerances,
            between_backends=self.settings.across_backends,
        )
        if tolerance.k is None or not record.slack:
            return tolerance
        return Tolerance(k=tolerance.k + record.slack)


def _by_first_name(
    first: Iterable[TensorRecord], repeat: Iterable[TensorRecord]
) -> Iterator[tuple[str, Array]]:
    """The repeat's values by the names that the first run has for them.

    A repeat runs the body alone. Where fixtures called layers as well, names of calls are counted
    from another place on: those of the body are the last.
    """
    known, again = list(first), list(repeat)
    for record in again:
        if not record.call:
            yield record.name, record.value
    ends = ([record for record in side if record.call][::-1] for side in (known, again))
    for mine, other in zip(*ends, strict=False):
        if (_stem(mine.name), mine.value.shape) != (_stem(other.name), other.value.shape):
            return
        yield mine.name, other.value


def _stem(name: str) -> str:
    """Without the counts of calls."""
    return re.sub(r"@\d+", "", name)
