"""Weights and call inputs by structural name: their fingerprints, and a fill that never changes."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

import numpy as np

from ...aliases import Alias, canonical
from ...errors import CaptureError, a_kind
from ...io.strict import shown as quoted
from ...store.digest import digest
from ..backends import is_tensor, is_text, text_digest, view
from ..backends.nest import flatten
from ..watch.families import TRACKING, WEIGHTS, weight_name
from ..watch.structure import joined, snake_case, walk

if TYPE_CHECKING:
    import numpy.typing as npt

    from ...records import Array

    _Unit = npt.NDArray[np.float64]


def named_weights(
    model: Any, path: str = "", aliases: Sequence[tuple[str, str]] = ()
) -> dict[str, Any]:
    """Structural name → Keras variable, of every weight below `model`, each once.

    path: of the model itself. A name is the layer's path, with the first alias that fits, and the
    attribute that holds the weight, without underscores (`kernel` became `_kernel` after 3.0.5).
    Seed generators and metrics hold no weights.
    """
    return weights_of(walk(model, path), aliases)


def weights_of(
    layers: Iterable[tuple[str, Any]], aliases: Sequence[tuple[str, str]] = ()
) -> dict[str, Any]:
    """`named_weights` of layers by path, as `walk` gives them."""
    named: dict[str, Any] = {}
    seen: set[int] = set()
    for at, layer in layers:
        for name, variable in _own_weights(layer):
            if id(variable) not in seen:
                seen.add(id(variable))
                named[_unused(joined(canonical(at, aliases), name), named)] = variable
    return named


def fingerprints(
    model: Any, path: str = "", aliases: Sequence[tuple[str, str]] = ()
) -> dict[str, str]:
    """Structural weight name → xxh3-128 over dtype, shape and bytes of its value."""
    named = named_weights(model, path, aliases)
    return {name: numeric_digest(view(weight)) for name, weight in named.items()}


def numeric_digest(value: Array) -> str:
    """Of a tensor's value; whole numbers in as many bits as jax has for them: each backend, and
    Keras 2, counts in bits of its own."""
    if value.dtype == np.int64 and (value == value.astype(np.int32)).all():
        value = value.astype(np.int32)
    return digest(value)


def named_inputs(args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Every tensor of a call by its place: `[0]`, `[1][token_ids]`, `[mask]`.

    A list of numbers is an input as much as an array; flags and text are not.
    """
    nest: dict[Any, Any] = {**dict(enumerate(args)), **kwargs}
    return {path: leaf for path, leaf in flatten(nest) if is_tensor(leaf) or _is_number(leaf)}


def input_fingerprints(args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, str]:
    """Place in the call → xxh3-128 of the tensor passed there, of text its characters."""
    return {path: _fingerprint(leaf) for path, leaf in named_inputs(args, kwargs).items()}


def _fingerprint(leaf: Any) -> str:
    return text_digest(leaf) if is_text(leaf) else numeric_digest(view(leaf))


def fill_weights(model: Any, seed: int = 0, aliases: Sequence[tuple[str, str]] = ()) -> None:
    """Fill every floating-point weight, bitwise alike on all releases, backends and machines.

    Uniform numbers from Philox keyed by sha256 over seed, structural name and shape; kernels have
    variance 1/fan-in, scales lie around 1, biases and means around 0, variances are positive.
    Values are rounded once to the weight's dtype. Integer weights and seed generators stay as
    they are. aliases: a renamed layer is filled as it was under its old name; they may begin with
    the name that automatic capture has for the model. Raises CaptureError for a model that is not
    built.
    """
    if not hasattr(model, "__dict__"):
        raise CaptureError(
            f"fill_weights() got {a_kind(model)}: {quoted(str(model))}",
            "Pass a Keras model or layer, or an object with layers as attributes.",
        )
    if not getattr(model, "built", True):
        raise CaptureError(
            f"{type(model).__name__} has not all its weights yet: it is not built",
            "Call the model once, or `model.build(input_shape)`, before fill_weights.",
        )
    fans = _fans(model)
    everywhere = (*aliases, *_below_root(aliases, snake_case(type(model).__name__)))
    for name, variable in named_weights(model, aliases=everywhere).items():
        kind = np.dtype(_numpy_dtype(variable.dtype))
        if _is_floating(kind):
            shape = tuple(int(size) for size in variable.shape)
            values = _values(name, shape, seed, fans.get(id(variable)))
            # Exact in float32 and taken by `assign` everywhere, which bf16 arrays are not.
            rounded = values.astype(kind)
            variable.assign(rounded if kind.itemsize >= 4 else rounded.astype(np.float32))


def _below_root(aliases: Iterable[Alias], root: str) -> Iterator[Alias]:
    """Aliases inside a model that goes by that name, or is a further one of its class."""
    begins = re.compile(rf"{re.escape(root)}(#\d+)?/")
    for old, new in aliases:
        above = begins.match(old)
        if above is not None and new.startswith(above[0]):
            yield old[above.end() :], new[above.end() :]


# -- names ----------------------------------------------------------------------------------


