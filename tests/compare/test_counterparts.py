"""Layers of one family of Keras that the other has not are counted and named."""

from __future__ import annotations

from pytest_keras_golden.compare.counterparts import of_two_families, without_counterpart


def test_versions_tell_families() -> None:
    assert of_two_families("tf_keras 2.21.0", "3.15.1")
    assert not of_two_families("tf_keras 2.21.0", "tf_keras 2.19.0")
    assert not of_two_families("3.5.0", "3.15.1")


def test_the_same_layers_leave_nothing_to_say() -> None:
    assert without_counterpart(["a", "b"], ["b", "a"]) is None


def test_layers_of_either_side_are_named() -> None:
    said = without_counterpart(["a", "b"], ["a", "c"])
    assert said == "2 layer calls without a counterpart: b (golden), c (this run)"
    assert without_counterpart(["a"], []) == "1 layer call without a counterpart: a (golden)"


def test_many_are_counted() -> None:
    said = without_counterpart([str(i) for i in range(9)], [])
    assert said is not None
    assert said.startswith("9 layer calls")
    assert said.endswith("2 (golden) and 6 more")
