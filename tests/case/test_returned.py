"""What a model returns is compared in its place, whichever layer it comes from."""

from __future__ import annotations

import json

import pytest

SUITE = """
    import os
    import keras
    import numpy as np
    import pytest
    from keras import layers, ops

    CHANGED = bool(os.environ.get("CHANGED"))
    X = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")

    class Two(keras.Model):
        def __init__(self, kind):
            super().__init__()
            self.a, self.b = layers.Dense(3, name="a"), layers.Dense(3, name="b")
            self.kind = kind

        def call(self, x):
            a, b = self.a(x), self.b(x)
            if self.kind == "moved":
                return {"logits": a, "value": ops.mean(a, -1) * (3.0 if CHANGED else 1.0)}
            if CHANGED:
                a, b = b, a
            return [a, b] if self.kind == "list" else {"p": a, "q": b}

    @pytest.mark.parametrize("method", ["__call__", "predict"])
    @pytest.mark.parametrize("kind", ["moved", "list", "dict"])
    def test_outputs(golden_tensors, kind, method):
        made = Two(kind)
        made(X)
        golden_tensors.fill_weights(made)
        with golden_tensors.capture(made):
            getattr(made, method)(X, **({"verbose": 0} if method == "predict" else {}))
"""


def test_outputs_that_moved_or_changed_places_fail(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.makepyfile(SUITE)
    suite.runpytest_inprocess("--update-goldens").assert_outcomes(passed=6)
    suite.runpytest_inprocess().assert_outcomes(passed=6)
    monkeypatch.setenv("CHANGED", "1")
    suite.runpytest_inprocess("--golden-log=log.json").assert_outcomes(failed=6)
    tests = json.loads((suite.path / "log.json").read_text())["tests"]
    assert all(test["first_drift"].startswith("<model>[") for test in tests)


@pytest.mark.parametrize("value", ["np.full(3, np.nan)", "np.zeros((0, 3))"])
def test_a_tensor_without_a_number_compares_nothing(suite: pytest.Pytester, value: str) -> None:
    suite.makepyfile(
        f"""
        import numpy as np

        def test_nothing(golden_tensors):
            golden_tensors.check("x", {value})

        def test_something_beside(golden_tensors):
            golden_tensors.check("x", {value})
            golden_tensors.check("y", np.ones(3))
        """
    )
    result = suite.runpytest_inprocess("--update-goldens")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*every tensor of the test is empty or all NaN*"])