def _own_weights(layer: Any) -> Iterator[tuple[str, Any]]:
    own = [variable for name in (*_OWN, *WEIGHTS) for variable in _listed(layer, name)]
    places = _places(layer, set(map(id, own))) if own else {}
    for variable in own:
        yield weight_name(layer, places.get(id(variable)) or str(variable.name)), variable


_OWN = ("_trainable_variables", "_non_trainable_variables")


def _listed(layer: Any, attribute: str) -> list[Any]:
    return list(vars(layer).get(attribute) or ())


def _places(layer: Any, wanted: Set[int]) -> dict[int, str]:
    """id of a variable → attribute that holds it, first in order of the name, lists by index."""
    found = [
        (attribute.lstrip("_"), attribute, place, key)
        for attribute, value in vars(layer).items()
        if attribute not in _LISTS
        for place, key in _held(value, wanted)
    ]
    paths: dict[int, str] = {}
    # Of several places in one attribute the first counts: sorting keeps their order.
    for name, _, place, key in sorted(found, key=lambda held: held[:2]):
        paths.setdefault(key, name + place)
    return paths


_LISTS = frozenset({*_OWN, *WEIGHTS, *TRACKING, "_layers", "_modules", "_tracker"})


def _held(value: Any, wanted: Set[int]) -> Iterator[tuple[str, int]]:
    """Where in an attribute's value those variables are, and which."""
    if id(value) in wanted:
        yield "", id(value)
    elif isinstance(value, (list, tuple)):
        yield from ((f"/{at}", id(item)) for at, item in enumerate(value) if id(item) in wanted)
    elif isinstance(value, Mapping):
        yield from ((f"/{key}", id(item)) for key, item in value.items() if id(item) in wanted)


def _unused(name: str, taken: Mapping[str, Any]) -> str:
    count, unused = 0, name
    while unused in taken:
        count += 1
        unused = f"{name}#{count}"
    return unused


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


# -- values ---------------------------------------------------------------------------------


def _values(name: str, shape: tuple[int, ...], seed: int, fan_in: int | None) -> _Unit:
    key = hashlib.sha256(f"{seed}:{name}:{list(shape)}".encode()).digest()
    # Raw words and exact arithmetic: numpy may change what its distributions make of a stream.
    words = np.random.Philox(key=int.from_bytes(key[:16], "little")).random_raw(math.prod(shape))
    unit = (words >> np.uint64(40)).astype(np.float64) * 2.0**-23 - 1.0
    return _ROLES.get(_role(name), _kernel)(unit.reshape(shape), fan_in)


def _kernel(unit: _Unit, fan_in: int | None) -> _Unit:
    if fan_in is None:
        fan_in = math.prod(unit.shape[:-1]) if unit.ndim > 1 else 100
    return unit * math.sqrt(3.0 / max(fan_in, 1))


def _small(unit: _Unit, _: int | None) -> _Unit:
    return unit * 0.125


def _around_one(unit: _Unit, _: int | None) -> _Unit:
    return 1.0 + unit * 0.125


def _positive(unit: _Unit, _: int | None) -> _Unit:
    return 1.0 + unit * 0.5


def _embedding(unit: _Unit, _: int | None) -> _Unit:
    # Unit variance of a row's norm, so that logits of a tied head are of order one.
    return unit * math.sqrt(3.0 / max(unit.shape[-1] if unit.ndim else 1, 1))


_Fill = Callable[["_Unit", "int | None"], "_Unit"]

_ROLES: dict[str, _Fill] = {
    "gamma": _around_one,
    "scale": _around_one,
    "beta": _small,
    "bias": _small,
    "mean": _small,
    "moving_mean": _small,
    "variance": _positive,
    # Of `Normalization`; with a negative one it returns NaN for everything.
    "adapt_mean": _small,
    "adapt_variance": _positive,
    "moving_variance": _positive,
    "embeddings": _embedding,
    "position_embeddings": _embedding,
}


def _role(name: str) -> str:
    last = name.rpartition("/")[2].partition("#")[0]
    return "bias" if last.endswith("_bias") else last


def _fans(model: Any) -> dict[int, int]:
    """Kernels whose last axis alone is not the fan-out: id of the variable → fan-in."""
    fans: dict[int, int] = {}
    for _, layer in walk(model):
        kernel = vars(layer).get("_kernel", vars(layer).get("kernel"))
        equation = getattr(layer, "equation", None)
        if kernel is not None and isinstance(equation, str):
            fans[id(kernel)] = _contracted(equation, tuple(kernel.shape))
    return fans


def _contracted(equation: str, shape: Sequence[int]) -> int:
    """Product of the kernel's axes that an EinsumDense equation sums over."""
    left, _, output = equation.replace("...", "").partition("->")
    letters = left.partition(",")[2].strip()
    if len(letters) != len(shape):
        return math.prod(shape[:-1])
    sizes = zip(letters, shape, strict=True)
    return math.prod(int(size) for letter, size in sizes if letter not in output)


def _is_floating(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "f" or dtype.name.startswith(("bfloat16", "float8_"))


def _numpy_dtype(name: str) -> Any:
    import ml_dtypes

    return getattr(ml_dtypes, name, name)
