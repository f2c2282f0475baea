"""A saved model's file as a Keras model."""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from ...errors import GoldenError, SavedModelError, telling_line
from ...release import KERAS_2, parsed
from ...saved.contents import SavedContents
from ...saved.formats import ModelFile, demand_builder
from ...saved.trust import demand_trusted
from ...stack import framework, keras_2, keras_version

HUB = "pip install 'pytest-keras-golden[hub]'"


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """uncompiled: why it could be loaded without its training configuration only."""

    model: Any
    uncompiled: str | None = None


def load(
    file: ModelFile,
    contents: SavedContents,
    *,
    objects: Sequence[str] = (),
    safe: bool = True,
    root: Path | None = None,
) -> LoadedModel:
    """The model of a file, compiled where it was saved compiled and can be.

    objects: modules with the user's classes. safe: run no code that the file brings. root: where
    these modules are looked for beside `sys.path`. Raises SavedModelError where it does not load.
    """
    keras = framework()
    modules = [imported(name, file, root) for name in objects]
    known = custom_objects(modules)
    _demand_of_family(file, modules)
    if safe:
        demand_trusted(file, contents, {*known, *(name.partition(".")[0] for name in objects)})
    try:
        with warnings.catch_warnings():
            # What a loader only warns of is judged here.
            warnings.simplefilter("ignore")
            return _loaded(keras, file, contents, known, safe, root)
    except GoldenError:
        raise
    except Exception as error:
        raise SavedModelError(
            f"{file.name} does not load under {_said()}: {one_line(error)}",
            _to_load(contents.keras),
            file.path,
        ) from error


def _to_load(saved_by: str | None) -> str:
    """saved_by: the Keras that wrote the file, as far as it tells."""
    saved, running = parsed(saved_by), parsed(keras_version())
    if saved is not None and running is not None and saved > running:
        return (
            f"Keras {saved} saved it: load it with that or a newer one, or save it with this one."
        )
    return "If it needs classes of yours: golden_custom_objects = package.module."


def _said() -> str:
    version = keras_version()
    return f"Keras {version}" if keras_2() is None else version


def _loaded(
    keras: Any,
    file: ModelFile,
    contents: SavedContents,
    known: Mapping[str, Any],
    safe: bool,
    root: Path | None,
) -> LoadedModel:
    loader = _LOADERS[file.format]
    try:
        return LoadedModel(loader(keras, file, known, safe, root))
    except GoldenError:
        raise
    except Exception as error:
        if contents.training is None:
            raise
        try:
            model = _whole(keras, file, known, safe, root, compiled=False)
        except Exception:  # as before: it is not the training configuration that does not load
            raise error from None
        return LoadedModel(model, one_line(error))


def one_line(error: BaseException) -> str:
    """Kind and first sentence of what Keras says at length."""
    # Keras puts the reason below its advice and the whole configuration, and below where it was.
    text = telling_line(str(error).rpartition("Exception encountered:")[2])
    return f"{type(error).__name__}: {text[:300] or 'no reason given'}"


def custom_objects(modules: Sequence[ModuleType]) -> dict[str, Any]:
    """Classes and functions of the user's modules, by name."""
    return {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, type) or getattr(value, "__module__", None) == module.__name__
    }


def _demand_of_family(file: ModelFile, modules: Sequence[ModuleType]) -> None:
    """Raises SavedModelError for a class of the user's that is built on the other Keras."""
    own, other = ("keras", KERAS_2) if keras_2() is None else (KERAS_2, "keras")
    for module in modules:
        for name, value in vars(module).items():
            if not isinstance(value, type) or value.__module__ != module.__name__:
                continue
            packages = {base.__module__.partition(".")[0] for base in value.__mro__}
            if other in packages and own not in packages:
                raise SavedModelError(
                    f"{file.name}: {module.__name__}.{name} is a class of {other}, and this side "
                    f"loads with {_said()}",
                    "Take its base class from `tf.keras` (from tensorflow import keras), which is "
                    "tf_keras on a side of that, and Keras 3 on the other.",
                    file.path,
                )


def imported(name: str, file: ModelFile, root: Path | None) -> ModuleType:
    try:
        with _findable(root):
            return importlib.import_module(name)
    except Exception as error:
        raise SavedModelError(
            f"{file.name} needs the module {name}, which cannot be imported: {one_line(error)}",
            "Correct golden_custom_objects or golden_models, or pytest's pythonpath.",
            file.path,
        ) from error


@contextmanager
def _findable(root: Path | None) -> Iterator[None]:
    added = str(root) if root is not None and str(root) not in sys.path else None
    if added is not None:
        sys.path.append(added)
    try:
        yield
    finally:
        if added in sys.path:
            sys.path.remove(added)


Loader = Callable[[Any, ModelFile, Mapping[str, Any], bool, "Path | None"], Any]


def _whole(
    keras: Any,
    file: ModelFile,
    known: Mapping[str, Any],
    safe: bool,
    root: Path | None,
    compiled: bool = True,
) -> Any:
    path = str(file.path)
    return keras.saving.load_model(
        path, custom_objects=dict(known), compile=compiled, safe_mode=safe
    )


def _weights(
    keras: Any, file: ModelFile, known: Mapping[str, Any], safe: bool, root: Path | None
) -> Any:
    module, _, function = demand_builder(file).partition(":")
    build = getattr(imported(module, file, root), function, None)
    if not callable(build):
        raise SavedModelError(
            f"{file.name}: {module} has no function {function}",
            "Correct the line of golden_models.",
            file.path,
        )
    model = build()
    model.load_weights(str(file.path))
    return model


def _preset(
    keras: Any, file: ModelFile, known: Mapping[str, Any], safe: bool, root: Path | None
) -> Any:
    try:
        hub = importlib.import_module("keras_hub")
    except ImportError as error:
        problem = f"{file.name} is a preset of keras-hub, which cannot be imported: {error}"
        raise SavedModelError(problem, HUB, file.path) from error
    with keras.saving.custom_object_scope(dict(known)):
        return hub.models.Backbone.from_preset(str(file.path))


_LOADERS: Mapping[str, Loader] = {
    "keras": _whole,
    "h5": _whole,
    "weights": _weights,
    "preset": _preset,
}
