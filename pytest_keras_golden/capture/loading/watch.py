"""Files that a test loads itself, by `load_model`, `load_weights` or `from_preset`, each judged as
it is loaded; and those that it saves, so that a round trip is judged on both its ways."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import SavedModelError
from ...saved.contents import SavedContents, read_contents
from ...saved.faults import LoadingFault
from ...saved.formats import ModelFile, format_of
from ..watch import patches
from ..watch.patches import Run
from ..watch.structure import walk
from .judged import loading_faults
from .places import OPTIMIZER

LOADED = ("load_model", "load_model_from_hdf5")
SAVED = ("save_model", "save_model_to_hdf5")
WEIGHTS = ("load_weights_only", "save_weights_only")
"""Functions of Keras behind all public ways of loading and saving, of models and of weights."""


class LoadWatch:
    """take: is given the faults of each file. Stands outside of captures."""

    outside = True

    def __init__(self, take: Callable[[Sequence[LoadingFault]], None]) -> None:
        self.thread = threading.get_ident()
        self._take = take
        self._inside = 0

    def intercept(self, method: str, run: Run, /, *args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        self._inside += 1
        try:
            returned = run(*args, **kwargs)
        finally:
            self._inside -= 1
        if not self._inside and not _partly(kwargs):
            model, path = (returned, args[:1]) if method in LOADED else (args[0], args[1:2])
            given = path[0] if path else kwargs.get("filepath")
            self._judge(model, given, method, kwargs.get("compile", True))
        return returned

    def _judge(self, model: Any, given: Any, method: str, compiled: bool) -> None:
        contents = _contents(given)
        if contents is None:
            return
        if method in WEIGHTS:
            contents = replace(contents, config=None, training=None, arrays=_of_layers(contents))
        elif not compiled or getattr(model, "optimizer", None) is None:
            contents = replace(contents, training=None)
        name = Path(given).name
        if method.startswith("save"):
            if _merges(model):
                return
            name = f"{name} as saved"
        faults = loading_faults(model, contents)
        self._take([replace(fault, name=f"{name}:{fault.name}") for fault in faults])


def _merges(model: Any) -> bool:
    """Whether a layer saves other weights than it has: LoRA's are saved within its kernel."""
    return any(getattr(layer, "lora_enabled", False) for _, layer in walk(model))


def _of_layers(contents: SavedContents) -> dict[str, Any]:
    """Without an optimizer's: whoever asks for weights compiles the model himself, and Keras leaves
    an optimizer that has not trained yet as it is."""
    pairs = contents.arrays.items()
    return {place: value for place, value in pairs if not place.startswith(f"{OPTIMIZER}/")}


def _partly(kwargs: dict[str, Any]) -> bool:
    """Whether the test itself wants less than the file."""
    return bool(kwargs.get("skip_mismatch") or kwargs.get("objects_to_skip"))


def _contents(given: Any) -> SavedContents | None:
    """None of what is no file here, or of no format that is read without Keras."""
    if not isinstance(given, (str, Path)) or not Path(given).is_file():
        return None
    path = Path(given)
    kind = format_of(path)
    try:
        return None if kind is None else read_contents(ModelFile(path, path.name, kind))
    except SavedModelError:
        # Keras has loaded it: sharded, of another layout.
        return None


@contextmanager
def watching_loads(take: Callable[[Sequence[LoadingFault]], None]) -> Iterator[None]:
    """Judge every file that is loaded or saved inside."""
    watch = LoadWatch(take)
    opened = patches.watch(list(_places()), watch)
    try:
        yield
    finally:
        patches.unwatch(opened, watch)


def _places() -> Iterator[tuple[Any, str]]:
    from keras.src.legacy.saving import legacy_h5_format
    from keras.src.saving import saving_lib

    for module in (saving_lib, legacy_h5_format):
        yield from ((module, name) for name in (*LOADED, *SAVED, *WEIGHTS) if name in vars(module))
