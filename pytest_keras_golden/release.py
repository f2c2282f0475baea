"""Versions as text: read by PEP 440, written as PEP 440 normalises them.

Apart from `packaging` nothing is imported, and that only when a version is seen: it is half of what
an unrelated run would pay.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.version import Version


KERAS_2 = "tf_keras"
"""Keras 2 as it goes on beside Keras 3, by the name that it is imported under. Its releases are
written `tf_keras 2.21.0`, which is no version: older and newer than none of Keras 3."""


def parsed(text: object) -> Version | None:
    """None for what is no such version."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(text) if isinstance(text, str) else None
    except InvalidVersion:
        return None


def normalised(text: object) -> str | None:
    """`3.05` as `3.5`; None for what is no such version."""
    version = parsed(text)
    return None if version is None else str(version)


def order(text: str) -> tuple[bool, Version, str]:
    """Sort key: by version, and behind all that is none."""
    from packaging.version import Version

    version = parsed(text)
    return version is not None, version or Version("0"), text
