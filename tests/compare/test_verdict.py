"""Verdicts in the order in which they outrank each other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_keras_golden.case.recording import describe
from pytest_keras_golden.compare.metrics import measure
from pytest_keras_golden.compare.verdict import judge, missing
from pytest_keras_golden.outcomes import TensorOutcome, to_json
from pytest_keras_golden.records import TensorRecord, Tolerance
from pytest_keras_golden.store.digest import digest
from pytest_keras_golden.tolerance import default

from .conftest import FLOATS, cast, normal

LOW = FLOATS["bfloat16"]
GOLDEN = cast(normal((4, 16, 32)), LOW)
ORDER = ("identical", "within", "systematic", "drift")


def changed(by: Any, golden: Any = GOLDEN) -> Any:
    return cast(golden.astype(np.float64) * by, golden.dtype)


def verdict_of(
    actual: Any,
    golden: Any = GOLDEN,
    tolerance: Tolerance | None = None,
    record: TensorRecord | None = None,
    reference: Any = None,
    **options: Any,
) -> TensorOutcome:
    kind = record or TensorRecord("x", actual)
    tolerance = tolerance or default(kind.precision or golden.dtype.name)
    entry = describe(replace(kind, value=golden), 3, tolerance)
    options = {"digest": digest(actual), "reference": lambda: reference} | options
    return judge(kind, 3, entry, lambda: golden, tolerance, **options)


def unread() -> Any:
    raise AssertionError("the golden's bytes were read")


def test_an_equal_digest_is_identical_without_reading_the_golden() -> None:
    entry = describe(TensorRecord("x", GOLDEN), 0, default("bfloat16"))
    record = TensorRecord("x", GOLDEN.copy())
    found = judge(
        *(record, 0, entry, unread, default("bfloat16")), digest=digest(GOLDEN), reference=unread
    )
    assert found.verdict == "identical"


def test_an_identical_tensor_is_told_as_the_run_has_it_and_moved_by_nothing() -> None:
    record = TensorRecord("x", GOLDEN, "attention", "float16", False, "reconstructed")
    entry = replace(describe(record, 3, Tolerance(k=5)), detects=0.25)
    found = judge(record, 7, entry, unread, Tolerance(k=9), digest=entry.digest)
    assert found == TensorOutcome(
        name="x",
        order=7,
        kind="attention",
        dtype="bfloat16",
        precision="float16",
        shape=(4, 16, 32),
        judged=False,
        verdict="identical",
        source="reconstructed",
        tolerance=Tolerance(k=9),
        max_abs=0.0,
        max_rel=0.0,
        k=0.0,
        rel_l2=0.0,
        cosine=1.0,
        mismatches=0,
        max_ulp=0,
        bias=0.0,
        bias_t=0.0,
        detects=0.25,
    )


@pytest.mark.parametrize(
    ("other", "form"),
    [
        (GOLDEN[:3], "bfloat16[3, 16, 32]"),
        (GOLDEN.astype("f4"), "float32[4, 16, 32]"),
        (GOLDEN.reshape(4, 32, 16), "bfloat16[4, 32, 16]"),
    ],
)
def test_structure_comes_first_and_reads_nothing(other: Any, form: str) -> None:
    entry = describe(TensorRecord("x", GOLDEN), 0, default("bfloat16"))
    found = judge(TensorRecord("x", other), 0, entry, unread, default("bfloat16"))
    assert found.verdict == "structure"
    assert found.note == f"{form}, golden has bfloat16[4, 16, 32]"
    assert found.max_abs is None


@pytest.mark.parametrize("changed", [0, 1])
def test_integers_of_another_width_count_by_their_numbers_between_backends(changed: int) -> None:
    golden, actual = np.array([3, 4], np.int32), np.array([3, 4 + changed], np.int64)
    assert verdict_of(actual, golden).verdict == "structure"
    found = verdict_of(actual, golden, any_width=True)
    assert found.verdict == ("drift" if changed else "identical")
    assert found.mismatches == changed


@pytest.mark.parametrize("other", ["bool", "float32"])
def test_what_is_no_integer_has_no_other_width(other: str) -> None:
    golden, actual = np.array([1, 0], np.int32), np.array([1, 0], other)
    assert verdict_of(actual, golden, any_width=True).verdict == "structure"


def test_a_new_and_a_missing_tensor_suggest_the_nearest_name() -> None:
    entry = describe(TensorRecord("blocks/0/attention", GOLDEN), 2, default("bfloat16"))
    names = ["blocks/1/mlp", "blocks/0/attention@1"]
    gone = missing(entry, candidates=names)
    assert (gone.verdict, gone.order) == ("structure", 2)
    assert "nearest is 'blocks/0/attention@1'" in str(gone.note)
    new = judge(
        TensorRecord("block/0/attention", GOLDEN),
        2,
        None,
        unread,
        default("bfloat16"),
        candidates=["blocks/0/attention"],
    )
    assert new.verdict == "structure"
    assert "nearest is 'blocks/0/attention'" in str(new.note)


def test_what_resembles_nothing_is_only_called_new_or_missing() -> None:
    entry = describe(TensorRecord("x", GOLDEN), 2, default("bfloat16"))
    new = judge(
        *(TensorRecord("y", GOLDEN), 2, None, unread, default("bfloat16")), candidates=["x"]
    )
    assert new.note == "new: the golden has no 'y'"
    gone = missing(entry, candidates=["y"])
    assert gone.note == "missing: the golden has 'x', the run does not"


def test_a_missing_tensor_is_told_as_the_golden_has_it() -> None:
    record = TensorRecord(
        *("att:probabilities", GOLDEN, "attention", "float16", False, "reconstructed")
    )
    entry = replace(describe(record, 2, Tolerance()), tolerance=Tolerance(k=7.0), detects=0.5)
    gone = missing(entry)
    for name in ("name", "order", "kind", "dtype", "precision", "shape", "judged", "source"):
        assert getattr(gone, name) == getattr(entry, name)
    assert (gone.tolerance, gone.detects) == (entry.tolerance, entry.detects)


def test_a_changed_nan_pattern_outranks_everything_numeric() -> None:
    actual = changed(2.0)
    actual[1, 2, 3] = np.nan
    found = verdict_of(actual)
    assert found.verdict == "nonfinite"
    assert found.note == "1 element became or ceased to be NaN or Inf, first [1, 2, 3]"
    actual[3, 0, 0] = np.inf
    note = "2 elements became or ceased to be NaN or Inf, first [1, 2, 3]"
    assert verdict_of(actual, noise=30.0).note == note


@pytest.mark.parametrize(
    ("by", "verdict"),
    [
        (1 + 0.004 * normal(GOLDEN.shape, 3), "within"),
        (0.996, "systematic"),
        (1 + 0.2 * normal(GOLDEN.shape, 3), "drift"),
        (1.3, "drift"),
    ],
)
def test_numbers_decide(by: Any, verdict: str) -> None:
    found = verdict_of(changed(by))
    assert found.verdict == verdict
    assert found.k is not None
    assert (found.mismatches == 0) == (verdict != "drift")


def test_what_is_told_is_what_was_measured() -> None:
    actual = changed(1 + 0.2 * normal(GOLDEN.shape, 3))
    found, metrics = verdict_of(actual), measure(actual, GOLDEN, default("bfloat16"))
    names = ("max_abs", "max_rel", "k", "rel_l2", "cosine", "mismatches", "max_ulp", "index")
    for name in names:
        assert getattr(found, name) == getattr(metrics, name)
    assert metrics.bias is not None
    assert (found.bias, found.bias_t) == (metrics.bias.slope, metrics.bias.slope_t)
    mask = np.array([True, False])
    moved = verdict_of(~mask, mask)
    assert (moved.verdict, moved.bias, moved.bias_t) == ("drift", None, None)


def test_systematic_is_told_in_words_and_can_be_off() -> None:
    assert "% smaller" in str(verdict_of(changed(0.996)).note)
    assert verdict_of(changed(0.996), systematic="off").verdict == "within"
    assert verdict_of(changed(0.996), systematic="warn").verdict == "systematic"


def test_a_biased_drift_says_so() -> None:
    assert "systematic: outputs are 30 % larger" in str(verdict_of(changed(1.3)).note)


@given(st.integers(0, 10**6), st.floats(0, 6), st.floats(1, 3))
def test_verdicts_grow_with_the_perturbation(seed: int, strength: float, more: float) -> None:
    noise = 2.0**-7 * normal(GOLDEN.shape, seed)
    near, far = (
        ORDER.index(verdict_of(changed(1 + s * noise), systematic="off").verdict)
        for s in (strength, strength * more)
    )
    assert near <= far


@given(st.integers(0, 10**6), st.floats(-8, 8))
def test_under_an_absolute_tolerance_the_sides_may_be_swapped(seed: int, size: float) -> None:
    golden = cast(normal((12, 16), seed), LOW)
    actual = changed(1 + size * 2.0**-7, golden)
    tolerance = Tolerance(rtol=0.0, atol=0.05)
    there = verdict_of(actual, golden, tolerance, systematic="off")
    back = verdict_of(golden, actual, tolerance, systematic="off")
    assert there.verdict == back.verdict


def test_precision_not_storage_sets_epsilon() -> None:
    golden = GOLDEN.astype(np.float32)
    actual = changed(1 + 0.004 * normal(GOLDEN.shape, 3)).astype(np.float32)
    low = TensorRecord("x", actual, precision="bfloat16")
    assert verdict_of(actual, golden, record=low).verdict == "within"
    assert verdict_of(actual, golden).verdict == "drift"


def test_a_fall_in_precision_is_judged_by_the_finer() -> None:
    golden = GOLDEN.astype(np.float32) * np.float32(1.0001)
    entry = describe(TensorRecord("x", golden), 0, default("float32"))
    fallen = TensorRecord("x", GOLDEN.astype(np.float32), precision="bfloat16")
    found = judge(fallen, 0, entry, lambda: golden, Tolerance(k=64))
    assert (found.precision, found.verdict) == ("float32", "drift")


class TestThreeWay:
    reference = normal(GOLDEN.shape).astype(np.float32)

    def test_drift_that_is_no_less_accurate_is_within(self) -> None:
        baseline = changed(1 + 0.1 * normal(GOLDEN.shape, 1))
        found = verdict_of(GOLDEN, baseline, reference=self.reference)
        assert verdict_of(GOLDEN, baseline).verdict == "drift"
        assert found.verdict == "within"
        assert found.extra["reference"]["accuracy"] == "better"
        assert "(better)" in str(found.note)

    def test_drift_that_is_less_accurate_stays_drift(self) -> None:
        run = changed(1 + 0.1 * normal(GOLDEN.shape, 1))
        found = verdict_of(run, reference=self.reference)
        assert found.verdict == "drift"
        assert found.extra["reference"]["accuracy"] == "worse"

    def test_accuracy_excuses_no_bias(self) -> None:
        baseline = changed(1.3)
        found = verdict_of(GOLDEN, baseline, reference=self.reference)
        assert found.verdict == "systematic"
        assert verdict_of(changed(0.996), reference=self.reference).verdict == "systematic"

    def test_nor_is_a_bias_looked_for_where_it_is_off(self) -> None:
        baseline = changed(1.3)
        found = verdict_of(GOLDEN, baseline, reference=self.reference, systematic="off")
        assert found.verdict == "within"

    def test_a_perfect_baseline_leaves_an_epsilon_of_the_precision(self) -> None:
        golden = GOLDEN.astype(np.float32)
        actual = changed(1 + 0.004 * normal(GOLDEN.shape, 3)).astype(np.float32)
        record = TensorRecord("x", actual, precision="bfloat16")
        found = verdict_of(actual, golden, record=record, reference=golden)
        assert found.extra["reference"]["passes"] is True

    def test_accuracy_excuses_no_nan(self) -> None:
        baseline = changed(1 + 0.1 * normal(GOLDEN.shape, 1))
        baseline[0, 0, 0] = np.nan
        assert verdict_of(GOLDEN, baseline, reference=self.reference).verdict == "nonfinite"


class TestNoise:
    def test_nothing_is_judged_below_the_floor(self) -> None:
        actual = changed(1 + 0.06 * normal(GOLDEN.shape, 3))
        assert verdict_of(actual).verdict == "drift"
        k = verdict_of(actual).k
        assert k is not None
        assert verdict_of(actual, noise=1.01 * k).verdict == "unstable"
        assert verdict_of(actual, noise=0.3 * k).verdict == "drift"

    def test_what_is_beyond_an_unstable_floor_is_drift(self) -> None:
        assert verdict_of(changed(1.3), noise=6.0).verdict == "drift"

    def test_a_floor_within_the_tolerance_changes_nothing(self) -> None:
        actual = changed(1 + 0.004 * normal(GOLDEN.shape, 3))
        assert verdict_of(actual, noise=1.0).verdict == "within"
        assert verdict_of(actual, noise=30.0).verdict == "unstable"

    def test_the_entry_brings_its_own_floor(self) -> None:
        actual = changed(1 + 0.004 * normal(GOLDEN.shape, 3))
        entry = describe(TensorRecord("x", GOLDEN), 0, default("bfloat16"), noise=40.0)
        record = TensorRecord("x", actual)
        found = judge(record, 0, entry, lambda: GOLDEN, default("bfloat16"))
        assert found.verdict == "unstable"
        assert "k=40" in str(found.note)

    def test_absolute_tolerances_are_put_in_units_of_k(self) -> None:
        actual = changed(1 + 0.004 * normal(GOLDEN.shape, 3))
        loose, tight = Tolerance(rtol=0.5, atol=0.0), Tolerance(rtol=1e-3, atol=1e-3)
        assert verdict_of(actual, tolerance=loose, noise=3.0).verdict == "within"
        assert verdict_of(actual, tolerance=tight, noise=3.0).verdict == "unstable"

    @pytest.mark.parametrize(
        ("scale", "tolerance"),
        [
            (2.0, Tolerance(rtol=0.0, atol=2.0**-4)),
            (2.0, Tolerance(rtol=2.0**-5, atol=0.0)),
            (0.0, Tolerance(rtol=2.0**-5, atol=2.0**-4)),
        ],
    )
    def test_the_larger_of_rtol_and_atol_by_scale_allows_its_units_of_epsilon(
        self, scale: float, tolerance: Tolerance
    ) -> None:
        # 2⁻⁵ of the scale is four times the ε of bfloat16.
        golden = cast(scale * np.resize([1.0, -1.0], (8, 8)), LOW)
        actual = golden.copy()
        actual[0, 0] = actual[0, 0] + 2.0**-6 if scale else -0.0
        assert verdict_of(actual, golden, tolerance, noise=4.0).verdict == "within"
        found = verdict_of(actual, golden, tolerance, noise=4.01)
        note = "repeats under one stack differ by k=4.01, more than the tolerance's 4"
        assert (found.verdict, found.note) == ("unstable", note)


class TestKinds:
    def test_a_real_flip_fails_though_within(self) -> None:
        golden = cast(8 + 0.01 * normal((1, 6, 40)), FLOATS["float32"])
        golden[0, 2, 7], golden[0, 2, 9] = 9.0, 9.0 - 4e-6
        actual = golden.copy()
        actual[0, 2, 9] = 9.0 + 4e-6
        record = TensorRecord("logits", actual, kind="logits")
        found = verdict_of(actual, golden, record=record)
        assert (found.mismatches, found.verdict) == (0, "drift")
        assert "position 2: 7 → 9" in str(found.note)
        assert found.extra["flips_real"] == 1

    @pytest.mark.parametrize(
        ("shape", "rows", "note"),
        [
            ((1, 6, 40), 1, "1 token changes, most clearly at position 0: 7 → 9"),
            ((1, 6, 40), 2, "2 tokens change, most clearly at position 1: 7 → 9"),
            ((6, 40), 1, "1 prediction changes, most clearly at row 0: class 7 → 9"),
            ((6, 40), 3, "3 predictions change, most clearly at row 2: class 7 → 9"),
        ],
    )
    def test_flips_are_counted_and_the_clearest_is_named(
        self, shape: tuple[int, ...], rows: int, note: str
    ) -> None:
        golden, actual = np.zeros((2, 6, 40), np.float32)
        golden[:, 7] = 8.0 + np.arange(6) / 8
        actual[:] = golden
        actual[:rows, 9] = 16.0
        record = TensorRecord("logits", actual.reshape(shape), kind="logits")
        found = verdict_of(record.value, golden.reshape(shape), record=record)
        # All that the golden leads by: one ULP of float32 between 8 and 16 is 2⁻²⁰.
        margin = (8.0 + (rows - 1) / 8) / 2.0**-20
        assert found.note == f"{note} against a margin of {margin:.3g} ULP"
        assert found.verdict == "drift"

    def test_a_nan_outranks_a_flip(self) -> None:
        golden = np.tile(np.float32([9.0, 8.0, 7.0]), (1, 6, 1))
        actual = golden.copy()
        actual[0, 1], actual[0, 2, 1] = np.nan, 10.0
        record = TensorRecord("logits", actual, kind="logits")
        found = verdict_of(actual, golden, record=record)
        assert (found.extra["flips_real"], found.verdict) == (1, "nonfinite")

    def test_a_tie_is_reported_and_passes(self) -> None:
        golden = cast(normal((1, 6, 40)), LOW)
        golden[0, 2, 7], golden[0, 2, 9] = 9.0, 8.9375
        actual = golden.copy()
        actual[0, 2, 9] = 9.0625
        record = TensorRecord("logits", actual, kind="logits")
        found = verdict_of(actual, golden, record=record)
        assert found.verdict == "within"
        assert (found.extra["flips_real"], found.extra["flips_tie"]) == (0, 1)

    def test_precision_not_storage_decides_a_tie(self) -> None:
        golden = np.tile(np.float32([8.0625, 8.0, 0.0]), (6, 1))
        actual = golden.copy()
        actual[0, 1] = 8.125
        record = TensorRecord("logits", actual, kind="logits", precision="bfloat16")
        extra = verdict_of(actual, golden, record=record).extra
        assert (extra["flips_real"], extra["flips_tie"]) == (0, 1)

    def test_a_reference_that_undoes_a_flip_makes_it_a_tie(self) -> None:
        # Five ULP ahead, where the reference is two behind and so the golden off by four or so.
        golden = cast(np.tile([8.3125, 8.0, 0.0], (6, 1)), LOW)
        actual, reference = golden.copy(), golden.astype(np.float32)
        actual[0, 1] = 8.5
        reference[0] = [8.0, 8.125, 0.0]
        record = TensorRecord("logits", actual, kind="logits")
        assert verdict_of(actual, golden, record=record).extra["flips_tie"] == 0
        found = verdict_of(actual, golden, record=record, reference=reference)
        assert found.extra["flips_tie"] == 1

    @pytest.mark.parametrize(("shape", "rows"), [((32,), 1), ((2, 32), 2), ((4, 16, 32), 64)])
    def test_unchanged_logits_count_their_rows(self, shape: tuple[int, ...], rows: int) -> None:
        record = TensorRecord("logits", cast(normal(shape), LOW), kind="logits")
        assert verdict_of(record.value, record.value, record=record).extra["rows"] == rows

    def test_an_unchanged_scalar_has_no_rows(self) -> None:
        record = TensorRecord("logits", cast(3.0, LOW), kind="logits")
        assert verdict_of(record.value, record.value, record=record).extra == {}

    def test_a_leak_through_the_causal_mask_fails_though_within(self) -> None:
        golden = np.tril(np.ones((1, 2, 8, 8), np.float32))
        golden /= golden.sum(-1, keepdims=True)
        actual = golden.copy()
        actual[0, 1, 3, 6] = 2e-3
        record = TensorRecord("attention", actual, kind="attention")
        loose = Tolerance(rtol=0.0, atol=0.01)
        found = verdict_of(actual, golden, loose, record)
        assert found.verdict == "drift"
        assert str(found.note).startswith("causal mask broken: query 3")
        assert found.extra["causal_leak"] == pytest.approx(2e-3)

    def test_all_that_is_wrong_with_a_map_is_said(self) -> None:
        golden = np.exp(normal((1, 2, 8, 8)))
        golden = (golden / golden.sum(-1, keepdims=True)).astype(np.float32)
        actual = (golden * 1.01).astype(np.float32)
        found, low = (
            verdict_of(
                *(actual, golden, Tolerance(k=1e6)),
                TensorRecord("x", actual, kind="attention", precision=precision),
            )
            for precision in ("float32", "bfloat16")
        )
        biased = "systematic: outputs are 1 % larger"
        assert found.verdict == "systematic"
        assert found.note == f"{biased}; 16 rows of probabilities no longer sum to one"
        # Sums of bfloat16 may be off by 4 · 2⁻⁷.
        assert (low.verdict, low.note) == ("systematic", biased)

    def test_attention_outputs_are_judged_as_tensors(self) -> None:
        record = TensorRecord("attention", changed(1.004), kind="attention")
        assert verdict_of(record.value, record=record).extra == {}

    def test_outcomes_become_json(self) -> None:
        actual = changed(1.3)
        for kind in ("logits", "attention", "tensor", "block"):
            record = TensorRecord("x", actual, kind=kind)
            found = verdict_of(actual, record=record, reference=GOLDEN.astype("f4"))
            assert to_json(found)["verdict"] == "drift"
