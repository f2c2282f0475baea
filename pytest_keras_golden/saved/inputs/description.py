"""What inputs a model takes, told from its configuration: shapes, dtypes, and what reads them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from ..contents import Config

PASSING = frozenset(
    {
        *("Reshape", "Flatten", "Permute", "Masking", "Identity", "RepeatVector", "Dropout"),
        *("SpatialDropout1D", "GaussianNoise", "GaussianDropout", "TimeDistributed", "Concatenate"),
    }
)
"""Layers behind which a number still is what it was."""

GRAPHS = frozenset({"Functional", "Model", "Sequential"})


@dataclass(frozen=True, slots=True)
class InputReader:
    """A layer that reads an input as it comes. path: of its layer, by the names of the models that
    it is in."""

    kind: str
    config: Mapping[str, Any]
    path: str


@dataclass(frozen=True, slots=True)
class InputSpec:
    """shape: with the batch; None where it is open."""

    name: str
    shape: tuple[int | None, ...]
    dtype: str
    readers: tuple[InputReader, ...] = ()


@dataclass(frozen=True, slots=True)
class Description:
    """inputs, by name. nest: how a call takes them: a name, or a list or mapping of nests."""

    inputs: Mapping[str, InputSpec]
    nest: Any


def describe_inputs(config: Config) -> Description | None:
    """Of a serialized model; None where its configuration does not tell."""
    inner = config.get("config")
    if not isinstance(inner, Mapping):
        return None
    if isinstance(inner.get("layers"), list):
        functional = "input_layers" in inner
        return _functional(inner) if functional else _sequential(config, inner)
    return built_for(config.get("build_config"))


def built_for(build_config: Any) -> Description | None:
    """Of a model that is no graph: the shapes that it was built with."""
    if not isinstance(build_config, Mapping):
        return None
    shapes = build_config.get("input_shape") or build_config.get("shapes_dict")
    if _is_shape(shapes):
        return Description({"input": InputSpec("input", tuple(shapes), "float32")}, "input")
    if not isinstance(shapes, (Mapping, list)) or not shapes:
        return None
    pairs = dict(shapes) if isinstance(shapes, Mapping) else dict(enumerate(shapes))
    if not all(map(_is_shape, pairs.values())):
        return None
    inputs = {str(key): InputSpec(str(key), tuple(s), "float32") for key, s in pairs.items()}
    nest = {key: str(key) for key in pairs} if isinstance(shapes, Mapping) else list(inputs)
    return Description(inputs, nest)


def _is_shape(value: Any) -> TypeGuard[Sequence[int | None]]:
    return isinstance(value, (list, tuple)) and all(
        size is None or (isinstance(size, int) and not isinstance(size, bool)) for size in value
    )


# -- graphs ---------------------------------------------------------------------------------


def _functional(inner: Mapping[str, Any]) -> Description | None:
    layers = {str(layer.get("name")): layer for layer in _layers(inner)}
    nest = _nest(inner["input_layers"])
    inputs = {}
    for name in _leaves(nest):
        own = layers.get(name)
        spec = None if own is None else _spec(name, own.get("config"))
        if spec is None:
            return None
        inputs[name] = InputSpec(name, spec[0], spec[1], tuple(_readers(inner, name, "")))
    return Description(inputs, nest)


def _sequential(config: Config, inner: Mapping[str, Any]) -> Description | None:
    layers = _layers(inner)
    first = next(iter(layers), {})
    own = first.get("config")
    spec = _spec("input", own)
    if spec is None:
        # A legacy one has its shape on the first layer, or was built with one.
        shape = inner.get("build_input_shape") or _built_shape(config, first)
        if not _is_shape(shape):
            return None
        spec = tuple(shape), _dtype(own.get("dtype") if isinstance(own, Mapping) else None)
    name = str(own.get("name")) if first.get("class_name") == "InputLayer" and own else "input"
    return Description({name: InputSpec(name, *spec, tuple(_chain(layers, "")))}, name)


def _built_shape(config: Config, first: Mapping[str, Any]) -> Any:
    for holder in (config.get("build_config"), first.get("build_config")):
        if isinstance(holder, Mapping) and holder.get("input_shape"):
            return holder["input_shape"]
    return None


def _layers(inner: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    listed = inner.get("layers")
    return (
        [layer for layer in listed if isinstance(layer, Mapping)]
        if isinstance(listed, list)
        else []
    )


def _spec(name: str, own: Any) -> tuple[tuple[int | None, ...], str] | None:
    if not isinstance(own, Mapping):
        return None
    shape = own.get("batch_shape") or own.get("batch_input_shape")
    return (tuple(shape), _dtype(own.get("dtype"))) if shape and _is_shape(shape) else None


def _dtype(value: Any) -> str:
    """Of a name, or of a serialized policy."""
    if isinstance(value, Mapping):
        value = (
            value.get("config", {}).get("name") if isinstance(value.get("config"), dict) else None
        )
    return value if isinstance(value, str) and "mixed" not in value else "float32"


def _nest(value: Any) -> Any:
    """Names in the place of `[name, 0, 0]`."""
    if isinstance(value, Mapping):
        return {key: _nest(item) for key, item in value.items()}
    if isinstance(value, list):
        if len(value) == 3 and isinstance(value[0], str) and isinstance(value[1], int):
            return value[0]
        return [_nest(item) for item in value]
    return value


def _leaves(nest: Any) -> Iterator[str]:
    if isinstance(nest, str):
        yield nest
    elif isinstance(nest, (Mapping, list)):
        for item in nest.values() if isinstance(nest, Mapping) else nest:
            yield from _leaves(item)


def _readers(inner: Mapping[str, Any], name: str, above: str) -> Iterator[InputReader]:
    """The layers that read the output of `name`, through those that only pass it on."""
    waiting, seen = [name], {name}
    while waiting:
        source = waiting.pop(0)
        for layer in _layers(inner):
            own = str(layer.get("name"))
            if own in seen or source not in _sources(layer.get("inbound_nodes")):
                continue
            if layer.get("class_name") in PASSING:
                seen.add(own)
                waiting.append(own)
            yield from _read_by(layer, above)


def _chain(layers: Sequence[Mapping[str, Any]], above: str) -> Iterator[InputReader]:
    for layer in layers:
        if layer.get("class_name") == "InputLayer":
            continue
        yield from _read_by(layer, above)
        if layer.get("class_name") not in PASSING:
            return


def _read_by(layer: Mapping[str, Any], above: str) -> Iterator[InputReader]:
    kind, config = str(layer.get("class_name")), layer.get("config")
    if not isinstance(config, Mapping):
        return
    path = f"{above}{layer.get('name') or config.get('name')}"
    if kind in GRAPHS and isinstance(config.get("layers"), list):
        if "input_layers" in config:
            for name in _leaves(_nest(config["input_layers"])):
                yield from _readers(config, name, f"{path}/")
        else:
            yield from _chain(_layers(config), f"{path}/")
        return
    inside = config.get("layer")
    if kind == "TimeDistributed" and isinstance(inside, Mapping):
        yield from _read_by(inside, f"{path}/")
    yield InputReader(kind, config, path)


def _sources(nodes: Any) -> set[str]:
    """Names of the layers whose outputs a layer is called with."""
    found: set[str] = set()
    waiting = [nodes]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            history = value.get("keras_history")
            if isinstance(history, list) and history:
                found.add(str(history[0]))
            waiting += value.values()
        elif isinstance(value, list):
            if len(value) >= 3 and isinstance(value[0], str) and isinstance(value[1], int):
                found.add(value[0])
            waiting += value
    return found
