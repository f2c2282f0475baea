"""Where the arrays of a file belong in the model that was loaded from it.

Not as Keras' loader finds them: layers of a graph by the names that the file's configuration gives
them, what is inside a layer by the attributes that the file's paths name, legacy weights by their
own names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...saved.contents import SavedContents
from ...saved.faults import Loaded, Placed, same
from ...saved.settings import is_operation
from ...stack import keras_2
from ..backends import is_tensor, to_numpy
from ..state.weights import named_weights
from ..watch.families import classes, is_of
from ..watch.structure import is_own, snake_case
from ..watch.unnoticed import unnoticed

if TYPE_CHECKING:
    from ...records import Array

LAYERS = ("layers", "_layer_checkpoint_dependencies")
OPTIMIZER = "optimizer"

LORA = "/lora_"
"""Weights that files hold merged into their kernels."""


def loaded_state(model: Any, contents: SavedContents) -> Loaded:
    """Every array of the file beside the weight it belongs to, and the weights of no array."""
    again = {} if contents.legacy else _saved_again(model)
    groups = _legacy(model, contents) if contents.legacy else _by_structure(model, contents, again)
    names = {id(variable): name for name, variable in named_weights(model).items()}
    placed: list[Placed] = []
    # Of what saves by itself the file need not have the weights.
    seen = {id(v) for saved in again.values() for v in _variables(saved.layer)}
    for places, variables, strict in groups:
        chosen = _matched(contents, places, variables, strict)
        for place, variable in chosen:
            if variable is not None:
                seen.add(id(variable))
            name = names.get(id(variable)) or _own_name(place, variable)
            held = None if variable is None else to_numpy(variable)
            placed.append(Placed(place, name, contents.arrays[place], held))
    rest = {
        name: to_numpy(variable)
        for name, variable in named_weights(model).items()
        if id(variable) not in seen and LORA not in name
    }
    return Loaded(placed, rest)


Group = tuple[Sequence[str], Sequence[Any], bool]
"""Places in the file, the variables they belong to in this order, and whether the order is sure."""


def _own_name(place: str, variable: Any) -> str:
    if variable is not None and place.startswith(OPTIMIZER):
        return f"{OPTIMIZER}/{getattr(variable, 'path', variable.name).partition('/')[2]}"
    return place


def _matched(
    contents: SavedContents, places: Sequence[str], variables: Sequence[Any], strict: bool
) -> list[tuple[str, Any]]:
    """In order; where a layer saves in an order of its own, first those that hold the numbers."""
    left = list(variables)
    chosen: dict[str, Any] = {}
    if not strict:
        for place in places:
            value = contents.arrays[place]
            own = next((v for v in left if same(value, to_numpy(v))), None)
            if own is not None:
                chosen[place] = own
                left = [variable for variable in left if variable is not own]
    for place in places:
        if place not in chosen:
            chosen[place] = left.pop(0) if left else None
    return [(place, chosen[place]) for place in places]


# -- files by structure ---------------------------------------------------------------------


def _by_structure(
    model: Any, contents: SavedContents, again: Mapping[int, SavedAgain]
) -> Iterator[Group]:
    places: dict[str, list[str]] = {}
    for place in contents.arrays:
        above, _, _ = place.rpartition("/")
        places.setdefault(above.removesuffix("vars").rstrip("/"), []).append(place)
    for path, own in places.items():
        order = sorted(own, key=_number)
        found = resolved(model, path.split("/") if path else [], contents.config)
        if path.partition("/")[0] == "metrics" and keras_2() is not None:
            # It makes the metrics of a loaded model at the first batch that they see.
            continue
        if path.partition("/")[0] == OPTIMIZER and getattr(model, OPTIMIZER, None) is None:
            if contents.training is None:
                continue
            found = None
        declared, own_way = _declared(found), again.get(id(found))
        if own_way is not None:
            yield order, [own_way.store.get(place.rpartition("/")[2]) for place in order], True
        elif len(declared) == len(order):
            yield order, declared, True
        else:
            yield order, _variables(found), _saves_in_order(found)


def _number(place: str) -> tuple[int, str]:
    last = place.rpartition("/")[2]
    return (int(last), "") if last.isdecimal() else (0, last)


def resolved(node: Any, parts: Sequence[str], config: Any) -> Any:
    """What a path in the file leads to in the model; None where it leads nowhere."""
    for at, part in enumerate(parts):
        if node is None:
            return None
        inner = config.get("config") if isinstance(config, Mapping) else None
        listed = inner.get("layers") if isinstance(inner, Mapping) else None
        if part in LAYERS and isinstance(listed, list) and at + 1 < len(parts):
            return _of_graph(node, parts[at + 1 :], listed)
        if isinstance(node, (list, tuple, Mapping)):
            node = _of_container(node, part)
        else:
            node = getattr(node, "layers" if part in LAYERS else part, None)
        config = None
    return node


def _of_graph(model: Any, parts: Sequence[str], listed: Sequence[Any]) -> Any:
    """By the name that the configuration has for the layer of this place."""
    counts: dict[str, int] = {}
    for layer in listed:
        if not isinstance(layer, Mapping) or is_operation(layer):
            continue
        kind = snake_case(str(layer.get("class_name")).rpartition(">")[2])
        if _counted(kind, counts) == parts[0]:
            config = layer.get("config")
            name = config.get("name") if isinstance(config, Mapping) else layer.get("name")
            return resolved(_layer(model, name), parts[1:], layer)
    return resolved(_of_container(model.layers, parts[0]), parts[1:], None)


def _layer(model: Any, name: Any) -> Any:
    return next((layer for layer in getattr(model, "layers", ()) if layer.name == name), None)


def _counted(kind: str, counts: dict[str, int]) -> str:
    count = counts[kind] = counts.get(kind, -1) + 1
    return kind if count == 0 else f"{kind}_{count}"


def _of_container(container: Any, part: str) -> Any:
    """Files count the members of a container by their class."""
    counts: dict[str, int] = {}
    for child in container.values() if isinstance(container, Mapping) else container:
        nested = isinstance(child, (list, tuple, dict))
        kind = "container" if nested else snake_case(type(child).__name__)
        if _counted(kind, counts) == part:
            return child
    return None


def _variables(node: Any) -> list[Any]:
    """What a layer, an optimizer, a metric or a generator saves of itself."""
    if node is None:
        return []
    own = [*_list(node, "_trainable_variables"), *_list(node, "_non_trainable_variables")]
    if _is_layer(node):
        return own
    state = getattr(node, "state", None)
    every = getattr(node, "variables", None)
    listed = every if isinstance(every, (list, tuple)) else [state] if state is not None else own
    return [variable for variable in listed if hasattr(variable, "assign")]


def _list(node: Any, name: str) -> list[Any]:
    return list(vars(node).get(name) or ()) if hasattr(node, "__dict__") else []


def _is_layer(node: Any) -> bool:
    return is_of(node, "Layer")


QUANTISED = (("kernel", "embeddings"), ("bias",), ("kernel_scale", "embeddings_scale"))
"""The order in which layers with a quantised kernel save; newer releases declare it."""


def _declared(node: Any) -> list[Any]:
    """The variables of a layer that has an order of its own, in that order."""
    mode = getattr(node, "quantization_mode", None)
    if mode is None:
        return []
    spec = getattr(node, "variable_serialization_spec", None) or {}
    names = [(name,) for name in spec.get(mode, ())] or QUANTISED
    found = [_first(node, choice) for choice in names]
    return [variable for variable in found if variable is not None]


def _first(node: Any, names: Sequence[str]) -> Any:
    """The variable itself, where a property shows what it makes of it."""
    for name in (*(f"_{name}" for name in names), *names):
        variable = getattr(node, name, None)
        if hasattr(variable, "assign"):
            return variable
    return None


def _saves_in_order(node: Any) -> bool:
    """Whether the class leaves saving to `Layer`, which counts its variables."""
    if not _is_layer(node):
        return True
    own: Any = type(node)
    kinds: tuple[Any, ...] = classes("Layer")
    return any(own.save_own_variables is kind.save_own_variables for kind in kinds)


@dataclass(frozen=True)
class SavedAgain:
    """store: what a layer of the user's that saves by itself would write now, by its own keys:
    nobody else knows what they are."""

    layer: Any
    store: Mapping[str, Array]


def _saved_again(model: Any) -> dict[int, SavedAgain]:
    """By `id`, every such layer of the model; none that fails, whose weights are found by their
    numbers."""
    flattened = getattr(model, "_flatten_layers", lambda: ())()
    saved = {}
    for layer in (layer for layer in flattened if not (is_own(layer) or _saves_in_order(layer))):
        store: dict[str, Any] = {}
        try:
            with unnoticed(layer):
                layer.save_own_variables(store)
                arrays = {key: _array(value) for key, value in store.items()}
        except Exception:  # whatever code of the user's raises
            continue
        saved[id(layer)] = SavedAgain(layer, arrays)
    return saved


def _array(value: Any) -> Array:
    return to_numpy(value) if is_tensor(value) else np.asarray(value)


# -- legacy files ---------------------------------------------------------------------------

WEIGHTS, SLOTS = "model_weights", "optimizer_weights"


def _legacy(model: Any, contents: SavedContents) -> Iterator[Group]:
    layers = contents.order.get(WEIGHTS, ())
    for name in layers:
        above = f"{WEIGHTS}/{name}"
        places = [f"{above}/{weight}" for weight in contents.order.get(above, ())]
        places = [place for place in places if place in contents.arrays]
        layer = _layer(model, name)
        own = [] if layer is None else [*layer.trainable_weights, *layer.non_trainable_weights]
        yield places, _by_name(places, own), True
    slots = [f"{SLOTS}/{name}" for name in contents.order.get(SLOTS, ())]
    slots = [place for place in slots if place in contents.arrays]
    optimizer = getattr(model, OPTIMIZER, None)
    if optimizer is None:
        return
    every = optimizer.variables
    # A method of the optimizers that Keras 2 calls legacy.
    variables = every() if callable(every) else every
    if str(contents.keras).startswith("3"):
        yield slots, variables, True
    else:
        yield slots, list(_by_value(contents, slots, variables)), True


def _by_value(
    contents: SavedContents, places: Sequence[str], variables: Sequence[Any]
) -> Iterator[Any]:
    """For slots of Keras 2, whose order and names are others: the variable that holds the numbers,
    None where none does."""
    left = list(variables)
    for place in places:
        value = contents.arrays[place]
        found = next((v for v in left if same(value, to_numpy(v))), None)
        left = [variable for variable in left if variable is not found]
        yield found


def _by_name(places: Sequence[str], variables: Sequence[Any]) -> list[Any]:
    """The variables in the order of the places, by as much of their paths as tells them apart."""
    left, chosen = list(variables), []
    for place in places:
        shared = [_shared_end(place, str(getattr(v, "path", v.name))) for v in left]
        best = max(shared, default=0)
        at = shared.index(best) if shared.count(best) == 1 else 0
        if left:
            chosen.append(left.pop(at))
    return chosen


def _shared_end(place: str, path: str) -> int:
    """How many last parts two paths have in common."""
    a, b = (text.partition(":")[0].split("/")[::-1] for text in (place, path))
    return next(
        (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
    )
