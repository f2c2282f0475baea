from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """An overlay cache of this test alone."""
    return tmp_path / "cache"
