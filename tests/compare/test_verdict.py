"""Verdicts in the order in which they outrank each other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_keras_golden.case.recording import describe
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
    assert (found.max_abs, found.mismatches, found.cosine) == (0.0, 0, 1.0)


@pytest.mark.parametrize("other", [GOLDEN[:3], GOLDEN.astype("f4"), GOLDEN.reshape(4, 32, 16)])
def test_structure_comes_first_and_reads_nothing(other: Any) -> None:
    entry = describe(TensorRecord("x", GOLDEN), 0, default("bfloat16"))
    found = judge(TensorRecord("x", other), 0, entry, unread, default("bfloat16"))
    assert found.verdict == "structure"
    assert "golden has bfloat16[4, 16, 32]" in str(found.note)
    assert found.max_abs is None


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
    assert "nearest" not in str(missing(entry, candidates=["zzz"]).note)


def test_a_missing_tensor_is_told_as_the_golden_has_it() -> None:
    record = TensorRecord(
        *("att:probabilities", GOLDEN, "attention", "float16", False, "reconstructed")
    )
    entry = describe(record, 2, Tolerance(k=7.0))
    gone = missing(entry)
    for name in ("name", "order", "kind", "dtype", "precision", "shape", "judged", "source"):
        assert getattr(gone, name) == getattr(entry, name)
    assert (gone.tolerance, gone.detects) == (entry.tolerance, entry.detects)


def test_a_changed_nan_pattern_outranks_everything_numeric() -> None:
    actual = changed(2.0)
    actual[1, 2, 3] = np.nan
    found = verdict_of(actual)
    assert found.verdict == "nonfinite"
    assert "first [1, 2, 3]" in str(found.note)


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

    def test_a_tie_is_reported_and_passes(self) -> None:
        golden = cast(normal((1, 6, 40)), LOW)
        golden[0, 2, 7], golden[0, 2, 9] = 9.0, 8.9375
        actual = golden.copy()
        actual[0, 2, 9] = 9.0625
        record = TensorRecord("logits", actual, kind="logits")
        found = verdict_of(actual, golden, record=record)
        assert found.verdict == "within"
        assert (found.extra["flips_real"], found.extra["flips_tie"]) == (0, 1)

    def test_unchanged_logits_count_their_rows(self) -> None:
        record = TensorRecord("logits", GOLDEN, kind="logits")
        assert verdict_of(GOLDEN, record=record).extra["rows"] == 64

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

    def test_attention_outputs_are_judged_as_tensors(self) -> None:
        record = TensorRecord("attention", changed(1.004), kind="attention")
        assert verdict_of(record.value, record=record).extra == {}

    def test_outcomes_become_json(self) -> None:
        actual = changed(1.3)
        for kind in ("logits", "attention", "tensor", "block"):
            record = TensorRecord("x", actual, kind=kind)
            found = verdict_of(actual, record=record, reference=GOLDEN.astype("f4"))
            assert to_json(found)["verdict"] == "drift"
