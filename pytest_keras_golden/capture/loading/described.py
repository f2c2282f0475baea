"""What inputs a loaded model takes, where its file does not tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...saved.contents import SavedContents
from ...saved.inputs.description import (
    Description,
    InputReader,
    InputSpec,
    built_for,
    describe_inputs,
)
from ..tap.precision import dtype_name
from ..watch.structure import walk


def described(model: Any, contents: SavedContents) -> Description | None:
    """By the file's configuration, else by the model itself: its graph, its own configuration, or
    the shapes it was built with."""
    told = None if contents.config is None else describe_inputs(contents.config)
    return told or _graph(model) or _with_ids(built_for(_build_config(model)), model)


def _graph(model: Any) -> Description | None:
    config = _own_config(model)
    if isinstance(config.get("layers"), list):
        told = describe_inputs({"config": config, "build_config": _build_config(model)})
        if told is not None:
            return told
    nest = getattr(model, "input", None) if hasattr(model, "_operations") else None
    if nest is None:
        return None
    inputs: dict[str, InputSpec] = {}
    names = _names(nest, "", inputs, InputReader("", config, ""))
    return Description(inputs, names)


def _own_config(model: Any) -> Mapping[str, Any]:
    try:
        config = model.get_config()
    except Exception:  # a subclass that has none
        return {}
    return config if isinstance(config, Mapping) else {}


def _build_config(model: Any) -> Any:
    read = getattr(model, "get_build_config", None)
    return read() if callable(read) else None


def _names(nest: Any, key: str, inputs: dict[str, InputSpec], reader: InputReader) -> Any:
    """As the nest, with names in place of symbolic tensors, of which `inputs` takes the shapes."""
    if isinstance(nest, Mapping):
        return {name: _names(item, str(name), inputs, reader) for name, item in nest.items()}
    if isinstance(nest, (list, tuple)):
        return [_names(item, "", inputs, reader) for item in nest]
    name, dtype = key or str(nest.name), dtype_name(nest.dtype)
    # Sizes of tables say something of whole numbers alone.
    readers = (reader,) if dtype.startswith(("int", "uint")) and _is_token(name) else ()
    inputs[name] = InputSpec(name, tuple(nest.shape), dtype, readers)
    return name


def _is_token(name: str) -> bool:
    return not any(part in name for part in ("segment", "mask", "token_type", "position"))


def _with_ids(told: Description | None, model: Any) -> Description | None:
    """Of a subclassed model only shapes are known: the smallest of its tables bounds what may be
    ids, which as plain numbers are as good."""
    counts = [int(layer.input_dim) for _, layer in walk(model) if _has_table(layer)]
    if told is None or not counts:
        return told
    reader = InputReader("Embedding", {"input_dim": min(counts)}, "")
    inputs = {
        name: InputSpec(name, spec.shape, "int32", (reader,)) if len(spec.shape) == 2 else spec
        for name, spec in told.inputs.items()
    }
    return Description(inputs, told.nest)


def _has_table(layer: Any) -> bool:
    return isinstance(getattr(layer, "input_dim", None), int) and hasattr(layer, "embeddings")
