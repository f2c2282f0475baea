"""The trained decoder of examples/gpt: Keras' own layers, pre-norm, causal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
from keras import layers, ops
from keras.src.backend import nn

from . import numerics as n
from .change import Change, Subject, harmful, harmless, lowered

sys.path.append(str(Path(__file__).resolve().parents[2] / "examples" / "gpt"))
import decoder

TEXT = "JULIET. O Romeo, Romeo, wherefore art thou Romeo?"[:48]
NORMS = "*norm"
CORES = "*attention:core"
BLOCKS = "blocks/?"


def build(policy: str) -> tuple[Any, tuple[Any, ...]]:
    return decoder.load(policy), (decoder.encode(TEXT),)


def draw(model: Any, seed: int) -> tuple[Any, ...]:
    """Other text; the weights stay, since they are trained."""
    count = len(decoder.alphabet())
    return (np.random.default_rng(seed).integers(0, count, (1, len(TEXT))).astype("int32"),)


def scaled_residual(self: Any, x: Any) -> Any:
    h = self.attention_norm(x)
    x = self.attention_residual([x, 0.98 * self.attention(h, h, use_causal_mask=True)])
    return self.mlp_residual([x, self.mlp_out(self.mlp_in(self.mlp_norm(x)))])


def parallel(self: Any, x: Any) -> Any:
    """Both branches from the block's input, as GPT-J has it."""
    h = self.attention_norm(x)
    after = self.attention_residual([x, self.attention(h, h, use_causal_mask=True)])
    return self.mlp_residual([after, self.mlp_out(self.mlp_in(self.mlp_norm(x)))])


def swapped_residual(self: Any, x: Any) -> Any:
    """The sum's operands in the other order."""
    h = self.attention_norm(x)
    x = self.attention_residual([x, self.attention(h, h, use_causal_mask=True)])
    h = self.mlp_out(self.mlp_in(self.mlp_norm(x)))
    return self.mlp_residual([x + 0, h])


def late_positions(self: Any, tokens: Any) -> Any:
    positions = ops.arange(1, tokens.shape[1] + 1)
    x = self.embedding([self.token_embedding(tokens), self.position_embedding(positions[None])])
    for block in self.blocks:
        x = block(x)
    return self.logits(self.final_norm(x))


def capped(self: Any, tokens: Any) -> Any:
    logits = original_model(self, tokens)
    return 30.0 * ops.tanh(logits / 30.0)


def lowered_sum(self: Any, inputs: Any) -> Any:
    return n.lowered(inputs[0] + inputs[1], "bfloat16")


def reversed_sum(self: Any, inputs: Any) -> Any:
    return inputs[1] + inputs[0]


def shifted_embedding(self: Any, inputs: Any) -> Any:
    return original_embedding(self, inputs) * ops.cast(1.001, self.compute_dtype)


def one_hot_embedding(self: Any, inputs: Any) -> Any:
    table = ops.convert_to_tensor(self.embeddings)
    return ops.matmul(ops.one_hot(inputs, self.input_dim, dtype=table.dtype), table)


def fused_einsum_dense(self: Any, inputs: Any, training: Any = None) -> Any:
    """Projections in float32, rounded once, after the bias."""
    x, w = (ops.cast(t, "float32") for t in (inputs, self.kernel))
    return ops.cast(ops.add(ops.einsum(self.equation, x, w), self.bias), self.compute_dtype)


def unbiased_einsum_dense(self: Any, inputs: Any, training: Any = None) -> Any:
    return ops.einsum(self.equation, inputs, self.kernel)


original_model = decoder.Decoder.call
original_embedding = layers.Embedding.call
DENSE = "*mlp_in *mlp_out logits"
PROJECTIONS = "*/query_dense */key_dense */value_dense */output_dense"

