"""The trained decoder: what it learned, and the numbers that it computes it with."""

from __future__ import annotations

from typing import Any

import decoder
import numpy as np
import pytest
from keras import ops
from train import compiled, windows

PROMPT = "ROMEO:\nO, speak!"


@pytest.fixture(scope="module", params=["bfloat16", "float32"])
def model(request: pytest.FixtureRequest) -> decoder.Decoder:
    return decoder.load(request.param)


@pytest.mark.keras_versions(">=3.3.3")
def test_prompt(golden_tensors: Any, model: decoder.Decoder) -> None:
    # Isolation stores every layer's inputs and outputs: in float32 that would treble the golden.
    with golden_tensors.capture(model, isolate=model.compute_dtype == "bfloat16"):
        model(decoder.encode(PROMPT))


# `fit` of earlier releases asks jax for what it has no more.
@pytest.mark.keras_versions(">=3.10")
def test_first_steps(golden_tensors: Any) -> None:
    """Three steps of `train.py`, on from the shipped weights: its initial ones are drawn."""
    text = decoder.encode(decoder.TEXT.read_text(encoding="utf-8"))[0]
    inputs, targets = (rows[:, :16] for rows in windows(text, 6, np.random.default_rng(0)))
    model = compiled(decoder.load("float32"), steps=900, learning_rate=2e-3)
    with golden_tensors.capture(model, select="training"):
        model.fit(inputs, targets, batch_size=2, shuffle=False, verbose=0)


def test_it_learned(model: decoder.Decoder) -> None:
    """Bits per character on the scene's last page, which training never saw."""
    text = decoder.TEXT.read_text(encoding="utf-8")[-decoder.CONTEXT - 1 :]
    tokens = decoder.encode(text)[0]
    logits = ops.convert_to_numpy(ops.cast(model(tokens[None, :-1]), "float32"))[0]
    picked = logits[np.arange(decoder.CONTEXT), tokens[1:]]
    nats = np.log(np.exp(logits).sum(-1)) - picked
    # Guessing by letter frequency needs 4.2 bits, evenly 5.9.
    assert nats.mean() / np.log(2) < 3.2
