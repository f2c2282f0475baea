"""Backbones of keras-hub, built small by hand, and MiniLM with the weights of its package."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

NARROW = {"vocabulary_size": 31, "num_layers": 2, "num_heads": 2, "hidden_dim": 8}
ENCODER = {**NARROW, "intermediate_dim": 16, "max_sequence_length": 12}
DECODER = {
    "vocabulary_size": 31,
    "num_layers": 2,
    "num_query_heads": 4,
    "num_key_value_heads": 2,
    "hidden_dim": 16,
    "intermediate_dim": 24,
}
BACKBONES: dict[str, dict[str, Any]] = {
    "Bert": ENCODER,
    "DistilBert": ENCODER,
    "Roberta": ENCODER,
    "Albert": {**ENCODER, "embedding_dim": 6},
    "Electra": {
        "vocab_size": 31,
        "num_layers": 2,
        "num_heads": 2,
        "hidden_dim": 8,
        "embedding_dim": 6,
        "intermediate_dim": 16,
        "max_sequence_length": 12,
    },
    "DebertaV3": {**ENCODER, "bucket_size": 6},
    "FNet": {name: value for name, value in ENCODER.items() if name != "num_heads"},
    "T5": {**NARROW, "intermediate_dim": 16, "activation": "gelu", "use_gated_activation": True},
    "GPT2": ENCODER,
    # Rotary embeddings of a quarter of each head.
    "GPTNeoX": {**ENCODER, "hidden_dim": 32},
    "OPT": ENCODER,
    "Bloom": {**NARROW, "intermediate_dim": 16},
    "Llama": DECODER,
    "Mistral": {**DECODER, "sliding_window": 4},
    "Gemma": {**DECODER, "head_dim": 4},
    "Whisper": {
        "vocabulary_size": 31,
        "num_layers": 2,
        "num_heads": 2,
        "hidden_dim": 8,
        "intermediate_dim": 16,
        "max_encoder_sequence_length": 24,
        "max_decoder_sequence_length": 12,
    },
    "ViT": {
        "image_shape": (16, 16, 3),
        "patch_size": 8,
        "num_layers": 2,
        "num_heads": 2,
        "hidden_dim": 8,
        "mlp_dim": 16,
    },
}


def _built(name: str, **rest: Any) -> Any:
    import keras_hub

    return getattr(keras_hub.models, f"{name}Backbone")(**rest)


def minilm() -> Any:
    """The checkpoint that the examples run, in float32."""
    sys.path.append(str(Path(__file__).resolve().parents[2] / "examples" / "minilm"))
    from minilm import load

    with tempfile.TemporaryDirectory() as scratch:
        return load(Path(scratch))


MODELS: dict[str, Callable[[], Any]] = {
    **{f"{name}Backbone": partial(_built, name, **rest) for name, rest in BACKBONES.items()},
    "MiniLM": minilm,
}
