"""Programs that are traced to be written to a file run nowhere here: they are left alone."""

from __future__ import annotations

import json

import pytest
from preloaded import runpytest

SUITE = """
    import keras
    import numpy as np
    import pytest

    X = np.ones((2, 4), "float32")
    BACKEND = keras.backend.backend()

    def model():
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name="head")])

    def on(backend):
        return pytest.mark.skipif(BACKEND != backend, reason="another backend")

    @on("jax")
    @pytest.mark.parametrize("batch", ["2", "b"])
    def test_export(batch):
        import jax
        from jax import export

        one = model()
        (size,) = export.symbolic_shape(batch)
        spec = jax.ShapeDtypeStruct((size, 4), "float32")
        written = export.export(jax.jit(lambda x: one(x)))(spec).serialize()
        read = export.deserialize(written)
        np.testing.assert_allclose(read.call(X), one(X), rtol=1e-5)

    @on("jax")
    def test_step():
        import jax
        from jax import export

        weight = keras.Variable(np.ones(3, "float32"))
        optimizer = keras.optimizers.SGD(0.1)
        optimizer.build([weight])

        def step(grad, slots, values):
            return optimizer.stateless_apply(slots, [grad], values)[0]

        given = X[0, :3], [v.value for v in optimizer.variables], [weight.value]
        written = export.export(jax.jit(step))(*given).serialize()
        (left,) = export.deserialize(written).call(*given)
        np.testing.assert_allclose(left, 0.9, rtol=1e-5)

    @pytest.mark.skipif(BACKEND == "torch", reason="torch has no such format")
    def test_saved_model(tmp_path):
        tf = pytest.importorskip("tensorflow")
        one = model()
        one.export(tmp_path / "saved", verbose=False)
        saved = tf.saved_model.load(tmp_path / "saved")
        np.testing.assert_allclose(saved.serve(X), one(X), rtol=1e-5)

    @on("tensorflow")
    def test_signature(tmp_path):
        import tensorflow as tf

        class Serving(tf.Module):
            def __init__(self):
                self.model = model()

            @tf.function(input_signature=[tf.TensorSpec((None, 4), "float32")])
            def served(self, x):
                return self.model(x)

        module = Serving()
        tf.saved_model.save(module, tmp_path / "saved", signatures={"served": module.served})
        saved = tf.saved_model.load(tmp_path / "saved")
        np.testing.assert_allclose(saved.served(X), module.model(X), rtol=1e-5)

    @on("tensorflow")
    def test_concrete_function():
        import tensorflow as tf
        from tensorflow.python.framework import convert_to_constants

        one = model()
        made = tf.function(one).get_concrete_function(tf.TensorSpec((None, 4), "float32"))
        frozen = convert_to_constants.convert_variables_to_constants_v2(made)
        np.testing.assert_allclose(frozen(tf.constant(X))[0], one(X), rtol=1e-5)

    @on("torch")
    def test_program():
        import torch

        one = model()
        one(X)
        program = torch.export.export(one, (torch.tensor(X),), strict=False)
        np.testing.assert_allclose(program.module()(torch.tensor(X)).detach(), one(X).detach())
"""


TRACED = ["traced calls"]


@pytest.mark.processes
@pytest.mark.parametrize(
    ("backend", "unseen", "ran"),
    [
        ("jax", TRACED, ["test_export[2]", "test_export[b]"]),
        ("jax", ["optimizers"], ["test_step"]),
        pytest.param("jax", TRACED, ["test_saved_model"], marks=pytest.mark.tensorflow),
        pytest.param(
            "tensorflow",
            TRACED,
            ["test_saved_model", "test_signature", "test_concrete_function"],
            marks=pytest.mark.tensorflow,
        ),
        pytest.param("torch", [], ["test_program"], marks=pytest.mark.torch),
    ],
)
def test_what_is_exported_is_what_it_is_without_the_plugin(
    backend: str,
    unseen: list[str],
    ran: list[str],
    suite: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    suite.makepyfile(SUITE)
    nodes = [f"{next(suite.path.glob('test_*.py')).name}::{name}" for name in ran]
    recording = ("--golden-auto", "--update-goldens", "--golden-log=log.json")
    runpytest(suite, *recording, *nodes).assert_outcomes(passed=len(ran))
    tests = json.loads((suite.path / "log.json").read_text())["tests"]
    for test in tests:
        assert test["outcome"] == ("passed" if "test_step" in ran else "recorded")
        assert test["unseen"] == unseen
    runpytest(suite, "--golden-auto", *nodes).assert_outcomes(passed=len(ran))
