from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from benchmarks.injection.wheels import write_wheel


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """An overlay cache of this test alone."""
    return tmp_path / "cache"


Offer = Callable[..., Path]


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Offer:
    """Makes a wheel, and has the installer find it; the cache is this test's own."""
    shelf = tmp_path / "wheels"
    shelf.mkdir()
    monkeypatch.setenv("KERAS_GOLDEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("UV_FIND_LINKS", str(shelf))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(shelf))

    def make(name: str, version: str, requires: Sequence[str] = (), **more: str) -> Path:
        return write_wheel(shelf, name, version, requires, **more)

    return make
