"""The trained decoder: what it learned, and the numbers that it computes it with."""

from __future__ import annotations

from typing import Any

import decoder
import numpy as np
import pytest
from keras import ops

PROMPT = "ROMEO:\nO, speak!"


@pytest.fixture(scope="module", params=["bfloat16", "float32"])
def model(request: pytest.FixtureRequest) -> decoder.Decoder:
    return decoder.load(request.param)


@pytest.mark.keras_versions(">=3.3.3")
def test_prompt(golden_tensors: Any, model: decoder.Decoder) -> None:
    # Isolation stores every layer's inputs and outputs: in float32 that would treble the golden.
    with golden_tensors.capture(model, isolate=model.compute_dtype == "bfloat16"):
        model(decoder.encode(PROMPT))


def test_it_learned(model: decoder.Decoder) -> None:
    """Bits per character on the scene's last page, which training never saw."""
    text = decoder.TEXT.read_text(encoding="utf-8")[-decoder.CONTEXT - 1 :]
    tokens = decoder.encode(text)[0]
    logits = ops.convert_to_numpy(ops.cast(model(tokens[None, :-1]), "float32"))[0]
    picked = logits[np.arange(decoder.CONTEXT), tokens[1:]]
    nats = np.log(np.exp(logits).sum(-1)) - picked
    # Guessing by letter frequency needs 4.2 bits, evenly 5.9.
    assert nats.mean() / np.log(2) < 3.2
