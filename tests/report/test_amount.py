"""How much moved, in the words that every page leads with."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from outcomes_made import decoder, outcome, tensor

from pytest_keras_golden.outcomes import LocalOutcome, Twin
from pytest_keras_golden.records import Tolerance
from pytest_keras_golden.report.amount import most, moved_most, own_size, percent, size
from pytest_keras_golden.report.sentence import headline

NORM = LocalOutcome(
    "norm", 0, "drift", "bfloat16", k=20.0, rel_l2=0.0039, cause="precision",
    twin=Twin("float64", 0.0, 0.5, "better"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("share", "told"),
    [(0.0041, "0.41 %"), (2.5, "250 %"), (1e-6, "1.0e-4 %"), (0.0, "0 %"), (None, "-"),
     (math.inf, "inf %"), (math.nan, "nan %")],
)  # fmt: skip
def test_a_share_in_percent(share: float | None, told: str) -> None:
    assert percent(share) == told


def test_a_tensor_is_sized_by_its_share_and_its_limit() -> None:
    moved = tensor("a", 0, k=21.0)
    assert size(moved) == "2.1 %, 4.2× its limit (k 21 of 5)"
    absolute = replace(moved, tolerance=Tolerance(rtol=1e-3, atol=0.0))
    assert size(absolute) == "2.1 %, max |Δ| 0.21, limit rtol=1.0e-3 atol=0"
    assert size(replace(moved, k=None, rel_l2=None, max_abs=None)) == ""


def test_a_layer_is_sized_with_its_cause() -> None:
    assert own_size(NORM) == "0.39 %, 4× its limit, precision"
    assert own_size(replace(NORM, k=None, rel_l2=None, cause=None)) == ""


def test_the_most_is_of_what_is_beyond_its_limit_and_nan_is_more_than_any() -> None:
    small, large = tensor("a", 0, k=6.0), tensor("b", 1, k=9.0)
    within = tensor("c", 2, k=4.0)
    found = moved_most(outcome(within, small, large))
    assert found is not None
    assert found.name == "b"
    assert most([outcome(small), outcome(large)]) == "up to 0.9 %, 1.8× the limit"
    lost = replace(tensor("d", 3, k=6.0), k=math.nan, rel_l2=math.nan)
    found = moved_most(outcome(large, lost))
    assert found is not None
    assert found.name == "d"


def test_of_layers_alone_where_no_tensor_is_beyond_its_tolerance() -> None:
    hidden = outcome(tensor("a", 0, k=1.0), locals=(NORM,), local_drift=("norm",))
    assert most([hidden]) == "layers by themselves, up to 0.39 %, 4× the limit"
    said = headline(replace(hidden, outcome="failed"))
    assert "1 layer changed by itself between Keras 3.5.0 and 3.6.0" in said
    assert "`norm` gives other numbers (0.39 %, 4× its limit, precision)" in said
    assert "every compared tensor is inside its tolerance; in another model it may not" in said
    excused = outcome(tensor("a", 0, k=9.0, verdict="within"), outcome="failed",
                      locals=(NORM,), local_drift=("norm",))  # fmt: skip
    assert "or beyond it and no less accurate than before" in headline(excused)


def test_the_first_tensor_that_drifted_is_told_by_its_share_first() -> None:
    assert "first `logits`: 0.9 % (relative L2), k 9, 1.8× its bfloat16" in headline(decoder(2))
    assert most([]) == ""


@pytest.mark.parametrize(
    ("verdict", "words"),
    [("nonfinite", "NaN or Inf in other places"), ("structure", "another dtype or shape")],
)
def test_what_has_no_size_is_told_in_words(verdict: Any, words: str) -> None:
    lost = replace(tensor("lost", 0, k=0.0, verdict=verdict), rel_l2=0.0, note=None)
    assert size(lost) == words
    assert size(replace(lost, note="256 elements became NaN")) == "256 elements became NaN"
    assert own_size(replace(NORM, verdict=verdict, k=0.0, rel_l2=0.0)) == words
    # However large the others are: there is no number that it could be less than.
    assert most([outcome(tensor("large", 1, k=1e6), lost)]) == words
    layer = replace(NORM, verdict=verdict, k=0.0, rel_l2=0.0)
    hidden = outcome(tensor("a", 0, k=1.0), locals=(layer,), local_drift=("norm",))
    assert most([hidden]) == f"layers by themselves: {words}"
