"""A character-level GPT in plain Keras layers, and the trained weights that this folder ships.

The same code runs on every Keras 3 release from 3.3.3 and on every backend, and every layer has a
name of its own, so that weights and goldens mean the same tensors everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from safetensors import safe_open
from safetensors.numpy import save_file

HERE = Path(__file__).parent
TEXT = HERE / "romeo_and_juliet.txt"
WEIGHTS = HERE / "gpt.safetensors"

CONTEXT = 128
WIDTH = 96
HEADS = 4
BLOCKS = 4
EPSILON = 1e-5


class DecoderBlock(layers.Layer):
    """Pre-norm transformer block: causal self-attention, then a gelu MLP, each with a residual.

    Residuals are `Add` layers rather than `+`, since an operator inside `call` is no layer call
    and drift in it could only be blamed on the block as a whole.
    """

    def __init__(self, width: int, heads: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        policy = {"dtype": self.dtype_policy}  # else layers made here follow the global policy
        self.attention_norm = layers.LayerNormalization(
            epsilon=EPSILON, name="attention_norm", **policy
        )
        self.attention = layers.MultiHeadAttention(
            heads, width // heads, name="attention", **policy
        )
        self.attention_residual = layers.Add(name="attention_residual", **policy)
        self.mlp_norm = layers.LayerNormalization(epsilon=EPSILON, name="mlp_norm", **policy)
        self.mlp_in = layers.Dense(4 * width, activation="gelu", name="mlp_in", **policy)
        self.mlp_out = layers.Dense(width, name="mlp_out", **policy)
        self.mlp_residual = layers.Add(name="mlp_residual", **policy)

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.attention_norm.build(input_shape)
        self.attention.build(input_shape, input_shape)
        self.mlp_norm.build(input_shape)
        self.mlp_in.build(input_shape)
        self.mlp_out.build((*input_shape[:-1], self.mlp_in.units))
        self.built = True

    def call(self, x: Any) -> Any:
        h = self.attention_norm(x)
        h = self.attention(h, h, use_causal_mask=True)
        x = self.attention_residual([x, h])
        h = self.mlp_out(self.mlp_in(self.mlp_norm(x)))
        return self.mlp_residual([x, h])


class Decoder(keras.Model):
    """Token ids (batch, time) to next-token logits (batch, time, vocabulary), time ≤ CONTEXT."""

    def __init__(self, vocabulary: int, **kwargs: Any) -> None:
        super().__init__(name="decoder", **kwargs)
        policy = {"dtype": self.dtype_policy}
        self.token_embedding = layers.Embedding(vocabulary, WIDTH, name="token_embedding", **policy)
        self.position_embedding = layers.Embedding(
            CONTEXT, WIDTH, name="position_embedding", **policy
        )
        self.embedding = layers.Add(name="embedding", **policy)
        self.blocks = [
            DecoderBlock(WIDTH, HEADS, name=f"block_{i}", **policy) for i in range(BLOCKS)
        ]
        self.final_norm = layers.LayerNormalization(epsilon=EPSILON, name="final_norm", **policy)
        self.logits = layers.Dense(vocabulary, name="logits", **policy)

    def call(self, tokens: Any) -> Any:
        positions = keras.ops.arange(tokens.shape[1])
        x = self.embedding([self.token_embedding(tokens), self.position_embedding(positions[None])])
        for block in self.blocks:
            x = block(x)
        return self.logits(self.final_norm(x))


def alphabet() -> str:
    """The characters of the training text in code-point order; a token id is an index into it."""
    return "".join(sorted(set(TEXT.read_text(encoding="utf-8"))))


def encode(text: str) -> np.ndarray[Any, np.dtype[np.int32]]:
    """Token ids, int32 (1, len(text)). KeyError on a character that the training text lacks."""
    index = {character: i for i, character in enumerate(alphabet())}
    return np.array([[index[character] for character in text]], "int32")


def build(policy: str = "float32") -> Decoder:
    """An untrained decoder whose variables exist, computing under the dtype policy named."""
    model = Decoder(len(alphabet()), dtype=policy)
    model(np.zeros((1, CONTEXT), "int32"))
    return model


def named_weights(model: Decoder) -> Iterator[tuple[str, Any]]:
    """Each variable with its structural name, such as `block_0/attention/query/kernel`."""
    for variable in model.trainable_variables:
        yield variable.path.removeprefix("decoder/"), variable


def load(policy: str = "float32") -> Decoder:
    """The trained decoder. ValueError where names or shapes are not exactly the file's."""
    model = build(policy)
    wanted = dict(named_weights(model))
    with safe_open(WEIGHTS, framework="numpy") as file:
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    if stored.keys() != wanted.keys():
        unmatched = sorted(stored.keys() ^ wanted.keys())
        raise ValueError(f"{WEIGHTS.name} does not fit the model: {unmatched}")
    for name, variable in wanted.items():
        variable.assign(stored[name])
    return model


def save(model: Decoder, training: dict[str, Any]) -> None:
    """Writes the weights in float32, with how they were trained as metadata."""
    arrays = {n: keras.ops.convert_to_numpy(v).astype("float32") for n, v in named_weights(model)}
    save_file(arrays, WEIGHTS, {"training": json.dumps(training, sort_keys=True)})


def generate(model: Decoder, prompt: str, length: int) -> str:
    """Prompt and its greedy continuation, `length` characters in all, at most CONTEXT."""
    characters = alphabet()
    text = prompt
    while len(text) < min(length, CONTEXT):
        # Causal: what pads the context to one compiled shape cannot be seen from before it.
        tokens = np.zeros((1, CONTEXT), "int32")
        tokens[:, : len(text)] = encode(text)
        logits = keras.ops.convert_to_numpy(model.predict_on_batch(tokens))
        text += characters[int(np.argmax(logits[0, len(text) - 1].astype("float32")))]
    return text
