"""A loaded model against its file: weights, optimizer slots, settings, vocabularies."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from ...saved.contents import SavedContents
from ...saved.faults import LoadingFault, weight_faults
from ...saved.settings import SKIPPED, equal, inner_layers, normal, setting_faults
from ...stack import framework
from .places import loaded_state
from .vocabularies import vocabulary_faults


def loading_faults(model: Any, contents: SavedContents) -> list[LoadingFault]:
    """What the model holds otherwise than its file; empty for a faithful loader."""
    with warnings.catch_warnings():
        # Of Keras' own reading of variables, in suites where warnings are errors.
        warnings.simplefilter("ignore")
        return [
            *weight_faults(loaded_state(model, contents)),
            *_settings(model, contents),
            *vocabulary_faults(model, contents),
        ]


# -- settings -------------------------------------------------------------------------------


def _settings(model: Any, contents: SavedContents) -> Iterator[LoadingFault]:
    if contents.config is None:
        return
    twin = _serialized(model)
    told = [] if twin is None else list(setting_faults(contents.config, twin))
    yield from told
    known = {fault.name for fault in told}
    for fault in _attributes(model, contents.config, ""):
        if fault.name not in known:
            yield fault
    yield from _optimizer(model, contents)


def _serialized(value: Any) -> Any:
    try:
        return framework().saving.serialize_keras_object(value)
    except Exception:  # a class that cannot be saved again: its weights are judged all the same
        return None


def _optimizer(model: Any, contents: SavedContents) -> Iterator[LoadingFault]:
    training = contents.training or {}
    own = training.get("optimizer") or training.get("optimizer_config")
    if not isinstance(own, Mapping) or not isinstance(own.get("config"), Mapping):
        return
    optimizer = getattr(model, "optimizer", None)
    if optimizer is None:
        yield LoadingFault("optimizer", "missing", "is in the file, and the model has none")
        return
    twin = _serialized(optimizer)
    if twin is not None:
        yield from setting_faults(own, twin, "optimizer")


def _attributes(model: Any, config: Any, path: str) -> Iterator[LoadingFault]:
    """Settings as the layers themselves have them, whatever they say of it."""
    own = {layer.name: layer for layer in getattr(model, "layers", ())}
    for name, layer in inner_layers(config):
        if name in own:
            place = f"{path}/{name}" if path else name
            yield from _of_layer(own[name], layer, place)
            yield from _attributes(own[name], layer, place)


def _of_layer(layer: Any, config: Any, place: str) -> Iterator[LoadingFault]:
    inner = config.get("config")
    for key, value in inner.items() if isinstance(inner, Mapping) else ():
        held = getattr(layer, key, None)
        plain = type(value) in (bool, int, float) and type(held) in (bool, int, float)
        if plain and key not in SKIPPED and not equal(normal(value), held):
            said = f"is {held!r}, in the file {value!r}"
            yield LoadingFault(f"{place}.{key}", "configuration", said)
