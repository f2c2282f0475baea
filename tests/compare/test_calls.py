"""What calls ran with, a run's beside a golden's: which difference is whose."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from pytest_keras_golden.compare.calls import SHUFFLED, SHUFFLES, difference, differing
from pytest_keras_golden.records import OutermostCall


@dataclass(frozen=True)
class Side:
    weights: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    outermost: tuple[OutermostCall, ...] = ()


ENCODER = OutermostCall("enc", "enc", outputs={"": "z"})
DECODER = OutermostCall("dec", "dec", outputs={"": "y"})
GOLDEN = Side(
    weights={"enc/kernel": "1", "dec/kernel": "2"},
    inputs={"enc[0]": "x", "dec[0]": "z2"},
    outermost=(ENCODER, DECODER),
)


def found(run: Side, call: str, golden: Side = GOLDEN) -> tuple[str, str] | None:
    told = difference(golden, run, call)
    return None if told is None else (told.kind, told.sentence)


def test_nothing_differs_in_the_same_calls() -> None:
    assert found(GOLDEN, "enc") is found(GOLDEN, "dec") is None


def test_a_call_that_only_one_side_has_is_no_matter_of_what_it_ran_with() -> None:
    assert found(GOLDEN, "other") is None
    assert found(replace(GOLDEN, outermost=(ENCODER,)), "dec") is None


def test_other_weights_are_told_of_the_layer_that_has_them_alone() -> None:
    run = replace(GOLDEN, weights=GOLDEN.weights | {"dec/kernel": "0"})
    assert found(run, "enc") is None
    assert found(run, "dec") == ("weights", "weights differ, first at dec/kernel")


@pytest.mark.parametrize(
    ("path", "below"),
    [
        ("", ["enc/kernel", "dec/kernel", "decoder/kernel"]),
        ("dec", ["dec/kernel"]),
        ("dec/", ["dec/kernel"]),
    ],
)
def test_weights_count_that_lie_below_the_path_of_what_was_called(
    path: str, below: list[str]
) -> None:
    called = OutermostCall("call", path)
    weights = dict.fromkeys(("enc/kernel", "dec/kernel", "decoder/kernel"), "1")
    golden = Side(weights, {}, (called,))
    for name in weights:
        told = found(replace(golden, weights=weights | {name: "0"}), "call", golden)
        said = ("weights", f"weights differ, first at {name}")
        assert told == (said if name in below else None)


def test_a_call_is_compared_with_the_one_of_its_name_wherever_it_comes() -> None:
    first = OutermostCall("new")
    run = replace(GOLDEN, outermost=(first, DECODER, ENCODER))
    assert found(run, "enc") is found(run, "dec") is None
    drawing = replace(ENCODER, draws={"seed": "1"})
    told = found(replace(run, outermost=(first, DECODER, drawing)), "enc")
    assert told == ("random", "random numbers differ: enc draws from seed, which it did not before")


def test_weights_that_change_between_calls_are_counted_where_both_sides_have_them() -> None:
    weights = {f"dec/{name}": "0" for name in "abc"}

    def trained(**updates: str) -> Side:
        again = OutermostCall("again", "dec", updates={f"dec/{k}": v for k, v in updates.items()})
        return Side(weights, {}, (DECODER, again))

    golden = trained(a="1", b="1", c="1", made="1")
    assert found(trained(a="1", b="1", c="1"), "again", golden) is None
    for run, more in (
        (trained(a="1", b="1", c="2"), "dec/c"),
        (trained(a="1", b="2", c="2"), "dec/b and 1 more"),
        (trained(a="2", b="2", c="2"), "dec/a and 2 more"),
    ):
        assert found(run, "again", golden) == (
            "rewritten",
            f"weights differ between calls: {more}, before again",
        )


def test_weights_that_change_between_calls_are_told_from_there_on() -> None:
    again = replace(DECODER, name="dec@1", updates={"dec/kernel": "trained"})
    golden = replace(GOLDEN, outermost=(ENCODER, DECODER, again))
    other = replace(again, updates={"dec/kernel": "trained otherwise"})
    run = replace(golden, outermost=(ENCODER, DECODER, other))
    assert found(run, "dec", golden) is None
    assert found(run, "dec@1", golden) == (
        "rewritten",
        "weights differ between calls: dec/kernel, before dec@1",
    )
    untrained = replace(golden, outermost=(ENCODER, DECODER, replace(again, updates={})))
    assert found(untrained, "dec@1", golden) is not None
    third = replace(DECODER, name="dec@2")
    assert found(
        replace(run, outermost=(*run.outermost, third)),
        "dec@2",
        replace(golden, outermost=(*golden.outermost, third)),
    ) == ("rewritten", "weights differ between calls: dec/kernel, before dec@2")


def test_other_random_numbers_are_told() -> None:
    drawing = replace(DECODER, draws={"dec/drop/@seed0": "1"})
    golden = replace(GOLDEN, outermost=(ENCODER, drawing))
    for draws, said in (
        ({"dec/drop/@seed0": "2"}, "is in another state before dec"),
        ({}, "draws nothing from dec/drop/@seed0 any more"),
        (
            {"dec/drop/@seed0": "1", "@global_seed": "3"},
            "draws from @global_seed, which it did not",
        ),
    ):
        run = replace(golden, outermost=(ENCODER, replace(drawing, draws=draws)))
        told = found(run, "dec", golden)
        assert told is not None
        assert told[0] == "random"
        assert said in told[1]


def test_other_numbers_of_the_same_states_are_another_kind() -> None:
    name = "keras.random.dropout"
    drawing = replace(DECODER, draws={name: "1", "dec/drop/@seed0": "1"})
    golden = replace(GOLDEN, outermost=(ENCODER, drawing))
    for draws, expected in (
        ({name: "2", "dec/drop/@seed0": "1"}, "redrawn"),
        ({name: "2", "dec/drop/@seed0": "2"}, "random"),
        ({name: "1", "dec/drop/@seed0": "1"}, None),
        # A dropout that scales otherwise has another meaning, whatever it draws.
        ({name: "2/3", "dec/drop/@seed0": "1"}, None),
        # A golden of before, or a release that takes another function for the same.
        ({"dec/drop/@seed0": "1"}, None),
        ({"keras.random.uniform": "3", "dec/drop/@seed0": "1"}, None),
    ):
        run = replace(golden, outermost=(ENCODER, replace(drawing, draws=draws)))
        for one, other in ((golden, run), (run, golden)):
            told = difference(one, other, "dec")
            assert (None if told is None else told.kind) == expected
    told = difference(golden, replace(golden, outermost=(ENCODER, run.outermost[1])), "dec")
    assert told is None


FIT = OutermostCall("fit", "", outputs={"": "history"}, draws={SHUFFLED: ""})
AGAIN = OutermostCall("fit@1", "", outputs={"": "history 2"}, updates={"dec/kernel": "trained"})


def test_batches_in_a_drawn_order_are_compared_on_one_backend_alone() -> None:
    golden = replace(GOLDEN, outermost=(FIT,))
    assert difference(golden, golden, "fit") is None
    unknown = replace(golden, outermost=(replace(FIT, draws={}),))
    assert difference(unknown, golden, "fit") is None
    told = difference(golden, golden, "fit", another_backend=True)
    assert told is not None
    assert (told.kind, SHUFFLES in told.sentence) == ("random", True)
    drawing = replace(FIT, draws={SHUFFLED: "", "drop/@seed0": "1"})
    both = replace(golden, outermost=(drawing,))
    told = difference(both, both, "fit", another_backend=True)
    assert told is not None
    assert "draws from drop/@seed0" in told.sentence


def test_draws_are_told_of_a_training_behind_another_one() -> None:
    golden = replace(GOLDEN, outermost=(FIT, AGAIN))
    moved = replace(FIT, outputs={"": "other"}), replace(AGAIN, updates={"dec/kernel": "else"})
    run = replace(golden, outermost=moved)
    told = difference(golden, run, "fit@1")
    assert told is not None
    assert told.kind == "trained"
    drawing = replace(golden, outermost=(FIT, replace(AGAIN, draws={"drop/@seed0": "1"})))
    told = difference(drawing, run, "fit@1")
    assert told is not None
    assert told.kind == "random"


class TestInputs:
    def test_of_the_first_call_come_from_the_test(self) -> None:
        run = replace(GOLDEN, inputs=GOLDEN.inputs | {"enc[0]": "other"})
        assert found(run, "enc") == ("inputs", "inputs differ, first at enc[0]")

    def test_changed_between_calls_where_nothing_before_moved(self) -> None:
        run = replace(GOLDEN, inputs=GOLDEN.inputs | {"dec[0]": "other"})
        told = found(run, "dec")
        assert told is not None
        assert told[0] == "inputs"
        assert "between calls: dec[0]" in told[1]

    def test_may_descend_from_what_moved_before(self) -> None:
        moved = replace(ENCODER, outputs={"": "z moved"})
        run = Side(GOLDEN.weights, GOLDEN.inputs | {"dec[0]": "other"}, (moved, DECODER))
        said = "inputs of dec moved, as what was returned before it did"
        assert found(run, "dec") == ("descended", said)

    def test_that_were_given_to_an_earlier_call_as_well_descend_from_nothing(self) -> None:
        golden = replace(GOLDEN, inputs={"enc[0]": "x", "dec[0]": "x"})
        moved = replace(ENCODER, outputs={"": "z moved"})
        run = Side(GOLDEN.weights, {"enc[0]": "x", "dec[0]": "other"}, (moved, DECODER))
        told = found(run, "dec", golden)
        assert told is not None
        assert told[0] == "inputs"

    def test_do_not_descend_from_a_call_that_the_golden_lacks(self) -> None:
        extra = OutermostCall("extra", outputs={"": "e"})
        inputs = GOLDEN.inputs | {"dec[0]": "other"}
        told = found(Side(GOLDEN.weights, inputs, (ENCODER, extra, DECODER)), "dec")
        assert told is not None
        assert told[0] == "inputs"

    def test_that_are_what_an_earlier_call_returned_are_no_difference(self) -> None:
        golden = replace(GOLDEN, inputs={"enc[0]": "x", "dec[0]": "z"})
        moved = replace(ENCODER, outputs={"": "z moved"})
        run = Side(GOLDEN.weights, {"enc[0]": "x", "dec[0]": "z moved"}, (moved, DECODER))
        assert found(run, "dec", golden) is None

    def test_that_were_what_an_earlier_call_returned_differ_where_they_no_longer_are(self) -> None:
        golden = replace(GOLDEN, inputs={"enc[0]": "x", "dec[0]": "z"})
        for golden_side, run_side in ((golden, GOLDEN), (GOLDEN, golden)):
            told = found(run_side, "dec", golden_side)
            assert told is not None
            assert told[0] == "inputs"

    def test_do_not_come_from_what_is_called_later(self) -> None:
        golden = replace(GOLDEN, inputs={"enc[0]": "y"})
        moved = replace(DECODER, outputs={"": "y moved"})
        run = replace(GOLDEN, inputs={"enc[0]": "y moved"}, outermost=(moved, ENCODER))
        for golden_side, run_side in ((golden, run), (run, golden)):
            told = found(run_side, "enc", golden_side)
            assert told is not None
            assert told[0] == "inputs"

    def test_are_looked_at_behind_one_that_was_returned_before(self) -> None:
        golden = replace(GOLDEN, inputs={"dec[0]": "z", "dec[1]": "c"})
        moved = replace(ENCODER, outputs={"": "z moved"})
        inputs = {"dec[0]": "z moved", "dec[1]": "other"}
        told = found(replace(GOLDEN, inputs=inputs, outermost=(moved, DECODER)), "dec", golden)
        assert told is not None
        assert told[0] == "descended"

    @pytest.mark.parametrize("inputs", [{"enc[0]": "x"}, {**GOLDEN.inputs, "dec[mask]": "m"}])
    def test_new_and_missing_ones_are_told(self, inputs: dict[str, str]) -> None:
        told = found(replace(GOLDEN, inputs=inputs), "dec")
        assert told is not None
        assert told[0] == "inputs"
        assert "this run" in told[1]


def test_the_first_difference_is_named() -> None:
    golden = {"a": "1", "b": "2", "c": "3"}
    assert differing("weights", golden, golden) is None
    assert differing("weights", {}, golden) is None
    assert differing("weights", golden, {}) is None
    changed = differing("inputs", golden, {**golden, "b": "0", "c": "0"})
    assert changed == "inputs differ, first at b"
    gone = differing("weights", golden, {"a": "1", "c": "3"})
    assert gone is not None
    assert "b is in the golden, not in this run" in gone
    new = differing("weights", golden, {**golden, "d": "4"})
    assert new is not None
    assert "d is new" in new


class TestFlags:
    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ({}, {"training": "True"}, "training=True, in the golden with training=None"),
            ({"training": "True"}, {}, "training=None, in the golden with training=True"),
            ({"axis": "1"}, {"axis": "2"}, "axis=2, in the golden with axis=1"),
        ],
    )
    def test_that_the_test_passes_are_told(
        self, old: dict[str, str], new: dict[str, str], said: str
    ) -> None:
        golden, run = (
            replace(GOLDEN, outermost=(replace(ENCODER, flags=flags),)) for flags in (old, new)
        )
        assert found(run, "enc", golden) == ("flags", f"enc is called with {said}")

    @pytest.mark.parametrize("flags", [None, {}, {"training": "False"}])
    def test_that_nobody_looked_at_or_that_are_off_are_no_difference(
        self, flags: dict[str, str] | None
    ) -> None:
        for old, new in ((flags, {}), ({}, flags)):
            golden, run = (
                replace(GOLDEN, outermost=(replace(ENCODER, flags=given),)) for given in (old, new)
            )
            assert found(run, "enc", golden) is None


@pytest.mark.parametrize(("old", "new"), [(None, 8), (8, None), (8, 8)])
def test_batches_of_one_size_or_an_unknown_one_are_no_difference(
    old: int | None, new: int | None
) -> None:
    golden, run = (
        replace(GOLDEN, outermost=(replace(ENCODER, batch=batch),)) for batch in (old, new)
    )
    assert found(run, "enc", golden) is None


def test_batches_of_another_size_come_last() -> None:
    golden, run = (replace(GOLDEN, outermost=(replace(ENCODER, batch=batch),)) for batch in (8, 4))
    assert found(run, "enc", golden) == ("batch", "enc takes batches of 4, in the golden of 8")
    assert found(replace(run, inputs={"enc[0]": "other"}), "enc", golden) == (
        "inputs",
        "inputs differ, first at enc[0]",
    )
