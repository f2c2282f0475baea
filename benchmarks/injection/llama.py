"""A Llama in plain Keras code: RoPE, RMSNorm, grouped heads, SwiGLU, residuals as operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from pytest_keras_golden.capture.state.weights import fill_weights

from . import numerics as n
from .change import Change, Subject, harmful, harmless, lowered

WORDS, WIDTH, HEADS, KV_HEADS, BLOCKS = 64, 64, 8, 2, 3
HEAD = WIDTH // HEADS
TOKENS = np.random.default_rng(5).integers(0, WORDS, (2, 24)).astype("int32")


class RMSNorm(layers.Layer):
    epsilon = 1e-6

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")

    def call(self, x: Any) -> Any:
        wide = ops.cast(x, "float32")
        variance = ops.mean(ops.square(wide), -1, keepdims=True)
        return ops.cast(wide * ops.rsqrt(variance + self.epsilon), x.dtype) * self.scale


class Rotary(layers.Layer):
    """Rotates halves of the last axis; x is (batch, time, heads, width)."""

    def call(self, x: Any) -> Any:
        return halves(x, *angles(x))


def angles(
    x: Any,
    base: float = 10000.0,
    start: int = 0,
    dtype: str = "float32",
    denominator: Callable[[int], float] = float,
) -> tuple[Any, Any]:
    """Cosine and sine, (time, 1, width/2). denominator: of the exponent, from half the width."""
    half = x.shape[-1] // 2
    exponents = ops.cast(np.arange(half) / denominator(half), dtype)
    frequency = ops.cast(base, dtype) ** -exponents
    positions = ops.cast(ops.arange(start, start + x.shape[1]), dtype)
    turned = (positions[:, None] * frequency[None])[:, None]
    return ops.cast(ops.cos(turned), "float32"), ops.cast(ops.sin(turned), "float32")


def halves(x: Any, cos: Any, sin: Any) -> Any:
    a, b = ops.split(ops.cast(x, "float32"), 2, axis=-1)
    return ops.cast(ops.concatenate([a * cos - b * sin, b * cos + a * sin], -1), x.dtype)


def rotary(**options: Any) -> n.Method:
    return lambda self, x: halves(x, *angles(x, **options))


def interleaved(self: Any, x: Any) -> Any:
    """Neighbours form a pair, as in GPT-J and the original paper."""
    cos, sin = angles(x)
    wide = ops.cast(x, "float32")
    a, b = wide[..., ::2], wide[..., 1::2]
    pairs = ops.stack([a * cos - b * sin, b * cos + a * sin], axis=-1)
    return ops.cast(ops.reshape(pairs, x.shape), x.dtype)


def backwards(self: Any, x: Any) -> Any:
    cos, sin = angles(x)
    return halves(x, cos, -sin)


def low_rotation(self: Any, x: Any) -> Any:
    """Tables and products in the dtype of x."""
    cos, sin = (ops.cast(part, x.dtype) for part in angles(x))
    a, b = ops.split(x, 2, axis=-1)
    return ops.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


def host_tables(self: Any, x: Any) -> Any:
    """Tables from numpy in float64, rounded once."""
    half = x.shape[-1] // 2
    turned = np.outer(np.arange(x.shape[1]), 10000.0 ** -(np.arange(half) / half))[:, None]
    tables = (ops.convert_to_tensor(f(turned).astype("float32")) for f in (np.cos, np.sin))
    return halves(x, *tables)


def doubled_tables(self: Any, x: Any) -> Any:
    """x·cos + rotate_half(x)·sin, as most code has it."""
    cos, sin = angles(x)
    wide = ops.cast(x, "float32")
    a, b = ops.split(wide, 2, axis=-1)
    turned = ops.concatenate([-b, a], -1)
    both = [ops.concatenate([part, part], -1) for part in (cos, sin)]
    return ops.cast(wide * both[0] + turned * both[1], x.dtype)


class Attention(layers.Layer):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        policy = {"dtype": self.dtype_policy, "use_bias": False}
        self.query = layers.Dense(WIDTH, **policy)
        self.key = layers.Dense(KV_HEADS * HEAD, **policy)
        self.value = layers.Dense(KV_HEADS * HEAD, **policy)
        self.output_dense = layers.Dense(WIDTH, **policy)
        self.rotary = Rotary(dtype=self.dtype_policy)

    def call(self, x: Any) -> Any:
        batch, length, _ = x.shape
        query = self.rotary(ops.reshape(self.query(x), (batch, length, HEADS, HEAD)))
        key = self.rotary(ops.reshape(self.key(x), (batch, length, KV_HEADS, HEAD)))
        value = ops.reshape(self.value(x), (batch, length, KV_HEADS, HEAD))
        mixed = self._compute_attention(query, self.spread(key), self.spread(value))
        return self.output_dense(ops.reshape(mixed, (batch, length, WIDTH)))

    def spread(self, x: Any) -> Any:
        """Key and value heads for every query head."""
        return ops.repeat(x, HEADS // KV_HEADS, axis=2)

    def _compute_attention(self, query: Any, key: Any, value: Any) -> Any:
        return core()(self, query, key, value)


def core(**options: Any) -> n.Method:
    attend = n.attention(**options)
    return lambda self, query, key, value: attend(query, key, value, is_causal=True)


class SwiGLU(layers.Layer):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        policy = {"dtype": self.dtype_policy, "use_bias": False}
        self.gate, self.up = layers.Dense(2 * WIDTH, **policy), layers.Dense(2 * WIDTH, **policy)
        self.down = layers.Dense(WIDTH, **policy)

    def call(self, x: Any) -> Any:
        return self.down(ops.silu(self.gate(x)) * self.up(x))


def gated(activation: Callable[[Any], Any], swapped: bool = False) -> n.Method:
    def call(self: Any, x: Any) -> Any:
        gate, up = self.gate(x), self.up(x)
        if swapped:
            gate, up = up, gate
        return self.down(ops.cast(ops.multiply(activation(gate), up), x.dtype))

    return call


def silu_quotient(x: Any) -> Any:
    return x / (1.0 + ops.exp(-x))


class Block(layers.Layer):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        policy = {"dtype": self.dtype_policy}
        self.attention_norm, self.mlp_norm = RMSNorm(**policy), RMSNorm(**policy)
        self.attention, self.mlp = Attention(**policy), SwiGLU(**policy)

    def call(self, x: Any) -> Any:
        x = x + self.attention(self.attention_norm(x))
        return x + self.mlp(self.mlp_norm(x))


def low_residual(self: Any, x: Any) -> Any:
    x = n.lowered(x + self.attention(self.attention_norm(x)), "bfloat16")
    return n.lowered(x + self.mlp(self.mlp_norm(x)), "bfloat16")


def wide_residual(self: Any, x: Any) -> Any:
    """The sum in float32, rounded when the next layer takes it: once in place of twice."""
    h = ops.cast(x, "float32") + ops.cast(self.attention(self.attention_norm(x)), "float32")
    x = ops.cast(h, x.dtype)
    return x + self.mlp(self.mlp_norm(x))


def normed_residual(self: Any, x: Any) -> Any:
    """The residual branches off after the norm."""
    h = self.attention_norm(x)
    x = h + self.attention(h)
    return x + self.mlp(self.mlp_norm(x))


def scaled_residual(self: Any, x: Any) -> Any:
    x = x + self.attention(self.attention_norm(x))
    return x + 0.9 * self.mlp(self.mlp_norm(x))


class Llama(keras.Model):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        policy = {"dtype": self.dtype_policy}
        self.embedding = layers.Embedding(WORDS, WIDTH, **policy)
        self.blocks = [Block(**policy) for _ in range(BLOCKS)]
        self.norm = RMSNorm(**policy)
        self.head = layers.Dense(WORDS, use_bias=False, **policy)

    def call(self, tokens: Any) -> Any:
        x = self.embedded(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))

    def embedded(self, tokens: Any) -> Any:
        x = self.embedding(tokens)
        return x * ops.cast(WIDTH**0.5 * 1.1, x.dtype)


def rounded_scale(self: Any, tokens: Any) -> Any:
    """The constant in bfloat16, as Gemma has it."""
    x = self.embedding(tokens)
    return x * ops.cast(ops.cast(WIDTH**0.5 * 1.1, "bfloat16"), x.dtype)


def other_scale(self: Any, tokens: Any) -> Any:
    x = self.embedding(tokens)
    return x * ops.cast(WIDTH**0.5, x.dtype)


def unnormed_head(self: Any, tokens: Any) -> Any:
    x = self.embedded(tokens)
    for block in self.blocks:
        x = block(x)
    return self.head(x)


def rms_norm(
    epsilon: float | None = None,
    compute_in: str = "float32",
    centred: bool = False,
    offset: float = 0.0,
    late_cast: bool = False,
    norm: bool = False,
) -> n.Method:
    """late_cast: the scale is multiplied in float32. norm: by x·√n/‖x‖, epsilon added after."""

    def call(self: Any, x: Any) -> Any:
        wide = ops.cast(x, compute_in)
        if centred:
            wide = wide - ops.mean(wide, -1, keepdims=True)
        variance = ops.mean(ops.square(wide), -1, keepdims=True)
        small = self.epsilon if epsilon is None else epsilon
        inverse = ops.rsqrt(variance + ops.cast(small, compute_in))
        if norm:
            inverse = 1.0 / ops.sqrt(variance + ops.cast(small, compute_in))
        scale = offset + ops.cast(self.scale, compute_in)
        if late_cast:
            return ops.cast(wide * inverse * scale, x.dtype)
        return ops.cast(wide * inverse, x.dtype) * ops.cast(scale, x.dtype)

    return call


def build(policy: str) -> tuple[Any, tuple[Any, ...]]:
    model = Llama(dtype=policy)
    model(TOKENS)
    fill_weights(model, 1)
    return model, (TOKENS,)


def draw(model: Any, seed: int) -> tuple[Any, ...]:
    fill_weights(model, seed)
    return (np.random.default_rng(seed).integers(0, WORDS, TOKENS.shape).astype("int32"),)


def tiled(self: Any, x: Any) -> Any:
    return ops.tile(x, (1, 1, HEADS // KV_HEADS, 1))


def stacked(self: Any, x: Any) -> Any:
    """Repetition by broadcasting, as most PyTorch code has it."""
    batch, length, heads, width = x.shape
    wide = ops.broadcast_to(x[:, :, :, None], (batch, length, heads, HEADS // KV_HEADS, width))
    return ops.reshape(wide, (batch, length, HEADS, width))


NORMS = "*norm"
ROTARY = "*/rotary */rotary@1"
CORES = "*/attention:core"
DENSE = "*/query */key */value */output_dense */gate */up */down head"

CHANGES: tuple[Change, ...] = (
    harmful("RoPE base 500000", ROTARY, (Rotary, "call", rotary(base=500000.0))),
    harmful("RoPE positions from 1", ROTARY, (Rotary, "call", rotary(start=1))),
    lowered("RoPE angles in bfloat16", ROTARY, (Rotary, "call", rotary(dtype="bfloat16"))),
    lowered("RoPE angles in float16", ROTARY, (Rotary, "call", rotary(dtype="float16"))),
    harmful("RoPE of neighbours, not halves", ROTARY, (Rotary, "call", interleaved)),
    harmful("RoPE turned the other way", ROTARY, (Rotary, "call", backwards)),
    harmful("RoPE exponents to 1 inclusive", ROTARY,
            (Rotary, "call", rotary(denominator=lambda half: half - 1.0))),
    harmful("key heads tiled, not repeated", "*/attention", (Attention, "spread", tiled)),
    harmful("attention scale 1/sqrt(d+1)", CORES,
            (Attention, "_compute_attention", core(scale=lambda d: (d + 1) ** -0.5))),
    harmful("no attention scale", CORES,
            (Attention, "_compute_attention", core(scale=lambda d: 1.0))),
    harmful("attention soft cap of 50", CORES, (Attention, "_compute_attention", core(cap=50.0))),
    harmful("attention soft cap of 5", CORES, (Attention, "_compute_attention", core(cap=5.0))),
    harmful("mask value -3", CORES, (Attention, "_compute_attention", core(forbidden=-3.0))),
    harmful("window of 8", CORES, (Attention, "_compute_attention", core(window=8))),
    lowered("softmax in float16", CORES,
            (Attention, "_compute_attention", core(softmax_in="float16"))),
    harmful("norm epsilon 1e-6 to 1e-5", NORMS, (RMSNorm, "call", rms_norm(epsilon=1e-5))),
    harmful("norm epsilon 1e-6 to 1e-2", NORMS, (RMSNorm, "call", rms_norm(epsilon=1e-2))),
    harmful("norm scale is 1 + weight", NORMS, (RMSNorm, "call", rms_norm(offset=1.0))),
    harmful("mean-centred in place of rms norm", NORMS, (RMSNorm, "call", rms_norm(centred=True))),
    lowered("norm computed in bfloat16", NORMS, (RMSNorm, "call", rms_norm(compute_in="bfloat16"))),
    harmful("gelu in place of silu", "*/mlp", (SwiGLU, "call", gated(ops.gelu))),
    harmful("gate and up swapped", "*/mlp", (SwiGLU, "call", gated(ops.silu, swapped=True))),
    harmful("hard silu in place of silu", "*/mlp", (SwiGLU, "call", gated(ops.hard_silu))),
    harmful("residual after the norm", "blocks/?", (Block, "call", normed_residual)),
    harmful("residual branch scaled by 0.9", "blocks/?", (Block, "call", scaled_residual)),
    lowered("residual stream in bfloat16", "blocks/?", (Block, "call", low_residual)),
    harmful("embedding scale dropped by 10 %", "<model>", (Llama, "embedded", other_scale)),
    lowered("embedding scale rounded to bfloat16", "<model>", (Llama, "embedded", rounded_scale)),
    harmful("final norm skipped", "<model>", (Llama, "call", unnormed_head)),
    harmful("weights quantised to int8", DENSE,
            (layers.Dense, "call", n.dense(kernel=n.quantised(8)))),
    lowered("weights in float8", DENSE,
            (layers.Dense, "call", n.dense(kernel=lambda w: n.lowered(w, "float8_e4m3fn")))),
    lowered("TF32-like products", DENSE, (layers.Dense, "call", n.dense(inputs_in="float16"))),
    harmful("norm epsilon times 2", NORMS,
            (RMSNorm, "call", n.with_values(RMSNorm.call, epsilon=lambda e: 2 * e))),
    harmful("norm epsilon times 10", NORMS,
            (RMSNorm, "call", n.with_values(RMSNorm.call, epsilon=lambda e: 10 * e))),
    harmful("RoPE base 10100", ROTARY, (Rotary, "call", rotary(base=10100.0))),
    harmful("RoPE base 9900", ROTARY, (Rotary, "call", rotary(base=9900.0))),
    harmful("attention scale times 1.005", CORES, (Attention, "_compute_attention",
            core(scale=lambda d: 1.005 * d**-0.5))),
    harmful("attention scale times 0.995", CORES, (Attention, "_compute_attention",
            core(scale=lambda d: 0.995 * d**-0.5))),
    harmless("nothing"),
    harmless("RoPE tables from numpy", (Rotary, "call", host_tables)),
    harmless("RoPE by rotate_half", (Rotary, "call", doubled_tables)),
    harmless("RoPE in the dtype of x", (Rotary, "call", low_rotation)),
    harmless("heads repeated by broadcasting", (Attention, "spread", stacked)),
    harmless("query scaled first", (Attention, "_compute_attention", core(scale_query=True))),
    harmless("softmax divided after the values",
             (Attention, "_compute_attention", core(normalise_last=True))),
    harmless("mask value -1e9", (Attention, "_compute_attention", core(forbidden=-1e9))),
    harmless("norm scale in float32", (RMSNorm, "call", rms_norm(late_cast=True))),
    harmless("norm by square root and division", (RMSNorm, "call", rms_norm(norm=True))),
    harmless("silu as a quotient", (SwiGLU, "call", gated(silu_quotient))),
    harmless("silu in float32",
             (SwiGLU, "call", gated(lambda x: ops.silu(ops.cast(x, "float32"))))),
    harmless("residual sum in float32", (Block, "call", wide_residual)),
    harmless("split-K products", (layers.Dense, "call", n.dense(pieces=2))),
    harmless("split-K of 8", (layers.Dense, "call", n.dense(pieces=8))),
    harmless("products summed backwards", (layers.Dense, "call", n.dense(reversed_sum=True))),
    harmless("products in float32", (layers.Dense, "call", n.dense(wide=True))),
)  # fmt: skip

SUBJECT = Subject("llama", build, CHANGES, draw)
