"""What the plugin runs again warns nobody a second time."""

from __future__ import annotations

import pytest
from backends import EVERY

SUITE = """
    import warnings
    import keras
    import numpy as np
    import pytest

    X, Y = np.ones((4, 3), "float32"), np.ones((4, 2), "float32")

    class Telling(keras.layers.Dense):
        def call(self, inputs):
            warnings.warn("told once")
            return super().call(inputs)

    def model():
        made = keras.Sequential([keras.Input((3,)), Telling(2)])
        made.compile("sgd", "mse", run_eagerly=False)
        return made

    CALLS = {
        "call": lambda made: made(X),
        "predict": lambda made: made.predict(X, verbose=0),
        "train": lambda made: made.train_on_batch(X, Y),
        "fit": lambda made: made.fit(X, Y, batch_size=4, epochs=1, verbose=0),
    }

    @pytest.mark.parametrize("call", CALLS)
    def test_told(call, golden_tensors, request, tmp_path_factory):
        if keras.backend.backend() == "numpy" and call in ("train", "fit"):
            pytest.skip("numpy cannot train")
        made = model()
        with golden_tensors.capture(made), warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            CALLS[call](made)
        watched = sum("told once" in str(one.message) for one in told)
        made = model()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            CALLS[call](made)
        assert watched == sum("told once" in str(one.message) for one in told)
"""


@pytest.mark.processes
@pytest.mark.parametrize("backend", EVERY)
def test_warnings_are_as_many_as_without(
    backend: str, suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    suite.makepyfile(SUITE)
    skipped = 2 if backend == "numpy" else 0
    result = suite.runpytest_subprocess("--update-goldens")
    result.assert_outcomes(passed=4 - skipped, skipped=skipped)
    result = suite.runpytest_subprocess()
    result.assert_outcomes(passed=4 - skipped, skipped=skipped)
