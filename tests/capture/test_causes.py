"""Goldens of strangers, whose twins are no samples of anything."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest

from pytest_keras_golden.capture.causes import lifting_of, with_causes
from pytest_keras_golden.capture.findings import Findings
from pytest_keras_golden.capture.record.eager import Ended, capture_calls, recorded_again
from pytest_keras_golden.capture.replay.isolate import LocalMeasurement, TensorPlace
from pytest_keras_golden.capture.tap.request import Request
from pytest_keras_golden.outcomes import LocalOutcome
from pytest_keras_golden.records import LayerCall

X = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")


@pytest.fixture
def ended() -> Ended:
    """A call of one layer, with its tensors and its twin."""
    layer, found = keras.layers.Dense(3, name="one"), []
    layer(X)
    with capture_calls(layer, Request(), finished=found.append):
        layer(X)
    request = Request()
    whole = recorded_again(found[0], request)
    return Findings(request, None, None, ahead=True)._with_twins(whole, backward=False)


@pytest.mark.parametrize("stranger", [np.zeros(5), np.zeros((2, 3)), np.zeros(6, np.int8), None])
def test_a_twin_of_another_form_tells_nothing(ended: Ended, stranger: np.ndarray | None) -> None:
    (call,) = ended.layers
    assert len(call.twins) == 1
    assert ended.made is not None
    pool = dict(ended.pool)
    golden = pool[call.outputs[0]]
    moved = golden + np.float32(1e-6)
    if stranger is not None:
        pool[call.twins[0]] = stranger
    calls: dict[str, tuple[int, LayerCall]] = {call.name: (0, call)}
    place = TensorPlace(call.name, "output", 0)
    item = LocalMeasurement(
        call.name, 0, "Dense", "output", place, "output", "float32", False, moved, golden
    )
    local = LocalOutcome(call.name, 0, "within", "float32", k=8.0)
    lifting = lifting_of(ended.made, calls, pool)
    (told,) = with_causes([local], [item], calls, pool, lifting)
    if stranger is None:
        assert told.cause == "precision"
        assert replace(told, cause=None, twin=None) == local
    else:
        assert told == replace(local, no_cause="its twin in the golden has another form")
