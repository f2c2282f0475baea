"""Which paths are saved models, and of what format."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from ..config import ModelPattern
from ..errors import SavedModelError

Format = Literal["keras", "h5", "weights", "preset"]

WEIGHTS = ".weights.h5"
SUFFIXES = (".keras", ".h5", ".hdf5")
PRESET = ("config.json", "model.weights.h5")
"""What a folder that keras-hub's `save_to_preset` wrote has in it."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One saved model. name: for messages, relative to the root of the run. builder: of weights
    alone, `package.module:function` that makes their model."""

    path: Path
    name: str
    format: Format
    builder: str | None = None


def format_of(path: Path) -> Format | None:
    """By its name alone; None for a path that is no saved model's."""
    if path.is_dir():
        return "preset" if all((path / name).is_file() for name in PRESET) else None
    if path.name.endswith(WEIGHTS):
        return "weights"
    if path.suffix not in SUFFIXES:
        return None
    return "keras" if path.suffix == ".keras" else "h5"


def model_file(
    path: Path, root: Path, patterns: Sequence[ModelPattern], named: bool
) -> ModelFile | None:
    """A path as the saved model that it is collected as; None where it is none of the test suite's.

    root: what globs are relative to. named: whether the user named it himself.
    """
    kind = format_of(path)
    if kind is None:
        return None
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.as_posix()
    matching = [pattern for pattern in patterns if fnmatch(name, pattern.glob)]
    if not (matching or named):
        return None
    # The last line that fits decides, as for tolerances.
    builders = [pattern.builder for pattern in matching if pattern.builder]
    return ModelFile(path, name, kind, builders[-1] if builders else None)


def demand_builder(file: ModelFile) -> str:
    """Raises SavedModelError where weights have no model to go into."""
    if file.builder is None:
        raise SavedModelError(
            f"{file.name} holds weights without a model",
            "Say what builds the model, in the ini file:\n"
            f"golden_models =\n    {file.name}: package.module:build",
            file.path,
        )
    return file.builder
