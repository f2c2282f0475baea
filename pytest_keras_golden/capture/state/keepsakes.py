"""Arrays of one side of a gate, kept in a file for the other."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...io.atomic import folders, replacing
from ...io.originals import with_originals

if TYPE_CHECKING:
    from ...records import Array

_MARKS = "marks"
_STORED = frozenset(
    {"bool", "bfloat16", "float16", "float32", "float64", "float8_e4m3fn", "float8_e5m2"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)


@with_originals
def save_arrays(file: Path, arrays: Mapping[str, Array], marks: Iterable[str] = ()) -> None:
    """Write the arrays whole or not at all; those of dtypes that the file cannot hold are left out.

    marks: names that belong to the arrays, such as those of some of them.
    """
    from safetensors.numpy import save

    stored = {
        key: np.asarray(value, order="C")
        for key, value in arrays.items()
        if value.dtype.name in _STORED
    }
    with folders(file.parent), replacing(file) as opened:
        opened.write(save(stored, metadata={_MARKS: json.dumps(sorted(marks))}))


@with_originals
def load_arrays(file: Path) -> tuple[dict[str, Array], frozenset[str]]:
    """The arrays and marks of a file; nothing where there is none."""
    import ml_dtypes  # noqa: F401 (registers bfloat16, which loading needs)
    from safetensors import safe_open

    if not file.exists():
        return {}, frozenset()
    with safe_open(file, "np") as opened:
        marks = json.loads((opened.metadata() or {}).get(_MARKS, "[]"))
        return {key: opened.get_tensor(key) for key in opened.keys()}, frozenset(marks)  # noqa: SIM118
