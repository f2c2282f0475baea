"""The runtimes of exported models: what each needs, and how it runs an artefact."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import StackError
from ...stack import import_keras
from ...stacks.switches import KERAS

if TYPE_CHECKING:
    from ...records import Array

EXTRA = "pip install 'pytest-keras-golden[export]'"


@dataclass(frozen=True, slots=True)
class Feed:
    """What an artefact is given: arrays in Keras' order, their names, and their nest."""

    arrays: Sequence[Array]
    names: Sequence[str]
    nest: Any


Artefact = Callable[[Feed], list["Array"]]
"""An artefact: outputs in Keras' order."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """One of them. format, suffix: as `model.export` takes them. function: of `keras.src.export`;
    since: the first release that has it. needs: backend that exports → modules of both ends."""

    title: str
    format: str
    suffix: str
    function: str
    since: str
    needs: Mapping[str, Sequence[str]]
    load: Callable[[Path], tuple[Artefact, str]]


def demand_able(name: str) -> None:
    """Raises StackError where this Keras, its backend or what is installed cannot run `name`."""
    if name == KERAS:
        return
    keras = import_keras()
    runtime, backend = RUNTIMES[name], keras.backend.backend()
    version = f"Keras {keras.__version__}"
    if runtime.function and not hasattr(import_module("keras.src.export"), runtime.function):
        raise StackError(
            f"run={name}: {version} exports no {runtime.title}; the first release that does is "
            f"{runtime.since}.",
            f"Name one that does: {runtime.since},run={name}",
        )
    able = next(iter(runtime.needs))
    elsewhere = f"export on another backend: backend={able},run={name}"
    if backend not in runtime.needs:
        raise StackError(
            f"run={name}: {version} exports no {runtime.title} on {backend}.",
            elsewhere.capitalize(),
        )
    lacking = [module for module in runtime.needs[backend] if not _is_there(module)]
    if lacking:
        packages = " ".join(PACKAGES.get(module, module) for module in lacking)
        extra = f"{EXTRA}, or " if set(lacking) <= OF_THE_EXTRA else ""
        raise StackError(
            f"run={name} on {backend} needs {packages}, which this environment lacks.",
            f"{extra}pip install {packages}" + (f"; or {elsewhere}" if backend != able else ""),
        )


def _is_there(module: str) -> bool:
    return find_spec(module) is not None


OF_THE_EXTRA = frozenset(
    {"onnx", "onnxruntime", "onnxscript", "tf2onnx", "ai_edge_litert", "openvino"}
)

PACKAGES = {
    "ai_edge_litert": "ai-edge-litert",
    "tensorflow": "tensorflow-cpu",
    "torch_xla": "torch-xla",
    "litert_torch": "litert-torch",
}
"""Modules that packages of another name bring."""


# -- running artefacts ----------------------------------------------------------------------


def _savedmodel(path: Path) -> tuple[Artefact, str]:
    import keras
    import tensorflow as tf

    loaded = tf.saved_model.load(str(path))

    def run(feed: Feed) -> list[Array]:
        returned = loaded.serve(feed.nest)
        return [tensor.numpy() for tensor in keras.tree.flatten(returned)]

    return run, "float32"


def _onnx(path: Path) -> tuple[Artefact, str]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]

    def run(feed: Feed) -> list[Array]:
        return list(session.run(None, fed(feed, names)))

    return run, "float32"


def _litert(path: Path) -> tuple[Artefact, str]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path))
    ((_, signature),) = interpreter.get_signature_list().items()
    runner = interpreter.get_signature_runner()

    def run(feed: Feed) -> list[Array]:
        returned = runner(**fed(feed, signature["inputs"]))
        return [returned[name] for name in sorted(returned, key=_number)]

    return run, "float32"


def _openvino(path: Path) -> tuple[Artefact, str]:
    import openvino

    compiled = openvino.Core().compile_model(str(path), "CPU")
    # Of TensorFlow it takes tensors for outputs that Keras' graph leaves unused.
    outputs = [port for port in compiled.outputs if not _is_left_over(port)] or compiled.outputs

    def run(feed: Feed) -> list[Array]:
        names = [
            called(port.names, feed.names) or f"input {at}"
            for at, port in enumerate(compiled.inputs)
        ]
        arrays = list(fed(feed, names).values())
        returned = compiled(arrays)
        return [returned[port] for port in outputs]

    hint = str(compiled.get_property("INFERENCE_PRECISION_HINT").to_string())
    return run, {"f16": "float16", "bf16": "bfloat16"}.get(hint, "float32")


def _is_left_over(port: Any) -> bool:
    """Whether an output goes by nothing but the name of an inner tensor."""
    return all("/" in name for name in port.names) and bool(port.names)


def called(names: Collection[str], known: Sequence[str]) -> str:
    """Of the names of one input Keras' own, where it is among them."""
    own = [name for name in known if name in names]
    return own[0] if own else next(iter(sorted(names)), "")


def fed(feed: Feed, names: Sequence[str]) -> dict[str, Array]:
    """Arrays by the artefact's own names, where these are Keras'; else in Keras' order.

    Raises ValueError where the artefact takes another number of inputs.
    """
    if len(names) != len(feed.arrays):
        raise ValueError(f"the artefact takes {len(names)} inputs, the model {len(feed.arrays)}")
    known = dict(zip(feed.names, feed.arrays, strict=True))
    if set(names) == set(known):
        return {name: known[name] for name in names}
    return dict(zip(names, feed.arrays, strict=True))


def _number(name: str) -> tuple[str, int]:
    """`output_2` before `output_10`; keys of a mapping in their own order."""
    stem, _, last = name.rpartition("_")
    return (stem, int(last)) if last.isdecimal() else (name, 0)


RUNTIMES: Mapping[str, Runtime] = {
    "savedmodel": Runtime(
        title="SavedModel",
        format="tf_saved_model",
        suffix="",
        function="",
        since="3.0.5",
        needs={"tensorflow": ("tensorflow",), "jax": ("tensorflow",), "torch": ("torch_xla",)},
        load=_savedmodel,
    ),
    "onnx": Runtime(
        title="ONNX",
        format="onnx",
        suffix=".onnx",
        function="export_onnx",
        since="3.8.0",
        needs={
            "torch": ("onnxruntime", "onnx", "onnxscript"),
            "tensorflow": ("onnxruntime", "tf2onnx"),
            "jax": ("onnxruntime", "jax2onnx"),
        },
        load=_onnx,
    ),
    "litert": Runtime(
        title="LiteRT",
        format="litert",
        suffix=".tflite",
        function="export_litert",
        since="3.13.2",
        needs={
            "tensorflow": ("ai_edge_litert", "tensorflow"),
            "torch": ("ai_edge_litert", "litert_torch"),
        },
        load=_litert,
    ),
    "openvino": Runtime(
        title="OpenVINO",
        format="openvino",
        suffix=".xml",
        function="export_openvino",
        since="3.11.3",
        needs={"torch": ("openvino",), "tensorflow": ("openvino",), "jax": ("openvino",)},
        load=_openvino,
    ),
}
"""By the value of `run=`; of its backends the one to advise comes first."""
