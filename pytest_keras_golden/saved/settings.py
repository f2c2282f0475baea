"""The configuration in a file beside that of the model it became, in one normal form.

Releases write one thing in several ways (a dtype as its name or as a policy, an initializer as text
or as an object) and add settings: only what the file says and the model does not hold is a fault.
"""

from __future__ import annotations

import base64
import marshal
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from .faults import LoadingFault

SKIPPED = frozenset(
    {
        *("module", "registered_name", "build_config", "build_input_shape", "compile_config"),
        *("inbound_nodes", "input_layers", "output_layers", "shared_object_id", "keras_version"),
        *("backend", "seed", "name", "layers"),
        # Of Keras 2, for what is decided otherwise now.
        *(
            "batch_input_shape",
            "time_major",
            "implementation",
            "ragged",
            "sparse",
            "is_graph_network",
            *("query_shape", "key_shape", "value_shape"),
        ),
    }
)
"""What says nothing about numbers, or is compared otherwise."""

SPENT = "_initializer"
"""How settings end that a loaded model has no use for any more."""

RENAMED = ({"Functional", "Model"}, {"GroupedQueryAttention", "GroupQueryAttention"})
"""Classes that are one, by the names that they had."""

RENAMED_SETTINGS = {"LeakyReLU": {"alpha": "negative_slope"}}
"""Class → setting of Keras 2 → what it is called since."""

ALIKE = ({"swish", "silu"}, {"hardswish", "hardsilu"})
"""Functions that are one, by the names that they had, without punctuation."""

ABSENT = object()


def setting_faults(file: Any, loaded: Any, path: str = "") -> Iterator[LoadingFault]:
    """Settings of a serialized object that its loaded twin lacks or has otherwise. path: of it."""
    own, new = _inner(file), _inner(loaded)
    for key, value in own.items():
        if key in SKIPPED or key.endswith(SPENT):
            continue
        held = new.get(key, new.get(_renamed(file, key), ABSENT))
        if held is ABSENT and _says_nothing(value):
            continue
        if key == "code" and _are_lambdas(file, loaded) and _same_function(value, held):
            continue
        yield from _differing(f"{path}.{key}" if path else key, value, held)
    yield from _layers(own.get("layers"), new.get("layers"), path)


def _are_lambdas(file: Any, loaded: Any) -> bool:
    """Functions of `Lambda` layers, which Keras has unmarshalled already to load them."""
    return all(serialized.get("class_name") == "__lambda__" for serialized in (file, loaded))


def _same_function(file: Any, loaded: Any) -> bool:
    """Code is written otherwise where others refer to its parts: it is read to be compared."""
    try:
        one, other = (marshal.loads(base64.b64decode(text)) for text in (file, loaded))
    except (ValueError, EOFError, TypeError):  # another Python wrote it
        return False
    return bool(one == other)


def _renamed(serialized: Any, key: str) -> str:
    kind = str(serialized.get("class_name")).rpartition(">")[2]
    return RENAMED_SETTINGS.get(kind, {}).get(key, key)


def _inner(value: Any) -> Mapping[str, Any]:
    config = value.get("config") if isinstance(value, Mapping) else None
    return config if isinstance(config, Mapping) else {}


def _layers(file: Any, loaded: Any, path: str) -> Iterator[LoadingFault]:
    if not isinstance(file, list) or not isinstance(loaded, list):
        return
    twins = {name_of(layer): layer for layer in loaded if isinstance(layer, Mapping)}
    for layer in file:
        # Operations of a graph are counted anew wherever it is built.
        if not isinstance(layer, Mapping) or is_operation(layer):
            continue
        name = name_of(layer)
        place = f"{path}/{name}" if path else name
        if name not in twins:
            if layer.get("class_name") != "InputLayer":
                yield LoadingFault(place, "configuration", "is a layer of the file alone")
            continue
        twin = twins[name]
        kind, was = twin.get("class_name"), layer.get("class_name")
        if not _same_class(was, kind):
            yield LoadingFault(place, "configuration", f"is a {kind}, in the file a {was}")
        yield from setting_faults(layer, twin, place)


