"""A side that cannot be imported, in a real process: what is missing, and what to type."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_keras_golden.errors import StackError
from pytest_keras_golden.stacks.side import Side
from pytest_keras_golden.versions.inner.importing import demand_importable

pytestmark = pytest.mark.processes


def refused(folder: Path, side: Side) -> str:
    with pytest.raises(StackError) as caught:
        demand_importable(side, folder)
    return caught.value.fix


def test_what_runs_is_let_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    demand_importable(Side(()), tmp_path)


def test_a_backend_that_is_none_is_answered_by_one_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "jxa")
    assert "export KERAS_BACKEND=jax" in refused(tmp_path, Side(()))


def test_a_backend_that_is_not_there_is_answered_by_one_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorFlow as where nobody installed it."""
    (tmp_path / "tensorflow.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'tensorflow'\", name='tensorflow')"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    assert "KERAS_BACKEND=jax" in refused(tmp_path, Side(()))


def test_another_package_is_moved_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ml_dtypes.py").write_text("raise ImportError('built for another world')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert refused(tmp_path, Side(())).startswith("Move what it needs along")
