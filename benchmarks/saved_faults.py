"""Faults put into Keras' loader, one by one: which does the judgement of a loaded model find?

Saves each model of benchmarks/saved under the running Keras, loads it with a loader that does one
thing wrong, and compares with the file. Untouched, nothing may be found.

    python benchmarks/saved_faults.py
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")
sys.path.insert(0, str(Path(__file__).resolve().parent / "saved"))

import architectures
import keras
import numpy as np
from keras.src.saving import saving_lib

from pytest_keras_golden.capture.loading.judged import loading_faults
from pytest_keras_golden.capture.loading.load import load
from pytest_keras_golden.capture.state.weights import fill_weights, named_weights
from pytest_keras_golden.saved.contents import read_contents
from pytest_keras_golden.saved.faults import LoadingFault
from pytest_keras_golden.saved.formats import ModelFile

Fault = Callable[[Any], "str | None"]
"""Spoils a model as its loader would have; what was spoilt, None where nothing there can be."""

FOUND_AT_LEAST = 60


# -- weights --------------------------------------------------------------------------------


def _weights(model: Any, wanted: Callable[[Any], bool] = lambda value: True) -> list[Any]:
    every = named_weights(model).values()
    return [w for w in every if np.asarray(w).dtype.kind == "f" and wanted(np.asarray(w))]


def _varied(value: Any) -> bool:
    return value.size > 1 and float(value.std()) > 0


def swap(model: Any) -> str | None:
    """Two weights of one shape change places."""
    by_shape: dict[Any, list[Any]] = {}
    for weight in _weights(model, _varied):
        by_shape.setdefault(tuple(weight.shape), []).append(weight)
    pair = next((group[:2] for group in by_shape.values() if len(group) > 1), None)
    if pair is None:
        return None
    one, other = (np.asarray(w).copy() for w in pair)
    pair[0].assign(other)
    pair[1].assign(one)
    return f"{pair[0].path} and {pair[1].path}"


def _change(change: Callable[[Any], Any], wanted: Callable[[Any], bool] = _varied) -> Fault:
    def fault(model: Any) -> str | None:
        weights = _weights(model, wanted)
        if not weights:
            return None
        chosen = weights[len(weights) // 2]
        chosen.assign(change(np.asarray(chosen).astype(np.float32)))
        return str(chosen.path)

    return fault


def _square(value: Any) -> bool:
    return value.ndim == 2 and value.shape[0] == value.shape[1] and _varied(value)


def _bfloat16(value: Any) -> Any:
    import ml_dtypes

    return value.astype(ml_dtypes.bfloat16).astype(np.float32)


def initialised_again(model: Any) -> str | None:
    weights = _weights(model, _varied)
    if not weights:
        return None
    drawn = keras.initializers.GlorotUniform(seed=7)(tuple(weights[0].shape))
    weights[0].assign(drawn)
    return str(weights[0].path)


def one_element(value: Any) -> Any:
    value = value.copy()
    value.reshape(-1)[-1] += np.float32(1e-3) * (1 + abs(value.reshape(-1)[-1]))
    return value


# -- optimizers -----------------------------------------------------------------------------


def _slots(model: Any) -> list[Any]:
    optimizer = getattr(model, "optimizer", None)
    return [] if optimizer is None else [v for v in optimizer.variables if len(v.shape)]


def lost_slot(model: Any) -> str | None:
    slots = _slots(model)
    if not slots:
        return None
    slots[-1].assign(np.zeros(tuple(slots[-1].shape), np.float32))
    return str(slots[-1].path)


def lost_step(model: Any) -> str | None:
    if not _slots(model):
        return None
    model.optimizer.iterations.assign(0)
    return "iteration"


def lost_optimizer(model: Any) -> str | None:
    if not _slots(model):
        return None
    model.optimizer = None
    return "optimizer"


def other_rate(model: Any) -> str | None:
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None or not _slots(model):
        return None
    for name in ("epsilon", "momentum", "weight_decay"):
        if isinstance(getattr(optimizer, name, None), float):
            setattr(optimizer, name, 0.5)
            return name
    return None


# -- settings and vocabularies --------------------------------------------------------------

SETTINGS: dict[str, Any] = {
    "epsilon": 0.1,
    "momentum": 0.5,
    "rate": 0.75,
    "negative_slope": 0.9,
    "alpha": 0.9,
    "slope": 0.9,
    "use_bias": None,
    "padding": "valid",
    "strides": (3, 3),
    "dilation_rate": (1, 1),
    "activation": None,
    "reset_after": None,
    "mask_zero": None,
    "scale": 3.0,
    "offset": 0.5,
    "interpolation": "nearest",
    "groups": 2,
    "use_causal_mask": None,
}


def _of_the_file(model: Any) -> Iterator[Any]:
    """Layers whose settings the file holds: those of graphs. What a layer makes of its own settings
    is no loader's business."""
    for layer in model.layers if hasattr(model, "_operations") else ():
        yield layer
        if isinstance(layer, keras.Model):
            yield from _of_the_file(layer)


