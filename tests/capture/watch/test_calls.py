"""Watching changes nothing, ends everywhere, and holds out against hostile models."""

from __future__ import annotations

import gc
import os
import threading
from contextlib import ExitStack

import keras
import numpy as np
import pytest
from isolating import recording, unchanged

from pytest_keras_golden.capture.record.eager import capture_calls
from pytest_keras_golden.capture.tap.request import Request
from pytest_keras_golden.capture.watch.calls import watching

X = np.ones((2, 3), "float32")


class Names:
    """Observer that only lists the calls that ended well."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def around(self, call, run, args, kwargs):
        outputs = run(*args, **kwargs)
        self.names.append(call.name)
        return outputs


def untouched() -> bool:
    """Whether no class or module still has a gate."""
    from keras.src import backend

    layers = [keras.layers.Layer, keras.layers.Dense, keras.layers.MultiHeadAttention, keras.Model]
    places = [attribute for owner in layers for attribute in vars(owner).values()]
    places += [keras.Operation.__call__, backend.compute_output_spec]
    return not any(hasattr(place, "__golden_patch__") for place in places)


@pytest.fixture(autouse=True)
def _classes_as_before():
    assert untouched()
    yield
    assert untouched()


class Failing(keras.layers.Layer):
    def call(self, x):
        raise ZeroDivisionError("in the middle")


def test_layer_that_raises_leaves_nothing_behind():
    model = keras.Sequential([keras.layers.Dense(2), Failing(), keras.layers.Dense(2)])
    observer = Names()
    with pytest.raises(ZeroDivisionError), watching(model, observer) as watch:
        model.call(X)
    assert observer.names == ["dense#0"]
    assert not watch._stack
    keras.layers.Dense(2)(X)
    assert observer.names == ["dense#0"]


def test_watch_goes_on_after_a_caught_exception():
    good, bad = keras.layers.Dense(2), Failing()
    observer = Names()
    with watching(None, observer):
        good(X)
        with pytest.raises(ZeroDivisionError):
            bad(X)
        good(X)
    assert observer.names == ["dense", "dense@1"]


def test_overridden_call_methods_are_seen_outermost():
    class Twice(keras.layers.Dense):
        def __call__(self, x):
            return super().__call__(x) * 2

    layer = Twice(2)
    with capture_calls(layer, Request(("all",))) as block:
        outputs = layer(X)
    assert list(block.tensors) == ["<model>"]
    np.testing.assert_array_equal(block.tensors["<model>"], np.asarray(outputs))


def test_direct_use_of_call_is_one_call():
    class Outer(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = keras.layers.Dense(2)

        def build(self, shape):
            self.inner.build(shape)

        def call(self, x):
            return self.inner.call(x) + self.inner(x)

    observer = Names()
    layer = Outer()
    with watching(layer, observer):
        layer(X)
    assert observer.names == ["inner", "inner@1", "<model>"]


def test_same_layer_a_thousand_times():
    class Loop(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.step = keras.layers.Dense(3)

        def call(self, x):
            for _ in range(1000):
                x = self.step(x)
            return x

    observer = Names()
    layer = Loop()
    with watching(layer, observer):
        layer(X)
    assert len(set(observer.names)) == 1001
    assert observer.names[-2:] == ["step@999", "<model>"]


def test_other_threads_are_not_seen():
    model = keras.layers.Dense(2)
    model(X)
    observer = Names()
    with watching(None, observer):
        thread = threading.Thread(target=model, args=(X,))
        thread.start()
        thread.join()
        model(X)
    assert observer.names == ["dense"]


def test_threads_may_leave_in_the_order_they_came():
    barrier = threading.Barrier(2)
    first_gone = threading.Event()
    seen: dict[str, list[str]] = {}

    def run(name: str, leaves_first: bool) -> None:
        layer = keras.layers.Dense(2)
        observer = Names()
        with watching(None, observer):
            barrier.wait()
            layer(X)
            if not leaves_first:
                first_gone.wait()
                layer(X)
        if leaves_first:
            first_gone.set()
        seen[name] = observer.names

    threads = [threading.Thread(target=run, args=item) for item in (("a", True), ("b", False))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"a": ["dense"], "b": ["dense", "dense@1"]}


def test_nested_watches_see_the_same_and_close_in_any_order():
    layer = keras.layers.Dense(2)
    outer, inner = Names(), Names()
    first, second = ExitStack(), ExitStack()
    first.enter_context(watching(layer, outer))
    second.enter_context(watching(layer, inner))
    layer(X)
    first.close()
    layer(X)
    second.close()
    layer(X)
    assert outer.names == ["<model>"]
    assert inner.names == ["<model>", "<model>@1"]


def test_model_deleted_in_the_block_gives_its_place_to_nobody():
    observer = Names()
    with watching(None, observer):
        for _ in range(5):
            layer = keras.layers.Dense(2)
            layer(X)
            del layer
            gc.collect()
    assert observer.names == ["dense", "dense#1", "dense#2", "dense#3", "dense#4"]


def test_generators_may_be_left_in_the_middle():
    def steps(layer):
        with watching(layer, Names()) as watch:
            while True:
                yield layer(X), watch

    running = steps(keras.layers.Dense(2))
    next(running)
    next(running)
    running.close()
    assert untouched()


def test_building_a_model_is_not_running_it():
    observer = Names()
    with watching(None, observer):
        inputs = keras.Input((3,))
        hidden = keras.layers.Dense(4)(inputs)
        hidden = keras.layers.MultiHeadAttention(1, 2)(hidden[:, None], hidden[:, None])
        keras.Model(inputs, keras.ops.tanh(hidden))
    assert observer.names == []


def test_other_models_are_not_of_this_block():
    watched, other = keras.layers.Dense(2), keras.layers.Dense(3)
    observer = Names()
    with watching(watched, observer):
        watched(other(X))
    assert observer.names == ["<model>"]


def test_parts_called_without_the_whole_are_seen():
    model = keras.Sequential([keras.layers.Dense(2, name="a"), keras.layers.Dense(2, name="b")])
    observer = Names()
    with watching(model, observer):
        model.layers[1](model.layers[0](X))
    assert observer.names == ["a", "b"]


def test_recurrent_layers_are_leaves():
    model = keras.Sequential(
        [
            keras.layers.Bidirectional(keras.layers.LSTM(2, return_sequences=True)),
            keras.layers.TimeDistributed(keras.layers.Dense(2)),
            keras.layers.RNN(keras.layers.GRUCell(2)),
        ]
    )
    observer = Names()
    x = np.ones((1, 4, 3), "float32")
    with watching(model, observer):
        model(x)
    assert observer.names == [
        "bidirectional#0/forward_layer", "bidirectional#0/backward_layer", "bidirectional#0",
        "time_distributed#0", "rnn#0", "<model>",
    ]  # fmt: skip


def test_watching_twice_gives_the_same_bits():
    model = keras.Sequential([keras.layers.Dense(5, activation="gelu"), keras.layers.Dense(2)])
    plain = np.asarray(model(X))
    with capture_calls(model, Request(("all",))) as block:
        watched = np.asarray(model(X))
    assert plain.tobytes() == watched.tobytes() == block.tensors["<model>"].tobytes()
    assert plain.tobytes() == np.asarray(model(X)).tobytes()


def test_user_patches_made_inside_survive(monkeypatch):
    class Layer(keras.layers.Layer):
        def call(self, x):
            return x

    layer = Layer()
    original = Layer.call
    with watching(layer, Names()), monkeypatch.context() as patch:
        patch.setattr(Layer, "call", lambda self, x: x + 1)
        assert float(np.asarray(layer(X)).max()) == 2
    assert Layer.call is original
    assert float(np.asarray(layer(X)).max()) == 1


@pytest.mark.skipif(os.environ["KERAS_BACKEND"] == "numpy", reason="numpy traces nothing")
def test_tracers_inside_an_eager_call_are_not_seen():
    class Mapped(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = keras.layers.Dense(2)

        def build(self, shape):
            self.inner.build((None, shape[-1]))

        def call(self, x):
            return keras.ops.vectorized_map(self.inner, x)

    layer = Mapped()
    with capture_calls(layer, Request(("all",))) as block:
        layer(np.ones((2, 4, 3), "float32"))
    assert list(block.tensors) == ["<model>"]


# Keras' saving hands variables to numpy in the old way.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_layers_built_in_the_block_keep_their_signatures(tmp_path):
    class Trained(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.drop = keras.layers.Dropout(0.5)

        def call(self, x, mask=None, training=None):
            return self.drop(x, training=training) if training else x * 2

    observer = Names()
    with watching(None, observer):
        layer = Trained()
        inputs = keras.Input((3,))
        model = keras.Model(inputs, keras.layers.Dense(2)(layer(inputs)))
        clone = keras.models.clone_model(model)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras", {"Trained": Trained})
        for each in (model, clone, loaded):
            each(X)
    assert float(np.asarray(layer(X)).max()) == 2
    assert layer(X, training=True).shape == (2, 3)
    loaded.set_weights(model.get_weights())
    np.testing.assert_array_equal(np.asarray(loaded(X)), np.asarray(model(X)))
    assert observer.names[:3] == ["functional/trained#0", "functional/dense#0", "functional"]
    assert observer.names[-1] == "functional#2"


def test_layers_that_compare_by_value_are_told_apart():
    class Equal(keras.layers.Dense):
        def __eq__(self, other):
            return True

        __hash__ = None

        def __len__(self):
            return 0

    class Both(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.layers_of = {"a": keras.layers.Dense(3), "b": keras.layers.Dense(3)}

        def call(self, x):
            return self.layers_of["b"](self.layers_of["a"](x))

    observer = Names()
    outer = Both()
    with watching(outer, observer):
        outer(X)
    assert observer.names == ["layers_of/a", "layers_of/b", "<model>"]
    alone = Equal(2)
    with recording(alone) as golden:
        alone(X)
    assert list(golden.tensors) == ["<model>"]
    assert unchanged(golden, alone, lambda: alone(X))
