"""Inputs that the user brings: `NAME.inputs.npz` or `.json` beside it, or `--golden-inputs`."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import SavedModelError
from ...io.strict import FieldError, parse_object
from ..archive import LARGEST_TEXT
from ..formats import SUFFIXES, WEIGHTS, ModelFile
from .description import Description
from .made import InputCase

if TYPE_CHECKING:
    from ...records import Array

CASE = "given"
ENDINGS = (".inputs.npz", ".inputs.json")


def inputs_beside(file: ModelFile) -> Path | None:
    """`churn.inputs.npz` beside `churn.keras`; `minilm.inputs.json` beside the folder `minilm`."""
    stem = file.path.name
    for suffix in (WEIGHTS, *SUFFIXES):
        if file.format != "preset" and stem.endswith(suffix):
            stem = stem.removesuffix(suffix)
            break
    paths = (file.path.with_name(stem + ending) for ending in ENDINGS)
    return next((path for path in paths if path.is_file()), None)


def brought_case(path: Path, described: Description | None) -> InputCase:
    """One case from a file of arrays by input name. Raises SavedModelError for any other file."""
    arrays = _json(path, described) if path.suffix == ".json" else _npz(path)
    if not arrays:
        raise _bad(path, "holds no input")
    if described is None:
        return InputCase(CASE, arrays, next(iter(arrays)) if len(arrays) == 1 else _mapping(arrays))
    wanted = list(described.inputs)
    if len(wanted) == len(arrays) == 1:
        # The only one needs no name.
        arrays = {wanted[0]: next(iter(arrays.values()))}
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise _bad(path, f"lacks {missing[0]!r}: the model takes {', '.join(wanted)}")
    return InputCase(CASE, arrays, described.nest)


def _mapping(arrays: Mapping[str, Array]) -> dict[str, str]:
    return {name: name for name in arrays}


def _npz(path: Path) -> dict[str, Array]:
    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as archive:
            if not hasattr(archive, "files"):
                raise _bad(path, "is a lone array, not an archive of np.savez")
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise _bad(path, f"cannot be read ({str(error)[:120]})") from None


def _json(path: Path, described: Description | None) -> dict[str, Array]:
    try:
        if path.stat().st_size > LARGEST_TEXT:
            raise _bad(path, f"has {path.stat().st_size:,} bytes")
        document = parse_object(path.read_bytes())
    except OSError as error:
        raise _bad(path, f"cannot be read ({error.strerror or error})") from None
    except FieldError as error:
        raise _bad(path, str(error)) from None
    return {name: _array(path, name, value, described) for name, value in document.items()}


def _array(path: Path, name: str, value: Any, described: Description | None) -> Array:
    import numpy as np

    spec = described.inputs.get(name) if described is not None else None
    wanted = None if spec is None or spec.dtype == "string" else spec.dtype
    try:
        array = np.array(value, dtype=wanted)
    except (ValueError, TypeError) as error:
        raise _bad(path, f"has no array at {name!r} ({str(error)[:120]})") from None
    if wanted is None and array.dtype == np.float64:
        return array.astype(np.float32)
    return array.astype(object) if array.dtype.kind == "U" else array


def _bad(path: Path, what: str) -> SavedModelError:
    return SavedModelError(
        f"{path.name} {what}",
        "Write arrays by input name: np.savez('churn.inputs.npz', age=…, income=…)",
        path,
    )
