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
