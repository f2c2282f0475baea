"""One test's life: collect, load the baseline, compare, decide, write once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Protocol

from .compare.tolerance import resolve
from .config import Settings
from .decision import left_out
from .errors import CaptureError, StoreError
from .goldens import Goldens
from .marker import VersionMarker
from .names import golden_folder
from .outcomes import REPLACED, LocalOutcome, TestOutcome
from .records import (
    GoldenHeader,
    LayerCall,
    Mode,
    Observer,
    Recording,
    TensorEntry,
    TensorRecord,
    Tolerance,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .capture.transplant import Transplant
    from .records import Array
    from .store.codec import Golden


class Block(Protocol):
    """What a finished capture block hands over (see `capture.block.CaptureBlock`)."""

    @property
    def records(self) -> Sequence[TensorRecord]: ...
    @property
    def calls(self) -> Sequence[LayerCall]: ...
    @property
    def pool(self) -> Mapping[str, Array]: ...
    @property
    def weights(self) -> Mapping[str, str]: ...
    @property
    def inputs(self) -> Mapping[str, str]: ...
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
    def insists(self) -> bool: ...

    def isolate(self, calls: Sequence[LayerCall], golden: Golden) -> Sequence[LocalOutcome]: ...

    def add_references(self, limit: int) -> None: ...


@dataclass(slots=True)
class Session:
    """Collects one test's tensors and judges them once, when the body has finished."""

    nodeid: str
    settings: Settings
    marker: VersionMarker = field(default_factory=VersionMarker)
    records: dict[str, TensorRecord] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)
    locals: list[LocalOutcome] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    asked_for: bool = True
    isolation: str = "not needed"
    transplant: Transplant | None = None
    empty_block: str | None = None
    judged: bool = False
    repeats: list[dict[str, Array]] = field(default_factory=list)
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
                "the capture block saw no tensor of the selection: nothing was called inside it, "
                "or the call was compiled before the block began"
            )
            raise CaptureError(
                self.empty_block,
                "Call the model inside the block; compile (jax.jit, tf.function) inside it too.",
            )
        self.goldens.note_policy(block.policy)
        self.blocks.append(block)
        golden = self.goldens.baseline()
        moved = golden is not None and self._moved(block, golden)
        if moved or self.settings.update:
            # Now: what the body does next may train the model.
            with self._as_called():
                block.add_references(self.settings.max_size)
        for record in block.records:
            self.add(record)
        if golden is not None and moved and block.isolates:
            with self._as_called():
                self._isolate(block, golden)
        elif moved and self.isolation == "not needed":
            self.isolation = "unavailable: not asked for"

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

    def _as_called(self) -> AbstractContextManager[None]:
        """Calls inside run the model again: nothing is to be carried over into them."""
        return self.transplant.paused() if self.transplant is not None else nullcontext()

    def _isolate(self, block: Block, golden: Golden) -> None:
        self.isolation = golden.header.isolation
        names = {call.name for call in block.calls}
        calls = [call for call in golden.header.calls if call.name in names]
        if self.isolation == "complete" and calls:
            try:
                self.locals += block.isolate(calls, golden)
            except CaptureError as error:
                # Nothing was measured, which must not look like nothing found.
                self.isolation = f"unavailable: {error.problem}"
                if block.insists:
                    raise

    def _moved(self, block: Block, golden: Golden) -> bool:
        entries = {entry.name: entry.digest for entry in golden.header.tensors}
        judged = (record for record in block.records if record.judged)
        return any(self.digest(record) != entries.get(record.name) for record in judged)

    def digest(self, record: TensorRecord) -> str:
        """xxh3-128 of the record's value, hashed once per test."""
        from .store.digest import digest

        if record.name not in self._digests:
            self._digests[record.name] = digest(record.value)
        return self._digests[record.name]

    @contextmanager
    def repeating(self) -> Iterator[None]:
        """Collect another run of the same body apart, as a repeat for the noise floor."""
        first = self.records, self.blocks, self._digests
        self.records, self.blocks, self._digests = {}, [], {}
        try:
            yield
            self.repeats.append({name: item.value for name, item in self.records.items()})
        finally:
            self.records, self.blocks, self._digests = first

    # -- judging ----------------------------------------------------------------------------

    def finish(self, cache: Path) -> TestOutcome:
        """Compare with the baseline, or write it. Raises GoldenError where nothing can be judged.

        cache: folder for locks and, without `--golden-output`, for candidate goldens.
        """
        from .judging import judge_test

        self.judged = True
        with self.goldens:
            self._require_something()
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
        return TestOutcome(self.nodeid, "passed", warnings=left_out(self.notes))

    def _require_something(self) -> None:
        if self.empty_block:
            raise CaptureError(
                self.empty_block,
                "Call the model inside the block, and expect exceptions outside of it.",
            )
        if not any(record.judged for record in self.records.values()):
            raise CaptureError(
                "the test uses golden_tensors and compared nothing",
                "Call golden_tensors.check(name, tensor) or capture(model) in its body.",
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
        from .judging import vacuous_tensors
        from .store.files import save

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
        from .store.files import save

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
            weights=self.fingerprints("weights"),
            inputs=self.fingerprints("inputs"),
            calls=tuple(call for block in self.blocks for call in block.calls) if pool else (),
            isolation=isolation,
            reason=self.settings.reason,
            observer=self.observer,
        )
        return Recording(header, records, pool)

    def entry(self, record: TensorRecord, order: int) -> TensorEntry:
        from .compare.vacuity import describe

        return describe(record, order, self.tolerance(record), noise=self.noise(record))

    def noise(self, record: TensorRecord) -> float | None:
        """Largest k between repeats of the body (`--golden-noise`); None without repeats."""
        from .compare.metrics import measure

        repeats = [run[record.name] for run in self.repeats if record.name in run]
        tolerance, precision = self.tolerance(record), record.precision or str(record.value.dtype)
        ks = [measure(run, record.value, tolerance, precision).k for run in repeats]
        return max(ks, default=None)

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

    def isolated(self) -> frozenset[str]:
        """Names of the tensors that isolation speaks for."""
        return frozenset(r.name for block in self.blocks if block.isolates for r in block.records)

    def fingerprints(self, kind: str) -> dict[str, str]:
        """Structural name → digest of all blocks' `weights` or `inputs`."""
        return {name: key for block in self.blocks for name, key in getattr(block, kind).items()}

    def _pool(self) -> tuple[dict[str, Array], str]:
        pool = {key: array for block in self.blocks for key, array in block.pool.items()}
        unavailable = [b.isolation for b in self.blocks if b.isolation != "complete"]
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


def _identical(outcome: TestOutcome) -> bool:
    verdicts = {tensor.verdict for tensor in outcome.tensors}
    return outcome.baseline is not None and verdicts <= {"identical"}
