"""Elements of which a golden has no twin, and the run has."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from pytest_keras_golden.capture.causes import SAMPLED, lifting_of, with_causes
from pytest_keras_golden.capture.findings import Findings
from pytest_keras_golden.capture.record.eager import capture_calls, recorded_again
from pytest_keras_golden.capture.replay.isolate import LocalMeasurement, TensorPlace
from pytest_keras_golden.capture.replay.twins import sampled
from pytest_keras_golden.capture.tap.request import Request
from pytest_keras_golden.outcomes import LocalOutcome
from pytest_keras_golden.records import LayerCall

SHAPE = (4096, 2)
SIZE = 4096 * 2
SAMPLE = set(sampled(np.arange(SIZE).reshape(SHAPE)).tolist())
PLACE = next(at for at in range(0, SIZE, 2) if not {at, at + 1} & SAMPLE)
"""The first of a pair outside of the sample."""


@pytest.mark.parametrize(
    ("mirrored", "moved", "cause"),
    [(True, 0.0, "rounding"), (False, 1e-3, None), (False, 1e-1, None)],
)
def test_what_moves_as_far_as_it_rounds_has_the_cause_of_the_sample(
    mirrored: bool, moved: float, cause: str | None
) -> None:
    rng = np.random.default_rng(0)
    given = rng.normal(size=SHAPE).astype("float32")
    if mirrored:
        # Their difference, of which the layer is made, has lost most of its digits.
        given.reshape(-1)[PLACE : PLACE + 2] = 100.0, 100.05
    layer, found = keras.layers.LayerNormalization(), []
    layer(given)
    with capture_calls(layer, Request(), finished=found.append):
        layer(given)
    request = Request()
    ended = Findings(request, None, None, ahead=True)._with_twins(
        recorded_again(found[0], request), backward=False
    )
    (call,) = ended.layers
    assert ended.made is not None
    calls: dict[str, tuple[int, LayerCall]] = {call.name: (0, call)}
    lifting = lifting_of(ended.made, calls, ended.pool)
    assert not isinstance(lifting, str)
    (twin,) = lifting.whole[call.name]
    assert twin is not None
    golden = ended.pool[call.outputs[0]]
    # Elsewhere it rounds the other way, here by what it errs by itself.
    run = (2 * twin - golden).astype("float32")
    run.reshape(-1)[PLACE] += np.float32(moved)

    place = TensorPlace(call.name, "output", 0)
    item = LocalMeasurement(
        call.name, 0, "LayerNormalization", "output", place, "output", "float32", False, run, golden
    )
    furthest = float(np.abs(run - golden).max() * 2**23)
    local = LocalOutcome(call.name, 0, "drift", "float32", k=furthest)
    (told,) = with_causes([local], [item], calls, ended.pool, lifting)
    assert told.cause == cause
    assert told.no_cause == (None if cause else SAMPLED)
