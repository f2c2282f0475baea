"""Query, key, value, probabilities and output, on whatever path a release takes."""

from __future__ import annotations

import json
import tracemalloc

import keras
import numpy as np
import pytest
from backends import TRAINING
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_keras_golden.capture.record.eager import capture_calls
from pytest_keras_golden.capture.tap.attention import as_probabilities, probabilities
from pytest_keras_golden.capture.tap.request import Request

ROLES = ["query", "key", "value", "probabilities", "output"]
X = np.random.default_rng(0).normal(size=(2, 5, 16)).astype("float32")


def attended(layer, *inputs, **options) -> dict[str, object]:
    with capture_calls(layer, Request(("attention",))) as block:
        layer(*inputs, **options)
    return {record.name.rpartition(":")[2]: record for record in block.records}


def combine(found) -> np.ndarray:
    probs, value = found["probabilities"].value, found["value"].value.astype("float32")
    value = np.repeat(value, probs.shape[1] // value.shape[2], 2)
    return np.einsum("bnts,bsnh->btnh", probs, value)


CAUSAL = np.tri(5, dtype=bool)[None]
CASES = {
    "fused": ({}, {}, "reconstructed"),
    "causal": ({}, {"use_causal_mask": True}, "reconstructed"),
    "masked": ({}, {"attention_mask": CAUSAL}, "reconstructed"),
    "dropout": ({"dropout": 0.1}, {}, "materialised"),
    "scores": ({}, {"return_attention_scores": True}, "materialised"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["multi_head", "grouped"])
def test_probabilities_explain_the_output(case, kind):
    arguments, call, source = CASES[case]
    if kind == "multi_head":
        layer = keras.layers.MultiHeadAttention(4, 4, **arguments)
    else:
        layer = keras.layers.GroupQueryAttention(4, 4, 2, **arguments)
    found = attended(layer, X, X, **call)
    assert list(found) == ROLES
    assert found["probabilities"].source == source
    assert found["probabilities"].value.shape == (2, 4, 5, 5)
    np.testing.assert_allclose(found["probabilities"].value.sum(-1), 1, rtol=1e-6)
    np.testing.assert_allclose(combine(found), found["output"].value, atol=2e-6)


@pytest.mark.parametrize("layer", [keras.layers.Attention, keras.layers.AdditiveAttention])
def test_single_headed_attention(layer):
    found = attended(layer(), [X, X], use_causal_mask=True)
    assert list(found) == ROLES
    probs = found["probabilities"].value
    assert not np.triu(probs[0], 1).any()
    np.testing.assert_allclose(probs @ found["value"].value, found["output"].value, atol=1e-6)


def test_looking_never_takes_the_other_path():
    layer = keras.layers.MultiHeadAttention(4, 4, dtype="bfloat16")
    plain = np.asarray(layer(X, X))
    with capture_calls(layer, Request()):
        watched = np.asarray(layer(X, X))
    with_scores, _ = layer(X, X, return_attention_scores=True)
    assert plain.tobytes() == watched.tobytes()
    assert plain.tobytes() != np.asarray(with_scores).tobytes()


def test_rebuilt_probabilities_are_those_of_the_explicit_path():
    layer = keras.layers.MultiHeadAttention(4, 4)
    rebuilt = attended(layer, X, X, use_causal_mask=True)["probabilities"].value
    _, scores = layer(X, X, use_causal_mask=True, return_attention_scores=True)
    np.testing.assert_allclose(rebuilt, np.asarray(scores), atol=8e-7)


def test_precision_follows_the_inputs():
    found = attended(keras.layers.MultiHeadAttention(4, 4, dtype="mixed_bfloat16"), X, X)
    assert {record.precision for record in found.values()} == {"bfloat16"}
    assert found["probabilities"].value.dtype == np.float32
    assert found["query"].value.dtype.name == "bfloat16"


def test_own_class_with_the_usual_method():
    class Mine(keras.layers.Layer):
        def _compute_attention(self, q, k, v, attention_mask=None):
            scores = keras.ops.softmax(keras.ops.einsum("btnh,bsnh->bnts", q, k))
            return keras.ops.einsum("bnts,bsnh->btnh", scores, v), scores

        def call(self, x):
            return self._compute_attention(x, x, x)[0]

    found = attended(Mine(), X.reshape(2, 5, 4, 4))
    assert list(found) == ROLES
    np.testing.assert_allclose(combine(found), found["output"].value, atol=1e-6)


def test_bare_fused_attention_belongs_to_the_layer_that_calls_it():
    class Bare(keras.layers.Layer):
        def call(self, x):
            first = keras.ops.dot_product_attention(x, x, x, is_causal=True)
            return keras.ops.dot_product_attention(first, x, x, scale=0.3)

    with capture_calls(Bare(), Request()) as block:
        pass
    layer = Bare()
    with capture_calls(layer, Request()) as block:
        layer(X.reshape(2, 5, 4, 4))
    assert list(block.tensors) == [
        f"<model>:{role}{at}"
        for at in ("", "@1")
        for role in ("query", "key", "value", "probabilities", "output")
    ]


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 2),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from([(1, 1), (2, 1), (4, 2), (3, 3)]),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_rebuilding_agrees_with_float64(batch, rows, columns, heads, is_causal, seed):
    rng = np.random.default_rng(seed)
    query = rng.normal(size=(batch, rows, heads[0], 3)).astype("float32")
    key = rng.normal(size=(batch, columns, heads[1], 3)).astype("float32")
    mask = rng.random((batch, 1, rows, columns)) < 0.7
    mask[..., 0] = True
    found = probabilities(query, key, mask, scale=0.7, is_causal=is_causal)
    logits = np.einsum(
        "btnh,bsnh->bnts", query.astype("float64"), np.repeat(key, heads[0] // heads[1], 2)
    )
    allowed = mask & np.tri(rows, columns, dtype=bool) if is_causal else mask
    exps = np.exp(logits * 0.7) * allowed
    np.testing.assert_allclose(found, exps / exps.sum(-1, keepdims=True), atol=1e-6)


def test_fully_masked_row_is_uniform():
    query = np.ones((1, 2, 1, 3), "float32")
    found = probabilities(query, query, np.zeros((1, 1, 2, 2), bool))
    np.testing.assert_array_equal(found, np.full((1, 1, 2, 2), 0.5, "float32"))


def test_rebuilding_holds_little_beyond_the_result():
    rng = np.random.default_rng(0)
    query = rng.normal(size=(1, 1200, 12, 8)).astype("float32")
    mask = np.tri(1200, dtype=bool)[None]
    tracemalloc.start()
    found = probabilities(query, query, mask)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak - found.nbytes < 32 << 20
    whole = probabilities(query[:, -3:], query, mask[:, -3:])
    np.testing.assert_allclose(found[:, :, -3:], whole, rtol=1e-6)


def test_head_groups_are_merged():
    grouped = np.arange(2 * 2 * 3 * 4 * 5, dtype="float32").reshape(2, 2, 3, 4, 5)
    merged = as_probabilities(grouped)
    assert merged.shape == (2, 6, 4, 5)
    np.testing.assert_array_equal(merged[:, 4], grouped[:, 1, 1])


HUB = """
import json, warnings
import keras, keras_hub, numpy as np
from pytest_keras_golden.capture.record.eager import capture_calls
from pytest_keras_golden.capture.tap.request import Request
warnings.simplefilter("ignore")
tokens = np.array([[1, 2, 3, 4, 5]])
inputs = {"token_ids": tokens, "padding_mask": np.ones_like(tokens)}
sizes = dict(vocabulary_size=23, num_layers=1, hidden_dim=16, intermediate_dim=32)
grouped = sizes | dict(num_query_heads=4, num_key_value_heads=2)
models = keras_hub.models
cases = {
    "Llama": (models.LlamaBackbone(**grouped), models.LlamaCausalLM),
    "Mistral": (models.MistralBackbone(**grouped), models.MistralCausalLM),
    "Gemma": (models.GemmaBackbone(head_dim=4, **grouped), models.GemmaCausalLM),
    "GPT2": (models.GPT2Backbone(num_heads=4, max_sequence_length=8, **sizes), models.GPT2CausalLM),
    "Bert": (models.BertBackbone(num_heads=4, max_sequence_length=8, **sizes), None),
}
try:
    from keras_hub.src.models.qwen.qwen_backbone import QwenBackbone
    from keras_hub.src.models.qwen.qwen_causal_lm import QwenCausalLM
    cases["Qwen"] = QwenBackbone(**grouped), QwenCausalLM
except ImportError:
    pass
found = {}
for name, (backbone, task) in cases.items():
    model = task(backbone, preprocessor=None) if task else backbone
    given = inputs if task else inputs | {"segment_ids": np.zeros_like(tokens)}
    plain = keras.tree.flatten(model(given))
    with capture_calls(model, Request()) as block:
        watched = keras.tree.flatten(model(given))
    host = keras.ops.convert_to_numpy
    tensors = {n.rpartition(":")[2]: t.astype("float64") for n, t in block.tensors.items()}
    value = np.repeat(tensors["value"], 4 // tensors["value"].shape[2], 2)
    output = np.einsum("bnts,bsnh->btnh", tensors["probabilities"], value)
    found[name] = {
        "names": [record.name for record in block.records],
        "logits": [record.name for record in block.records if record.kind == "logits"],
        "error": float(np.abs(output - tensors["output"].reshape(output.shape)).max()),
        "observer": all(
            host(a).tobytes() == host(b).tobytes() for a, b in zip(plain, watched)
        ),
    }
print(json.dumps(found))
"""


@pytest.mark.hub
@pytest.mark.parametrize("backend", TRAINING)
def test_keras_hub_models(run_python, backend):
    found = json.loads(run_python(HUB, backend).splitlines()[-1])
    assert {"Llama", "Mistral", "Gemma", "GPT2", "Bert", "Qwen"} <= set(found)
    for name, case in found.items():
        roles = [item.rpartition(":")[2] for item in case["names"] if ":" in item]
        assert roles == ROLES, name
        assert case["logits"] == ([] if name == "Bert" else ["token_embedding@1"]), name
        assert case["error"] < 2e-6, name
        assert case["observer"], name
