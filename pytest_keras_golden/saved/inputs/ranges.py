"""What numbers, ids or words an input may hold, told from what reads it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..contents import SavedContents
from .description import InputReader, InputSpec

if TYPE_CHECKING:
    from ...records import Array

WIDE = math.sqrt(3.0)
"""Half the width of a uniform distribution of unit variance."""

MOST_WORDS = 10_000


@dataclass(frozen=True, slots=True)
class Interval:
    """low, high: of each number, or one each of the last axis."""

    low: Any = -WIDE
    high: Any = WIDE
    open: bool = True


@dataclass(frozen=True, slots=True)
class Ids:
    """Whole numbers from 0, as rows of tables; those from `first`, where 0 is padding."""

    count: int
    first: int = 0


@dataclass(frozen=True, slots=True)
class Mask:
    """Which positions are real: the first ones of each row."""


@dataclass(frozen=True, slots=True)
class Words:
    """Texts. several: a text of many words, else one."""

    vocabulary: tuple[str, ...]
    several: bool


Range = Interval | Ids | Mask | Words


def range_of(spec: InputSpec, contents: SavedContents | None) -> Range:
    """contents: of the file, for statistics and vocabularies that are no part of configurations."""
    if "mask" in spec.name or spec.dtype == "bool":
        return Mask()
    for reader in spec.readers:
        known = _by_reader(reader, contents)
        if known is not None:
            return known
    if spec.dtype == "string":
        return Words(("alpha", "beta", "gamma", "delta"), several=False)
    if "segment" in spec.name or "token_type" in spec.name:
        return Ids(2)
    if spec.dtype.startswith("uint8"):
        return Interval(0.0, 255.0, open=False)
    return Ids(2) if spec.dtype.startswith(("int", "uint")) else Interval()


def _by_reader(reader: InputReader, contents: SavedContents | None) -> Range | None:
    config, kind = reader.config, reader.kind
    count = _count(config, "input_dim", "vocabulary_size", "num_tokens")
    if count is not None and kind not in ("StringLookup", "TextVectorization", "IntegerLookup"):
        return Ids(count, 1 if config.get("mask_zero") and count > 1 else 0)
    if kind in ("StringLookup", "TextVectorization"):
        return Words(vocabulary(reader, contents), several=kind == "TextVectorization")
    if kind == "IntegerLookup":
        known = [int(word) for word in vocabulary(reader, contents) if word.lstrip("-").isdigit()]
        return Ids(max(known, default=3) + 2)
    if kind == "Rescaling":
        return _rescaled(config.get("scale"), config.get("offset"))
    if kind == "Normalization":
        return _normalised(reader, contents)
    if kind == "Discretization" and isinstance(config.get("bin_boundaries"), list):
        edges = [float(edge) for edge in config["bin_boundaries"]]
        return Interval(edges[0] - 1, edges[-1] + 1, open=False) if edges else None
    return None


def _count(config: Mapping[str, Any], *keys: str) -> int | None:
    counts = (config.get(key) for key in keys)
    return next(
        (c for c in counts if isinstance(c, int) and not isinstance(c, bool) and c > 0), None
    )


def _rescaled(scale: Any, offset: Any) -> Range | None:
    """What comes out between 0 and 1, or with an offset between -1 and 1."""
    if not isinstance(scale, (int, float)) or not scale:
        return None
    shift = float(offset) if isinstance(offset, (int, float)) else 0.0
    wanted = (0.0 if shift == 0 else -1.0, 1.0)
    low, high = sorted((value - shift) / scale for value in wanted)
    return Interval(low, high, open=False)


def _normalised(reader: InputReader, contents: SavedContents | None) -> Range | None:
    """Two standard deviations around each mean."""
    import numpy as np

    mean, variance = reader.config.get("mean"), reader.config.get("variance")
    if mean is None and contents is not None:
        mean, variance = _statistics(reader, contents)
    if mean is None or variance is None:
        return None
    centre, spread = np.asarray(mean, np.float64), np.sqrt(np.abs(np.asarray(variance, np.float64)))
    if not (np.isfinite(centre).all() and np.isfinite(spread).all()):
        return None
    low, high = (np.asarray(v).reshape(-1) for v in (centre - 2 * spread, centre + 2 * spread))
    return Interval(low, high, open=False)


def _statistics(reader: InputReader, contents: SavedContents) -> tuple[Array | None, Array | None]:
    last = reader.path.rpartition("/")[2]
    place = next((p for p, name in contents.names.items() if name == last), f"layers/{last}")
    at = f"model_weights/{last}" if contents.legacy else f"{place}/vars"
    own = [key for key in contents.arrays if key.startswith(f"{at}/")]
    by_end = {key.rpartition("/")[2].partition(":")[0]: contents.arrays[key] for key in own}
    mean, variance = by_end.get("mean", by_end.get("0")), by_end.get("variance", by_end.get("1"))
    return mean, variance


def vocabulary(reader: InputReader, contents: SavedContents | None) -> tuple[str, ...]:
    """Of a layer that looks words up: in its configuration, or in a file of its own."""
    listed = reader.config.get("vocabulary")
    if isinstance(listed, list):
        words = [str(word) for word in listed]
    else:
        words = _from_assets(reader, contents)
    plain = [word for word in words if word and not word.startswith("[")]
    return tuple(plain[:MOST_WORDS]) or ("alpha", "beta")


def _from_assets(reader: InputReader, contents: SavedContents | None) -> list[str]:
    if contents is None:
        return []
    last = reader.path.rpartition("/")[2]
    place = next((p for p, name in contents.names.items() if name == last), f"layers/{last}")
    for path, text in contents.assets.items():
        if path.startswith(f"{place}/") and path.endswith("vocabulary.txt"):
            return text.decode("utf-8", "replace").splitlines()
    return []
