"""A BERT-type encoder in plain Keras code: post-norm, padding mask, explicit attention, pooler."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from keras.src.backend import nn

from pytest_keras_golden.capture.state.weights import fill_weights

from . import numerics as n
from .change import Change, Subject, harmful, harmless, lowered

WORDS, WIDTH, HEADS, BLOCKS, CLASSES = 80, 48, 4, 3, 7
HEAD = WIDTH // HEADS
LENGTHS = (16, 9, 12, 5)
TOKENS = np.random.default_rng(7).integers(1, WORDS, (len(LENGTHS), max(LENGTHS))).astype("int32")
PADDING = (np.arange(max(LENGTHS)) < np.array(LENGTHS)[:, None]).astype("int32")
TOKENS *= PADDING
SEGMENTS = (np.arange(max(LENGTHS)) >= 6).astype("int32") * PADDING


class Attention(layers.Layer):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        policy = {"dtype": self.dtype_policy}
        self.query, self.key = layers.Dense(WIDTH, **policy), layers.Dense(WIDTH, **policy)
        self.value, self.output_dense = layers.Dense(WIDTH, **policy), layers.Dense(WIDTH, **policy)
        self.softmax = layers.Softmax(**policy)

    def call(self, x: Any, padding: Any) -> Any:
        query, key, value = (self.heads(dense(x)) for dense in (self.query, self.key, self.value))
        mixed = self._compute_attention(query, key, value, padding[:, None, None, :])
        return self.output_dense(ops.reshape(mixed, x.shape))

    def heads(self, x: Any) -> Any:
        return ops.reshape(x, (*x.shape[:2], HEADS, HEAD))

    def _compute_attention(self, query: Any, key: Any, value: Any, mask: Any) -> Any:
        return attend(self, query, key, value, mask)


def attend(
    self: Any,
    query: Any,
    key: Any,
    value: Any,
    mask: Any,
    forbidden: float = -1e9,
    divide: float | None = None,
    axis: int = -1,
    dtype: str | None = None,
    key_first: bool = False,
) -> Any:
    """Scores, an additive mask, softmax, values; in the dtype of the query unless said."""
    dtype = dtype or keras.backend.standardize_dtype(query.dtype)
    equation = "bsnh,btnh->bnts" if key_first else "btnh,bsnh->bnts"
    scores = ops.einsum(equation, *((key, query) if key_first else (query, key)))
    scores = ops.cast(scores, dtype) / ops.cast(divide or math.sqrt(HEAD), dtype)
    scores = scores + ops.cast(1 - mask, dtype) * ops.cast(forbidden, dtype)
    probabilities = self.softmax(scores) if axis == -1 else ops.softmax(scores, axis)
    probabilities = ops.cast(probabilities, query.dtype)
    return ops.einsum("bnts,bsnh->btnh", probabilities, value)


def core(**options: Any) -> n.Method:
    def call(self: Any, query: Any, key: Any, value: Any, mask: Any) -> Any:
        return attend(self, query, key, value, mask, **options)

    return call


def unmasked(self: Any, query: Any, key: Any, value: Any, mask: Any) -> Any:
    return attend(self, query, key, value, ops.ones_like(mask))


def inverted(self: Any, query: Any, key: Any, value: Any, mask: Any) -> Any:
    return attend(self, query, key, value, 1 - mask)


def nan_in_padding(self: Any, query: Any, key: Any, value: Any, mask: Any) -> Any:
    """Rows of padding attend to nothing at all: 0/0."""
    both = ops.cast(mask * ops.swapaxes(mask, -1, -2), "bool")
    scores = ops.einsum("btnh,bsnh->bnts", query, key) / ops.cast(math.sqrt(HEAD), query.dtype)
    probabilities = ops.softmax(ops.where(both, scores, -math.inf))
    return ops.einsum("bnts,bsnh->btnh", ops.cast(probabilities, query.dtype), value)


class Encoder(layers.Layer):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        policy = {"dtype": self.dtype_policy}
        self.attention = Attention(**policy)
        self.attention_norm = layers.LayerNormalization(epsilon=1e-12, **policy)
        self.up = layers.Dense(4 * WIDTH, activation="gelu", **policy)
        self.down = layers.Dense(WIDTH, **policy)
        self.mlp_norm = layers.LayerNormalization(epsilon=1e-12, **policy)

    def call(self, x: Any, padding: Any) -> Any:
        x = self.attention_norm(x + self.attention(x, padding))
        return self.mlp_norm(x + self.down(self.up(x)))


def pre_norm(self: Any, x: Any, padding: Any) -> Any:
    x = x + self.attention(self.attention_norm(x), padding)
    return x + self.down(self.up(self.mlp_norm(x)))


def halved_branch(self: Any, x: Any, padding: Any) -> Any:
    x = self.attention_norm(x + self.attention(x, padding))
    return self.mlp_norm(x + 0.5 * self.down(self.up(x)))


def no_residual(self: Any, x: Any, padding: Any) -> Any:
    x = self.attention_norm(x + self.attention(x, padding))
    return self.mlp_norm(self.down(self.up(x)))


def wide_sums(self: Any, x: Any, padding: Any) -> Any:
    """Residual sums reach the norms in float32."""
    h = ops.cast(x, "float32") + ops.cast(self.attention(x, padding), "float32")
    x = self.attention_norm(ops.cast(h, x.dtype))
    return self.mlp_norm(self.down(self.up(x)) + x)


class Bert(keras.Model):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        policy = {"dtype": self.dtype_policy}
        self.tokens = layers.Embedding(WORDS, WIDTH, **policy)
        self.positions = layers.Embedding(32, WIDTH, **policy)
        self.segments = layers.Embedding(2, WIDTH, **policy)
        self.embedding_norm = layers.LayerNormalization(epsilon=1e-12, **policy)
        self.blocks = [Encoder(**policy) for _ in range(BLOCKS)]
        self.pooler = layers.Dense(WIDTH, activation="tanh", **policy)
        self.classifier = layers.Dense(CLASSES, **policy)

    def call(self, tokens: Any, segments: Any, padding: Any) -> Any:
        x = self.embedding_norm(self.embedded(tokens, segments))
        for block in self.blocks:
            x = block(x, padding)
        return self.classifier(self.pooler(self.pooled(x, padding)))

    def embedded(self, tokens: Any, segments: Any) -> Any:
        positions = self.positions(ops.arange(tokens.shape[1])[None])
        return self.tokens(tokens) + positions + self.segments(segments)

    def pooled(self, x: Any, padding: Any) -> Any:
        """The first token and the mean of the real ones."""
        kept = ops.cast(padding[..., None], x.dtype)
        return x[:, 0] + ops.sum(x * kept, 1) / ops.sum(kept, 1)


def offset_positions(self: Any, tokens: Any, segments: Any) -> Any:
    """RoBERTa's: positions begin behind the padding index."""
    positions = self.positions(ops.arange(2, tokens.shape[1] + 2)[None])
    return self.tokens(tokens) + positions + self.segments(segments)


