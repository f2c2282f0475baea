from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pytest_keras_golden.versions.workspace import workspace


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "test_a.py").write_text("def test_a(): pass\n")
    return folder


def interrupted(suite: Path, cache: Path) -> Path:
    try:
        with workspace(("gate",), suite, cache=cache) as place:
            (place / "work").touch()
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        return place


def test_a_finished_command_leaves_nothing(suite: Path, cache: Path) -> None:
    with workspace(("gate",), suite, cache=cache) as place:
        (place / "work").touch()
    assert not place.exists()


def test_an_interrupted_one_goes_on_in_the_same_place(suite: Path, cache: Path) -> None:
    place = interrupted(suite, cache)
    with workspace(("gate",), suite, cache=cache) as again:
        assert again == place
        assert (again / "work").exists()


def test_another_command_or_a_changed_suite_starts_anew(
    suite: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = interrupted(suite, cache)
    with workspace(("matrix",), suite, cache=cache) as other:
        assert other != place
    (suite / "test_a.py").write_text("def test_a(): assert 1 == 1\n")
    with workspace(("gate",), suite, cache=cache) as changed:
        assert changed != place
    place = interrupted(suite, cache)
    monkeypatch.setenv("KERAS_BACKEND", "numpy-of-another-kind")
    with workspace(("gate",), suite, cache=cache) as elsewhere:
        assert elsewhere != place


def test_two_at_once_never_share(suite: Path, cache: Path) -> None:
    with (
        workspace(("gate",), suite, cache=cache) as one,
        workspace(("gate",), suite, cache=cache) as two,
    ):
        assert one != two


def test_a_kept_folder_stays_and_forgets_the_runs_of_another_suite(
    suite: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    for _ in range(2):
        with workspace(("gate",), suite, kept=kept) as place:
            (place / "runs").mkdir(exist_ok=True)
            (place / "runs" / "first").touch()
    assert (kept / "runs" / "first").exists()
    with workspace(("gate", "other arguments"), suite, kept=kept) as place:
        assert not (place / "runs").exists()


def test_what_was_given_up_long_ago_is_removed(suite: Path, cache: Path) -> None:
    place = interrupted(suite, cache)
    long_ago = time.time() - 30 * 86400
    os.utime(place, (long_ago, long_ago))
    with workspace(("matrix",), suite, cache=cache):
        assert not place.exists()
