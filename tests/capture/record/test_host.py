import os
import tracemalloc

import keras
import numpy as np
import pytest
from isolating import ALL, recording, unchanged

from pytest_keras_golden.capture.block import capture_block
from pytest_keras_golden.capture.record.eager import capture_calls
from pytest_keras_golden.capture.tap.limit import Limit
from pytest_keras_golden.capture.tap.request import Request
from pytest_keras_golden.errors import CaptureError


class Block(keras.layers.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.norm = keras.layers.LayerNormalization()
        self.attention = keras.layers.MultiHeadAttention(2, 4)
        self.mlp = [keras.layers.Dense(8), {"out": keras.layers.Dense(8)}]

    def call(self, x):
        x = x + self.attention(self.norm(x), self.norm(x), use_causal_mask=True)
        return x + self.mlp[1]["out"](self.mlp[0](x))


class Decoder(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = keras.layers.Embedding(11, 8)
        self.blocks = [Block()]
        self.head = keras.Sequential([keras.layers.Dense(3), keras.layers.Dense(11, name="out")])

    def call(self, tokens):
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


TOKENS = np.array([[1, 2, 3]])


def captured(model, *inputs, **options):
    with capture_calls(model, Request(**options)) as block:
        outputs = model(*inputs)
    return block, outputs


def test_default_selection_is_attention_then_logits():
    block, outputs = captured(Decoder(), TOKENS)
    names = [f"blocks/0/attention:{role}" for role in ("query", "key", "value")]
    names += ["blocks/0/attention:probabilities", "blocks/0/attention:output", "head/out"]
    assert [record.name for record in block.records] == names
    assert [record.kind for record in block.records] == ["attention"] * 5 + ["logits"]
    assert block.seen == 1
    np.testing.assert_array_equal(block.tensors["head/out"], keras.ops.convert_to_numpy(outputs))


def test_all_is_in_execution_order_and_blocks_are_composites():
    model = Decoder()
    block, _ = captured(model, TOKENS, select=("all",))
    names = [record.name for record in block.records]
    assert names[:3] == ["embedding", "blocks/0/norm", "blocks/0/norm@1"]
    assert names[-4:] == ["head/dense#0", "head/out", "head", "<model>"]
    blocks, _ = captured(model, TOKENS, select=("blocks",))
    assert [record.name for record in blocks.records] == [
        "blocks/0/attention", "blocks/0", "head", "<model>",
    ]  # fmt: skip


def test_prefix_and_globs():
    model = Decoder()
    with capture_block(model, Request(("blocks/*/mlp/*",), name="short")) as block:
        model(TOKENS)
    assert list(block.tensors) == ["short/blocks/0/mlp/0", "short/blocks/0/mlp/1/out"]


def test_glob_that_matches_nothing_names_the_nearest():
    with pytest.raises(CaptureError, match="blocks/0/attention"):
        captured(Decoder(), TOKENS, select=("blocks/0/atention",))


def test_too_large_a_tensor_says_how_to_sample():
    with pytest.raises(CaptureError, match=r"132 bytes.*\n.*first and last rows"):
        captured(Decoder(), TOKENS, select=("logits",), limit=Limit(100))


def test_attention_layer_alone_has_no_logits():
    layer = keras.layers.MultiHeadAttention(2, 4)
    x = np.ones((1, 3, 8), "float32")
    block, _ = captured(layer, x, x)
    assert {record.kind for record in block.records} == {"attention"}


def test_head_is_found_below_a_softmax():
    inputs = keras.Input((3,))
    outputs = keras.layers.Softmax()(keras.layers.Dense(4, name="classes")(inputs))
    block, _ = captured(keras.Model(inputs, outputs), np.ones((2, 3), "float32"))
    kinds = [(record.name, record.kind) for record in block.records]
    assert kinds == [("classes", "logits"), ("<model>", "block")]


def test_logits_capped_behind_their_head_are_captured_too():
    class Capped(keras.Model):
        def __init__(self):
            super().__init__()
            self.head = keras.layers.Dense(7)

        def call(self, x):
            return 2.0 * keras.ops.tanh(self.head(x) / 2.0)

    block, outputs = captured(Capped(), np.ones((2, 3), "float32"))
    assert [record.name for record in block.records] == ["head", "<model>"]
    np.testing.assert_array_equal(block.tensors["<model>"], keras.ops.convert_to_numpy(outputs))


def test_hidden_projection_is_no_head():
    model = keras.Sequential([keras.layers.Dense(4), keras.layers.LayerNormalization()])
    block, _ = captured(model, np.ones((2, 3), "float32"))
    assert block.records == []


def test_every_head_of_several_outputs_is_logits():
    inputs = keras.Input((3,))
    heads = [keras.layers.Dense(2, name=name)(inputs) for name in ("left", "right")]
    block, _ = captured(keras.Model(inputs, heads), np.ones((2, 3), "float32"))
    assert list(block.tensors) == ["left", "right", "<model>[0]", "<model>[1]"]


def test_nested_outputs_go_by_key():
    class Pair(keras.layers.Layer):
        def call(self, x):
            return {"twice": x * 2, "parts": [x, x + 1]}

    block, _ = captured(Pair(), np.ones(2, "float32"), select=("all",))
    assert list(block.tensors) == ["<model>[parts][0]", "<model>[parts][1]", "<model>[twice]"]


@pytest.mark.parametrize(
    ("policy", "precision"), [("float32", "float32"), ("mixed_bfloat16", "bfloat16")]
)
def test_precision_is_that_of_the_coarsest_arithmetic(policy, precision):
    inputs = keras.Input((3,))
    hidden = keras.layers.Dense(4, dtype=policy)(inputs)
    hidden = keras.ops.cast(hidden, "float32")
    outputs = keras.layers.Dense(2, dtype="float32", name="head")(hidden)
    block, _ = captured(keras.Model(inputs, outputs), np.ones((2, 3), "float32"))
    (record,) = block.records
    assert (record.value.dtype.name, record.precision) == ("float32", precision)


def test_text_among_the_tensors_is_passed_over():
    class Worded(keras.layers.Layer):
        def call(self, x, words=None):
            return {"twice": x * 2, "words": words}

    words = np.array(["a", "b"])
    layer = Worded(autocast=False)
    with capture_block(layer, ALL) as block:
        layer.call(np.ones(2, "float32"), words=words)
    assert list(block.tensors) == ["<model>[twice]"]
    assert block.isolation == "complete"


def test_tensor_that_cannot_be_held_only_costs_isolation():
    class Complex(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.head = keras.layers.Dense(2, name="head")

        def call(self, x):
            return self.head(x), x + 1j

    layer = Complex()
    with capture_block(layer, Request(("head",))) as block:
        layer(np.ones((1, 2), "float32"))
    assert list(block.tensors) == ["head"]
    assert "complex" in block.isolation


def test_own_errors_pass_through_keras_unchanged():
    model = Decoder()
    model(TOKENS)
    with pytest.raises(CaptureError) as caught, capture_calls(model, Request(limit=Limit(1))):
        model(TOKENS)
    assert "Exception encountered" not in str(caught.value)
    assert caught.value.fix.startswith("Keep its first and last rows")


def test_renamed_layers_are_told():
    model = Decoder()
    with capture_calls(model, Request(aliases=(("blocks/*", "layers/*"),))) as block:
        model(TOKENS)
    assert "layers/0/attention:query" in block.tensors
    assert block.renamed["blocks/0/attention"] == "layers/0/attention"


def test_failed_call_leaves_no_records():
    class Fickle(keras.Model):
        def __init__(self):
            super().__init__()
            self.inner = keras.layers.Dense(2)

        def call(self, x, fail=False):
            x = self.inner(x)
            if fail:
                raise ValueError("no")
            return x

    model, x = Fickle(), np.ones((1, 3), "float32")
    with capture_block(model, ALL) as block:
        with pytest.raises(ValueError, match="no"):
            model(x, fail=True)
        assert not block.tensors
        model(x)
    assert [call.name for call in block.calls] == list(block.tensors) == ["inner@1", "<model>@1"]
    assert [call.name for call in block.outermost] == ["<model>@1"]


def test_masks_of_old_graphs_are_no_tensors():
    inputs = keras.Input((3,))
    positive = keras.ops.greater(inputs, 0.0)
    outputs = keras.layers.Dense(2)(keras.ops.where(positive, inputs, 0.0))
    model, x = keras.Model(inputs, outputs), np.ones((1, 3), "float32")
    with recording(model) as golden:
        model(x)
    assert list(golden.tensors) == ["where#0", "dense#0", "<model>"]
    assert [call.name for call in golden.calls] == ["where#0", "dense#0", "<model>"]
    assert unchanged(golden, model, lambda: model(x))


@pytest.mark.skipif(
    os.environ["KERAS_BACKEND"] == "numpy", reason="the model computes in traced memory too"
)
@pytest.mark.parametrize("isolate", [False, True])
def test_memory_beyond_the_tensors_is_small(isolate):
    class Wide(keras.layers.Layer):
        def call(self, x):
            return keras.ops.broadcast_to(x, (1 << 21,)) * 1.0

    inputs = keras.Input(batch_shape=(1,))
    layers = [Wide() for _ in range(12)]
    model = keras.Model(inputs, [layer(inputs) for layer in layers])
    x = np.ones(1, "float32")
    model(x)
    tracemalloc.start()
    request = Request(("wide*",), isolate=isolate, isolation_bytes=1 << 20)
    with capture_block(model, request) as block:
        model(x)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    own = sum(array.nbytes for array in block.tensors.values())
    assert own == 12 * (8 << 20)
    assert peak - own < 24 << 20
