"""Why a layer gave other numbers: by kind of change and precision, end to end."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from pytest_keras_golden.capture.replay.twins import sampled

SUITE = """
    import os
    import keras
    import numpy as np
    import pytest
    from keras import layers, ops

    CHANGED = bool(os.environ.get("CHANGED"))
    X = np.random.default_rng(0).normal(size=(2, 16, 32)).astype("float32")
    DTYPES = pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])

    class Norm(layers.Layer):
        # As models write it: statistics in float32 or in the layer's own precision.
        def __init__(self, epsilon, own=False, **options):
            super().__init__(**options)
            self.epsilon, self.own = epsilon, own

        def build(self, shape):
            self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")

        def call(self, x):
            stats = x if self.own else ops.cast(x, "float32")
            stats = stats - ops.mean(stats, -1, keepdims=True)
            variance = ops.mean(ops.square(stats), -1, keepdims=True)
            return ops.cast(stats * ops.rsqrt(variance + self.epsilon), x.dtype) * self.scale

    class Summed(layers.Layer):
        # One matrix product, or the sum of two halves of it.
        def build(self, shape):
            self.kernel = self.add_weight(shape=(shape[-1], 32), name="kernel")

        def call(self, x):
            if not CHANGED:
                return ops.matmul(x, self.kernel)
            half = x.shape[-1] // 2
            first = ops.matmul(x[..., :half], self.kernel[:half])
            return first + ops.matmul(x[..., half:], self.kernel[half:])

    class Drawing(layers.Dropout):
        def call(self, x, training=False):
            if not CHANGED:
                return super().call(x, training=training)
            return super().call(x[::-1], training=training)[::-1]

    def check(golden_tensors, dtype, middle, shift=0, **call):
        model = keras.Sequential([
            keras.Input((16, 32)), layers.Dense(32, dtype=dtype, name="first"),
            layers.Rescaling(1, shift, dtype=dtype, name="shift"), middle,
            layers.Dense(8, dtype=dtype, name="logits"),
        ])
        golden_tensors.fill_weights(model)
        with golden_tensors.capture(model):
            model(X, **call)

    @DTYPES
    def test_epsilon(golden_tensors, dtype):
        epsilon = 2e-4 if CHANGED else 1e-4
        middle = layers.LayerNormalization(epsilon=epsilon, dtype=dtype, name="middle")
        check(golden_tensors, dtype, middle)

    @DTYPES
    def test_pinned_epsilon(golden_tensors, dtype):
        middle = Norm(2e-4 if CHANGED else 1e-4, dtype=dtype, name="middle")
        check(golden_tensors, dtype, middle)

    @DTYPES
    def test_statistics(golden_tensors, dtype):
        check(golden_tensors, dtype, Norm(1e-4, own=CHANGED, dtype=dtype, name="middle"), shift=30)

    @DTYPES
    def test_order_of_summation(golden_tensors, dtype):
        check(golden_tensors, dtype, Summed(dtype=dtype, name="middle"))

    @DTYPES
    def test_draws(golden_tensors, dtype):
        middle = Drawing(0.5, seed=1, dtype=dtype, name="middle")
        check(golden_tensors, dtype, middle, training=True)
"""

Outcome = dict[str, Any]


@pytest.fixture
def changed(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> dict[str, Outcome]:
    """Outcome of each test after the change, by name; nothing moves without one."""
    suite.makepyfile(SUITE)
    assert suite.runpytest_inprocess("--update-goldens").ret == 0
    same = suite.runpytest_inprocess()
    same.stdout.fnmatch_lines(["*15 golden tests: 15 identical*"])
    monkeypatch.setenv("CHANGED", "1")
    suite.runpytest_inprocess("--golden-log=log.json")
    tests = json.loads((suite.path / "log.json").read_text())["tests"]
    return {test["nodeid"].rpartition("::")[2]: test for test in tests}


def causes(test: Outcome) -> dict[str, str]:
    return {layer["name"]: layer["cause"] for layer in test["locals"] if layer["cause"]}


def test_every_change_has_its_cause(changed: dict[str, Outcome]) -> None:
    for dtype in ("float32", "bfloat16", "float16"):
        for name in ("test_epsilon", "test_draws"):
            test = changed[f"{name}[{dtype}]"]
            wanted = "random" if name == "test_draws" else "meaning"
            assert causes(test) == {"middle": wanted}, (name, dtype)
            assert (test["outcome"], test["local_drift"]) == ("failed", ["middle"])
        summed = changed[f"test_order_of_summation[{dtype}]"]
        assert set(causes(summed).values()) <= {"rounding"}
        assert summed["outcome"] == "passed", dtype
    # A layer of float32 that says so itself is computed in nothing higher: k = 64 decides.
    assert causes(changed["test_pinned_epsilon[float32]"]) == {"middle": "meaning"}
    for dtype in ("bfloat16", "float16"):
        pinned, statistics = (
            changed[f"{name}[{dtype}]"] for name in ("test_pinned_epsilon", "test_statistics")
        )
        assert causes(pinned) == {"middle": "meaning"}, dtype
        assert pinned["locals"][2]["twin"]["precision"] == "float32"
        assert causes(statistics) == {"middle": "precision"}, dtype
        assert statistics["locals"][2]["twin"]["accuracy"] == "worse"
        assert statistics["outcome"] == "failed"


def test_twins_that_come_later_tell_the_same(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a gate: recorded without, made for what moved, as candidates of an equal run."""
    suite.makepyfile(SUITE)

    def run(*options: str) -> dict[str, Outcome]:
        suite.runpytest_inprocess("-k", "bfloat16 and epsilon", "--golden-log=log.json", *options)
        tests = json.loads((suite.path / "log.json").read_text())["tests"]
        return {test["nodeid"].rpartition("::")[2]: test for test in tests}

    run("--update-goldens", "--golden-twins=later")
    again = run("--golden-twins=now", "--golden-output=again")
    assert {test["outcome"] for test in again.values()} == {"passed"}
    assert {t["verdict"] for test in again.values() for t in test["tensors"]} == {"identical"}
    monkeypatch.setenv("CHANGED", "1")
    before, after = run(), run("--goldens-dir=again")
    assert sorted(before) == ["test_epsilon[bfloat16]", "test_pinned_epsilon[bfloat16]"]
    for name, test in before.items():
        assert (test["outcome"], causes(test)) == ("passed", {})
        assert (after[name]["outcome"], causes(after[name])) == ("failed", {"middle": "meaning"})
        assert [t["k"] for t in after[name]["tensors"]] == [t["k"] for t in test["tensors"]]


