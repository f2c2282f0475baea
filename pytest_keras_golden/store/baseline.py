"""Which golden a run is compared with: decided by names alone, so a corrupt one still counts."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from ..errors import StoreError
from ..names import Slot
from ..release import order, parsed


def candidates(root: Path, folder: PurePosixPath) -> list[Slot]:
    """The slots of a test's goldens, oldest version first; empty where it has none.

    Raises StoreError for a folder that cannot be read.
    """
    try:
        names = [path.name for path in (root / folder).iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise unreadable(error) from None
    slots = [slot for slot in map(Slot.parse, names) if slot is not None]
    return sorted(slots, key=lambda slot: (order(slot.keras), slot.family))


def find_baseline(
    root: Path,
    folder: PurePosixPath,
    slot: Slot,
    requested: str | None = None,
    any_policy: bool = False,
) -> Path | None:
    """The newest golden of the slot's family that is not newer than the slot's own version.

    With `requested`, the golden of exactly that version (3.5 is 3.5.0) or None. any_policy: goldens
    of another dtype policy count as well.
    """
    slots = _family(root, folder, slot, any_policy)
    if requested is not None:
        slots = [other for other in slots if _same(other.keras, requested)]
        wanted = requested
    else:
        slots = [other for other in slots if not _newer(other.keras, slot.keras)]
        wanted = slot.keras
    # Where two spellings of one version are recorded, the one asked for literally wins.
    slots.sort(key=lambda other: other.keras == wanted)
    return root / folder / slots[-1].filename if slots else None


def find_anchor(root: Path, folder: PurePosixPath, slot: Slot) -> Path | None:
    """The oldest golden kept in the slot's family."""
    slots = _family(root, folder, slot)
    return root / folder / slots[0].filename if slots else None


def unreadable(error: OSError) -> StoreError:
    """What to raise instead of passing over a folder that may hold goldens."""
    return StoreError(f"{error.filename}: {error.strerror}", "make the folder readable")


def _family(root: Path, folder: PurePosixPath, slot: Slot, any_policy: bool = False) -> list[Slot]:
    shared = 2 if any_policy else 3
    return [
        other for other in candidates(root, folder) if other.family[:shared] == slot.family[:shared]
    ]


def _newer(text: str, than: str) -> bool:
    """Not known to be newer or older: a version outside PEP 440 is a baseline for itself only."""
    version, limit = parsed(text), parsed(than)
    if version is None or limit is None:
        return text != than
    return version > limit


def _same(text: str, other: str) -> bool:
    version = parsed(text)
    return text == other or (version is not None and version == parsed(other))
