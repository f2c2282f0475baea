"""keras-hub's Llama at a small size: grouped-query attention, rotary embedding, RMSNorm, SwiGLU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

keras_hub = pytest.importorskip("keras_hub", reason="the hub extra is not installed")

pytestmark = [pytest.mark.hub, pytest.mark.keras_versions(">=3.5")]

TOKENS = np.array([[1, 17, 42, 8, 23, 5, 60, 31]], "int32")
INPUTS = {"token_ids": TOKENS, "padding_mask": np.ones_like(TOKENS)}


def small_backbone(policy: str) -> Any:
    return keras_hub.models.LlamaBackbone(
        vocabulary_size=64,
        num_layers=2,
        num_query_heads=4,
        num_key_value_heads=2,
        hidden_dim=64,
        intermediate_dim=128,
        dtype=policy,
    )


def test_backbone(golden_tensors: Any) -> None:
    backbone = small_backbone("bfloat16")
    golden_tensors.fill_weights(backbone, 7)
    with golden_tensors.capture(backbone, select=("attention", "blocks")):
        backbone(INPUTS)


@pytest.mark.parametrize("policy", ["bfloat16", "float32"])
def test_causal_lm(golden_tensors: Any, policy: str) -> None:
    backbone = small_backbone(policy)
    golden_tensors.fill_weights(backbone, 7)
    causal_lm = keras_hub.models.LlamaCausalLM(backbone=backbone, preprocessor=None)
    with golden_tensors.capture(causal_lm):
        causal_lm(INPUTS)
