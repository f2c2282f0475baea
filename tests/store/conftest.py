import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def open_folder():
    """A folder that other users may enter, unlike `tmp_path`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
