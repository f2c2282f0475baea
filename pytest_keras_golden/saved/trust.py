"""Whether a configuration asks for code of its own to be run, told before Keras reads it.

Keras has its own safe mode; but releases of it ran what a configuration names all the same
(CVE-2025-1550: any module's function; CVE-2025-8747: Keras' own downloads; legacy HDF5 files knew
no safe mode). A gate runs such releases on purpose.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Any

from ..errors import SavedModelError
from .contents import SavedContents
from .formats import ModelFile

_PACKAGES = frozenset({"keras", "keras_hub", "keras_nlp", "keras_cv", "tf_keras"})
_ROOMS = frozenset(
    {
        *(
            "activations",
            "applications",
            "backend",
            "constraints",
            "distillation",
            "dtype_policies",
        ),
        *("initializers", "layers", "losses", "metrics", "models", "ops", "optimizers"),
        *("quantizers", "random", "regularizers", "tokenizers", "samplers", "mixed_precision"),
        *("saving", "engine", "sequential", "functional"),
    }
)
"""Parts of these packages that objects of models come from; downloads and files are in others."""


def demand_trusted(file: ModelFile, contents: SavedContents, own: Collection[str]) -> None:
    """Raises SavedModelError where loading would run code that is neither Keras' nor the user's.

    own: top packages and names of the user's custom objects.
    """
    for config in (contents.config, contents.training):
        reason = next(_foreign(config, own), None)
        if reason is not None:
            raise SavedModelError(
                f"{file.name} would run code: {reason}",
                "If you trust it: golden_safe_mode = false in the ini file; classes of your own "
                "by golden_custom_objects = package.module.",
                file.path,
            )


def _foreign(config: Any, own: Collection[str]) -> Iterator[str]:
    for part in parts(config):
        if part.get("class_name") == "__lambda__" or _has_bytecode(part):
            yield "it holds a Lambda layer's bytecode"
        module, name = part.get("module"), str(part.get("class_name"))
        if isinstance(module, str) and "class_name" in part and not _is_known(module, name, own):
            yield f"it names {module[:60]}.{name[:60]}"


def _has_bytecode(part: dict[str, Any]) -> bool:
    # Legacy files have a function, and a function of the output's shape, of a type each.
    return any(part.get(key) == "lambda" for key in ("function_type", "output_shape_type"))


def parts(config: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a configuration, however deep."""
    waiting = [config]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _is_known(module: str, name: str, own: Collection[str]) -> bool:
    package, *rooms = module.split(".")
    if package in own or name.rpartition(">")[2] in own:
        return True
    if module == "builtins":
        return name == "function"
    if package not in _PACKAGES or not re.fullmatch(r"[\w.]+", module):
        return False
    rooms = [room for room in rooms if room not in ("src", "api", "v2")]
    # `keras` alone: what its front door has, of which no function is an object's class.
    return rooms[0] in _ROOMS if rooms else name[:1].isupper()
