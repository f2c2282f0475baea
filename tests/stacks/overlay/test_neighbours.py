from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from pytest_keras_golden.stacks.overlay.folder import overlay_environment
from pytest_keras_golden.stacks.overlay.installer import find_uv
from pytest_keras_golden.stacks.overlay.neighbours import ensure_runnable

pytestmark = pytest.mark.overlay


def test_a_release_that_lacks_nothing_is_the_bare_overlay(cache: Path) -> None:
    overlay = ensure_runnable("keras", "3.6.0", cache=cache)
    assert overlay.name == "keras-3.6.0"


@pytest.mark.slow
def test_dm_tree_is_added_for_the_first_releases(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    overlay = ensure_runnable("keras", "3.0.5", cache=cache)
    assert (overlay / "tree").is_dir()
    done = subprocess.run(
        [sys.executable, "-c", "import keras; print(keras.__version__)"],
        env=overlay_environment([overlay]),
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == "3.0.5"


@pytest.mark.slow
def test_undeclared_packaging_is_added_where_it_is_absent(cache: Path, tmp_path: Path) -> None:
    """3.3.3 imports packaging without declaring it; an environment without it still runs it."""
    uv = find_uv()
    if uv is None or len(uv) > 1:
        pytest.skip("no uv binary, and pip takes minutes for a second environment")
    venv.create(tmp_path / "bare")
    python = tmp_path / "bare" / "bin" / "python"
    needs = ["jax", "absl-py", "rich", "namex", "h5py", "optree", "ml-dtypes", "filelock"]
    subprocess.run([*uv, "pip", "install", "-q", "--python", python, *needs], check=True)
    # The tool itself needs packaging: it is reachable while we look, never for the release.
    code = (
        "import os, sys, packaging.version, packaging.requirements, packaging.specifiers, "
        "packaging.utils\n"
        "sys.path = [p for p in sys.path if not p.endswith('tool')]\n"
        "del sys.modules['packaging'], os.environ['PYTHONPATH']\n"
        "from pathlib import Path\n"
        "from pytest_keras_golden.stacks.overlay.neighbours import ensure_runnable\n"
        "print(ensure_runnable('keras', '3.3.3', cache=Path(sys.argv[1])))"
    )
    tool = tmp_path / "tool"
    into = [*uv, "pip", "install", "-q", "--python", python, "--target", tool]
    subprocess.run([*into, "packaging"], check=True)
    ours = Path(__file__).parents[3]
    found = {"PATH": os.pathsep.join([str(Path(uv[0]).parent), os.environ["PATH"]])}
    done = subprocess.run(
        [python, "-c", code, str(cache)],
        env={**os.environ, **found, "PYTHONPATH": f"{tool}:{ours}", "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "packaging" in Path(done.stdout.strip()).name
