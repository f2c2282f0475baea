"""Which layers go by another name, and whether the stack changed: told before anything else."""

from __future__ import annotations

from dataclasses import replace

import pytest
from outcomes_made import outcome, tensor

from pytest_keras_golden.outcomes import Names, Renamed, TestOutcome, log_json
from pytest_keras_golden.report import files
from pytest_keras_golden.report.layernames import SHOWN, alias_lines, name_lines
from pytest_keras_golden.report.sentence import headline
from pytest_keras_golden.report.steps import next_steps
from pytest_keras_golden.report.terminal import failure_page

NAMES = Names(
    renamed=(Renamed("block_0", "stage_0", "digest"), Renamed("head", "dense", "place")),
    moved=(Renamed("a", "b", "digest"), Renamed("b", "a", "digest")),
    gone=("old",),
    new=("norm",),
    aliases=(("block_*", "stage_*"), ("head", "dense")),
)


def moved(**facts: object) -> TestOutcome:
    found = outcome(tensor("a", 0, verdict="structure", k=9.0), outcome="failed")
    return replace(found, **facts)  # type: ignore[arg-type]


SAME = {"baseline": "3.15.1", "stack": {"keras": "3.15.1"}, "stack_changes": {}}
STEPS = {**SAME, "names": NAMES}


def test_the_page_says_which_layers_are_others_gone_or_new_and_what_to_paste() -> None:
    page = failure_page(moved(**STEPS))
    assert "names: `block_0` is what the golden calls `stage_0`, the same bit for bit" in page
    assert "names: `head` is what the golden calls `dense`, by shape and order" in page
    assert "names: swapped: `a` is what the golden calls `b`" in page
    assert "names: gone: `old`" in page
    assert "names: new: `norm`" in page
    assert "  golden_aliases =\n      block_* -> stage_*\n      head -> dense\n" in page


@pytest.mark.parametrize("suffix", [".md", ".html"])
def test_reports_in_files_have_the_lines_too(suffix: str) -> None:
    text = files.rendered(log_json(1, {}, [moved(**STEPS)]), suffix)
    assert "block_* -> stage_*" in text
    assert "gone: `old`" in text


def test_many_renamed_layers_are_counted() -> None:
    many = tuple(Renamed(f"new_{at}", f"old_{at}", "digest") for at in range(SHOWN + 3))
    lines = name_lines(moved(names=Names(renamed=many)))
    assert len(lines) == SHOWN + 1
    assert lines[-1] == "and 3 more renamed layers"
    assert alias_lines(moved(names=Names(renamed=many))) == ""


def test_the_first_line_says_that_the_stack_is_the_same() -> None:
    for verdict in ("drift", "structure", "incomparable", "nonfinite", "accumulated"):
        made = tensor("a", 0, verdict=verdict, k=9.0, note="inputs differ")
        said = headline(replace(outcome(made, outcome="failed"), **SAME))
        assert said.startswith("Same stack: the cause is in this code, its weights or its data.")
        numbers = verdict in ("drift", "nonfinite", "accumulated")
        assert ("It may differ from itself" in said) == numbers
        assert "Keras" not in said


def test_where_something_else_changed_it_is_named_and_nothing_is_the_same() -> None:
    changed = {**SAME, "stack_changes": {"jax": ("0.6", "0.7")}}
    said = headline(replace(outcome(tensor("a", 0, verdict="drift"), outcome="failed"), **changed))
    assert "Same stack" not in said
    assert "Keras is the same; what changed is jax 0.6 → 0.7." in said


def test_no_gate_or_bisection_is_advised_within_one_release() -> None:
    for verdict in ("drift", "structure", "incomparable"):
        made = tensor("a", 0, verdict=verdict)
        steps = next_steps(replace(outcome(made, outcome="failed"), **SAME))
        assert not any("gate" in command or "bisect" in command for _, command in steps)


def test_what_is_not_comparable_is_said_by_its_own_note() -> None:
    made = tensor("a", 0, verdict="incomparable", note="inputs differ, first at x")
    told = replace(outcome(made, outcome="failed"), reason="a: incomparable")
    assert "inputs differ, first at x" in headline(told)
