"""The end of a case: judged against its golden, or written as one, and a candidate kept."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from ..errors import CaptureError, StoreError
from ..names import golden_folder
from ..outcomes import REPLACED, TestOutcome
from .rules import left_out

if TYPE_CHECKING:
    from .collected import Case


ANOTHER_OUTPUT = "Check the folder, or choose another: --golden-output"
LOADED_OTHERWISE = "the model holds other weights or settings than its file"


def finish(case: Case, cache: Path) -> TestOutcome:
    """Compare with the baseline, or write it. Raises GoldenError where nothing can be judged.

    cache: folder for locks and, without `--golden-output`, for candidate goldens.
    """
    from .judging import judge_test

    case.closed = True
    with case.goldens:
        _require_something(case)
        if case.damage is not None:
            raise case.damage
        outcome = judge_test(case)
        if _writes(case, outcome):
            return _write(case, outcome, cache / "locks")
        return _keep_candidate(case, outcome, cache)


def without_calls(case: Case) -> TestOutcome:
    """The outcome of an automatic test that called no Keras model: nothing was compared.

    Raises CaptureError where a golden says that it once called one, on this backend.
    """
    known = [] if case.settings.update else case.goldens.of_this_backend()
    if known:
        raise CaptureError(
            f"a golden was recorded of this test, and {_no_longer(case)}",
            "Find out what stopped the call, or remove what was recorded: "
            f"rm {' '.join(quote(str(path)) for path in known)}",
        )
    return TestOutcome(
        case.nodeid, "passed", warnings=left_out(case.notes), unseen=case.kinds_unseen
    )


def _no_longer(case: Case) -> str:
    """What a test without tensors does of Keras now."""
    why = f": {case.notes[0]}" if case.notes else ""
    if case.kinds_unseen:
        kinds = ", ".join(case.kinds_unseen)
        return f"now it uses Keras only in ways that are not looked at ({kinds}){why}"
    return f"it calls no Keras model any more{why}"


def _require_something(case: Case) -> None:
    from ..compare.numbers import says_something

    if case.empty_block:
        raise CaptureError(
            case.empty_block,
            "Call the model inside the block, and expect exceptions outside of it.",
        )
    judged = [record.value for record in case.records.values() if record.judged]
    if not judged:
        raise CaptureError(
            "the test uses golden_tensors and compared nothing",
            "Call golden_tensors.check(name, tensor) or capture(model) in its body.",
        )
    if case.asked_for and not any(map(says_something, judged)):
        raise CaptureError(
            "every tensor of the test is empty or all NaN: that compares nothing",
            "Give the model inputs that it answers with numbers.",
        )


# -- writing --------------------------------------------------------------------------------


def _writes(case: Case, outcome: TestOutcome) -> bool:
    if not case.settings.update:
        return False
    if case.settings.update_mode == "missing":
        # Not `baseline is None`: one that was asked for and is missing must not cost this one.
        return not case.goldens.own.exists()
    if outcome.baseline is None or case.settings.update_mode == "all":
        return True
    # What is to stay must be whole: no comparison has read its bytes.
    return not _identical(outcome) or case.goldens.damaged()


def _write(case: Case, outcome: TestOutcome, locks: Path) -> TestOutcome:
    from ..store.files import save
    from .judging import is_chosen, loading_tensors, vacuous_tensors
    from .recording import recording

    faults = loading_tensors(case)
    if faults:
        # What was loaded wrong is no measure for anything.
        return replace(outcome, outcome="failed", tensors=faults, reason=LOADED_OTHERWISE)
    vacuous = vacuous_tensors(case)
    chosen = [item for item in vacuous if is_chosen(case, item.name)]
    if vacuous and not chosen:
        more = f" and {len(vacuous) - 1} more" if len(vacuous) > 1 else ""
        said = f"vacuous: {vacuous[0].name}{more}: {vacuous[0].note}"
        outcome = replace(outcome, warnings=(*outcome.warnings, said))
    elif chosen:
        return replace(outcome, outcome="failed", tensors=tuple(chosen), reason="vacuous tolerance")
    if case.goldens.damage:
        said = f"{REPLACED}{case.goldens.damage}"
        outcome = replace(outcome, warnings=(*outcome.warnings, said))
    path = case.goldens.own
    # The old golden may be the file about to be replaced: let go of its mapping first.
    case.goldens.close()
    written = save(path, recording(case), locks, case.settings.goldens_dir)
    status = "recorded" if written else "passed"
    return replace(outcome, outcome=status, reason=None, golden=str(path), written=written)


def _keep_candidate(case: Case, outcome: TestOutcome, cache: Path) -> TestOutcome:
    from ..store.files import save
    from .recording import recording

    if _identical(outcome) and case.settings.twins != "now":
        return outcome
    root = case.settings.output or cache / "candidates"
    path = root / golden_folder(case.nodeid) / case.goldens.slot().filename
    inside = case.settings.output or cache.parent
    try:
        save(path, recording(case, candidate=True), cache / "locks", inside, durable=False)
    except StoreError as error:
        asked = case.settings.output is not None
        if asked and outcome.outcome != "failed":
            raise StoreError(error.problem, ANOTHER_OUTPUT, error.path) from error
        # A folder that cannot be written must not hide what was found.
        way_out = f". {ANOTHER_OUTPUT}" if asked else ""
        said = f"no candidate kept: {error.problem}{way_out}"
        return replace(outcome, warnings=(*outcome.warnings, said))
    return replace(outcome, candidate=str(path))


def _identical(outcome: TestOutcome) -> bool:
    verdicts = {tensor.verdict for tensor in outcome.tensors}
    return outcome.baseline is not None and verdicts <= {"identical"}
