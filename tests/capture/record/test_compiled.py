"""Programs hand over what they compute, and nothing that a program may do confuses the watching."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import keras
import numpy as np
import pytest
from backends import EVERY
from keras import layers

from pytest_keras_golden.capture.block import capture_block
from pytest_keras_golden.capture.state.weights import fill_weights
from pytest_keras_golden.capture.tap.limit import Limit
from pytest_keras_golden.capture.tap.request import Request
from pytest_keras_golden.errors import CaptureError

CASES = Path(__file__).parent
RUN_TWICE = keras.backend.backend() != "numpy"
"""Whether `predict` is a program; a model that runs eagerly runs once, so nothing is compared."""
INPUTS = np.random.default_rng(0).normal(size=(4, 6)).astype("float32")


def small_model():
    model = keras.Sequential(
        [layers.Input((6,)), layers.Dense(5, activation="gelu", name="first"), layers.Dense(3)]
    )
    fill_weights(model)
    model.compile("sgd", "mse")
    return model


@pytest.fixture
def model():
    return small_model()


@pytest.fixture
def jax():
    if keras.backend.backend() != "jax":
        pytest.skip("another backend; the other backends' programs run in their own processes")
    return pytest.importorskip("jax")


def names(block):
    return [record.name for record in block.records]


@pytest.mark.processes
@pytest.mark.parametrize("backend", EVERY)
def test_methods_of_a_model_are_captured_without_changing_them(run_python, backend):
    code = f"""
        import sys
        sys.path.insert(0, {str(CASES)!r})
        from compiled_case import main
        main()
    """
    run_python(code, backend)


@pytest.mark.tensorflow
def test_tf_functions_with_and_without_xla(run_python):
    code = f"""
        import sys
        sys.path.insert(0, {str(CASES)!r})
        from compiled_case import *
        import pytest, tensorflow as tf
        from pytest_keras_golden.errors import CaptureError
        model = model_of("subclassed", "float32")
        for jit in (False, True):
            function = tf.function(lambda x: model(x), jit_compile=jit)
            block = captured(model, lambda: function(INPUTS))
            values = {{record.name: record.value for record in block.records}}
            assert block.mode == "compiled" and block.observer is None
            assert np.array_equal(values[OUTPUT], block.returned.numpy())
            assert list(block.inputs) == ["<model>[0]"]
            assert not captured(model, lambda: function(INPUTS)).records, "compiled before"
            function(INPUTS)
            again = tf.function(lambda x: model(x), jit_compile=jit)
            with pytest.raises(CaptureError, match="ran 2 times"):
                captured(model, lambda: (again(INPUTS), again(INPUTS)))
        # A data pipeline traces layers too, and a loop runs them any number of times.
        scale = layers.Rescaling(2.0)
        with capture_block(None, Request(("all",))) as block:
            pipeline = tf.data.Dataset.from_tensor_slices(INPUTS).map(lambda x: scale(x))
            assert len(list(pipeline)) == 7
        assert not block.records
        head = layers.Dense(8)
        head.build((None, 8))
        @tf.function
        def loop(x):
            return tf.while_loop(lambda n, x: n < 3, lambda n, x: (n + 1, head(x)), (0, x))
        with capture_block(None, Request(("all",))) as block:
            loop(tf.ones((2, 8)))
        assert not block.records
    """
    run_python(code, "tensorflow")


@pytest.mark.torch
def test_torch_compile_is_refused_with_what_to_do_instead(run_python):
    code = f"""
        import sys, warnings
        warnings.simplefilter("ignore")
        sys.path.insert(0, {str(CASES)!r})
        from compiled_case import *
        import pytest, torch
        from pytest_keras_golden.errors import CaptureError
        model = model_of("sequential", "float32")
        compiled = torch.compile(model, backend="eager")
        with pytest.raises(CaptureError, match="torch.compile") as caught:
            captured(model, lambda: compiled(torch.tensor(INPUTS)))
        assert "check" in caught.value.fix
    """
    run_python(code, "torch")


def test_a_jitted_function_traced_in_the_block(jax, model):
    function = jax.jit(model.__call__)
    with capture_block(model, Request(("all",))) as block:
        returned = function(INPUTS)
        assert np.array_equal(block.tensors["dense#0"], returned)
    assert names(block) == ["first", "dense#0", "<model>"]
    assert block.mode == "compiled"
    assert block.observer is None
    assert block.isolation.startswith("unavailable")
    assert block.inputs.keys() == {"<model>[0]"}
    with capture_block(model, Request(("all",))) as late:
        function(INPUTS)
    assert not late.records, "compiled before the block: cannot be seen"
    assert np.array_equal(function(INPUTS), returned), "outlives the block and its callbacks"


def test_a_program_that_runs_twice_in_one_block_is_refused(jax, model):
    function = jax.jit(model.__call__)

    def twice():
        with capture_block(model, Request(("all",))):
            function(INPUTS)
            function(INPUTS)

    with pytest.raises(CaptureError, match="ran 2 times"):
        twice()


def test_an_error_in_the_callback_comes_out_as_itself(jax, model):
    function = jax.jit(model.__call__)
    with (
        pytest.raises(CaptureError, match="golden_max_bytes") as caught,
        capture_block(model, Request(("all",), limit=Limit(50))),
    ):
        function(INPUTS)
    assert "select" in caught.value.fix
    assert function(INPUTS).shape == (4, 3)


def test_vmap_shapes_and_scans_are_left_alone(jax, model):
    layer = layers.Dense(6)
    layer.build((None, 6))
    with capture_block(None, Request(("all",))) as block:
        jax.vmap(lambda x: model(x[None]))(INPUTS)
        jax.jit(jax.vmap(lambda x: model(x[None])))(INPUTS)
        jax.eval_shape(lambda x: x, INPUTS)
    assert not block.records

    def scanned(x):
        return jax.lax.scan(lambda carry, _: (layer(carry), None), model_free(x), None, length=3)[0]

    def model_free(x):
        return x * 2

    class Scanning(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = layer

        def call(self, x):
            return scanned(x)

    scanning = Scanning()
    with capture_block(scanning, Request(("all",))) as block:
        scanning(INPUTS)
    assert names(block) == ["<model>"], "the body of a scan is no call of its own"


def test_gradients_see_what_they_differentiate(jax, model):
    def loss(x):
        return keras.ops.sum(model(x) ** 2)

    expected = jax.grad(loss)(INPUTS)
    with capture_block(model, Request(("all",))) as block:
        eager = jax.grad(loss)(INPUTS)
    assert names(block) == ["first", "dense#0", "<model>"]
    assert np.array_equal(eager, expected)
    jitted = jax.jit(jax.grad(loss))
    with capture_block(model, Request(("all",))) as block:
        jitted(INPUTS)
    assert names(block) == ["first", "dense#0", "<model>"]


def test_a_generator_is_used_once(model):
    batches = ((INPUTS,) for _ in range(2))
    with capture_block(model, Request(("all",))) as block:
        returned = model.predict(batches, steps=2, verbose=0)
    assert block.observer == ("identical" if RUN_TWICE else None)
    assert block.tensors["dense#0"].shape == returned.shape == (8, 3)


@pytest.mark.skipif(os.environ["KERAS_BACKEND"] == "numpy", reason="Keras has no fit on numpy")
@pytest.mark.parametrize("training", [True, False])
def test_fit_and_evaluate_are_looked_into_where_that_is_asked_for(model, training):
    with capture_block(model, Request(("all",) if training else ("blocks",))) as block:
        model.fit(INPUTS, np.zeros((4, 3)), epochs=2, verbose=0)
        model.evaluate(INPUTS, np.zeros((4, 3)), verbose=0)
        model(INPUTS)
    steps = {"step_000", "step_001", "curve", "test_step_000", "logs"} & {
        name.partition("/")[0] for name in names(block)
    }
    assert steps >= ({"step_000", "step_001", "curve", "test_step_000"} if training else set())
    assert bool(steps) == training
    unseen = {kind for kind, count in block.unseen.items() if count}
    assert unseen == (set() if training else {"fit", "evaluate"})
    if training:
        assert names(block)[-3:] == ["first", "dense#0", "<model>"]


def test_a_layer_that_raises_leaves_no_trace(model):
    class Broken(keras.layers.Layer):
        def call(self, x):
            raise ArithmeticError("broken")

    broken = keras.Sequential([layers.Dense(3), Broken()])
    original = keras.Model.predict, layers.Dense.__call__
    with pytest.raises(ArithmeticError), capture_block(broken, Request(("all",))):
        broken.predict(INPUTS, verbose=0)
    assert (keras.Model.predict, layers.Dense.__call__) == original
    assert "predict_step" not in vars(broken)
    with capture_block(model, Request(("all",))) as block:
        model.predict(INPUTS, verbose=0)
    assert len(block.records) == 3


def test_overridden_steps_and_methods_are_the_ones_that_run():
    class Doubling(keras.Sequential):
        def predict_step(self, *args):
            outputs = super().predict_step(*args)
            if isinstance(outputs, tuple):
                return (outputs[0] * 2, *outputs[1:])
            return outputs * 2

        def predict(self, x, **kwargs):
            return super().predict(x, **kwargs) + 1

    model = Doubling([layers.Input((6,)), layers.Dense(3)])
    fill_weights(model)
    with capture_block(model, Request(("all",))) as block:
        returned = model.predict(INPUTS, verbose=0)
    assert block.observer == ("identical" if RUN_TWICE else None)
    np.testing.assert_array_equal(block.tensors["dense#0"] * 2 + 1, returned)


def test_only_the_captured_model_and_only_this_thread(model):
    other = small_model()
    results = []

    def elsewhere():
        results.append(model.predict(INPUTS, verbose=0))

    with capture_block(model, Request(("all",))) as block:
        other.predict(INPUTS, verbose=0)
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert not block.records
    assert results[0].shape == (4, 3)


def test_nested_blocks_each_see_their_model(model):
    other = small_model()
    with (
        capture_block(model, Request(("all",))) as outer,
        capture_block(other, Request(("all",))) as b,
    ):
        model.predict(INPUTS, verbose=0)
        other.predict(INPUTS[:2], verbose=0)
    assert outer.tensors["dense#0"].shape == (4, 3)
    assert b.tensors["dense#0"].shape == (2, 3)
    assert outer.observer == b.observer == ("identical" if RUN_TWICE else None)


def test_names_used_by_a_method_and_by_a_call_are_counted_on(model):
    with capture_block(model, Request(("logits",))) as block:
        model(INPUTS)
        model.predict(INPUTS, verbose=0)
        model.predict(INPUTS, verbose=0)
    assert names(block) == ["dense#0", "dense#0@1", "dense#0@2"]


def test_a_changed_observer_is_said_and_the_plain_numbers_are_kept(model):
    class Sensitive(keras.layers.Layer):
        """Counts its runs, so that the second one differs from the first."""

        runs = 0

        def call(self, x):
            Sensitive.runs += 1
            return x + float(Sensitive.runs)

    sensitive = keras.Sequential([layers.Input((6,)), Sensitive()])
    with capture_block(sensitive, Request(("all",))) as block:
        returned = sensitive.predict(INPUTS, verbose=0)
    assert block.observer == ("changed" if RUN_TWICE else None)
    assert np.array_equal(block.tensors["<model>"], returned)