CHANGES: tuple[Change, ...] = (
    harmful("attention scale 1/sqrt(d+1)", CORES,
            (nn, "dot_product_attention", n.attention(scale=lambda d: (d + 1) ** -0.5))),
    harmful("attention scale 1/sqrt(d_model)", CORES,
            (nn, "dot_product_attention", n.attention(scale=lambda d: (4 * d) ** -0.5))),
    harmful("causal mask sees the next token", CORES,
            (nn, "dot_product_attention", n.attention(offset=1))),
    harmful("causal mask hides the token itself", CORES,
            (nn, "dot_product_attention", n.attention(offset=-1))),
    harmful("mask value -5 in place of -inf", CORES,
            (nn, "dot_product_attention", n.attention(forbidden=-5.0))),
    lowered("softmax in bfloat16", CORES,
            (nn, "dot_product_attention", n.attention(softmax_in="bfloat16"))),
    lowered("softmax in float16", CORES,
            (nn, "dot_product_attention", n.attention(softmax_in="float16"))),
    harmful("sliding window of 16", CORES,
            (nn, "dot_product_attention", n.attention(window=16))),
    harmful("norm epsilon 1e-5 to 1e-3", NORMS,
            (layers.LayerNormalization, "call", n.layer_norm(epsilon=1e-3))),
    harmful("norm epsilon 1e-5 to 1e-6", NORMS,
            (layers.LayerNormalization, "call", n.layer_norm(epsilon=1e-6))),
    harmful("norm epsilon outside the root", NORMS,
            (layers.LayerNormalization, "call", n.layer_norm(epsilon_outside=True))),
    harmful("rms norm in place of mean-centred", NORMS,
            (layers.LayerNormalization, "call", n.layer_norm(centred=False))),
    harmful("norm variance with ddof 1", NORMS,
            (layers.LayerNormalization, "call", n.layer_norm(ddof=1))),
    lowered("norm computed in bfloat16", NORMS,
            (layers.LayerNormalization, "call", n.layer_norm(compute_in="bfloat16"))),
    harmful("gelu tanh for erf", "*mlp_in", (nn, "gelu", n.gelu_tanh)),
    harmful("gelu sigmoid for erf", "*mlp_in", (nn, "gelu", n.gelu_sigmoid)),
    harmful("activation before the bias", "*mlp_in",
            (layers.Dense, "call", n.dense(early_activation=True))),
    harmful("residual branch scaled by 0.98", BLOCKS,
            (decoder.DecoderBlock, "call", scaled_residual)),
    harmful("parallel branches", BLOCKS, (decoder.DecoderBlock, "call", parallel)),
    harmful("positions off by one", "<model>", (decoder.Decoder, "call", late_positions)),
    harmful("logits capped at 30", "<model>", (decoder.Decoder, "call", capped)),
    lowered("residual stream in bfloat16", "*residual embedding",
            (layers.Add, "call", lowered_sum)),
    harmful("embedding scaled by 1.001", "*_embedding",
            (layers.Embedding, "call", shifted_embedding)),
    harmful("bias of Dense dropped", DENSE, (layers.Dense, "call", n.dense(bias=False))),
    harmful("bias of projections dropped", PROJECTIONS,
            (layers.EinsumDense, "call", unbiased_einsum_dense)),
    harmful("weights quantised to int8", DENSE,
            (layers.Dense, "call", n.dense(kernel=n.quantised(8)))),
    harmful("weights quantised to int4", DENSE,
            (layers.Dense, "call", n.dense(kernel=n.quantised(4)))),
    lowered("products of bfloat16 inputs", DENSE,
            (layers.Dense, "call", n.dense(inputs_in="bfloat16"))),
    lowered("products of float8 inputs", DENSE,
            (layers.Dense, "call", n.dense(inputs_in="float8_e4m3fn"))),
    harmful("norm epsilon times 2", NORMS, (layers.LayerNormalization, "call",
            n.with_values(layers.LayerNormalization.call, epsilon=lambda e: 2 * e))),
    harmful("norm epsilon times 10", NORMS, (layers.LayerNormalization, "call",
            n.with_values(layers.LayerNormalization.call, epsilon=lambda e: 10 * e))),
    harmful("attention scale times 1.005", CORES,
            (nn, "dot_product_attention", n.rescaled(nn.dot_product_attention, 1.005))),
    harmful("attention scale times 0.995", CORES,
            (nn, "dot_product_attention", n.rescaled(nn.dot_product_attention, 0.995))),
    harmless("nothing"),
    harmless("attention written out", (nn, "dot_product_attention", n.attention())),
    harmless("attention scales the query first",
             (nn, "dot_product_attention", n.attention(scale_query=True))),
    harmless("mask value -1e4", (nn, "dot_product_attention", n.attention(forbidden=-1e4))),
    harmless("softmax without subtracting the maximum",
             (nn, "dot_product_attention", n.attention(stable=False))),
    harmless("softmax divided after the values",
             (nn, "dot_product_attention", n.attention(normalise_last=True))),
    harmless("norm divides", (layers.LayerNormalization, "call", n.layer_norm(divide=True))),
    harmless("norm with gamma folded in",
             (layers.LayerNormalization, "call", n.layer_norm(folded=True))),
    harmless("norm variance through squares",
             (layers.LayerNormalization, "call", n.layer_norm(through_squares=True))),
    harmless("gelu in float32", (nn, "gelu", n.gelu_erf)),
    harmless("split-K products", (layers.Dense, "call", n.dense(pieces=2))),
    harmless("split-K of 4", (layers.Dense, "call", n.dense(pieces=4))),
    harmless("products summed backwards", (layers.Dense, "call", n.dense(reversed_sum=True))),
    harmless("bias added in float32", (layers.Dense, "call", n.dense(wide=True))),
    harmless("projections rounded once", (layers.EinsumDense, "call", fused_einsum_dense)),
    harmless("residual operands swapped", (layers.Add, "call", reversed_sum)),
    harmless("residual with a zero added", (decoder.DecoderBlock, "call", swapped_residual)),
    harmless("embedding by one-hot product", (layers.Embedding, "call", one_hot_embedding)),
)  # fmt: skip

SUBJECT = Subject("gpt", build, CHANGES, draw)
