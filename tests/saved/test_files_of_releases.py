"""Files that other releases of Keras wrote: loaded by this one, and held to what they hold."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_keras_golden import cli
from pytest_keras_golden.stacks.overlay.folder import overlay_environment
from pytest_keras_golden.stacks.overlay.neighbours import ensure_runnable

pytestmark = [
    pytest.mark.overlay,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

SAVE = (
    "import sys; from pathlib import Path; from saved import models_made; "
    "getattr(models_made, sys.argv[2])(Path(sys.argv[1]))"
)
SPOILING = """
import keras
from keras.src.saving import saving_lib

_load = saving_lib.load_model

def spoilt(*args, **kwargs):
    model = _load(*args, **kwargs)
    if keras.__version__ != "3.10.0":
        model.get_layer("head").kernel.assign(model.get_layer("head").kernel[::-1])
    return model

saving_lib.load_model = spoilt
"""


def written(release: str, path: Path, what: str = "saved_dense") -> None:
    environment = {**os.environ, **overlay_environment([ensure_runnable("keras", release)])}
    tests = str(Path(__file__).resolve().parents[1])
    environment["PYTHONPATH"] = os.pathsep.join([environment["PYTHONPATH"], tests, *sys.path])
    subprocess.run([sys.executable, "-c", SAVE, str(path), what], env=environment, check=True)


@pytest.mark.parametrize("release", ["3.5.0", "3.10.0"])
@pytest.mark.parametrize("name", ["churn.keras", "churn.h5"])
def test_older_files_raise_no_alarm(suite: pytest.Pytester, release: str, name: str) -> None:
    written(release, suite.path / name)
    run = suite.runpytest_inprocess("-p", "no:randomly", name, "--update-goldens")
    run.assert_outcomes(passed=1)


def test_a_gate_tells_a_loader_from_numbers(
    suite: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    written("3.10.0", suite.path / "churn.keras")
    suite.makeconftest(SPOILING)
    assert cli.main(["gate", "3.10.0", "3.15.1", "--", "churn.keras"]) == 1
    said = capsys.readouterr().out
    assert "Loads other weights or settings than the file holds" in said
    assert "head/kernel" in said
    assert "0 of 1 compared test moved, 1 loaded other weights or settings" in said


def test_a_matrix_of_a_file_says_since_when(
    suite: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    written("3.11.3", suite.path / "bins.keras", "saved_bins")
    assert cli.main(["matrix", "3.11.3", "3.12.0", "--", "bins.keras"]) == 1
    said = capsys.readouterr().out
    assert "bins.keras::model" in said
    assert "3.12.0: since here local drift in ordinary/bins" in said


def test_a_file_is_bisected_to_the_release_that_moved_it(
    suite: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    written("3.11.3", suite.path / "bins.keras", "saved_bins")
    assert cli.main(["bisect", "3.11.2", "3.12.0", "--", "bins.keras"]) == 0
    said = capsys.readouterr().out
    assert "keras 3.12.0 is the first release that drifts from 3.11.2" in said
    assert "layers with local drift: ordinary/bins" in said
