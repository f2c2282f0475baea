"""Tokens, margins and divergence of logits."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_keras_golden.compare.logits import Flip, LogitsMetrics, logits_metrics, unchanged

from .conftest import FLOATS, cast, normal

# tests/conftest.py lets numpy's warnings pass for the sake of Keras, which nothing here runs.
pytestmark = pytest.mark.filterwarnings("error")


def compare(actual: Any, golden: Any, precision: str = "float32") -> LogitsMetrics:
    dtype = FLOATS[precision]
    found = logits_metrics(cast(actual, dtype), cast(golden, dtype), precision)
    assert found is not None
    return found


@pytest.mark.parametrize("shape", [(2, 5, 11), (3, 1, 7), (4, 2), (6,)])
def test_nothing_changes(shape: tuple[int, ...]) -> None:
    golden = normal(shape)
    assert compare(golden, golden) == unchanged(shape)


@given(st.integers(0, 10**6), st.floats(0, 1))
def test_divergence_is_that_of_the_distributions(seed: int, strength: float) -> None:
    golden = cast(4 * normal((3, 7), seed), FLOATS["float32"]).astype(np.float64)
    actual = cast(golden + strength * normal((3, 7), seed + 1), FLOATS["float32"])
    p, q = (np.exp(x) / np.exp(x).sum(-1, keepdims=True) for x in (golden, actual.astype("f8")))
    expected = (p * np.log(p / q)).sum(-1)
    found = compare(actual, golden)
    assert found.kl == pytest.approx(float(expected.mean()), rel=1e-6, abs=1e-14)
    assert found.kl_max == pytest.approx(float(expected.max()), rel=1e-6, abs=1e-14)


@given(st.integers(0, 10**6))
def test_shifted_logits_are_the_same_distribution(seed: int) -> None:
    golden = np.rint(normal((4, 9), seed) * 2**20) / 2**20
    found = logits_metrics(golden + 1024.0, golden)
    assert found is not None
    assert found.kl == pytest.approx(0.0, abs=1e-14)
    assert (found.top1, found.top5, found.flips) == (1.0, 1.0, ())


def test_a_real_flip_has_tokens_margin_and_position() -> None:
    golden = np.zeros((1, 4, 6))
    golden[..., 2], golden[..., 5] = 8.0, 7.0
    actual = golden.copy()
    actual[0, 3, 5] = 9.0
    found = compare(actual, golden, "bfloat16")
    (flip,) = found.flips
    assert (flip.position, flip.golden, flip.actual, flip.tie) == (3, 2, 5, False)
    # One ULP of bfloat16 between 8 and 16 is 2⁻⁴.
    assert flip.margin_ulp == 16.0
    assert found.top1 == 0.75
    assert found.to_extra()["flips_real"] == 1


@pytest.mark.parametrize(("precision", "ulp"), [((), 2.0**-20), (("bfloat16",), 2.0**-4)])
def test_margins_count_in_the_precision_not_the_storage(
    precision: tuple[str, ...], ulp: float
) -> None:
    golden, actual = np.float32([[8.0, 7.0]]), np.float32([[8.0, 9.0]])
    found = logits_metrics(actual, golden, *precision)
    assert found is not None
    assert found.flips == (Flip(0, 0, 1, 1 / ulp, 1 / ulp),)


@pytest.mark.parametrize(("first", "margin"), [(0.0, 0.0), (1.0, 2.0**7), (-1.0, 2.0**6)])
def test_the_margin_of_small_logits(first: float, margin: float) -> None:
    # One ULP of bfloat16 is 2⁻⁷ from 1 on and 2⁻⁶ from 2 on.
    (flip,) = compare([[first, 4.0]], [[first, first - abs(first)]], "bfloat16").flips
    assert flip.margin_ulp == margin


def test_a_flip_within_rounding_is_a_tie() -> None:
    golden = np.zeros((5, 6))
    golden[:, 2], golden[:, 4] = 8.0625, 8.0
    actual = golden.copy()
    actual[1, 4] = 8.125
    extra = compare(actual, golden, "bfloat16").to_extra()
    assert (extra["flips_real"], extra["flips_tie"]) == (0, 1)
    assert extra["flips"][0]["tie"] is True
    assert compare(actual, golden, "float32").to_extra()["flips_real"] == 1


def test_a_run_that_moved_far_is_no_tie_though_the_golden_was_undecided() -> None:
    golden = np.array([[8.0, 8.0, 0.0]])
    assert not compare([[8.0, 12.0, 0.0]], golden, "bfloat16").flips[0].tie


def test_positions_over_several_batches_are_indices() -> None:
    golden = normal((3, 2, 5))
    actual = golden.copy()
    actual[2, 1] = -golden[2, 1]
    (flip,) = compare(actual, golden).flips
    assert flip.position == (2, 1)
    assert flip.to_extra()["position"] == [2, 1]


def test_equal_logits_are_interchangeable_among_the_first_five() -> None:
    golden = np.array([[5.0, 4.0, 3.0, 2.0, 1.0, 1.0, 0.0]])
    actual = np.array([[5.0, 4.0, 3.0, 2.0, 1.0, 1.01, 0.0]])
    assert compare(actual, golden).top5 == 1.0
    assert compare(golden[:, ::-1], golden).top5 == pytest.approx(0.8)


def test_top5_is_the_share_of_the_first_five_that_both_have() -> None:
    golden, actual = normal((200, 30)), normal((200, 30)) + normal((200, 30), 1)
    found = logits_metrics(actual, golden)
    first = (np.argsort(-logits, axis=1)[:, :5].tolist() for logits in (golden, actual))
    shares = [len({*old} & {*new}) / 5 for old, new in zip(*first, strict=True)]
    assert found is not None
    assert found.top5 == pytest.approx(sum(shares) / 200)


def test_forbidden_tokens_are_no_nonsense() -> None:
    golden = normal((4, 8))
    golden[:, 3] = -np.inf
    found = compare(golden, golden)
    assert (found.kl, found.top1) == (0.0, 1.0)
    allowed = golden.copy()
    allowed[:, 3] = 0.0
    assert math.isfinite(compare(allowed, golden).kl)


def test_rows_without_a_distribution_are_left_out() -> None:
    golden = normal((3, 4))
    broken = golden.copy()
    broken[1] = np.nan
    found = compare(broken, golden)
    assert (found.rows, found.top1, found.kl) == (3, 1.0, 0.0)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_the_rows_beside_one_without_a_distribution_count(broken: float) -> None:
    golden = np.tile([2.0, 1.0, 0.0], (3, 1))
    actual = golden.copy()
    golden[0], actual[2] = broken, [1.0, 2.0, 0.0]
    found = compare(actual, golden)
    assert (found.rows, found.top1) == (3, 0.5)
    assert [flip.position for flip in found.flips] == [2]


def test_no_row_with_a_distribution_is_no_change() -> None:
    assert compare(np.full((3, 4), np.nan), normal((3, 4))) == unchanged((3, 4))


@pytest.mark.parametrize("shape", [(), (4, 1), (0, 7)])
def test_what_has_no_vocabulary_has_no_logits(shape: tuple[int, ...]) -> None:
    assert logits_metrics(np.zeros(shape), np.zeros(shape)) is None


def test_chunks_of_rows_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    golden, actual = normal((40, 11)), normal((40, 11)) + 0.3 * normal((40, 11), 1)
    reference = golden + 0.1 * normal((40, 11), 2)
    whole = logits_metrics(actual, golden, "float32", reference)
    monkeypatch.setattr(sys.modules["pytest_keras_golden.compare.logits"], "CHUNK", 30)
    parts = logits_metrics(actual, golden, "float32", reference)
    assert whole is not None
    assert parts is not None
    assert parts.flips == whole.flips
    assert parts.kl == pytest.approx(whole.kl)


def test_listed_flips_are_few_and_real_ones_come_first() -> None:
    golden = np.tile([8.0625, 8.0, 0.0], (60, 1))
    actual = np.tile([8.0, 8.0625, 0.0], (60, 1))
    actual[59] = 0.0, 20.0, 0.0
    extra = compare(actual, golden, "bfloat16").to_extra()
    assert len(extra["flips"]) == 20
    assert extra["flips"][0]["position"] == 59
    assert (extra["flips_real"], extra["flips_tie"]) == (1, 59)


def test_the_figures_go_by_their_names_and_ties_by_their_margin() -> None:
    flips = [Flip(at, 2, 5, margin, 0.0, 0.5) for at, margin in enumerate((0.25, 1.0, 0.5))]
    extra = LogitsMetrics(7, 0.1, 0.2, 0.3, 0.4, tuple(flips)).to_extra()
    assert [flip["position"] for flip in extra.pop("flips")] == [1, 2, 0]
    counts = {"flips_real": 0, "flips_tie": 3}
    assert extra == {"rows": 7, "kl": 0.1, "kl_max": 0.2, "top1": 0.3, "top5": 0.4, **counts}
    assert flips[1].to_extra() == {
        "position": 1,
        "golden": 2,
        "actual": 5,
        "tie": True,
        "margin_ulp": 1.0,
        "reference_margin_ulp": 0.5,
    }


def test_a_reference_tells_what_the_goldens_own_rounding_decides() -> None:
    # The golden leads by 4 ULP of bfloat16, 2⁻⁴ each; its logits are off by 2 ULP themselves.
    golden = np.zeros((1, 6))
    golden[0] = [0.0, 2.125, 8.25, 2.125, 8.0, 2.125]
    actual = golden.copy()
    actual[0, 4] = 8.5
    error = 0.125 * np.array([[0, 1, -1, 1, 1, 1]])
    true = golden + error

    def flips(reference: Any, golden: Any = golden) -> tuple[int, int]:
        found = logits_metrics(actual, golden, "bfloat16", reference)
        assert found is not None
        extra = found.to_extra()
        return extra["flips_real"], extra["flips_tie"]

    assert flips(None) == (1, 0)
    assert flips(true) == (0, 1)
    told = logits_metrics(actual, golden, "bfloat16", true)
    assert told is not None
    assert told.flips == (Flip(0, 2, 4, 4.0, 4.0, 0.0, pytest.approx(math.sqrt(52 / 6))),)
    # A golden that is right to a tenth of an ULP decided: the flip is real.
    assert flips(golden + 0.01 * error) == (1, 0)
    # So it is where both are sure beyond that error.
    sure = golden + np.array([[0, 0, 2, 0, 0, 0]])
    assert flips(sure + error, sure) == (1, 0)


def test_a_reference_that_is_not_finite_tells_nothing() -> None:
    golden = np.array([[8.0, 7.0, 1.0]])
    found = logits_metrics(golden[:, ::-1], golden, "bfloat16", np.full((1, 3), np.inf))
    assert found is not None
    assert found.flips[0].reference_margin_ulp is None
    assert not found.flips[0].tie