def _setting(key: str) -> Fault:
    def fault(model: Any) -> str | None:
        for layer in _of_the_file(model):
            if key not in layer.get_config():
                continue
            now, wrong = getattr(layer, key, None), SETTINGS[key]
            if isinstance(now, bool):
                wrong = not now
            if key == "activation":
                name = getattr(now, "__name__", "linear")
                wrong = keras.activations.tanh if name != "tanh" else keras.activations.relu
            if now is None or wrong is None or now == wrong:
                continue
            try:
                setattr(layer, key, wrong)
            except AttributeError:  # what a layer only shows of another
                continue
            return f"{layer.name}.{key}"
        return None

    return fault


def other_vocabulary(model: Any) -> str | None:
    for layer in model._flatten_layers():
        if hasattr(layer, "set_vocabulary") and hasattr(layer, "get_vocabulary"):
            words = list(layer.get_vocabulary(include_special_tokens=False))
            layer.set_vocabulary(words[::-1])
            return str(layer.name)
    return None


FAULTS: dict[str, Fault] = {
    "swapped": swap,
    "transposed": _change(lambda value: value.T.copy(), _square),
    "zeros": _change(np.zeros_like),
    "ones": _change(np.ones_like),
    "through bfloat16": _change(_bfloat16),
    "through float16": _change(lambda value: value.astype(np.float16).astype(np.float32)),
    "initialised again": initialised_again,
    "one element": _change(one_element),
    "negated": _change(np.negative),
    "lost slot": lost_slot,
    "lost step": lost_step,
    "lost optimizer": lost_optimizer,
    "optimizer setting": other_rate,
    "vocabulary": other_vocabulary,
    **{f"setting {key}": _setting(key) for key in SETTINGS},
}


# -- trials ---------------------------------------------------------------------------------


@contextmanager
def spoilt(fault: Fault, told: list[str]) -> Iterator[None]:
    """Inside, Keras' loader does it to every model that it loads."""
    sound = saving_lib.load_model

    def load_model(*args: Any, **kwargs: Any) -> Any:
        model = sound(*args, **kwargs)
        what = fault(model)
        told.extend([] if what is None else [what])
        return model

    saving_lib.load_model = load_model
    try:
        yield
    finally:
        saving_lib.load_model = sound


def judged(path: Path) -> list[LoadingFault]:
    file = ModelFile(path, path.name, "keras")
    contents = read_contents(file)
    here = Path(architectures.__file__).parent
    loaded = load(file, contents, objects=("own_layers",), root=here)
    return loading_faults(loaded.model, contents)


def main() -> int:
    warnings.simplefilter("ignore")
    tried, missed, alarms = Counter[str](), [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, build in architectures.MODELS.items():
            path = Path(folder) / f"{name}.keras"
            model = build()
            fill_weights(model)
            model.save(path)
            alarms += [f"{name}: {fault}" for fault in judged(path)]
            written = read_contents(ModelFile(path, path.name, "keras"))
            alarms += [f"{name}, as saved: {fault}" for fault in loading_faults(model, written)]
            for kind, fault in FAULTS.items():
                told: list[str] = []
                with spoilt(fault, told):
                    found = judged(path)
                if told:
                    tried[kind] += 1
                    missed += [] if found else [f"{name}: {kind} ({told[0]})"]
    print(f"Keras {keras.__version__}, {keras.backend.backend()}")
    for kind, count in tried.items():
        lost = sum(f": {kind} (" in line for line in missed)
        print(f"{kind:28} {count - lost} of {count}")
    total = sum(tried.values())
    print(f"found {total - len(missed)} of {total} in {len(architectures.MODELS)} models")
    print(f"alarms on untouched files: {len(alarms)}")
    for line in (*missed, *alarms):
        print("  ", line)
    return 0 if total >= FOUND_AT_LEAST and not missed and not alarms else 1


if __name__ == "__main__":
    sys.exit(main())
