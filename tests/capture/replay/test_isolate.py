"""Each layer alone on golden inputs: the right one is blamed, and the pass leaves no trace."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import zoo
from isolating import ALL, Recorded, isolating, recording

from pytest_keras_golden.capture.backends import to_numpy
from pytest_keras_golden.capture.block import capture_block
from pytest_keras_golden.capture.record.eager import capture_calls, recorded_again
from pytest_keras_golden.capture.record.host import LayerCapture
from pytest_keras_golden.capture.replay.isolate import same_numbers
from pytest_keras_golden.capture.state.weights import fill_weights
from pytest_keras_golden.capture.tap.request import Request
from pytest_keras_golden.errors import CaptureError

HERE = Path(__file__).parents[1]


def filled(model, inputs=zoo.TOKENS):
    model(inputs)
    fill_weights(model, 0)
    return model


def recorded(model, inputs=zoo.TOKENS, **call):
    filled(model, inputs)
    with recording(model) as golden:
        model(inputs, **call)
    return golden


def isolated(golden, model, inputs=zoo.TOKENS, **call):
    filled(model, inputs)
    with isolating(golden, model) as measured:
        model(inputs, **call)
    return [item for item in measured if not item.identical]


def blamed(golden, model, inputs=zoo.TOKENS) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for measured in isolated(golden, model, inputs):
        found.setdefault(measured.name, set()).add(measured.part)
    return found


@pytest.mark.parametrize("style", ["functional", "sequential", "subclassed"])
def test_same_code_has_no_local_change(style):
    golden = recorded(zoo.STYLES[style]())
    assert blamed(golden, zoo.STYLES[style]()) == {}


def test_changed_leaf_is_blamed_alone():
    golden = recorded(zoo.Decoder())
    changed = zoo.Decoder()
    changed(zoo.TOKENS)
    changed.blocks[0].norm.epsilon = 0.1
    assert blamed(golden, changed) == {"blocks/0/norm": {"output"}}
    later = golden.tensors["head"], recorded(changed).tensors["head"]
    assert later[0].tobytes() != later[1].tobytes()


def test_changed_code_between_layers_is_blamed_on_the_layer_around():
    golden = recorded(zoo.Decoder(scale=1.0))
    assert blamed(golden, zoo.Decoder(scale=0.5)) == {
        "blocks/0": {"between"},
        "blocks/1": {"between"},
    }


def test_changed_operation_of_a_graph_is_blamed():
    def graph(operation):
        inputs = keras.Input((3,))
        hidden = operation(keras.layers.Dense(4, name="first")(inputs))
        return keras.Model(inputs, keras.layers.Dense(2, name="last")(hidden))

    x = np.ones((2, 3), "float32")
    golden = recorded(graph(lambda t: keras.ops.leaky_relu(t, 0.2)), x)
    changed = graph(lambda t: keras.ops.leaky_relu(t, 0.3))
    assert blamed(golden, changed, x) == {"leaky_relu#0": {"output"}}


def test_changed_attention_is_blamed_on_its_core(monkeypatch):
    golden = recorded(zoo.Decoder())
    changed = zoo.Decoder()
    changed(zoo.TOKENS)
    changed.blocks[1].attention._inverse_sqrt_key_dim *= 1.1
    assert blamed(golden, changed) == {"blocks/1/attention:core": {"output"}}


def test_changed_mask_is_blamed_on_the_layer_that_makes_it():
    class Masked(keras.layers.Layer):
        def __init__(self, window):
            super().__init__()
            self.window = window
            self.attention = keras.layers.MultiHeadAttention(2, 4)

        def call(self, x):
            mask = np.tri(6, k=self.window, dtype=bool)[None]
            return self.attention(x, x, attention_mask=mask)

    x = np.random.default_rng(0).normal(size=(1, 6, 8)).astype("float32")
    assert blamed(recorded(Masked(0), x), Masked(1), x) == {"<model>": {"between"}}


def test_other_inputs_are_told_as_such():
    found = isolated(recorded(zoo.Decoder()), zoo.Decoder(), zoo.TOKENS + 1)
    assert [(item.part, item.at) for item in found] == [("given", "input 0 of <model>")]


def test_blocks_with_a_prefix_are_kept_apart():
    model = zoo.Decoder()
    model(zoo.TOKENS)
    with capture_block(model, Request(name="long")) as block:
        model(zoo.TOKENS)
    assert {call.name.partition("/")[0] for call in block.calls} == {"long"}
    assert {record.name.partition("/")[0] for record in block.records} == {"long"}
    assert {name.partition("/")[0] for name in (*block.weights, *block.inputs)} == {"long"}


class Stateful(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.norm = keras.layers.BatchNormalization()
        self.dropout = keras.layers.Dropout(0.5)
        self.unseeded = keras.layers.Dense(4)

    def call(self, x, training=None):
        x = self.dropout(self.norm(x, training=training), training=training)
        return self.unseeded(x) + keras.random.normal((2, 4)) + random.random()


def test_state_seeds_and_generators_are_as_before():
    model = Stateful()
    x = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")
    keras.utils.set_random_seed(3)
    after = []

    def again(ended):
        before = [to_numpy(variable) for variable in model.variables]
        expected = random.getstate(), np.random.get_state()[1].tolist()
        for _ in range(2):
            # From the state before the call: dropout drops and random code adds the same numbers.
            after.append(recorded_again(ended, ALL).records)
        assert (random.getstate(), np.random.get_state()[1].tolist()) == expected
        for old, variable in zip(before, model.variables, strict=True):
            np.testing.assert_array_equal(old, to_numpy(variable))

    model(x)
    with capture_calls(model, ALL, finished=again) as block:
        model(x, training=True)
    assert len(after) == 2
    assert block.tensors["<model>"].std() > 0


def test_several_calls_are_replayed_in_order():
    model = Stateful()
    x = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")
    model(x)
    again = []
    with capture_calls(model, ALL, finished=lambda ended: again.append(ended.made)) as block:
        for _ in range(3):
            model(x, training=True)
            # Now, and not when the block has ended: the state goes on.
            recording = LayerCapture(("all",))
            again[-1].again(recording)
            for record in recording.records:
                np.testing.assert_array_equal(record.value, block.tensors[record.name])
    assert [made.name for made in again] == ["<model>", "<model>@1", "<model>@2"]


def test_masks_survive_forced_tensors():
    def padded(epsilon):
        return keras.Sequential(
            [
                keras.layers.Embedding(30, 8, mask_zero=True, name="embedding"),
                keras.layers.LayerNormalization(epsilon=epsilon, name="norm"),
                keras.layers.LSTM(4, name="lstm"),
            ]
        )

    tokens = np.array([[1, 2, 0, 0], [3, 4, 5, 0]])
    assert blamed(recorded(padded(1e-3), tokens), padded(0.1), tokens) == {"norm": {"output"}}


def test_in_place_code_does_not_change_what_was_recorded(run_python):
    code = """
    import sys
    sys.path.insert(0, CASES)
    import keras, numpy as np
    from isolating import recording, unchanged
    class InPlace(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.inner = keras.layers.Dense(3, kernel_initializer="ones")
        def call(self, x):
            y = self.inner(x)
            first = y + 0
            y *= 100
            return self.inner(first) + y
    layer = InPlace()
    x = np.ones((1, 3), "float32")
    layer(x)
    with recording(layer) as golden:
        layer(x)
    assert golden.tensors["inner"].max() == 3, golden.tensors["inner"]
    assert unchanged(golden, layer, lambda: layer(x))
    """
    run_python(code.replace("CASES", repr(str(HERE))), "numpy")


def test_pool_beyond_its_limit_is_let_go():
    model = zoo.Decoder()
    model(zoo.TOKENS)
    with capture_block(model, Request(isolation_bytes=1000)) as block:
        model(zoo.TOKENS)
    assert block.isolation == "unavailable: size"
    assert not block.pool
    assert [call.name for call in block.calls][-1] == "<model>"


def test_pass_that_fails_says_how_to_do_without():
    class Once(keras.layers.Layer):
        done = False

        def call(self, x):
            if self.done:
                raise RuntimeError("not again")
            self.done = True
            return x

    layer = Once()
    with (
        pytest.raises(CaptureError, match=r"not again[^|]*isolate=False"),
        isolating(Recorded(), layer),
    ):
        layer(np.ones(2, "float32"))


NORMS = {f"norm_{part}_{at}" for part in "ab" for at in range(4)} | {"norm_last"}
CORES = {f"attention_{at}_:core" for at in range(4)}
PAIRS = [
    ("jax", "3.5.0", "3.6.0", "bfloat16", NORMS),
    ("jax", "3.6.0", "3.7.0", "bfloat16", CORES),
    pytest.param("torch", "3.6.0", "3.15.1", "float32", NORMS | CORES, marks=pytest.mark.torch),
]


@pytest.mark.overlay
@pytest.mark.slow
@pytest.mark.parametrize(("backend", "old", "new", "policy", "guilty"), PAIRS)
def test_real_releases_blame_exactly_the_layers_that_changed(
    tmp_path, backend, old, new, policy, guilty
):
    place = tmp_path / "golden.pickle"
    run_case(old, backend, "record", place, policy)
    found = json.loads(run_case(new, backend, "isolate", place, policy))
    assert found["keras"] == new
    assert found["drifting"] > 2 * len(guilty)
    assert {name for name, _ in found["local"]} == guilty
    assert {part for _, part in found["local"]} == {"output"}


def run_case(release: str, backend: str, *arguments: object) -> str:
    from pytest_keras_golden.stacks.overlay.folder import overlay_environment
    from pytest_keras_golden.stacks.overlay.neighbours import ensure_runnable

    environment = overlay_environment([ensure_runnable("keras", release), HERE])
    done = subprocess.run(
        [sys.executable, str(HERE / "isolation_case.py"), *map(str, arguments)],
        env=environment | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def test_output_that_only_one_side_has_is_told():
    class Outputs(keras.layers.Layer):
        def __init__(self, count):
            super().__init__()
            self.count = count

        def call(self, x):
            return [x * at for at in range(1, 1 + self.count)]

    x = np.ones((1, 3), "float32")
    found = isolated(recorded(Outputs(2), x), Outputs(1), x)
    assert [(item.at, item.actual.shape, item.golden.shape) for item in found] == [
        ("output 1", (0,), (1, 3))
    ]


def test_each_layer_of_an_automatic_block_gets_its_own_state_back():
    first, second = Stateful(), Stateful()
    x = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")
    for layer in (first, second):
        layer(x)
    again = []

    def finished(ended):
        after = [to_numpy(variable) for variable in ended.made.target.variables]
        again.append(recorded_again(ended, ALL).made.name)
        for old, variable in zip(after, ended.made.target.variables, strict=True):
            np.testing.assert_array_equal(old, to_numpy(variable))

    with capture_calls(None, ALL, finished=finished):
        for layer in (first, second, first):
            layer(x, training=True)
    assert again == ["stateful", "stateful#1", "stateful@1"]


@pytest.mark.parametrize(
    ("live", "golden", "same"),
    [
        (np.ones((1, 2, 3), bool), np.ones((1, 1, 2, 3), bool), True),
        (np.ones((2, 1, 2, 3), bool), np.ones((1, 1, 2, 3), bool), True),
        (np.ones((2, 2), bool), np.zeros((1, 2, 2), bool), False),
        (np.ones((2, 2), bool), np.ones((3, 3), bool), False),
        (np.ones(3, "float32") / 3, (np.ones(3, "float32") / 3).astype("float16"), True),
        (np.ones(3, "float32") / 3, np.ones(3, "float32") / 4, False),
        (np.ones(3, "int32"), np.ones(3, bool), True),
        (np.ones(3, "float32"), np.ones((1, 3), "float32"), False),
    ],
)
def test_same_numbers_in_another_dress(live, golden, same):
    assert same_numbers(live, golden) is same
