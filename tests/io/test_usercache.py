"""A cache folder that cannot be made is said to be so, whatever wanted it."""

from __future__ import annotations

from pathlib import Path

import filelock
import pytest

from pytest_keras_golden.cli import main
from pytest_keras_golden.errors import StackError
from pytest_keras_golden.io.usercache import CACHE, writing_cache
from pytest_keras_golden.stacks.overlay import releases
from pytest_keras_golden.stacks.overlay.folder import locked
from pytest_keras_golden.versions.inner.workspace import workspace


@pytest.fixture(params=["below a file", "nowhere"])
def cache(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "file"
    file.write_text("")
    place = file / "cache" if request.param == "below a file" else Path("/proc/nowhere/cache")
    monkeypatch.setenv(CACHE, str(place))
    return place


def test_who_writes_there_says_what_to_do(cache: Path) -> None:
    with pytest.raises(StackError, match="cannot be written") as error, locked(cache / "keras-3"):
        pass
    assert error.value.fix.endswith("export KERAS_GOLDEN_CACHE=DIR")
    with pytest.raises(StackError, match="cannot be written"), workspace(["gate"], cache.parent):
        pass


def test_a_command_ends_with_code_2_and_no_call_for_a_report(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(releases, "_ask", lambda package, pre: ["3.14.1"])
    assert main(["overlays", "releases", ">=3"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("keras-golden: the cache folder cannot be written: ")
    assert "unexpected" not in said
    assert "Report it" not in said


def test_a_lock_that_others_hold_is_no_fault_of_the_folder(tmp_path: Path) -> None:
    with pytest.raises(filelock.Timeout), writing_cache(tmp_path):
        raise filelock.Timeout("a.lock")
