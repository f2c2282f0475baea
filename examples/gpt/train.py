"""Trains the decoder on the text of this folder and writes `gpt.safetensors`.

    KERAS_BACKEND=jax python examples/gpt/train.py

A few minutes on two cores. Weights depend on backend and release (initial values under one seed
do), so what is committed is what everything else uses; training again makes another model, and
every golden of it has to be recorded again.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import decoder
import keras
import numpy as np

Tokens = np.ndarray[Any, np.dtype[np.int32]]


def windows(tokens: Tokens, count: int, rng: np.random.Generator) -> tuple[Tokens, Tokens]:
    """Inputs and their successors, both (count, CONTEXT), from random places of the text."""
    starts = rng.integers(0, len(tokens) - decoder.CONTEXT, size=count)
    rows = tokens[starts[:, None] + np.arange(decoder.CONTEXT + 1)]
    return rows[:, :-1], rows[:, 1:]


def compiled(model: decoder.Decoder, steps: int, learning_rate: float) -> decoder.Decoder:
    """The model with what trains it over so many steps."""
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=learning_rate, warmup_steps=steps // 15
    )
    model.compile(
        optimizer=keras.optimizers.AdamW(schedule, weight_decay=0.1, clipnorm=1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=900)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    options = parser.parse_args()

    keras.utils.set_random_seed(0)
    tokens = decoder.encode(decoder.TEXT.read_text(encoding="utf-8"))[0]
    # The last twentieth is never trained on: it tells learning from memorising.
    seen, unseen = np.split(tokens, [len(tokens) * 19 // 20])
    inputs, targets = windows(seen, options.steps * options.batch, np.random.default_rng(0))
    held_out = windows(unseen, 64, np.random.default_rng(1))

    model = compiled(decoder.build("float32"), options.steps, options.learning_rate)
    started = time.perf_counter()
    # Windows are drawn once for the whole run and cut into ten "epochs" only to print progress.
    for part in range(10):
        rows = slice(part * len(inputs) // 10, (part + 1) * len(inputs) // 10)
        history = model.fit(
            inputs[rows], targets[rows], batch_size=options.batch, shuffle=False, verbose=0
        )
        loss, validation = history.history["loss"][-1], model.evaluate(*held_out, verbose=0)
        elapsed = time.perf_counter() - started
        print(f"{part + 1}/10  loss {loss:.3f}  held out {validation:.3f}  {elapsed:.0f} s")

    decoder.save(
        model,
        {
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
            "steps": options.steps,
            "batch": options.batch,
            "loss": round(float(loss), 3),
            "held_out": round(float(validation), 3),
        },
    )
    print(decoder.generate(model, "ROMEO:\n", decoder.CONTEXT))


if __name__ == "__main__":
    main()
