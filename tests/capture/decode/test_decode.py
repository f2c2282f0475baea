"""Decoding through the KV cache, teacher-forced, on every backend and through the protocol."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import keras
import numpy as np
import pytest

from pytest_keras_golden.capture.decode.decode import called, decode
from pytest_keras_golden.capture.decode.prompt import prompt_of
from pytest_keras_golden.errors import CaptureError

CASE = Path(__file__).with_name("decode_case.py")


@pytest.mark.hub
@pytest.mark.parametrize("kind", ["llama", "gemma", "gpt2"])
@pytest.mark.parametrize(
    ("backend", "dtype", "tolerance"),
    [
        ("jax", "float32", 1e-5),
        pytest.param("torch", "float32", 1e-5, marks=pytest.mark.torch),
        pytest.param("tensorflow", "float32", 1e-5, marks=pytest.mark.tensorflow),
        # Compiled steps against an eager prefill: fusion keeps what eager code rounds to bf16.
        pytest.param("jax", "bfloat16", 0.13, marks=pytest.mark.slow),
        pytest.param("torch", "bfloat16", 0.0, marks=[pytest.mark.torch, pytest.mark.slow]),
    ],
)
def test_steps_equal_full_prefill_row_by_row(run_python, backend, dtype, tolerance, kind):
    mode = "eager" if backend == "torch" else "compiled"
    code = f"""
        import sys
        sys.path.insert(0, {str(CASE.parent)!r})
        from decode_case import main
        main({kind!r}, {dtype!r}, {tolerance}, {mode!r})
    """
    run_python(code, backend)


class Letters:
    """A preprocessor as keras-hub's: text to padded token ids."""

    def generate_preprocess(self, texts):
        tokens = np.zeros((len(texts), 8), "int32")
        for row, text in zip(tokens, texts, strict=True):
            row[: len(text)] = [ord(letter) - ord("a") for letter in text]
        return {"token_ids": tokens, "padding_mask": np.arange(8) < [[len(t)] for t in texts]}


def test_text_goes_through_the_models_preprocessor():
    class Model:
        preprocessor = Letters()

    prompt = prompt_of(Model(), ["abc", "de"], 2)
    assert prompt.tokens.tolist() == [[0, 1, 2, 0], [3, 4, 0, 0]]
    assert prompt.start == 2
    assert prompt_of(Model(), "abc", 1).tokens.tolist() == [[0, 1, 2, 0]]


@pytest.mark.hub
@pytest.mark.skipif(not find_spec("tensorflow_text"), reason="keras-hub tokenizes by it")
def test_text_through_keras_hubs_own_tokenizer(run_python):
    code = f"""
        import sys
        sys.path.insert(0, {str(CASE.parent)!r})
        from keras_hub import models, tokenizers
        from decode_case import language_model, decode
        vocabulary = {{word: at for at, word in enumerate(["!", "a", "b", "<|endoftext|>"])}}
        tokenizer = tokenizers.GPT2Tokenizer(vocabulary=vocabulary, merges=["a b"])
        preprocessor = models.GPT2CausalLMPreprocessor(tokenizer, sequence_length=8)
        model = language_model("gpt2", "float32", preprocessor)
        decoded = decode(model, ["ab", "a"], 3, select=())
        assert decoded.records[-1].value.shape == (2, 3)
    """
    run_python(code)


class Counter(keras.layers.Layer):
    """A language model that says the next number, with the last one as its state."""

    def __init__(self):
        super().__init__()
        self.head = keras.layers.Dense(10, kernel_initializer="ones")

    def prefill(self, prompt):
        return self.logits(prompt[:, -1]), prompt.shape[1]

    def step(self, token, state):
        assert token.dtype == np.int32
        return self.logits(token), state + 1

    def logits(self, token):
        following = keras.ops.one_hot((token + 1) % 10, 10)
        return self.head(following) + following


def test_anybodys_model_through_the_protocol():
    prompt = np.array([[1, 2], [6, 7]])
    decoded = decode(Counter(), prompt, 4, select=("all",))
    tensors = {record.name: record.value for record in decoded.records}
    assert tensors["tokens"].tolist() == [[3, 4, 5, 6], [8, 9, 0, 1]]
    assert list(tensors)[:3] == ["step_000/head", "step_000/logits", "step_001/head"]
    assert tensors["step_003/head"].shape == (2, 10)
    assert decoded.observer == "identical"
    assert list(decoded.inputs) == ["prompt[0]"]


def test_a_model_that_cannot_decode_is_told_what_is_missing():
    with pytest.raises(CaptureError, match="prefill"):
        decode(keras.layers.Dense(1), np.array([[1]]), 2)


@pytest.mark.parametrize(
    ("prompt", "problem"),
    [
        ("text", "no preprocessor"),
        (np.zeros((1, 0), int), "empty"),
        (np.ones((1, 2)), "integer token ids"),
        (np.ones((1, 2, 3), int), "integer token ids"),
        ({"token_ids": [[1, 2]], "padding_mask": [[0, 0]]}, "empty"),
    ],
)
def test_prompts_that_are_none(prompt, problem):
    with pytest.raises(CaptureError, match=problem):
        prompt_of(object(), prompt, 2)


def test_prompts_leave_room_for_steps_behind_the_shortest_row():
    ragged = {
        "token_ids": [[1, 2, 3, 9], [4, 9, 9, 9]],
        "padding_mask": [[1, 1, 1, 0], [1, 0, 0, 0]],
    }
    prompt = prompt_of(object(), ragged, 4)
    assert prompt.start == 1
    assert prompt.tokens.shape == (2, 5)
    assert prompt.token(1, np.array([7, 8])).tolist() == [2, 8]
    assert prompt_of(object(), [1, 2, 3], 2).tokens.tolist() == [[1, 2, 3, 0, 0]]


def test_methods_get_what_they_name_and_none_for_what_else_they_demand():
    def method(cache, images, scale=2):
        return cache, images, scale

    assert called(method, {"cache": 1, "scale": 3, "unknown": 4}) == (1, None, 3)
    assert called(method, {"cache": 1}) == (1, None, 2)