FEW = """
    import os
    import keras
    import numpy as np
    import pytest
    from keras import layers, ops

    CHANGED = os.environ.get("CHANGED")
    X = np.random.default_rng(0).normal(size=(2, 64, 64)).astype("float32")
    KINDS = {"one": 1.0, "nan": float("nan")}

    class Edge(layers.Layer):
        # One element of 8,192 is another one, where no sample of a twin looks.
        def compute_output_shape(self, shape):
            return shape

        def call(self, x):
            at = np.zeros((2, 64, 64), "float32")
            at.reshape(-1)[PLACE] = 1
            there = ops.convert_to_tensor(at > 0)
            return ops.where(there, x + KINDS[CHANGED], x) if CHANGED else ops.where(there, x, x)

    def test_few(golden_tensors):
        model = keras.Sequential([
            keras.Input((64, 64)), layers.Dense(64, name="first"), Edge(name="border"),
            layers.GlobalMaxPooling1D(name="most"), layers.Dense(4, name="logits"),
        ])
        golden_tensors.fill_weights(model)
        with golden_tensors.capture(model, select="all"):
            model(X)
"""


@pytest.mark.parametrize(("kind", "verdict"), [("one", "drift"), ("nan", "nonfinite")])
def test_a_sample_excuses_nothing_that_it_did_not_see(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, kind: str, verdict: str
) -> None:
    seen = set(sampled(np.arange(2 * 64 * 64).reshape(2, 64, 64)).tolist())
    place = next(index for index in range(2 * 64 * 64) if index not in seen)
    suite.makepyfile(FEW.replace("PLACE", str(place)))
    assert suite.runpytest_inprocess("--update-goldens").ret == 0
    monkeypatch.setenv("CHANGED", kind)
    assert suite.runpytest_inprocess("--golden-log=log.json").ret == 1
    (test,) = json.loads((suite.path / "log.json").read_text())["tests"]
    (border,) = [layer for layer in test["locals"] if layer["name"] == "border"]
    assert (border["verdict"], border["cause"]) == (verdict, None)
    assert test["local_drift"] == ["border"]


BETWEEN = """
    import os
    import keras
    import numpy as np
    from keras import layers, ops

    CHANGED = bool(os.environ.get("CHANGED"))
    X = np.random.default_rng(0).normal(size=(2, 16, 32)).astype("float32")

    class Narrow(layers.Layer):
        def build(self, shape):
            self.kernel = self.add_weight(shape=(shape[-1], 32), name="kernel")

        def call(self, x):
            kernel = ops.convert_to_tensor(self.kernel)
            if CHANGED:
                kernel = ops.cast(ops.cast(kernel, "float8_e4m3fn"), x.dtype)
            return ops.matmul(x, kernel)

    class Model(keras.Model):
        def __init__(self):
            super().__init__(dtype="bfloat16")
            self.first = layers.Dense(32, dtype="bfloat16")
            self.narrow = Narrow(dtype="bfloat16")
            self.last = layers.Dense(8, dtype="bfloat16")

        def call(self, x):
            x = self.narrow(self.first(x))
            # A changed constant of the model's own code, of about one rounding.
            return self.last(x + (0.255 if CHANGED else 0.25) * ops.tanh(x))

    def test_between(golden_tensors):
        model = Model()
        model(X)
        golden_tensors.fill_weights(model)
        with golden_tensors.capture(model):
            model(X)
"""


def test_code_between_layers_and_casts_to_float8_have_their_causes(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.makepyfile(BETWEEN)
    assert suite.runpytest_inprocess("--update-goldens").ret == 0
    assert suite.runpytest_inprocess().ret == 0
    monkeypatch.setenv("CHANGED", "1")
    suite.runpytest_inprocess("--golden-log=log.json")
    (test,) = json.loads((suite.path / "log.json").read_text())["tests"]
    assert causes(test) == {"narrow": "precision", "<model>": "meaning"}
    assert test["local_drift"] == ["narrow", "<model>"]
    assert test["outcome"] == "failed"
