"""What a saved model's file holds, whatever its format: configuration, arrays, vocabularies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..io.strict import FieldError, parse_object
from .archive import LARGEST_TEXT, bad, read_archive
from .formats import ModelFile
from .hdf5 import Tree, read_hdf5

if TYPE_CHECKING:
    from ..records import Array

Config = Mapping[str, Any]
"""A serialized Keras object: `class_name`, `config`, and more."""


@dataclass(frozen=True, slots=True)
class SavedContents:
    """config: of the model, None where the file holds weights alone. training: how it was compiled.

    arrays: path in the file → array. names: path of a layer in the file → the name that it had.
    order: in legacy files, the layers' names, and weights by layer, as they were saved. assets:
    path → bytes. legacy: whether arrays go by the layers' names.
    """

    config: Config | None
    training: Config | None
    arrays: Mapping[str, Array]
    names: Mapping[str, str] = field(default_factory=dict)
    order: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    assets: Mapping[str, bytes] = field(default_factory=dict)
    legacy: bool = False
    keras: str | None = None


def read_contents(file: ModelFile) -> SavedContents:
    """Raises SavedModelError for a file that is not what its name says."""
    return _READ[file.format](file.path)


def _archive(path: Path) -> SavedContents:
    archive = read_archive(path)
    config, metadata = _json(archive.config, path), _json(archive.metadata, path)
    tree = read_hdf5(archive.weights, path)
    return SavedContents(
        config=_demand_model(config, path),
        training=_mapping(config.get("compile_config")),
        arrays=tree.arrays,
        names=_names(tree),
        assets=archive.assets,
        keras=_version(metadata.get("keras_version")),
    )


def _whole_h5(path: Path) -> SavedContents:
    tree = read_hdf5(path, path)
    root = tree.texts[""]
    if "model_config" not in root:
        raise bad(path, "has no model_config: it holds no whole model")
    config = _demand_model(_json(str(root["model_config"]), path), path)
    training = root.get("training_config")
    return SavedContents(
        config=config,
        training=None if training is None else _json(str(training), path),
        arrays=tree.arrays,
        order={
            place: tuple(map(str, texts[key]))
            for place, texts in tree.texts.items()
            for key in ("layer_names", "weight_names")
            if key in texts
        },
        legacy=True,
        keras=_version(root.get("keras_version")),
    )


def _weights(path: Path) -> SavedContents:
    tree = read_hdf5(path, path)
    legacy = "layer_names" in tree.texts[""]
    if not tree.arrays:
        raise bad(path, "holds no weight")
    if legacy:
        raise bad(path, "is of Keras 2, whose weights go by no structure")
    return SavedContents(None, None, tree.arrays, _names(tree))


def _preset(path: Path) -> SavedContents:
    tree = read_hdf5(path / "model.weights.h5", path)
    # keras-hub builds the model from its own configuration, of which the layers are no part.
    config = _demand_model(_json_file(path / "config.json"), path)
    metadata = path / "metadata.json"
    version = _json_file(metadata).get("keras_version") if metadata.is_file() else None
    return SavedContents(config, None, tree.arrays, _names(tree), keras=_version(version))


_READ = {"keras": _archive, "h5": _whole_h5, "weights": _weights, "preset": _preset}


def _names(tree: Tree) -> dict[str, str]:
    """The newer releases note each layer's name beside its variables."""
    return {
        place.removesuffix("vars").rstrip("/"): str(texts["name"])
        for place, texts in tree.texts.items()
        if "name" in texts and (place == "vars" or place.endswith("/vars"))
    }


def _json_file(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST_TEXT:
            raise bad(path, f"has {path.stat().st_size:,} bytes")
        return _json(path.read_bytes(), path)
    except OSError as error:
        raise bad(path, f"cannot be read ({error.strerror or error})") from None


def _json(text: str | bytes, path: Path) -> dict[str, Any]:
    try:
        return parse_object(text)
    except FieldError as error:
        raise bad(path, f"has a configuration that {error}") from None


def _demand_model(config: dict[str, Any], path: Path) -> Config:
    if not isinstance(config.get("class_name"), str) or not isinstance(config.get("config"), dict):
        raise bad(path, "has a configuration that names no model")
    return config


def _mapping(value: Any) -> Config | None:
    return value if isinstance(value, dict) else None


def _version(value: Any) -> str | None:
    return value if isinstance(value, str) else None
