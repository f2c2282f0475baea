"""One test's life: collect, load the baseline, compare, decide, write once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Protocol

from ..compare.calls import Ran
from ..config import Settings
from ..errors import CaptureError, StoreError
from ..names import golden_folder
from ..outcomes import REPLACED, LocalOutcome, TestOutcome
from ..records import (
    GoldenHeader,
    LayerCall,
    Mode,
    Observer,
    OutermostCall,
    Recording,
    TensorEntry,
    TensorRecord,
    Tolerance,
)
from ..tolerance import resolve
from .goldens import Goldens
from .marker import VersionMarker
from .rules import left_out

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..capture.examine import Against, Examined
    from ..records import Array


OPERATIONS = "keras.ops"
"""As `capture.unseen` calls the functions that a test calls outside of any layer."""


class Block(Ran, Protocol):
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
    def mode(self) -> Mode: ...
    @property
    def observer(self) -> Observer | None: ...
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
    def unseen(self) -> Mapping[str, int]: ...


@dataclass(slots=True)
class Session:
    """Collects one test's tensors and judges them once, when the body has finished."""

    nodeid: str
    settings: Settings
    marker: VersionMarker = field(default_factory=VersionMarker)
    records: dict[str, TensorRecord] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    asked_for: bool = True
    carried: set[str] = field(default_factory=set)
    empty_block: str | None = None
    judged: bool = False
    repeats: list[dict[str, Array]] = field(default_factory=list)
    examines: bool = True
    plain: bool = False
    saw_calls: bool = False
    unseen: dict[str, int] = field(default_factory=dict)
    damage: StoreError | None = None
    goldens: Goldens = field(init=False)
    _digests: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.goldens = Goldens(self.nodeid, self.settings, self.marker)

    # -- collecting -------------------------------------------------------------------------

    def add(self, record: TensorRecord) -> None:
        """Raises CaptureError where the name was used before in this test, or after its body."""
        if self.judged:
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

    def add_block(self, block: Block) -> None:
        """Takes a finished capture block; isolates it where a judged tensor moved.

        Raises CaptureError where the block saw nothing.
        """
        if not block.records:
            self.empty_block = (
                f"the capture block saw no tensor of the selection: {_why_empty(block)}"
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
            self._digests[record.name] = digest(record.value)
        return self._digests[record.name]

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

    # -- judging ----------------------------------------------------------------------------

    def finish(self, cache: Path) -> TestOutcome:
        """Compare with the baseline, or write it. Raises GoldenError where nothing can be judged.

        cache: folder for locks and, without `--golden-output`, for candidate goldens.
        """
        from .judging import judge_test

        self.judged = True
        with self.goldens:
            self._require_something()
            if self.damage is not None:
                raise self.damage
            outcome = judge_test(self)
            if self._writes(outcome):
                return self._write(outcome, cache / "locks")
            return self._keep_candidate(outcome, cache)

    def without_calls(self) -> TestOutcome:
        """The outcome of an automatic test that called no Keras model: nothing was compared.

        Raises CaptureError where a golden says that it once called one, on this backend.
        """
        known = [] if self.settings.update else self.goldens.of_this_backend()
        if known:
            why = f": {self.notes[0]}" if self.notes else ""
            raise CaptureError(
                f"a golden was recorded of this test, and it calls no Keras model any more{why}",
                "Find out what stopped the call, or remove what was recorded: "
                f"rm {' '.join(quote(str(path)) for path in known)}",
            )
        return TestOutcome(
            self.nodeid, "passed", warnings=left_out(self.notes), unseen=self.kinds_unseen
        )

    def _require_something(self) -> None:
        if self.empty_block:
            raise CaptureError(
                self.empty_block,
                "Call the model inside the block, and expect exceptions outside of it.",
            )
        judged = [record.value for record in self.records.values() if record.judged]
        if not judged:
            raise CaptureError(
                "the test uses golden_tensors and compared nothing",
                "Call golden_tensors.check(name, tensor) or capture(model) in its body.",
            )
        if self.asked_for and not any(map(_says_something, judged)):
            raise CaptureError(
                "every tensor of the test is empty or all NaN: that compares nothing",
                "Give the model inputs that it answers with numbers.",
            )

    def _writes(self, outcome: TestOutcome) -> bool:
        if not self.settings.update:
            return False
        if self.settings.update_mode == "missing":
            # Not `baseline is None`: one that was asked for and is missing must not cost this one.
            return not self.goldens.own.exists()
        if outcome.baseline is None or self.settings.update_mode == "all":
            return True
        # What is to stay must be whole: no comparison has read its bytes.
        return not _identical(outcome) or self.goldens.damaged()

    def _write(self, outcome: TestOutcome, locks: Path) -> TestOutcome:
        from ..store.files import save
        from .judging import vacuous_tensors

        vacuous = vacuous_tensors(self)
        if vacuous and not self.asked_for:
            # A suite that only switched `golden_auto` on chose neither its tensors nor tolerances.
            said = f"vacuous: {vacuous[0].name} and {len(vacuous) - 1} more: {vacuous[0].note}"
            outcome = replace(outcome, warnings=(*outcome.warnings, said))
        elif vacuous:
            return replace(outcome, outcome="failed", tensors=vacuous, reason="vacuous tolerance")
        if self.goldens.damage:
            said = f"{REPLACED}{self.goldens.damage}"
            outcome = replace(outcome, warnings=(*outcome.warnings, said))
        path = self.goldens.own
        # The old golden may be the file about to be replaced: let go of its mapping first.
        self.goldens.close()
        written = save(path, self.recording(), locks, self.settings.goldens_dir)
        status = "recorded" if written else "passed"
        return replace(outcome, outcome=status, reason=None, golden=str(path), written=written)

    def _keep_candidate(self, outcome: TestOutcome, cache: Path) -> TestOutcome:
        from ..store.files import save

        if _identical(outcome):
            return outcome
        root = self.settings.output or cache / "candidates"
        path = root / golden_folder(self.nodeid) / self.goldens.slot().filename
        inside = self.settings.output or cache.parent
        try:
            save(path, self.recording(), cache / "locks", inside)
        except StoreError as error:
            if self.settings.output is not None:
                raise
            # Nobody asked for it: a read-only checkout must not hide what was found.
            said = f"no candidate kept: {error.problem}"
            return replace(outcome, warnings=(*outcome.warnings, said))
        return replace(outcome, candidate=str(path))

    def recording(self) -> Recording:
        """Everything the body produced, with digests, scales and sensitivities worked out."""
        records = tuple(self.records.values())
        pool, isolation = self._pool()
        header = GoldenHeader(
            stack=self.goldens.stack(),
            mode=self.mode,
            tensors=tuple(self.entry(record, order) for order, record in enumerate(records)),
            weights=self.weights,
            inputs=self.inputs,
            outermost=self.outermost,
            calls=tuple(call for block in self.blocks for call in block.calls) if pool else (),
            isolation=isolation,
            reason=self.settings.reason,
            observer=self.observer,
        )
        return Recording(header, records, pool)

    def entry(self, record: TensorRecord, order: int) -> TensorEntry:
        from ..compare.vacuity import describe

        return describe(record, order, self.tolerance(record), noise=self.noise(record))

    def noise(self, record: TensorRecord) -> float | None:
        """Largest k between repeats of the body (`--golden-noise`); None without repeats."""
        from ..compare.metrics import measure

        repeats = [run[record.name] for run in self.repeats if record.name in run]
        tolerance, precision = self.tolerance(record), record.precision or str(record.value.dtype)
        ks = [measure(run, record.value, tolerance, precision).k for run in repeats]
        return max(ks, default=None)

    @property
    def kinds_unseen(self) -> tuple[str, ...]:
        """What ran and was not looked into. Operations are told only where nothing else was
        captured: nearly every test makes its inputs with them."""
        kinds = (kind for kind, count in self.unseen.items() if count)
        return tuple(sorted(k for k in kinds if not (self.records and k == OPERATIONS)))

    @property
    def mode(self) -> Mode:
        return "compiled" if any(block.mode == "compiled" for block in self.blocks) else "eager"

    @property
    def observer(self) -> Observer | None:
        seen = [block.observer for block in self.blocks if block.observer]
        if not seen:
            return None
        return "changed" if "changed" in seen else "identical"

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
        """Outermost call → what was found out about it."""
        return {name: found for block in self.blocks for name, found in block.examined.items()}

    @property
    def locals(self) -> tuple[LocalOutcome, ...]:
        """Each layer's own change, where a call was isolated."""
        return tuple(local for found in self.examined.values() for local in found.locals)

    @property
    def against(self) -> Against:
        """The golden of this test, as blocks compare themselves with it while they run."""
        from .against import SessionGolden

        return SessionGolden(self)

    def _pool(self) -> tuple[dict[str, Array], str]:
        pool = {key: array for block in self.blocks for key, array in block.pool.items()}
        unavailable = [_recorded_isolation(block) for block in self.blocks]
        unavailable = [why for why in unavailable if why != "complete"]
        if unavailable or not pool:
            return {}, unavailable[0] if unavailable else "unavailable: nothing captured for it"
        size = sum(array.nbytes for array in pool.values())
        if size > self.settings.max_size:
            return {}, "unavailable: size"
        return pool, "complete"

    def tolerance(self, record: TensorRecord) -> Tolerance:
        return resolve(
            record.name,
            record.precision or str(record.value.dtype),
            argument=record.tolerance,
            marker=self.marker.tolerances,
            ini=self.settings.tolerances,
        )


def _recorded_isolation(block: Block) -> str:
    return block.isolation if block.isolates else "unavailable: not asked for"


def _why_empty(block: Block) -> str:
    methods = [f"`{method}`" for method, count in block.unseen.items() if count]
    if methods:
        verb = "are" if len(methods) > 1 else "is"
        return f"only {' and '.join(methods)} ran inside it, which {verb} not looked into"
    if block.saw_calls:
        return "what was called inside it has none"
    return "nothing was called inside it, or the call was compiled before the block began"


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


def _identical(outcome: TestOutcome) -> bool:
    verdicts = {tensor.verdict for tensor in outcome.tensors}
    return outcome.baseline is not None and verdicts <= {"identical"}


def _says_something(value: Array) -> bool:
    """Whether a tensor has an element, and one that is a number."""
    import numpy as np

    if value.size == 0 or value.dtype.kind in "biu":
        return value.size > 0
    wide = value if value.dtype.kind == "c" else value.astype(np.float64)
    return bool((~np.isnan(wide)).any())