def no_segments(self: Any, tokens: Any, segments: Any) -> Any:
    positions = self.positions(ops.arange(tokens.shape[1])[None])
    return self.tokens(tokens) + positions + self.segments(ops.zeros_like(segments))


def other_order(self: Any, tokens: Any, segments: Any) -> Any:
    positions = self.positions(ops.arange(tokens.shape[1])[None])
    return self.tokens(tokens) + (positions + self.segments(segments))


def mean_over_padding(self: Any, x: Any, padding: Any) -> Any:
    return x[:, 0] + ops.mean(x, 1)


def last_token(self: Any, x: Any, padding: Any) -> Any:
    kept = ops.cast(padding[..., None], x.dtype)
    return x[:, 1] + ops.sum(x * kept, 1) / ops.sum(kept, 1)


def product_pool(self: Any, x: Any, padding: Any) -> Any:
    """The masked sum as a product, in float32."""
    kept = ops.cast(padding, "float32")
    total = ops.einsum("bt,btd->bd", kept, ops.cast(x, "float32"))
    return x[:, 0] + ops.cast(total / ops.sum(kept, 1, keepdims=True), x.dtype)


def build(policy: str) -> tuple[Any, tuple[Any, ...]]:
    model = Bert(dtype=policy)
    model(TOKENS, SEGMENTS, PADDING)
    fill_weights(model, 2)
    return model, (TOKENS, SEGMENTS, PADDING)


def draw(model: Any, seed: int) -> tuple[Any, ...]:
    fill_weights(model, seed)
    tokens = np.random.default_rng(seed).integers(1, WORDS, TOKENS.shape).astype("int32")
    return tokens * PADDING, SEGMENTS, PADDING


NORMS = "*norm"
CORES = "*/attention:core"
DENSE = "*/query */key */value */output_dense */up */down pooler classifier"
Norm = layers.LayerNormalization

