"""Files are written whole or not at all, and through nobody's links."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_keras_golden.io.atomic import append_whole, folders, replacing, write_whole

WRITE = """
import sys
from pathlib import Path
from pytest_keras_golden.io.atomic import append_whole, write_whole
try:
    {call}(Path(sys.argv[1]), "x" * (2 << 20))
except OSError as error:
    print(error.filename, error.strerror)
"""
LIMIT = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
"""


def in_child(code: str, *arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, text=True, check=True, **{"capture_output": True, **options})


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_file_is_replaced_and_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "er" / "log.json"
    for text in ("one", "ünder", ""):
        write_whole(path, text)
        assert path.read_text(encoding="utf-8") == text
    assert names(path.parent) == ["log.json"]


def test_names_of_another_encoding_are_written_as_json_would(tmp_path: Path) -> None:
    write_whole(tmp_path / "log", os.fsdecode(b"t\xe9st"))
    assert (tmp_path / "log").read_bytes() == b"t\\udce9st"


def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("old")
    with suppress(ZeroDivisionError), replacing(path) as file:
        file.write(b"half of the ne")
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert names(tmp_path) == ["log"]


@pytest.fixture(params=["file limit", "full disk"])
def narrow(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder without room for 2 MiB, and what a process must do first for that to be so."""
    if request.param == "file limit":
        yield tmp_path, LIMIT
        return
    made = ["mount", "-t", "tmpfs", "-o", "size=1m", "golden", tmp_path]
    if subprocess.run(made, capture_output=True).returncode:
        pytest.skip("no tmpfs may be mounted here: the limit on file sizes is tested")
    yield tmp_path, ""
    subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.parametrize("call", ["write_whole", "append_whole"])
def test_a_disk_without_room_leaves_the_old_file(narrow: tuple[Path, str], call: str) -> None:
    folder, before = narrow
    path = folder / "log.json"
    path.write_text("old")
    said = in_child(before + WRITE.format(call=call), path).stdout.strip()
    assert said in (f"{path} File too large", f"{path} No space left on device")
    assert path.read_text() == "old"
    assert names(folder) == ["log.json"]


def test_a_disk_without_room_keeps_no_new_folder(narrow: tuple[Path, str]) -> None:
    folder, before = narrow
    in_child(before + WRITE.format(call="write_whole"), folder / "a" / "b" / "log.json")
    assert names(folder) == []


def test_a_new_folder_that_others_have_filled_stays(tmp_path: Path) -> None:
    with suppress(ZeroDivisionError), folders(tmp_path / "a" / "b" / "c"):
        (tmp_path / "a" / "of another").touch()
        raise ZeroDivisionError
    assert names(tmp_path / "a") == ["of another"]


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(OSError, match=r"exists|directory"):
        write_whole(tmp_path / "a" / "b" / "log.json", "text")
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("target", ["file", "absent", "/dev/null"])
def test_a_link_is_replaced_and_not_followed(tmp_path: Path, target: str) -> None:
    (tmp_path / "file").write_text("of somebody else")
    link = tmp_path / "log.json"
    link.symlink_to(target)
    write_whole(link, "mine")
    assert not link.is_symlink()
    assert link.read_text() == "mine"
    assert (tmp_path / "file").read_text() == "of somebody else"
    assert names(tmp_path) == ["file", "log.json"]


def test_permissions_stay(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch(mode=0o600)
    write_whole(path, "text")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_streams_are_written_to_and_not_replaced(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pytest_keras_golden.io.atomic import *\n"
        "write_whole(Path(sys.argv[1]), 'told')"
    )
    for name in ("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"):
        assert in_child(code, name).stdout == "told"
        with (tmp_path / "out").open("w") as out:
            in_child(code, name, capture_output=False, stdout=out)
        assert (tmp_path / "out").read_text() == "told"
    assert Path("/dev/stdout").is_symlink()
    assert names(tmp_path) == ["out"]


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE) as reader:
        write_whole(tmp_path / "pipe", "through it")
        assert reader.communicate(timeout=60)[0] == b"through it"
    assert names(tmp_path) == ["pipe"]


@pytest.mark.parametrize("name", ["folder", "file/log.json", "n" * 256])
def test_errors_name_the_file_that_was_asked_for(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(OSError) as caught:  # noqa: PT011
        write_whole(tmp_path / name, "text")
    assert str(tmp_path / name) in (caught.value.filename, f"{caught.value.filename}/log.json")
    assert caught.value.strerror
    assert names(tmp_path) == ["file", "folder"]


def test_the_longest_name_is_written(tmp_path: Path) -> None:
    for letter in "nü":
        path = tmp_path / (letter * (255 // len(letter.encode())))
        write_whole(path, "text")
        assert path.read_text() == "text"


def test_text_is_added_at_the_end(tmp_path: Path) -> None:
    for text in ("one\n", "two\n"):
        append_whole(tmp_path / "summary", text)
    assert (tmp_path / "summary").read_text() == "one\ntwo\n"
