from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from pytest_keras_golden.errors import ConfigError
from pytest_keras_golden.io.ownership import claim
from pytest_keras_golden.versions.inner.workspace import workspace


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


def test_another_command_or_suite_has_another_place(
    suite: Path, cache: Path, tmp_path: Path
) -> None:
    place = interrupted(suite, cache)
    with workspace(("matrix",), suite, cache=cache) as other:
        assert other != place
    with workspace(("gate",), tmp_path, cache=cache) as elsewhere:
        assert elsewhere != place


def test_two_at_once_never_share(suite: Path, cache: Path) -> None:
    with (
        workspace(("gate",), suite, cache=cache) as one,
        workspace(("gate",), suite, cache=cache) as two,
    ):
        assert one != two


def test_a_kept_folder_stays_and_forgets_the_runs_of_another_command(
    suite: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    for _ in range(2):
        with workspace(("gate",), suite, kept=kept) as place:
            (place / "runs" / "first").touch()
            claim(place / "goldens")
    assert (kept / "runs" / "first").exists()
    with workspace(("gate", "other arguments"), suite, kept=kept) as place:
        assert not (place / "runs" / "first").exists()
        assert not (place / "goldens").exists()


def test_a_folder_with_files_of_the_user_is_not_kept_in(suite: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    for name in ("goldens", "weights", "runs"):
        (mine / name).mkdir(parents=True)
        (mine / name / "precious").write_text("mine")
    before = sorted(mine.rglob("*"))
    with (
        pytest.raises(ConfigError, match="nothing in it is touched"),
        workspace(("gate",), suite, kept=mine),
    ):
        pass
    assert sorted(mine.rglob("*")) == before


def test_folders_of_the_user_in_a_kept_one_stay(suite: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with workspace(("gate",), suite, kept=kept):
        pass
    (kept / "goldens").mkdir()
    (kept / "goldens" / "precious").touch()
    with workspace(("matrix",), suite, kept=kept):
        pass
    assert (kept / "goldens" / "precious").exists()


def test_two_commands_at_once_never_share_a_kept_folder(suite: Path, tmp_path: Path) -> None:
    with (
        workspace(("gate",), suite, kept=tmp_path / "kept"),
        pytest.raises(ConfigError, match="Another command is at work"),
        workspace(("gate",), suite, kept=tmp_path / "kept"),
    ):
        pass


def test_what_was_given_up_long_ago_is_removed(suite: Path, cache: Path) -> None:
    place = interrupted(suite, cache)
    long_ago = time.time() - 30 * 86400
    os.utime(place, (long_ago, long_ago))
    mine = place.parent / "mine"
    mine.mkdir()
    os.utime(mine, (long_ago, long_ago))
    with workspace(("matrix",), suite, cache=cache):
        assert not place.exists()
        assert mine.exists()
