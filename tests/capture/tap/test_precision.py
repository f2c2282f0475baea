"""Which layers the switch of cuDNN is about; what a GPU does with them is in benchmarks/cuda.py."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from keras import layers
from keras.src.ops.nn import Conv, MaxPool

from pytest_keras_golden.capture.tap.precision import _runs_on_cudnn


class OwnRecurrent(layers.LSTM):
    pass


class OwnNorm(layers.LayerNormalization):
    pass


CONVOLUTIONS = (
    *(layers.Conv2D, layers.DepthwiseConv1D, layers.SeparableConv2D, layers.Conv3DTranspose),
    *(layers.ConvLSTM2D, Conv),
)
RECURRENT = (layers.LSTM, layers.GRU, layers.SimpleRNN, layers.RNN, OwnRecurrent)


@pytest.mark.parametrize("kind", [*CONVOLUTIONS, *RECURRENT])
def test_convolutions_and_recurrent_layers_run_on_cudnn(kind: type) -> None:
    assert _runs_on_cudnn(kind)


@pytest.mark.parametrize(
    "kind",
    [layers.Dense, layers.EinsumDense, layers.MultiHeadAttention, OwnNorm, MaxPool, keras.Model],
)
def test_products_and_the_rest_do_not(kind: Any) -> None:
    assert not _runs_on_cudnn(kind)
