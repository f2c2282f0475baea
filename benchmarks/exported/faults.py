"""Faults that an exporter to ONNX might have, each put into every export of one saved model.

    KERAS_BACKEND=numpy python faults.py FOLDER

saves a model per fault, and a conftest.py that wraps `keras.Model.export` while it is tested.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Fault:
    """What is done to a graph of ONNX; in which model, and which layers it concerns."""

    said: str
    model: str
    layer: str
    edit: Callable[[Any], None]


def operation(old: str, new: str) -> Callable[[Any], None]:
    def edit(graph: Any) -> None:
        for node in graph.node:
            if node.op_type == old:
                node.op_type = new

    return edit


def attribute(operation: str, name: str, value: Any) -> Callable[[Any], None]:
    def edit(graph: Any) -> None:
        from onnx import helper

        for node in graph.node:
            if node.op_type == operation:
                kept = [own for own in node.attribute if own.name != name]
                del node.attribute[:]
                node.attribute.extend([*kept, helper.make_attribute(name, value)])

    return edit


def constant(
    wanted: Callable[[str, Any], bool], change: Callable[[Any], Any]
) -> Callable[[Any], None]:
    def edit(graph: Any) -> None:
        from onnx import numpy_helper

        for held in graph.initializer:
            array = numpy_helper.to_array(held)
            if wanted(held.name, array):
                changed = np.ascontiguousarray(change(array).astype(array.dtype))
                held.CopyFrom(numpy_helper.from_array(changed, held.name))

    return edit


def of_shape(*shape: int) -> Callable[[str, Any], bool]:
    return lambda name, array: array.shape == shape


def of_layer(layer: str, *parts: str) -> Callable[[str, Any], bool]:
    return lambda name, array: f"/{layer}" in name and all(part in name for part in parts)


def nudged(array: Any) -> Any:
    changed = array.copy()
    changed.flat[5] += 0.01
    return changed


def is_epsilon(name: str, array: Any) -> bool:
    return array.shape == () and bool(np.isclose(array, 1e-3))


FAULTS = {
    "relu_as_elu": Fault("Relu written as Elu", "dense", "hidden", operation("Relu", "Elu")),
    "softmax_axis": Fault("Softmax along axis 0", "dense", "head", attribute("Softmax", "axis", 0)),
    "one_weight": Fault(
        "one of 384 weights off by 0.01", "dense", "hidden", constant(of_shape(12, 32), nudged)
    ),
    "leaky_slope": Fault(
        "slope of LeakyRelu 0.2 for 0.3",
        "convnet",
        "leaky16, leaky8",
        attribute("LeakyRelu", "alpha", 0.2),
    ),
    "pool_pads": Fault(
        "padding of MaxPool before instead of behind",
        "convnet",
        "pool",
        attribute("MaxPool", "pads", [1, 1, 0, 0]),
    ),
    "norm_shift": Fault(
        "shift of BatchNormalization 2 % off",
        "normalised",
        "norm",
        constant(of_layer("norm", "sub"), lambda array: array * 1.02),
    ),
    "hard_sigmoid": Fault(
        "gates of LSTM by HardSigmoid",
        "lstm",
        "first, second",
        attribute("LSTM", "activations", ["HardSigmoid", "Tanh", "Tanh"]),
    ),
    "recurrent": Fault(
        "recurrent weights of LSTM 1 % off",
        "lstm",
        "second",
        constant(of_shape(1, 32, 8), lambda array: array * 1.01),
    ),
    "norm_epsilon": Fault(
        "epsilon of LayerNormalization 0.01 for 0.001",
        "transformer",
        "norm1, norm2",
        constant(is_epsilon, lambda array: np.full_like(array, 1e-2)),
    ),
    "table_shift": Fault(
        "rows of Embedding moved by one",
        "transformer",
        "table",
        constant(of_shape(50, 16), lambda array: np.roll(array, 1, axis=0)),
    ),
    "prelu_slope": Fault(
        "slope of PReLU within a nested model 0.1 off",
        "nested",
        "inner/prelu",
        constant(of_layer("prelu", "Neg"), lambda array: array + 0.1),
    ),
    "tanh_as_softsign": Fault(
        "Tanh written as Softsign", "nested", "head", operation("Tanh", "Softsign")
    ),
    "transposed_kernel": Fault(
        "kernel of ConvTranspose 1 % off",
        "depthwise",
        "up",
        # Mirrored, it would do nothing to the largest values, which are all that is returned.
        constant(of_shape(8, 4, 2, 2), lambda array: array * 1.01),
    ),
}

CONFTEST = """
import sys

import keras
import onnx

sys.path.insert(0, {here!r})
from faults import FAULTS

EXPORT, UNDER = keras.Model.export, []


def pytest_runtest_setup(item):
    UNDER[:] = [FAULTS[item.path.stem]]


def export(self, filepath, format, **rest):
    EXPORT(self, filepath, format=format, **rest)
    if format == "onnx":
        model = onnx.load(filepath)
        UNDER[0].edit(model.graph)
        onnx.save(model, filepath)


keras.Model.export = export
"""


def main() -> None:
    import keras
    from models import MODELS

    folder = Path(sys.argv[1])
    here = str(Path(__file__).resolve().parent)
    (folder / "conftest.py").write_text(CONFTEST.format(here=here))
    for name, fault in FAULTS.items():
        keras.utils.set_random_seed(7)
        MODELS[fault.model]().save(folder / f"{name}.keras")


if __name__ == "__main__":
    main()
