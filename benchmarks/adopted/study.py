"""All runs of one suite, and what the page says of them."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pytest_keras_golden.outcomes import TestOutcome
from pytest_keras_golden.store.codec import Golden

from .place import PLAIN, SHUFFLED, WORKERS, Place, Run
from .suites import Suite

_STEP = re.compile(r"(?:^|/)(?:test_)?step_\d{3}/")
QUIET = {"holds", "no tensors", "skipped"}


def study(suite: Suite, root: Path, cold: bool = False) -> dict[str, Any]:
    place = Place(suite, root, cold)
    place.export()
    if not place.cached:
        place.run(*PLAIN)
    plain = place.run(*PLAIN)
    recorded = place.automatic("--update-goldens")
    side = place.golden_side()
    again = place.run(*PLAIN)
    checked = place.automatic()
    last = place.run(*PLAIN)
    return {
        "suite": suite.name,
        "revision": suite.revision,
        "backend": suite.backend,
        "releases": [suite.old, suite.new],
        "files": len(place.files()),
        "passed_plain": len(plain.passed),
        "failed_plain": sorted(plain.failed),
        "flaky_plain": sorted(plain.passed ^ again.passed),
        **_captured(recorded),
        "observer": _observers(recorded),
        "left_alone": Counter(w for o in recorded.outcomes for w in o.warnings),
        "blind": _blind(recorded),
        "broken_recording": _reasons(plain.passed & recorded.failed, recorded),
        "false_alarms": _reasons(plain.passed & checked.failed, checked),
        "verdicts": _verdicts(checked),
        "time": _times((plain, again, last), recorded, side, checked),
        **({} if cold else _elsewhere(place, plain)),
    }


def _elsewhere(place: Place, plain: Run) -> dict[str, Any]:
    """False alarms in another order and by two workers, and what a gate says of the bump."""
    return {
        "false_alarms_shuffled": _alarms(place, plain, SHUFFLED),
        "false_alarms_workers": _alarms(place, plain, WORKERS),
        "gate": _gate(place.gate()),
    }


def _alarms(place: Place, plain: Run, order: Sequence[str]) -> dict[str, str]:
    """Tests that fail in this order though they pass in it, and as written, without the plugin."""
    checked = place.automatic(order=order)
    failed = plain.passed & checked.failed
    if failed:
        failed &= place.run(*PLAIN, order=order).passed
    return _reasons(failed, checked)


def _reasons(failed: Iterable[str], run: Run) -> dict[str, str]:
    """Failed test, by its name in pytest's XML, → what the plugin said of it, or nothing."""
    told = {_xml_name(outcome.nodeid): outcome.reason or "" for outcome in run.outcomes}
    return {name: told.get(name, "") for name in sorted(failed)}


def _xml_name(nodeid: str) -> str:
    file, *names = nodeid.split("::")
    classes = [file.removesuffix(".py").replace("/", "."), *names[:-1]]
    return f"{'.'.join(classes)}::{names[-1] if names else ''}"


# -- what was taken -------------------------------------------------------------------------


def _captured(run: Run) -> dict[str, Any]:
    taken = [outcome for outcome in run.outcomes if outcome.outcome == "recorded"]
    files = [Path(outcome.golden).stat().st_size for outcome in taken if outcome.golden]
    return {
        "captured": len(taken),
        "tensors": _tensors(taken),
        "golden_bytes": sum(files),
    }


def _tensors(taken: Iterable[TestOutcome]) -> int:
    found = 0
    for outcome in taken:
        with Golden.open(Path(outcome.golden or "")) as golden:
            found += sum(entry.judged for entry in golden.header.tensors)
    return found


def _observers(run: Run) -> Counter[str]:
    """Tests with recorded training steps, by whether these are bit for bit what an unwatched
    run computes; `not compared` where it was not run twice."""
    found: Counter[str] = Counter()
    for outcome in run.outcomes:
        if outcome.outcome == "recorded" and outcome.golden:
            with Golden.open(Path(outcome.golden)) as golden:
                if any(_STEP.search(entry.name) for entry in golden.header.tensors):
                    found[outcome.observer or "not compared"] += 1
    return found


def _blind(run: Run) -> dict[str, Any]:
    """Tests of whose Keras calls some or all were not looked at, by kind of call."""
    alone = [o for o in run.outcomes if o.unseen and o.outcome == "passed"]
    beside = [o for o in run.outcomes if o.unseen and o.outcome == "recorded"]
    return {
        "tests": len(alone),
        "kinds": Counter(kind for o in alone for kind in set(o.unseen)),
        "beside": len(beside),
        "kinds_beside": Counter(kind for o in beside for kind in set(o.unseen)),
        "without_calls": sum(o.outcome == "passed" and not o.unseen for o in run.outcomes),
    }


def _times(
    plain: Sequence[Run], recorded: Run, side: Run, checked: Run
) -> dict[str, dict[str, float]]:
    """Ratios to the median of the plain runs; noise is the slowest of these over the fastest."""
    found = {}
    for clock in ("wall", "processor"):
        each = [getattr(run, clock) for run in plain]
        median = statistics.median(each)
        found[clock] = {
            "plain": round(median, 1),
            "noise": round(max(each) / min(each), 3),
            "recording": round(getattr(recorded, clock) / median, 3),
            "golden_side": round(getattr(side, clock) / median, 3),
            "checking": round(getattr(checked, clock) / median, 3),
        }
    return found


# -- what moved -----------------------------------------------------------------------------


def _verdicts(run: Run) -> Counter[str]:
    """Compared tests by their worst verdict."""
    return Counter(_worst(outcome) for outcome in run.outcomes if outcome.tensors)


_ORDER = (
    *("incomparable", "structure", "nonfinite", "loading", "vacuous", "drift", "systematic"),
    *("accumulated", "within", "identical"),
)


def _worst(outcome: TestOutcome) -> str:
    verdicts = {tensor.verdict for tensor in outcome.tensors if tensor.judged}
    verdicts |= {"systematic"} if outcome.outcome == "failed" and outcome.local_drift else set()
    return next((name for name in _ORDER if name in verdicts), "identical")


def _gate(said: dict[str, Any]) -> dict[str, Any]:
    """What a gate says: its verdict, tests by status, and those that do not hold, one by one."""
    held = [set(test["tensors"].values()) for test in said["tests"] if test["status"] == "holds"]
    return {
        "verdict": said["verdict"],
        "counts": said["counts"],
        "identical": sum(verdicts == {"identical"} for verdicts in held),
        "carried": sum(test["weights"] == "transplanted" for test in said["tests"]),
        "claims": {
            test["nodeid"]: [test["status"], test["local_drift"], test["reason"]]
            for test in said["tests"]
            if test["status"] not in QUIET
        },
    }
