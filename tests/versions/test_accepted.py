"""`golden_accepted.toml`: what it lets through, and nothing else."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_keras_golden.errors import ConfigError
from pytest_keras_golden.outcomes import LocalOutcome, TensorOutcome, TestOutcome
from pytest_keras_golden.versions.accepted import Acceptance, Bounds, load, written
from pytest_keras_golden.versions.changes import Change
from pytest_keras_golden.versions.compared.verdicts import VerdictRow
from pytest_keras_golden.versions.review import review

STEP = Change("keras", "3.5.0", "3.6.0")
NORM = Acceptance(
    changes=(STEP,),
    layer="norm",
    tests=("t.py::test_a",),
    verdict="drift",
    at_most=Bounds(own_k=30.0, own_rel_l2=0.01, k=20.0, rel_l2=0.005),
    reason="nearer to float64",
    date="2026-11-26",
    cause="precision",
)


def layer(name: str = "norm", **changed: Any) -> LocalOutcome:
    made = LocalOutcome(name, 0, "drift", "bfloat16", k=20.0, rel_l2=0.008, cause="precision")
    return replace(made, **changed)


def tensor(name: str = "out", **changed: Any) -> TensorOutcome:
    made = TensorOutcome(
        name, 1, "block", "bfloat16", "bfloat16", (2,), True, "drift", k=9.0, rel_l2=0.004
    )
    return replace(made, **changed)


def moved(*measured: LocalOutcome | TensorOutcome, nodeid: str = "t.py::test_a") -> VerdictRow:
    layers = tuple(item for item in measured if isinstance(item, LocalOutcome))
    tensors = tuple(item for item in measured if isinstance(item, TensorOutcome))
    outcome = TestOutcome(
        nodeid, "failed", tensors=tensors, locals=layers, local_drift=tuple(x.name for x in layers),
        first_drift=tensors[0].name if tensors else None,
    )  # fmt: skip
    return VerdictRow(nodeid, "moved", outcome)


def status(row: VerdictRow, *entries: Acceptance, change: Change = STEP) -> str:
    return review([row], entries, [change], {"keras": str(change.old)}).rows[0].status


def test_what_was_accepted_passes_with_its_reason() -> None:
    found = review([moved(layer(), tensor())], [NORM], [STEP], {"keras": "3.5.0"})
    assert [(row.status, row.reason) for row in found.rows] == [
        ("accepted", "norm: nearer to float64")
    ]
    assert found.used == {NORM: ("t.py::test_a",)}
    assert (found.unused, found.expired) == ((), ())


def test_nothing_is_accepted_without_an_entry() -> None:
    assert status(moved(layer())) == "moved"


@pytest.mark.parametrize(
    "row",
    [
        moved(layer(k=30.1)),
        moved(layer(rel_l2=0.0101)),
        moved(layer(k=float("nan"))),
        moved(layer(), tensor(k=20.1)),
        moved(layer(), tensor(rel_l2=0.0051)),
        moved(layer(), nodeid="t.py::test_b"),
        moved(layer("other")),
        moved(layer(), layer("other")),
        moved(layer(verdict="systematic")),
        moved(layer(cause="meaning")),
        moved(layer(cause=None)),
        moved(layer(), tensor(verdict="nonfinite", k=None, rel_l2=None)),
        moved(layer(), tensor(verdict="structure", k=None, rel_l2=None)),
        moved(tensor("norm")),
        replace(moved(layer()), status="broke"),
        replace(moved(layer()), status="incomparable"),
    ],
    ids=["k", "rel_l2", "nan", "tensor k", "tensor rel_l2", "test", "layer", "one more layer",
         "verdict", "cause", "no cause", "nonfinite behind", "structure behind", "not isolated",
         "broke", "incomparable"],
)  # fmt: skip
def test_bigger_elsewhere_or_otherwise_stays_red(row: VerdictRow) -> None:
    assert status(row, NORM) == row.status


def test_two_layers_need_two_entries() -> None:
    row = moved(layer(), layer("head", cause="meaning"))
    head = replace(NORM, layer="head", cause="meaning", reason="fixed")
    assert status(row, NORM, head) == "accepted"


def test_of_two_entries_the_larger_one_helps() -> None:
    larger = replace(NORM, at_most=replace(NORM.at_most, own_k=90.0))
    assert status(moved(layer(k=50.0)), NORM, larger) == "accepted"


def test_a_change_without_a_size_is_known_by_its_note() -> None:
    note = "dtype float32, was bfloat16"
    entry = replace(NORM, verdict="structure", cause=None, note=note, at_most=Bounds())
    changed = layer(verdict="structure", cause=None, k=None, rel_l2=None, note=note)
    assert status(moved(changed), entry) == "accepted"
    assert status(moved(replace(changed, note="shape (2,), was (3,)")), entry) == "moved"


def test_more_or_other_elements_that_became_nan_stay_red() -> None:
    """The numbers beside them differ by nothing."""
    note = "2 elements became or ceased to be NaN or Inf, first [0, 0]"
    size = Bounds(own_k=0.0, own_rel_l2=0.0, k=0.0, rel_l2=0.0)
    entry = replace(NORM, verdict="nonfinite", cause=None, note=note, at_most=size)
    measured = {"verdict": "nonfinite", "k": 0.0, "rel_l2": 0.0}
    more = note.replace("2 elements", "256 elements")
    for told, expected in ((note, "accepted"), (more, "moved")):
        assert status(moved(layer(cause=None, note=told, **measured)), entry) == expected
        alone = replace(entry, layer="out")
        assert status(moved(tensor(note=told, **measured)), alone) == expected
    assert status(moved(layer(cause=None, note=note, **measured)), replace(entry, note=None)) == (
        "moved"
    )


def test_a_test_that_was_not_isolated_is_accepted_by_the_tensor_that_moved_first() -> None:
    entry = replace(NORM, layer="out", cause=None, at_most=Bounds(k=20.0, rel_l2=0.005))
    assert status(moved(tensor()), entry) == "accepted"
    assert status(moved(tensor(k=21.0)), entry) == "moved"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("3.5.0", "3.6.0", "accepted"),
        ("3.5.0", "3.9.1", "accepted"),
        ("3.5.1", "3.6.0", "accepted"),
        ("3.4.1", "3.6.0", "moved"),
        ("3.6.0", "3.7.0", "moved"),
        ("3.6.0", "3.5.0", "moved"),
    ],
)
def test_the_gate_has_to_begin_inside_the_step(old: str, new: str, expected: str) -> None:
    assert status(moved(layer()), NORM, change=Change("keras", old, new)) == expected


def test_the_way_back_is_another_step() -> None:
    back = replace(NORM, changes=(Change("keras", "3.6.0", "3.5.0"),))
    assert status(moved(layer()), back, change=Change("keras", "3.6.0", "3.5.0")) == "accepted"
    assert status(moved(layer()), back) == "moved"


def test_switches_are_known_by_name_and_both_sides() -> None:
    flash = Change("flash", "off", "on")
    entry = replace(NORM, changes=(flash,))
    assert status(moved(layer()), entry, change=flash) == "accepted"
    assert status(moved(layer()), entry, change=Change("flash", "on", "off")) == "moved"
    assert status(moved(layer()), entry, change=Change("jit", "off", "on")) == "moved"


def test_a_pair_of_changes_is_accepted_as_a_pair() -> None:
    pair = (STEP, Change("jax", "0.4.38", "0.10.2"))
    entry = replace(NORM, changes=pair)
    assert status(moved(layer()), entry) == "moved"
    found = review([moved(layer())], [entry], pair, {"keras": "3.5.0"})
    assert found.rows[0].status == "accepted"


def test_entries_expire_with_the_old_side_and_idle_ones_are_named() -> None:
    held = VerdictRow("t.py::test_a", "holds", TestOutcome("t.py::test_a", "passed"))
    idle = review([held], [NORM], [STEP], {"keras": "3.5.0"})
    assert (idle.unused, idle.expired) == ((NORM,), ())
    past = review([held], [NORM], [Change("keras", "3.6.0", "3.7.0")], {"keras": "3.6.0"})
    assert (past.unused, past.expired) == ((), (NORM,))
    elsewhere = review([replace(held, nodeid="u")], [NORM], [STEP], {"keras": "3.5.0"})
    assert (elsewhere.unused, elsewhere.expired) == ((), ())
    bigger = review([moved(layer(k=99.0))], [NORM], [STEP], {"keras": "3.5.0"})
    assert bigger.unused == ()


# -- the file -------------------------------------------------------------------------------


def test_no_file_accepts_nothing(tmp_path: Path) -> None:
    assert load(tmp_path / "golden_accepted.toml") == ()


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    plain = Acceptance((Change("x", None, "1"),), "l", ("t",), "structure", Bounds(), "r",
                       "2026-01-02", note="n")  # fmt: skip
    path.write_text(f"# ours\n\n{written(NORM)}\n{written(plain)}", encoding="utf-8")
    assert load(path) == (NORM, plain)
    assert f"date = {datetime.date(2026, 11, 26)}" in path.read_text(encoding="utf-8")


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_name_and_reason_is_read_back(text: str) -> None:
    from pytest_keras_golden.io.toml import parse_toml

    entry = replace(NORM, layer=text, reason=text, tests=(text,))
    read = parse_toml(written(entry))["accepted"][0]
    assert (read["layer"], read["reason"], read["tests"]) == (text, text, [text])


GOOD = written(NORM)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[accepted]", "is no TOML"),
        ("\xff", "cannot be read"),
        ("accepted = 3", "accepted is 3: expected [[accepted]]"),
        ("[[other]]", "other is unknown. Expected accepted"),
        (GOOD.replace("layer =", "layers ="), "accepted[0] has no 'layer'"),
        (GOOD + "more = 1\n", "accepted[0].more is unknown"),
        (GOOD.replace("own_k =", "own ="), "accepted[0].at_most.own is unknown"),
        (GOOD.replace("own_k = 30.0", "own_k = 'x'"), "accepted[0].at_most.own_k is 'x'"),
        (GOOD.replace("own_k = 30.0", "own_k = inf"), "accepted[0].at_most.own_k is inf"),
        (GOOD.replace("own_k = 30.0", "own_k = nan"), "accepted[0].at_most.own_k is nan"),
        (GOOD.replace("own_k = 30.0", "own_k = -1"), "accepted[0].at_most.own_k is -1"),
        (GOOD.replace('"nearer to float64"', '""'), "accepted[0].reason is empty"),
        (f"{GOOD}\n{GOOD.replace('name =', 'nam =')}", "accepted[1].changes[0] has no 'name'"),
        (GOOD.replace("old =", "od ="), "accepted[0].changes[0].od is unknown"),
        ("accepted = [" + "[" * 3000, "is no TOML"),
    ],
)  # fmt: skip
def test_a_broken_file_names_itself_the_field_and_the_fix(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "golden_accepted.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError) as raised:
        load(path)
    assert str(path) in raised.value.problem
    assert said in raised.value.problem
    assert "keras-golden accept-drift" in raised.value.fix


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)
