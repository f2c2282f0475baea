"""Small models of every style, for tests; their code is the same under every Keras release."""

from __future__ import annotations

import keras
import numpy as np

WIDTH = 16
WORDS = 23
TOKENS = np.array([[1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]], "int32")


class Block(keras.layers.Layer):
    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.norm = keras.layers.LayerNormalization()
        self.attention = keras.layers.MultiHeadAttention(4, WIDTH // 4)
        self.mlp = [keras.layers.LayerNormalization(), {"up": keras.layers.Dense(2 * WIDTH)}]

    def build(self, shape):
        # A layer that the class adds late.
        self.down = keras.layers.Dense(WIDTH)
        self.built = True

    def call(self, x):
        h = self.norm(x)
        x = x + self.attention(h, h, use_causal_mask=True) * self.scale
        h = keras.ops.gelu(self.mlp[1]["up"](self.mlp[0](x)))
        return x + self.down(h)


class Decoder(keras.Model):
    def __init__(self, blocks: int = 2, scale: float = 1.0) -> None:
        super().__init__()
        self.embedding = keras.layers.Embedding(WORDS, WIDTH)
        self.blocks = [Block(scale) for _ in range(blocks)]
        self.norm = keras.layers.LayerNormalization()
        self.head = keras.layers.Dense(WORDS)

    def call(self, tokens):
        x = self.embedding(tokens)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def functional(blocks: int = 2) -> keras.Model:
    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(WORDS, WIDTH, name="embedding")(tokens)
    shared = keras.layers.Dense(WIDTH, activation="gelu", name="shared")
    for index in range(blocks):
        h = keras.layers.LayerNormalization()(x)
        attention = keras.layers.MultiHeadAttention(4, WIDTH // 4, name=f"attention_of_{index}")
        x = x + attention(h, h, use_causal_mask=True)
        x = x + shared(keras.layers.LayerNormalization(name=f"norm_of_{index}")(x))
    x = keras.ops.tanh(keras.layers.LayerNormalization(name="last")(x) * 0.5)
    return keras.Model(tokens, keras.layers.Dense(WORDS, name="head")(x))


def sequential() -> keras.Model:
    return keras.Sequential(
        [
            keras.layers.Embedding(WORDS, WIDTH),
            keras.layers.Dense(WIDTH, activation="relu"),
            keras.layers.LayerNormalization(),
            keras.Sequential([keras.layers.Dense(WIDTH), keras.layers.Dense(WORDS, name="head")]),
        ]
    )


def llama() -> keras.Model:
    import keras_hub

    backbone = keras_hub.models.LlamaBackbone(
        vocabulary_size=WORDS,
        num_layers=2,
        num_query_heads=4,
        num_key_value_heads=2,
        hidden_dim=WIDTH,
        intermediate_dim=2 * WIDTH,
    )
    return keras_hub.models.LlamaCausalLM(backbone, preprocessor=None)


STYLES = {
    "functional": functional,
    "sequential": sequential,
    "subclassed": Decoder,
    "llama": llama,
}


def inputs(style: str):
    if style != "llama":
        return TOKENS
    return {"token_ids": TOKENS, "padding_mask": np.ones_like(TOKENS)}
