"""Size of a golden of three training steps of a model of 100 million parameters.

    python benchmarks/training_size.py [MILLIONS]

Prints parameters, bytes of what is recorded, and the seconds that recording took. Exits with 1
where it is 2 MiB or more.
"""

from __future__ import annotations

import os
import sys
import time

os.environ.setdefault("KERAS_BACKEND", "jax")


def decoder(millions: float):
    """A stack of transformer blocks of width 768, as many as it takes."""
    import keras

    width, entry = 768, keras.Input((16,), dtype="int32")
    hidden = keras.layers.Embedding(8192, width)(entry)
    blocks = max(1, round((millions * 1e6 - 2 * 8192 * width) / (12 * width**2)))
    for _ in range(blocks):
        normed = keras.layers.LayerNormalization()(hidden)
        attended = keras.layers.MultiHeadAttention(12, width // 12)(normed, normed)
        hidden = hidden + attended
        normed = keras.layers.LayerNormalization()(hidden)
        hidden = hidden + keras.layers.Dense(width)(
            keras.layers.Dense(4 * width, activation="gelu")(normed)
        )
    return keras.Model(entry, keras.layers.Dense(8192)(hidden))


def recorded_bytes(model, steps: int = 3) -> tuple[int, int]:
    """Bytes of the tensors, and of names and digests as a golden keeps them."""
    import keras
    import numpy as np

    from pytest_keras_golden.capture.block import capture_block
    from pytest_keras_golden.capture.tap.request import Request

    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 8192, (steps, 16)).astype("int32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-4), loss)
    request = Request(select=("training",), isolate=False)
    with capture_block(model, request) as block:
        model.fit(tokens, np.roll(tokens, -1, 1), batch_size=1, verbose=0, shuffle=False)
    return sum(record.value.nbytes for record in block.records), len(block.records)


def main(arguments: list[str]) -> int:
    model = decoder(float(arguments[0]) if arguments else 100.0)
    started = time.perf_counter()
    size, tensors = recorded_bytes(model)
    seconds = time.perf_counter() - started
    print(f"{model.count_params() / 1e6:.1f} M parameters, {len(model.weights)} weights")
    print(f"{tensors} tensors, {size / 2**20:.2f} MiB, {seconds:.0f} s")
    return int(size >= 2 * 2**20)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