CHANGES: tuple[Change, ...] = (
    harmful("padding mask dropped", CORES, (Attention, "_compute_attention", unmasked)),
    harmful("padding mask inverted", CORES, (Attention, "_compute_attention", inverted)),
    harmful("NaN in padding", CORES, (Attention, "_compute_attention", nan_in_padding)),
    harmful("mask value -4", CORES, (Attention, "_compute_attention", core(forbidden=-4.0))),
    harmful("scores divided by sqrt(d_model)", CORES,
            (Attention, "_compute_attention", core(divide=math.sqrt(WIDTH)))),
    harmful("scores divided by sqrt(d+1)", CORES,
            (Attention, "_compute_attention", core(divide=math.sqrt(HEAD + 1)))),
    harmful("softmax over queries", CORES, (Attention, "_compute_attention", core(axis=-2))),
    lowered("scores in bfloat16", CORES,
            (Attention, "_compute_attention", core(dtype="bfloat16"))),
    harmful("norm epsilon 1e-12 to 1e-5", NORMS, (Norm, "call", n.layer_norm(epsilon=1e-5))),
    harmful("norm epsilon 1e-12 to 1e-2", NORMS, (Norm, "call", n.layer_norm(epsilon=1e-2))),
    harmful("rms norm in place of mean-centred", NORMS,
            (Norm, "call", n.layer_norm(centred=False))),
    harmful("norm variance with ddof 1", NORMS, (Norm, "call", n.layer_norm(ddof=1))),
    harmful("gelu tanh for erf", "*/up", (nn, "gelu", n.gelu_tanh)),
    harmful("gelu sigmoid for erf", "*/up", (nn, "gelu", n.gelu_sigmoid)),
    harmful("pre-norm in place of post-norm", "blocks/?", (Encoder, "call", pre_norm)),
    harmful("residual branch halved", "blocks/?", (Encoder, "call", halved_branch)),
    harmful("residual dropped", "blocks/?", (Encoder, "call", no_residual)),
    harmful("positions from 2", "<model>", (Bert, "embedded", offset_positions)),
    harmful("segments dropped", "<model>", (Bert, "embedded", no_segments)),
    harmful("mean over padding too", "<model>", (Bert, "pooled", mean_over_padding)),
    harmful("second token pooled", "<model>", (Bert, "pooled", last_token)),
    harmful("bias dropped", DENSE, (layers.Dense, "call", n.dense(bias=False))),
    harmful("activation before the bias", "*/up pooler",
            (layers.Dense, "call", n.dense(early_activation=True))),
    harmful("weights quantised to int4", DENSE,
            (layers.Dense, "call", n.dense(kernel=n.quantised(4)))),
    lowered("products of bfloat16 inputs", DENSE,
            (layers.Dense, "call", n.dense(inputs_in="bfloat16"))),
    harmful("norm epsilon to 1e-7", NORMS,
            (Norm, "call", n.with_values(Norm.call, epsilon=lambda e: 1e-7))),
    harmful("scores times 1.005", CORES, (Attention, "_compute_attention",
            core(divide=math.sqrt(HEAD) / 1.005))),
    harmless("nothing"),
    harmless("mask value -1e4", (Attention, "_compute_attention", core(forbidden=-1e4))),
    harmless("mask value -3e38", (Attention, "_compute_attention", core(forbidden=-3e38))),
    harmless("scores scaled and masked in float32",
             (Attention, "_compute_attention", core(dtype="float32"))),
    harmless("scores from key to query", (Attention, "_compute_attention", core(key_first=True))),
    harmless("norm divides", (Norm, "call", n.layer_norm(divide=True))),
    harmless("norm with gamma folded in", (Norm, "call", n.layer_norm(folded=True))),
    harmless("gelu in float32", (nn, "gelu", n.gelu_erf)),
    harmless("residual sums in float32", (Encoder, "call", wide_sums)),
    harmless("embeddings summed in another order", (Bert, "embedded", other_order)),
    harmless("pooling as a product", (Bert, "pooled", product_pool)),
    harmless("split-K products", (layers.Dense, "call", n.dense(pieces=3))),
    harmless("products summed backwards", (layers.Dense, "call", n.dense(reversed_sum=True))),
    harmless("bias added in float32", (layers.Dense, "call", n.dense(wide=True))),
)  # fmt: skip

# An added mask of -1e9 is -inf in float16: rows of padding are NaN, as such models had it.
SUBJECT = Subject("bert", build, CHANGES, draw, ("float32", "bfloat16"))