def inner_layers(config: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The layers of a serialized model's graph by name; none of what is no such model."""
    inner = config.get("config") if isinstance(config, Mapping) else None
    listed = inner.get("layers") if isinstance(inner, Mapping) else None
    for layer in listed if isinstance(listed, list) else ():
        if isinstance(layer, Mapping):
            yield name_of(layer), layer


def name_of(layer: Any) -> str:
    """Of a serialized layer."""
    return str(_inner(layer).get("name") or (layer.get("name") if isinstance(layer, dict) else ""))


def _same_class(one: Any, other: Any) -> bool:
    """`Package>Class` is `Class`; the models of a graph go by several names."""
    a, b = (str(name).rpartition(">")[2] for name in (one, other))
    return a == b or any({a, b} <= names for names in RENAMED)


def is_operation(layer: Mapping[str, Any]) -> bool:
    """Whether a part of a serialized graph is no layer: `x + y` between two."""
    return ".ops" in str(layer.get("module"))


def _differing(path: str, file: Any, loaded: Any) -> Iterator[LoadingFault]:
    a, b = normal(file), ABSENT if loaded is ABSENT else normal(loaded)
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        if {"class_name", "config"} <= a.keys() and {"class_name", "config"} <= b.keys():
            if not _same_class(a["class_name"], b["class_name"]):
                yield _other(path, a["class_name"], b["class_name"])
            else:
                yield from setting_faults(a, b, path)
        return
    if _of_objects(a) and isinstance(b, list) and len(a) == len(b):
        for at, (one, other) in enumerate(zip(a, b, strict=True)):
            yield from _differing(f"{path}[{at}]", one, other)
    elif not equal(a, b):
        yield _other(path, a, b)


def _of_objects(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(item, Mapping) for item in value)


def _other(path: str, file: Any, loaded: Any) -> LoadingFault:
    held = "is lost" if loaded is ABSENT else f"is {_shown(loaded)}"
    return LoadingFault(path, "configuration", f"{held}, in the file {_shown(file)}")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _says_nothing(value: Any) -> bool:
    return value is None or value is False or value in ([], {}, "")


def normal(value: Any) -> Any:
    """One form of what is written in several."""
    if isinstance(value, (list, tuple)):
        return [normal(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    kind, config = value.get("class_name"), value.get("config")
    if isinstance(kind, str) and "config" in value:
        if kind.endswith("Policy") and isinstance(config, Mapping):
            return config.get("name")
        if kind in ("function", "builtin_function", "__tuple__") or not isinstance(config, Mapping):
            return normal(config)
    return value


def equal(file: Any, loaded: Any) -> bool:
    """Numbers as float32 holds them: a learning rate is a weight, too."""
    if isinstance(file, bool) or isinstance(loaded, bool):
        return file is loaded or (_is_number(file) and _is_number(loaded) and file == loaded)
    if _is_number(file) and _is_number(loaded):
        return math.isclose(file, loaded, rel_tol=1e-6, abs_tol=0.0) or file == loaded
    if isinstance(file, list) and isinstance(loaded, list):
        return len(file) == len(loaded) and all(map(equal, file, loaded))
    return bool(file == loaded) or _alike(file, loaded) or _alike(loaded, file)


def _alike(one: Any, other: Any) -> bool:
    """Whether two forms are of one thing."""
    if isinstance(one, list) and len(one) == 1 and _is_number(other):
        # Keras 2 has an axis as the list of its axes.
        return equal(one[0], other)
    if isinstance(one, str) and isinstance(other, Mapping):
        # `glorot_uniform` is the class of that name with its defaults.
        return _plain(one) == _plain(str(other.get("class_name")))
    both = {_plain(one), _plain(other)} if isinstance(one, str) and isinstance(other, str) else None
    return both is not None and any(both <= names for names in ALIKE)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()
