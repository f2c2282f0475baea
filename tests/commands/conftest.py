"""A goldens folder with real golden files in it, and the command line in this process."""

from __future__ import annotations

from pathlib import Path

import pytest
from golden_files import NODEID, Run, Write, recording, tensors

from pytest_keras_golden.cli import main
from pytest_keras_golden.names import Slot, golden_folder
from pytest_keras_golden.store.files import save


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with an ini file, as the working directory."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (tmp_path / "goldens").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def write(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Write:
    """Writes a golden of a test under a Keras version; returns its path."""
    locks = tmp_path_factory.mktemp("locks")

    def written(
        keras: str,
        nodeid: str = NODEID,
        drift: float = 0.0,
        rounding: bool = False,
        root: Path | None = None,
        reason: str | None = None,
    ) -> Path:
        slot = Slot(keras, "jax", "cpu", "bfloat16")
        folder = (root or project / "goldens") / golden_folder(nodeid)
        save(folder / slot.filename, recording(tensors(drift, rounding), keras, reason), locks)
        return folder / slot.filename

    return written


@pytest.fixture
def golden_cli(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line; returns exit code, standard output, standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stopped:
            code = int(stopped.code or 0)
        return (code, *capsys.readouterr())

    return run
