"""Record a functional decoder under one release, or isolate it under another, as a script."""

from __future__ import annotations

import json
import pickle
import sys
from pathlib import Path

import keras
import zoo
from isolating import Recorded, isolating, recording

from pytest_keras_golden.capture.state.weights import fill_weights


def decoder() -> keras.Model:
    tokens = keras.Input((None,), dtype="int32")
    x = keras.layers.Embedding(zoo.WORDS, zoo.WIDTH, name="embedding")(tokens)
    for at in range(4):
        h = keras.layers.LayerNormalization(name=f"norm_a_{at}")(x)
        x = x + keras.layers.MultiHeadAttention(4, 4, name=f"attention_{at}_")(
            h, h, use_causal_mask=True
        )
        h = keras.layers.LayerNormalization(name=f"norm_b_{at}")(x)
        h = keras.layers.Dense(2 * zoo.WIDTH, activation="gelu", name=f"up_{at}")(h)
        x = x + keras.layers.Dense(zoo.WIDTH, name=f"down_{at}")(h)
    x = keras.layers.LayerNormalization(name="norm_last")(x)
    return keras.Model(tokens, keras.layers.Dense(zoo.WORDS, name="head")(x))


def _read(place: str) -> tuple:
    calls, pool, tensors = pickle.loads(Path(place).read_bytes())  # noqa: S301 - our own file
    return tensors, calls, pool


def main(mode: str, place: str, policy: str) -> None:
    keras.config.set_dtype_policy(policy)
    model = decoder()
    model(zoo.TOKENS)
    fill_weights(model, 0)
    if mode == "record":
        with recording(model) as block:
            model(zoo.TOKENS)
        Path(place).write_bytes(pickle.dumps((block.calls, block.pool, block.tensors)))
        return
    tensors, calls, pool = _read(place)
    with recording(model) as block, isolating(Recorded(tensors, calls, pool), model) as found:
        model(zoo.TOKENS)
    drifting = [
        name for name in tensors if block.tensors[name].tobytes() != tensors[name].tobytes()
    ]
    local = [[item.name, item.part] for item in found if not item.identical]
    json.dump({"keras": keras.__version__, "drifting": len(drifting), "local": local}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
