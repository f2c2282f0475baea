"""Seeds of tests and of what they share: one by name each, and none takes from another."""

from __future__ import annotations

import random

import keras
import numpy as np
import pytest

from pytest_keras_golden.plugin.seeding import Seeding

Draws = tuple[float, float, float]


def drawn() -> Draws:
    return random.random(), float(np.random.rand()), float(keras.random.uniform(()))


def in_test(seeding: Seeding, name: str | None) -> Draws:
    """What a body draws whose fixtures draw nothing."""
    seeding.begin(name)
    seeding.after_setup()
    return drawn()


def in_fixture(seeding: Seeding, name: str) -> Draws:
    with seeding.apart(name):
        return drawn()


def in_module(seeding: Seeding, name: str) -> Draws:
    with seeding.importing(name):
        return drawn()


@pytest.mark.parametrize("where", [in_test, in_fixture, in_module])
def test_each_name_has_numbers_of_its_own_which_follow_the_seed(where) -> None:
    first, second, again = (where(Seeding(3), name) for name in ("first", "second", "first"))
    assert first == again
    assert not set(first) & set(second)
    assert not set(first) & set(where(Seeding(4), "first"))


def test_tests_that_ask_start_from_the_same_numbers_and_others_from_their_own() -> None:
    seeding = Seeding(3)
    asked = in_test(seeding, None)
    assert in_test(seeding, None) == asked
    assert not set(in_test(seeding, "first")) & set(asked)


@pytest.mark.parametrize("where", [in_fixture, in_module])
def test_what_is_shared_takes_no_number_from_the_test_that_it_is_made_for(where) -> None:
    seeding = Seeding(3)
    expected = in_test(seeding, "test"), drawn()
    begun = in_test(seeding, "test")
    where(seeding, "shared")
    assert (begun, drawn()) == expected


@pytest.mark.parametrize("where", [in_test, in_fixture, in_module])
def test_without_a_seed_chance_is_left_alone(where) -> None:
    # Keras seeds its global generator by Python's when it is first drawn from.
    keras.random.uniform(())
    random.seed(1)
    expected = random.random(), random.random()
    random.seed(1)
    assert (where(Seeding(None), "first")[0], random.random()) == expected


def of_python() -> float:
    random.seed()
    return random.random()


def of_numpy(*seed: None) -> float:
    np.random.seed(*seed)
    return float(np.random.rand())


ENTROPY = {
    "default_rng": lambda: float(np.random.default_rng().random()),
    "RandomState": lambda: float(np.random.RandomState().rand()),
    "seed()": of_numpy,
    "seed(None)": lambda: of_numpy(None),
    "python": of_python,
}


@pytest.fixture
def chance():
    """The generators that these tests seed from the system, put back."""
    python, numpy = random.getstate(), np.random.get_state()
    yield
    random.setstate(python)
    np.random.set_state(numpy)


@pytest.mark.usefixtures("chance")
@pytest.mark.parametrize("draw", ENTROPY.values(), ids=ENTROPY)
def test_what_a_test_seeds_from_the_system_follows_the_seed_too(draw) -> None:
    def in_body(seed: int, name: str) -> tuple[float, float]:
        seeding = Seeding(seed)
        seeding.begin(name)
        seeding.after_setup()
        numbers = draw(), draw()
        seeding.leave_alone()
        return numbers

    first = in_body(3, "first")
    assert first == in_body(3, "first")
    every = {*first, *in_body(3, "second"), *in_body(4, "first"), draw(), draw()}
    assert len(every) == 8


@pytest.mark.usefixtures("chance")
@pytest.mark.parametrize("apart", [in_fixture, in_module])
@pytest.mark.parametrize("draw", ENTROPY.values(), ids=ENTROPY)
def test_what_is_shared_takes_none_of_the_tests_entropy(draw, apart) -> None:
    def in_body(share: bool) -> tuple[float, float]:
        seeding = Seeding(3)
        seeding.begin("test")
        seeding.after_setup()
        first = draw()
        if share:
            apart(seeding, "shared")
        numbers = first, draw()
        seeding.leave_alone()
        return numbers

    assert in_body(share=True) == in_body(share=False)


def test_seeds_that_are_given_are_taken_as_they_are(chance) -> None:
    np.random.seed(7)
    random.seed("seven")
    expected = np.random.rand(), random.random(), np.random.default_rng(7).random()
    seeding = Seeding(3)
    seeding.begin("test")
    seeding.after_setup()
    np.random.seed(7)
    random.seed("seven")
    assert (np.random.rand(), random.random(), np.random.default_rng(7).random()) == expected
    seeding.leave_alone()


def test_what_was_replaced_is_put_back() -> None:
    before = random.seed, np.random.seed, np.random.bit_generator.randbits
    seeding = Seeding(3)
    seeding.begin("test")
    seeding.after_setup()
    assert np.random.seed is not before[1]
    seeding.end()
    assert (random.seed, np.random.seed, np.random.bit_generator.randbits) == before
