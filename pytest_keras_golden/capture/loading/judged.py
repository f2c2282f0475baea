"""A loaded model against its file: weights, optimizer slots, settings, vocabularies."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

from ...saved.contents import SavedContents
from ...saved.faults import LoadingFault, weight_faults
from ...saved.settings import SKIPPED, equal, name_of, normal, setting_faults
from ...stack import framework
from .places import loaded_state, resolved


def loading_faults(model: Any, contents: SavedContents) -> list[LoadingFault]:
    """What the model holds otherwise than its file; empty for a faithful loader."""
    with warnings.catch_warnings():
        # Of Keras' own reading of variables, in suites where warnings are errors.
        warnings.simplefilter("ignore")
        return [
            *weight_faults(loaded_state(model, contents)),
            *_settings(model, contents),
            *_vocabularies(model, contents),
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
    inner = config.get("config") if isinstance(config, Mapping) else None
    listed = inner.get("layers") if isinstance(inner, Mapping) else None
    if not isinstance(listed, list):
        return
    own = {layer.name: layer for layer in getattr(model, "layers", ())}
    for layer in listed:
        name = name_of(layer)
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


# -- vocabularies ---------------------------------------------------------------------------


def _vocabularies(model: Any, contents: SavedContents) -> Iterator[LoadingFault]:
    for path, text in contents.assets.items():
        folder, _, last = path.rpartition("/")
        layer = resolved(model, folder.split("/"), contents.config)
        if last != "vocabulary.txt" or not hasattr(layer, "get_vocabulary"):
            continue
        wanted = [line for line in text.decode("utf-8", "replace").split("\n") if line]
        # Files have them with special words or without.
        held = [_held(layer, special) for special in (True, False)]
        if wanted not in held:
            nearest = next((words for words in held if len(words) == len(wanted)), held[0])
            yield LoadingFault(folder, "vocabulary", _where(wanted, nearest))


def _held(layer: Any, special: bool) -> list[str]:
    try:
        return [str(word) for word in layer.get_vocabulary(include_special_tokens=special) if word]
    except Exception:  # never loaded: the vocabulary is empty
        return []


def _where(wanted: list[str], held: list[str]) -> str:
    if len(wanted) != len(held):
        return f"has {len(held)} words, in the file {len(wanted)}"
    at = next(i for i, (a, b) in enumerate(zip(wanted, held, strict=True)) if a != b)
    return f"has {held[at]!r} as word {at}, in the file {wanted[at]!r}"
