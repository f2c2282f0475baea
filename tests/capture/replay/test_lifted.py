"""Lifting needs nothing of a policy but what it holds."""

from __future__ import annotations

from typing import Any

import keras

from pytest_keras_golden.capture.replay.lifted import lifted


class Named:
    """As the policies of Keras 3.1, which are made by their name and do not say so to `copy`."""

    def __new__(cls, name: str) -> Any:
        return super().__new__(cls)

    def __init__(self, name: str) -> None:
        self.name = self._compute_dtype = self._variable_dtype = name

    @property
    def compute_dtype(self) -> str:
        return self._compute_dtype

    @property
    def variable_dtype(self) -> str:
        return self._variable_dtype


def test_a_policy_that_cannot_be_copied() -> None:
    layer, policy = keras.layers.Dense(3), Named("bfloat16")
    attribute = "_dtype_policy" if "_dtype_policy" in vars(layer) else "dtype_policy"
    object.__setattr__(layer, attribute, policy)
    with lifted([layer], ["bfloat16"], "float32"):
        raised = vars(layer)[attribute]
        assert (raised.compute_dtype, raised.variable_dtype) == ("float32", "bfloat16")
    assert vars(layer)[attribute] is policy
    assert policy.compute_dtype == "bfloat16"
