"""Every layer: its gradients, and the weights that it draws."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import keras
from history.layers import CASES, Case

from training.scenarios.autodiff import of_layer
from training.scenarios.scenario import Named, Scenario, filled, given, weights


def backward(case: Case) -> Scenario:
    def run(policy: str) -> Named:
        inputs = _given(case.inputs)
        layer = case.build(policy)
        layer(*deepcopy(inputs), **case.options)
        filled(layer)
        made = of_layer(layer, inputs, case.options)
        if not any(name.startswith("gradient/") for name in made):
            raise ValueError("nothing to differentiate by")
        return made

    return Scenario(run)


def _given(nest: Any) -> Any:
    return type(nest)(map(_given, nest)) if isinstance(nest, (tuple, list)) else given(nest)


def initial(case: Case) -> Scenario:
    """What the layer's weights are after a fixed seed, before anything is trained."""

    def run(policy: str) -> Named:
        layer = case.build(policy)
        layer(*deepcopy(case.inputs), **case.options)
        return weights(layer) if layer.weights else {"none": 0}

    return Scenario(run, twin=False)


DIFFERENTIABLE = [
    name for name in CASES if not name.startswith(("Discretization", "CategoryEncoding"))
]
DRAWN = [
    name
    for name in CASES
    if name.partition(",")[0] in (
        "Dense", "EinsumDense", "Embedding", "Conv1D", "Conv2D", "Conv3D", "Conv1DTranspose",
        "Conv2DTranspose", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D",
        "SeparableConv2D", "BatchNormalization", "LayerNormalization", "GroupNormalization",
        "RMSNormalization", "SpectralNormalization", "MultiHeadAttention", "GroupQueryAttention",
        "Attention", "AdditiveAttention", "SimpleRNN", "LSTM", "GRU", "Bidirectional", "ConvLSTM2D",
        "PReLU",
    )
]  # fmt: skip


def orthogonal(name: str, *arguments: Any, **options: Any) -> Case:
    """A recurrent layer with the initializer that it has by default."""
    from history.layers import FRAMES, SEQUENCE

    inputs = FRAMES if name.startswith("Conv") else SEQUENCE
    return Case(lambda policy: getattr(keras.layers, name)(*arguments, dtype=policy, **options),
                (inputs,))  # fmt: skip


SCENARIOS: dict[str, Scenario] = {
    **{f"backward pass: {name}": backward(CASES[name]) for name in DIFFERENTIABLE},
    **{f"initial weights: {name}": initial(CASES[name]) for name in DRAWN},
    **{f"initial weights: {name}, as it comes": initial(orthogonal(name, *of))
       for name, of in {"SimpleRNN": (12,), "LSTM": (12,), "GRU": (12,),
                        "ConvLSTM2D": (4, 3)}.items()},
}  # fmt: skip
