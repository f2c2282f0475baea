"""Run in a process of its own: small language models, decoded and compared with full prefill."""

from __future__ import annotations

import sys

import keras
import numpy as np
from keras_hub import models

from pytest_keras_golden.capture.decode.decode import decode
from pytest_keras_golden.capture.state.weights import fill_weights

COMMON = {"vocabulary_size": 50, "num_layers": 2, "hidden_dim": 16, "intermediate_dim": 32}
STEPS = 6


def language_model(kind: str, dtype: str, preprocessor: object = None) -> keras.Model:
    if kind == "llama":
        backbone = models.LlamaBackbone(
            **COMMON, num_query_heads=4, num_key_value_heads=2, dtype=dtype
        )
        made = models.LlamaCausalLM(backbone, preprocessor)
    elif kind == "gemma":
        backbone = models.GemmaBackbone(
            **COMMON, num_query_heads=4, num_key_value_heads=1, head_dim=8, dtype=dtype
        )
        made = models.GemmaCausalLM(backbone, preprocessor)
    else:
        backbone = models.GPT2Backbone(
            **COMMON, num_heads=4, max_sequence_length=32, dropout=0.0, dtype=dtype
        )
        made = models.GPT2CausalLM(backbone, preprocessor)
    fill_weights(made)
    return made


def prefill_logits(model: keras.Model, tokens: np.ndarray) -> np.ndarray:
    outputs = model({"token_ids": tokens, "padding_mask": np.ones(tokens.shape, "int32")})
    return np.asarray(keras.ops.convert_to_numpy(outputs)).astype("float32")


def main(kind: str, dtype: str, tolerance: float, mode: str) -> None:
    model = language_model(kind, dtype)
    prompt = np.array([[1, 2, 3, 4, 0], [5, 6, 7, 8, 9]], "int32")
    mask = np.array([[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]], "int32")
    decoded = decode(model, {"token_ids": prompt, "padding_mask": mask}, STEPS)
    tensors = {record.name: record for record in decoded.records}
    assert (decoded.mode, decoded.observer) == (mode, "identical"), (decoded.mode, decoded.observer)

    tokens = tensors["tokens"].value
    assert tokens.dtype == np.int32
    assert tokens[1, 0] == 9, "what the longer prompt says is not decided"
    full = prefill_logits(model, np.concatenate([prompt[:, :4], tokens[:, :-1]], axis=1))
    for step in range(STEPS):
        record = tensors[f"step_{step:03d}/logits"]
        assert record.kind == "logits"
        assert record.precision == dtype
        assert abs(record.value.astype("float32") - full[:, 3 + step]).max() <= tolerance
    roles = {record.name.rpartition(":")[2] for record in decoded.records if ":" in record.name}
    assert roles == {"query", "key", "value", "probabilities", "output"}, roles
    assert sum(name.startswith("step_005/") for name in tensors) == 11

    # Another history, forced: it is what was fed, and the steps before it are what they were.
    other = tokens.copy()
    other[:, 2] = (other[:, 2] + 1) % 50
    again = decode(
        model, {"token_ids": prompt, "padding_mask": mask}, STEPS, other, select=(), name="b"
    )
    forced = {record.name: record.value for record in again.records}
    assert (forced["b/tokens"] == other).all()
    assert again.observer is None
    for step in range(STEPS):
        same = forced[f"b/step_{step:03d}/logits"] == tensors[f"step_{step:03d}/logits"].value
        assert same.all() == (step <= 2), step


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4])
    print("ok")
