"""Samples of large tensors: which elements, of how many, and what the sums say of the rest."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from pytest_keras_golden.case.recording import describe
from pytest_keras_golden.compare.sampling import ROW, SMALL, fitting, paired, sampled, thinned
from pytest_keras_golden.compare.sketch import folded, sketched
from pytest_keras_golden.compare.verdict import judge
from pytest_keras_golden.outcomes import TensorOutcome
from pytest_keras_golden.records import TensorRecord, Tolerance

ROOM = 1 << 16
LIMIT = Tolerance(k=8.0)
RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(4, 64, 512)).astype(np.float32)

shapes = arrays.array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=40)
powers = st.integers(0, 5).map(lambda power: 1 << power)


def judged(now: TensorRecord, then: TensorRecord) -> TensorOutcome:
    """As a run is judged by a golden."""
    entry = describe(then, 0, LIMIT)
    entry = replace(entry, digest=then.digest or entry.digest, sample=then.sample)
    digest = now.digest or describe(now, 0, LIMIT).digest
    return judge(
        now,
        0,
        entry,
        lambda: then.value,
        LIMIT,
        digest=digest,
        reference=lambda: then.reference,
        sums=lambda: then.sums,
    )


def of(values: Any, **said: Any) -> TensorRecord:
    return TensorRecord("x", np.asarray(values), **said)


@given(shapes, st.data())
def test_a_sample_of_a_sample_is_a_sample_of_the_whole(
    shape: tuple[int, ...], data: st.DataObject
) -> None:
    array = np.arange(math.prod(shape)).reshape(shape)
    steps = tuple(data.draw(powers) for _ in shape)
    further = tuple(step * data.draw(powers) for step in steps)
    once = thinned(array, further)
    np.testing.assert_array_equal(thinned(thinned(array, steps), further, steps), once)
    assert once.reshape(-1)[-1] == array.reshape(-1)[-1]
    whole, kept = of(array), of(once)
    sample = replace(sampled(of(VALUES), ROOM), value=once).sample
    assert sample is not None
    sample = replace(sample, shape=shape, steps=further)
    assert sample.kept == once.shape
    entry = replace(describe(kept, 0, LIMIT), sample=sample, shape=shape)
    pair = paired(whole, entry, once, None, lambda: np.zeros(64, np.float32))
    np.testing.assert_array_equal(pair.actual, pair.golden)
    inside = tuple(data.draw(st.integers(0, length - 1)) for length in once.shape)
    place = pair.at(inside)
    assert place is not None
    assert array[place] == once[inside]
    assert pair.within(place) == inside


@given(st.integers(1, 5000), st.integers(4, 8), st.integers(0, 4))
def test_smaller_sums_are_in_larger_ones(elements: int, power: int, further: int) -> None:
    array = np.random.default_rng(elements).normal(size=elements + 4096)
    small, large = 1 << power, 1 << (power + further)
    np.testing.assert_allclose(
        folded(sketched(array, large), small, array.size), sketched(array, small), atol=1e-12
    )


@pytest.mark.parametrize("shape", [(1, 128, 768), (1, 128, 32000), (8, 112, 112, 32), (1 << 19,)])
def test_a_sample_has_the_room_that_it_was_given_or_one_row(shape: tuple[int, ...]) -> None:
    record = sampled(of(np.zeros(shape, np.float32)), ROOM)
    assert record.sums is not None
    assert record.value.nbytes + record.sums.nbytes <= max(ROOM, shape[-1] * 4 + ROOM // 2)
    assert record.value.shape[-1] == shape[-1] or shape[-1] * 4 > ROW


def test_heads_of_a_map_and_a_vocabulary_stay_whole() -> None:
    maps = TensorRecord("a:probabilities", np.zeros((2, 48, 256, 256), np.float32), "attention")
    assert sampled(maps, ROOM).value.shape[1:] == (48, 1, 256)
    logits = TensorRecord("logits", np.zeros((2, 1 << 19), np.float32), "logits")
    assert sampled(logits, ROOM).value.shape == (1, 1 << 19)


def test_what_fits_stays_whole_and_small_ones_leave_their_room_to_others() -> None:
    records = [replace(of(np.zeros(n, np.float32)), name=str(n)) for n in (10, 1000, 1 << 17)]
    assert fitting(records, 1 << 20, ()) == records
    kept = fitting(records, 1 << 18, ())
    assert kept[:2] == records[:2]
    assert kept[2].sample is not None
    assert (1 << 16) < sum(record.value.nbytes for record in kept) <= 1 << 18
    assert fitting(records, 1 << 18, [str(1 << 17)]) == records
    assert fitting(records, 0, ())[2].value.nbytes <= SMALL


def test_exact_numbers_stay_whole() -> None:
    whole = of(np.arange(1 << 17))
    assert sampled(whole, 1024) is whole


def test_the_whole_decides_what_is_identical() -> None:
    golden = sampled(of(VALUES), ROOM)
    assert judged(of(VALUES), golden).verdict == "identical"
    assert judged(golden, golden).verdict == "identical"
    assert judged(golden, of(VALUES)).verdict == "identical"


@pytest.mark.parametrize("both", [False, True])
def test_a_change_of_what_is_kept_is_told_where_it_is(both: bool) -> None:
    golden = sampled(of(VALUES), ROOM)
    moved = VALUES.copy()
    moved[3, 63, 7] += 1.0
    now = sampled(of(moved), ROOM) if both else of(moved)
    outcome = judged(now, golden)
    assert (outcome.verdict, outcome.index, outcome.shape) == ("drift", (3, 63, 7), VALUES.shape)
    assert "of its 131,072 elements" in (outcome.note or "")


@pytest.mark.parametrize("both", [False, True])
def test_a_change_of_what_is_not_kept_is_found_in_the_sums(both: bool) -> None:
    golden = sampled(of(VALUES), ROOM)
    assert golden.sample is not None
    moved = VALUES.copy()
    moved[0, 0] *= 1.01
    now = sampled(of(moved), ROOM) if both else of(moved)
    outcome = judged(now, golden)
    assert outcome.verdict == "drift"
    assert "outside of the elements that are kept" in (outcome.note or "")
    whole = judged(of(moved), of(VALUES))
    assert outcome.rel_l2 == pytest.approx(whole.rel_l2, rel=0.3)


def test_rounding_is_no_alarm() -> None:
    golden = sampled(of(VALUES), ROOM)
    for seed in range(20):
        error = np.random.default_rng(seed).uniform(-2, 2, VALUES.shape) * 2.0**-24
        outcome = judged(of((VALUES * (1 + error)).astype(np.float32)), golden)
        assert outcome.verdict == "within", outcome


def test_nan_where_nothing_is_kept_is_told() -> None:
    moved = VALUES.copy()
    moved[0, 0, 0] = np.nan
    assert judged(of(moved), sampled(of(VALUES), ROOM)).verdict == "nonfinite"


def test_samples_at_other_steps_are_compared_at_the_coarser() -> None:
    moved = VALUES.copy()
    moved[3, 63, 7] += 1.0
    fine, coarse = sampled(of(VALUES), 4 * ROOM // 2), sampled(of(moved), ROOM // 2)
    assert fine.sample is not None
    assert coarse.sample is not None
    assert fine.sample.steps != coarse.sample.steps
    assert judged(coarse, fine).index == (3, 63, 7)
    assert judged(sampled(of(moved), ROOM), sampled(of(VALUES), ROOM // 2)).index == (3, 63, 7)


def test_a_token_that_changes_is_told_at_its_place() -> None:
    logits = RNG.normal(size=(1, 64, 4096)).astype(np.float32)
    logits[..., 5] = 9.0
    moved = logits.copy()
    moved[0, 63, 6] = 10.0
    then, now = (TensorRecord("logits", array, "logits") for array in (logits, moved))
    outcome = judged(now, sampled(then, ROOM))
    (flip,) = outcome.extra["flips"]
    assert (flip["position"], flip["golden"], flip["actual"]) == (63, 5, 6)


def test_a_broken_causal_mask_is_told_at_its_query() -> None:
    rows = np.tril(np.ones((64, 64), np.float32))
    maps = np.broadcast_to(rows / rows.sum(-1, keepdims=True), (1, 8, 64, 64)).copy()
    moved = maps.copy()
    kept = sampled(TensorRecord("a:probabilities", maps, "attention"), 1 << 14)
    assert kept.sample is not None
    query = 63 - kept.sample.steps[2]
    moved[0, 3, query, query + 1] = 0.25
    outcome = judged(TensorRecord("a:probabilities", moved, "attention"), kept)
    assert f"causal mask broken: query {query} " in (outcome.note or "")


def test_a_reference_excuses_what_was_kept() -> None:
    exact = RNG.normal(size=(4, 64, 512)).astype(np.float32)
    golden = exact * np.float32(1 + 2e-5)
    record = sampled(of(golden, reference=exact), ROOM)
    assert record.reference is not None
    assert record.reference.shape == record.value.shape
    assert judged(of(exact), record).verdict != "drift"
