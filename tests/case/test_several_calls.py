"""Tests that call models several times: what changed between two calls is no layer's doing."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import preloaded
import pytest
from backends import EVERY

pytestmark = pytest.mark.processes

SUITE = """
    import os
    import keras
    import numpy as np
    import pytest

    CHANGED = bool(os.environ.get("CHANGED"))
    X = np.random.default_rng(3).normal(size=(8, 4)).astype("float32")
    Y = np.ones((8, 2), "float32")

    def model(*between):
        keras.utils.set_random_seed(0)
        layers = [keras.Input((4,)), keras.layers.Dense(3, name="first")]
        return keras.Sequential([*layers, *between, keras.layers.Dense(2, name="last")])

    @pytest.mark.skipif(keras.backend.backend() == "numpy", reason="numpy cannot train")
    class TestTraining:
        @pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
        def test_rate(self, optimizer):
            made = model()
            made.compile(getattr(keras.optimizers, optimizer)(0.02 if CHANGED else 0.01), "mse")
            made.train_on_batch(X, Y)
            made.predict(X, verbose=0)

        def test_batches(self):
            made = model()
            made.compile("sgd", "mse")
            made.fit(X, Y, batch_size=4 if CHANGED else 8, shuffle=False, verbose=0)
            made.predict_on_batch(X)

        def test_moving_averages(self):
            made = model(keras.layers.BatchNormalization(momentum=0.5 if CHANGED else 0.9))
            made(X, training=True)
            made(X)

    def test_assigned():
        made = model()
        made(X)
        kernel = made.get_layer("last").kernel
        kernel.assign(kernel * (2 if CHANGED else 1))
        made(X)

    def test_rounded():
        # As merging or quantizing does between two releases of a backend.
        made = model()
        made(X)
        kernel = made.get_layer("last").kernel
        kernel.assign(kernel * (1.0 + 2.0 ** -22 if CHANGED else 1.0))
        made(X)

    def test_set_weights():
        made = model()
        made.predict(X, verbose=0)
        made.set_weights([w + (1 if CHANGED else 0) for w in made.get_weights()])
        made.predict(X, verbose=0)

    def test_seed_drawn_from_in_between():
        made = model(keras.layers.Dropout(0.5, seed=7, name="dropout"))
        made(X, training=True)
        if CHANGED:
            made.get_layer("dropout").seed_generator.next()
        made(X, training=True)

    def test_scaled_between_models():
        first, last = model(), model()
        last(np.pad(np.asarray(keras.ops.convert_to_numpy(first(X))), ((0, 0), (0, 2)))
             * (1.5 if CHANGED else 1))

    def test_operation_between_layers():
        inputs = keras.Input((4,))
        x = keras.layers.Dense(3, name="first")(inputs)
        x = keras.ops.multiply(x, 1.5 if CHANGED else 1)
        keras.Model(inputs, keras.layers.Dense(2, name="last")(x))(X)

    def test_other_data():
        made = model()
        made(X)
        made.predict(X + (1 if CHANGED else 0), verbose=0)
"""


DECODING = """
    import os
    import keras
    import numpy as np
    from keras import ops

    class Scaled(keras.layers.Layer):
        def call(self, x):
            return x * (1.001 if os.environ.get("CHANGED") else 1.0)

    class Decoder(keras.Model):
        def __init__(self):
            super().__init__()
            self.project, self.scaled = keras.layers.Dense(4), Scaled()

        def call(self, token, cache):
            cache = ops.concatenate([cache, self.scaled(self.project(token))], axis=1)
            return ops.sum(cache, axis=1, keepdims=True), cache

    def test_decoding():
        keras.utils.set_random_seed(0)
        model, token = Decoder(), np.ones((1, 1, 4), "float32")
        cache = token
        for _ in range(4):
            token, cache = model(token, cache)
"""


SESSIONS = """
    import json, os, sys
    import pytest

    always = ["--golden-auto", "-p", "no:cacheprovider", "-p", "no:randomly", "-q"]
    for name, arguments in (("recorded", ["--update-goldens"]), ("same", []), ("changed", [])):
        os.environ.pop("CHANGED", None)
        if name == "changed":
            os.environ["CHANGED"] = "1"
        for module in ("test_calls", "test_decoder"):
            sys.modules.pop(module, None)
        pytest.main([*always, *arguments, f"--golden-log={name}.json"])
"""

Logs = dict[str, dict[str, dict[str, Any]]]


@pytest.fixture(scope="module", params=EVERY)
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def logs(backend: str, tmp_path_factory: pytest.TempPathFactory) -> Logs:
    """Session → test → outcome, of one process that records, checks, and checks what changed."""
    folder = tmp_path_factory.mktemp(backend)
    for name, text in (("test_calls.py", SUITE), ("test_decoder.py", DECODING)):
        (folder / name).write_text(textwrap.dedent(text))
    (folder / "pytest.ini").write_text("[pytest]\n")
    done = preloaded.run(textwrap.dedent(SESSIONS), folder=folder, KERAS_BACKEND=backend)
    done.check_returncode()
    return {name: _outcomes(folder / f"{name}.json") for name in ("recorded", "same", "changed")}


def _outcomes(log: Path) -> dict[str, dict[str, Any]]:
    tests = json.loads(log.read_text())["tests"]
    return {test["nodeid"].rpartition("::")[2]: test for test in tests}


def test_nothing_that_changed_between_calls_passes_or_is_blamed_on_a_layer(
    backend: str, logs: Logs
) -> None:
    assert {test["outcome"] for test in logs["recorded"].values()} <= {"recorded", "skipped"}
    assert all(test["outcome"] != "failed" for test in logs["same"].values())
    changed = {name: test for name, test in logs["changed"].items() if name != "test_decoding"}
    changed = {name: test for name, test in changed.items() if test["outcome"] != "skipped"}
    rounded = changed.pop("test_rounded")
    assert rounded["outcome"] == "passed"
    assert "within" in {tensor["verdict"] for tensor in rounded["tensors"]}
    assert len(changed) == (6 if backend == "numpy" else 10)
    for name in [name for name in changed if name.startswith("test_rate")]:
        rate = changed.pop(name)
        assert rate["outcome"] == "failed", name
        assert rate["local_drift"] == [name.replace("test_rate[", "schedule:").rstrip("]")]
    for name, test in changed.items():
        verdicts = {tensor["verdict"] for tensor in test["tensors"]}
        assert test["outcome"] == "failed", name
        assert "accumulated" not in verdicts, name
        assert test["local_drift"] == [] or name == "test_operation_between_layers", name
        if name != "test_operation_between_layers":
            assert "incomparable" in verdicts, name
            notes = " ".join(tensor["note"] or "" for tensor in test["tensors"])
            assert "differ" in notes or "is called with" in notes, name


def test_decoding_with_a_cache_blames_the_layer_at_every_step(logs: Logs) -> None:
    """Later steps are given what moved before: that is no other input."""
    assert logs["same"]["test_decoding"]["outcome"] == "passed"
    test = logs["changed"]["test_decoding"]
    assert test["outcome"] == "failed"
    assert {tensor["verdict"] for tensor in test["tensors"]} <= {"drift", "systematic", "within"}
    assert test["local_drift"]
    assert all(name.startswith("decoder/scaled") for name in test["local_drift"])
