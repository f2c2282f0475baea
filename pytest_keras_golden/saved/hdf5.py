"""HDF5 files of strangers: arrays by their path, and texts of attributes; never another file's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .archive import FREE, LARGEST_TEXT, MOST_TIMES, bad

if TYPE_CHECKING:
    import h5py

    from ..records import Array

MOST_ENTRIES = 1_000_000
DEEPEST = 100


@dataclass(frozen=True, slots=True)
class Tree:
    """arrays: path → array. texts: path of a group → attribute → text or list of texts."""

    arrays: Mapping[str, Array]
    texts: Mapping[str, Mapping[str, Any]]


def read_hdf5(source: Path | bytes, path: Path) -> Tree:
    """path: of the file, for messages. Raises SavedModelError for what is no harmless HDF5 file."""
    size = path.stat().st_size if isinstance(source, Path) else len(source)
    try:
        with _opened(source) as file:
            reader = _Reader(path, max(FREE, MOST_TIMES * size))
            reader.read(file, "", 0)
            return Tree(reader.arrays, reader.texts)
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, UnicodeError) as error:
        # What h5py raises for damaged files, where it reads them at all.
        raise bad(path, f"holds no whole HDF5 file ({str(error)[:120]})") from None


@contextmanager
def _opened(source: Path | bytes) -> Iterator[h5py.File]:
    import h5py

    with h5py.File(source if isinstance(source, Path) else BytesIO(source), "r") as file:
        yield file


class _Reader:
    def __init__(self, path: Path, budget: int) -> None:
        self.arrays: dict[str, Array] = {}
        self.texts: dict[str, dict[str, Any]] = {}
        self._path = path
        self._budget = budget
        self._entries = 0

    def read(self, group: h5py.Group, at: str, depth: int) -> None:
        import h5py

        self._entries += 1
        if self._entries > MOST_ENTRIES or depth > DEEPEST:
            raise bad(self._path, "has more groups, or deeper ones, than any model")
        self.texts[at] = self._attributes(group)
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise bad(self._path, f"leads to another place at {at}/{name}")
            child, place = group[name], f"{at}/{name}" if at else name
            if isinstance(child, h5py.Group):
                self.read(child, place, depth + 1)
            elif isinstance(child, h5py.Dataset):
                self.arrays[place] = self._array(child, place)

    def _array(self, dataset: h5py.Dataset, at: str) -> Array:
        import ml_dtypes
        import numpy as np

        if dataset.is_virtual or dataset.external:
            raise bad(self._path, f"keeps {at} in another file")
        self._spend(math.prod(dataset.shape or ()) * dataset.dtype.itemsize, at)
        value = np.asarray(dataset[()])
        kept = dataset.attrs.get("dtype")
        if kept is not None and str(kept) == "bfloat16" and value.dtype.itemsize == 2:
            return value.view(ml_dtypes.bfloat16)
        return value

    def _attributes(self, group: h5py.Group) -> dict[str, Any]:
        names = [name for name in group.attrs if name in _TEXTS or name.startswith(_LISTS)]
        return _joined({name: _text(group.attrs[name]) for name in names})

    def _spend(self, size: int, at: str) -> None:
        self._budget -= size
        if self._budget < 0:
            raise bad(self._path, f"unpacks to more than {MOST_TIMES} times its own size at {at}")


_TEXTS = frozenset({"name", "keras_version", "backend", "model_config", "training_config"})
_LISTS = ("layer_names", "weight_names")
"""Attributes that are read; the lists may be cut into several, `layer_names0` and so on."""


def _text(value: Any) -> Any:
    if isinstance(value, bytes):
        return value[:LARGEST_TEXT].decode()
    if hasattr(value, "tolist"):
        listed = value.tolist()
        return [_text(item) for item in listed] if isinstance(listed, list) else _text(listed)
    return value


def _joined(attributes: dict[str, Any]) -> dict[str, Any]:
    for stem in _LISTS:
        parts = [name for name in attributes if name.startswith(stem) and name != stem]
        if parts:
            order = sorted(parts, key=lambda name: int(name.removeprefix(stem)))
            attributes[stem] = [item for name in order for item in attributes.pop(name)]
    return attributes
