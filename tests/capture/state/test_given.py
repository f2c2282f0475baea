"""What calls are given beside their tensors, and when that is something else than the golden's."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from pytest_keras_golden.capture.state.given import called_otherwise, given_to, passed
from pytest_keras_golden.capture.watch.calls import watching
from pytest_keras_golden.records import Given

X = np.ones((2, 3), "float32")


class Taking(keras.layers.Layer):
    def call(self, x, other=None, *, mode="sum", scale=1.0, keep=True):
        return x


class Asking:
    def __init__(self):
        self.found: dict[str, Given] = {}

    def around(self, call, run, args, kwargs):
        self.found[call.name] = given_to(call, args, kwargs)
        return run(*args, **kwargs)


def given(*args, **kwargs) -> Given:
    asking = Asking()
    with watching(None, asking):
        Taking()(*args, **kwargs)
    return asking.found["taking"]


def test_tensors_go_by_the_names_of_parameters():
    assert given(X, X).tensors == given(X, other=X).tensors == ("x", "other")
    assert given([X, X]).tensors == ("x[0]", "x[1]")


def test_boolean_tensors_are_apart():
    found = given(X, X > 0)
    assert (found.tensors, found.masks) == (("x",), ("other",))


def test_flags_are_there_by_default_and_passed():
    assert given(X).flags == {"mode": "sum", "scale": "1.0", "keep": "True"}
    assert given(X, mode="mean", scale=2.0).flags["mode"] == "mean"


def test_text_that_names_nothing_is_no_flag():
    assert passed([], {"path": "/a/b c", "mode": "sum", "none": None}) == {"mode": "sum"}
    assert passed([X, True], {"deep": {"training": False}}) == {
        "[1]": "True",
        "deep[training]": "False",
    }


ONE = Given(tensors=("x",), flags={"mode": "sum"})


@pytest.mark.parametrize(
    ("golden", "now", "why", "by_mask"),
    [
        (ONE, Given(("x", "y")), "2 tensors, in the golden with 1 (y is new)", False),
        (Given(("x", "y")), ONE, "1 tensor, in the golden with 2 (y is gone)", False),
        (
            Given(
                ("x", "x"),
            ),
            Given(("x",)),
            "1 tensor, in the golden with 2",
            False,
        ),
        (Given(), Given(masks=("mask",)), "with a mask, the golden's without", False),
        (Given(), Given(carried=("a",)), "with a mask, the golden's without", True),
        (Given(carried=("a",)), Given(), "without the golden's mask", True),
        (Given(carried=("a",)), Given(carried=("b",)), "with another mask", True),
        (ONE, Given(("x",), flags={"mode": "max"}), "mode=max, in the golden with mode=sum", False),
    ],
)
def test_another_call_is_told(golden: Given, now: Given, why: str, by_mask: bool):
    found = called_otherwise("gru", golden, now)
    assert found is not None
    assert found.by_mask == by_mask
    assert found.why.startswith("gru is called ")
    assert found.why.endswith(why)


@pytest.mark.parametrize(
    ("golden", "now"),
    [
        (None, ONE),
        (ONE, ONE),
        (Given(("inputs",)), Given(("x",))),
        (Given(masks=("mask",)), Given(carried=("a",))),
        (Given(carried=("a", "a")), Given(carried=("a",))),
        (Given(flags={"fused": "False"}), Given()),
    ],
)
def test_what_releases_pass_in_another_way_is_the_same_call(golden: Given | None, now: Given):
    assert called_otherwise("gru", golden, now) is None
