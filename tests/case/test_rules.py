"""From verdicts to a decision, verdict by verdict and setting by setting."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from pytest_keras_golden.case import rules
from pytest_keras_golden.compare.depth import FACTOR, Shift
from pytest_keras_golden.config import Settings
from pytest_keras_golden.outcomes import LEFT_OUT, LocalOutcome, TensorOutcome, first_drift
from pytest_keras_golden.records import Verdict
from pytest_keras_golden.stack import HARDWARE_KEYS

SETTINGS = Settings(goldens_dir=Path("goldens"))
PASSING = {"identical", "within", "accumulated"}


def tensor(verdict: Verdict, name: str = "logits", **options: Any) -> TensorOutcome:
    base = TensorOutcome(name, 0, "logits", "float32", "float32", (2, 3), True, verdict)
    return replace(base, **options)


def local(verdict: Verdict, name: str = "norm") -> LocalOutcome:
    return LocalOutcome(name, 0, verdict)


@pytest.mark.parametrize("verdict", get_args(Verdict))
def test_which_verdicts_fail_by_default(verdict: Verdict) -> None:
    reasons = rules.failures([tensor(verdict)], [], SETTINGS)
    failed = (
        "loads other weights or settings: logits" if verdict == "loading" else f"logits: {verdict}"
    )
    assert reasons == ([] if verdict in PASSING else [failed])
    assert rules.failures([tensor(verdict, judged=False)], [], SETTINGS) == []


@pytest.mark.parametrize("verdict", ["drift", "systematic", "structure", "nonfinite"])
def test_a_local_change_fails_where_the_outputs_do_not_show_it(verdict: Verdict) -> None:
    found = [local("within", "dense"), local(verdict)]
    assert rules.failures([tensor("within")], found, SETTINGS) == [f"norm: local {verdict}"]
    assert rules.local_drift(found) == ("norm",)


def test_systematic_fails_warns_or_is_off() -> None:
    changed = [tensor("systematic")], [local("systematic")]
    said = {}
    for choice in ("fail", "warn", "off"):
        settings = replace(SETTINGS, systematic=choice)
        told = rules.warnings(*changed, settings, {})
        said[choice] = len(rules.failures(*changed, settings)), len(told)
    assert said == {"fail": (2, 0), "warn": (0, 2), "off": (0, 0)}
    assert rules.local_drift(changed[1], "warn") == ("norm",)
    assert rules.local_drift(changed[1], "off") == ()


def test_systematic_settings_leave_drift_alone() -> None:
    for choice in ("fail", "warn", "off"):
        settings = replace(SETTINGS, systematic=choice)
        assert rules.failures([tensor("drift")], [local("drift")], settings)
        assert rules.local_drift([local("drift")], choice) == ("norm",)


def test_accumulated_warns_or_fails() -> None:
    tensors = [tensor("accumulated"), tensor("accumulated", "other")]
    (told,) = rules.warnings(tensors, [], SETTINGS, {})
    assert "logits and 1 more" in told
    settings = replace(SETTINGS, accumulated="fail")
    assert len(rules.failures(tensors, [], settings)) == 2


FAR = Shift(k=10.0, rel_l2=1e-3)
CARRIED = (
    "alone every layer changed by rounding only, which carried through the model reaches "
    "k 10 and relative L2 0.001"
)
EXPLAINED = [
    (FAR, {"k": 40.0, "rel_l2": 4e-3}, {}, "accumulated"),
    (FAR, {"k": 40.1, "rel_l2": 1e-3}, {}, "drift"),
    (FAR, {"k": 10.0, "rel_l2": 4.1e-3}, {}, "drift"),
    (Shift(), {"k": 1e-9, "rel_l2": 0.0}, {}, "drift"),
    (Shift(k=10.0), {"k": 1.0, "rel_l2": 0.0}, {}, "accumulated"),
    (Shift(rel_l2=1e-3), {"k": 0.0, "rel_l2": 1e-4}, {}, "accumulated"),
    (None, {"k": 1.0, "rel_l2": 1e-4}, {}, "drift"),
    (FAR, {"k": 1.0, "rel_l2": 1e-4}, {"flips_real": 1}, "drift"),
    (FAR, {"k": 1.0, "rel_l2": 1e-4}, {"flips_real": 0, "flips_tie": 3}, "accumulated"),
]


@pytest.mark.parametrize(("reach", "size", "extra", "expected"), EXPLAINED)
def test_depth_explains_what_rounding_reaches(
    reach: Shift | None, size: dict[str, float], extra: dict[str, int], expected: Verdict
) -> None:
    for verdict in ("drift", "systematic"):
        moved = tensor(verdict, extra=extra, **size)
        (judged,) = rules.explain_by_depth([moved], lambda _: reach)
        assert judged.verdict == ("accumulated" if expected == "accumulated" else verdict)
        assert ("depth" in judged.extra) == (reach is not None)


@pytest.mark.parametrize(
    "verdict", ["identical", "within", "structure", "nonfinite", "vacuous", "incomparable"]
)
def test_depth_excuses_no_other_verdict(verdict: Verdict) -> None:
    item = tensor(verdict, k=1.0, rel_l2=1e-4)
    assert rules.explain_by_depth([item], lambda _: FAR) == (item,)


@pytest.mark.parametrize(
    ("k", "extra", "expected"),
    [
        (40.0, {}, f"{CARRIED}; up to 4 times that is depth"),
        (40.1, {}, f"seen before; {CARRIED}: depth did not do this"),
        (40.0, {"flips_real": 1}, "seen before"),
    ],
)
def test_how_far_rounding_reaches_is_told(k: float, extra: dict[str, int], expected: str) -> None:
    moved = tensor("drift", k=k, rel_l2=1e-3, note="seen before", extra=extra)
    (judged,) = rules.explain_by_depth([moved], lambda _: FAR)
    assert judged.note == expected
    assert judged.extra == extra | {"depth": {"k": 10.0, "rel_l2": 1e-3, "factor": FACTOR}}
    (judged,) = rules.explain_by_depth([replace(moved, note=None)], lambda _: FAR)
    assert judged.note == (expected.removeprefix("seen before").removeprefix("; ") or None)


def test_depth_speaks_tensor_by_tensor() -> None:
    items = [tensor("drift", name, k=1.0, rel_l2=1e-4) for name in ("checked", "captured")]
    judged = rules.explain_by_depth(items, lambda t: {"captured": FAR}.get(t.name))
    assert [item.verdict for item in judged] == ["drift", "accumulated"]


def test_other_weights_make_moved_numbers_incomparable() -> None:
    verdicts = get_args(Verdict)
    items = [tensor(verdict) for verdict in verdicts]
    assert rules.incomparable(items, lambda _: None) == tuple(items)
    judged = rules.incomparable(items, lambda _: "weights differ, first at dense/kernel")
    changed = [old for old, new in zip(verdicts, judged, strict=True) if new.verdict != old]
    assert changed == ["within", "drift", "systematic", "nonfinite"]
    assert {item.note for item in judged} == {None, "weights differ, first at dense/kernel"}


def test_only_the_tensors_of_a_call_that_ran_with_others_are_incomparable() -> None:
    items = [tensor("drift", "first"), tensor("drift", "second")]
    judged = rules.incomparable(items, lambda t: "inputs differ" if t.name == "second" else None)
    assert [item.verdict for item in judged] == ["drift", "incomparable"]


def test_first_drift_is_first_in_execution_order() -> None:
    items = [tensor("identical", "a"), tensor("within", "b"), tensor("drift", "c"), tensor("drift")]
    assert first_drift(items) == "c"
    assert first_drift(items[:2]) is None


def test_other_hardware_is_told() -> None:
    changes = {"isa": ("x86-64-v4", "x86-64-v3"), "keras": 1}
    (told,) = rules.warnings([], [], SETTINGS, changes)
    assert told == "hardware differs (isa): not attributable to Keras"
    (told,) = rules.warnings([], [], SETTINGS, dict.fromkeys(HARDWARE_KEYS))
    assert told == f"hardware differs ({', '.join(HARDWARE_KEYS)}): not attributable to Keras"


def test_one_warning_hides_no_other() -> None:
    settings = replace(SETTINGS, systematic="warn")
    tensors = [tensor("accumulated"), tensor("systematic", "other")]
    told = rules.warnings(tensors, [local("systematic")], settings, {"isa": 1})
    assert [said.partition(": ")[::2] for said in told] == [
        ("accumulated", "logits, by depth alone"),
        ("systematic", "other"),
        ("systematic", "norm"),
        ("hardware differs (isa)", "not attributable to Keras"),
    ]


def test_what_automatic_capture_left_out_is_told_once_each_in_order() -> None:
    assert rules.left_out(["b", "a", "b"]) == (f"{LEFT_OUT}b", f"{LEFT_OUT}a")


def test_resolved_aliases_are_told_with_an_example_and_their_number() -> None:
    old = ["a", "b", "c"]
    told = [rules.renames({name: f"new {name}" for name in old[:count]}) for count in range(4)]
    assert told == [
        (),
        ("aliases: a is compared as new a",),
        ("aliases: a is compared as new a and 1 more",),
        ("aliases: a is compared as new a and 2 more",),
    ]
