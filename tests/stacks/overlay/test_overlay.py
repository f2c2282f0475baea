from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pytest_keras_golden.errors import StackError
from pytest_keras_golden.stacks.overlay import installer
from pytest_keras_golden.stacks.overlay.folder import (
    MANIFEST,
    ensure_overlay,
    is_whole,
    list_overlays,
    overlay_environment,
    prune_overlays,
)

pytestmark = pytest.mark.overlay

REPORT = (
    "import importlib.metadata as m, keras; "
    "print(keras.__version__, m.version('keras'), keras.__file__)"
)


def python(code: str, folders: list[Path]) -> str:
    environment = {**overlay_environment(folders), "KERAS_BACKEND": "numpy"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_version_metadata_and_file_agree_inside(cache: Path) -> None:
    overlay = ensure_overlay("keras", "3.6.0", cache=cache)
    version, metadata, file = python(REPORT, [overlay]).split()
    assert (version, metadata) == ("3.6.0", "3.6.0")
    assert Path(file).is_relative_to(overlay)


def test_a_subprocess_of_the_run_sees_the_overlay_too(cache: Path) -> None:
    overlay = ensure_overlay("keras", "3.6.0", cache=cache)
    nested = (
        "import subprocess, sys; "
        f"print(subprocess.check_output([sys.executable, '-c', {REPORT!r}], text=True))"
    )
    assert python(nested, [overlay]).startswith("3.6.0 3.6.0")


def test_entry_points_of_the_overlay_win(cache: Path) -> None:
    older = ensure_overlay("pytest-xdist", "3.6.0", cache=cache)
    code = (
        "import importlib.metadata as m; "
        "print({e.dist.version for e in m.entry_points(group='pytest11') if e.name == 'xdist'})"
    )
    assert python(code, [older]) == "{'3.6.0'}"


def test_the_second_call_installs_nothing(cache: Path) -> None:
    ensure_overlay("keras", "3.6.0", cache=cache)
    started = time.monotonic()
    ensure_overlay("keras", "3.6.0", cache=cache)
    assert time.monotonic() - started < 0.5


@pytest.mark.parametrize("damage", ["missing", "cut", "no manifest", "nonsense manifest"])
def test_a_damaged_overlay_heals(cache: Path, damage: str) -> None:
    overlay = ensure_overlay("keras", "3.6.0", cache=cache)
    victim = overlay / "keras" / "src" / "layers" / "layer.py"
    if damage == "missing":
        victim.unlink()
    elif damage == "cut":
        victim.write_text(victim.read_text()[:100])
    elif damage == "no manifest":
        (overlay / MANIFEST).unlink()
    else:
        (overlay / MANIFEST).write_text("{]")
    assert not is_whole(overlay)
    assert ensure_overlay("keras", "3.6.0", cache=cache) == overlay
    assert python(REPORT, [overlay]).startswith("3.6.0 3.6.0")


def test_pip_does_where_uv_is_absent(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_GOLDEN_INSTALLER", "pip")
    overlay = ensure_overlay("keras", "3.6.0", cache=cache)
    assert (next(overlay.glob("keras-*.dist-info")) / "INSTALLER").read_text().strip() == "pip"
    assert python(REPORT, [overlay]).startswith("3.6.0 3.6.0")


@pytest.mark.parametrize("installer", ["uv", "pip"])
def test_an_unknown_version_is_a_clear_error(
    cache: Path, installer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_GOLDEN_INSTALLER", installer)
    with pytest.raises(StackError, match=r"offers no keras==3\.99\.0"):
        ensure_overlay("keras", "3.99.0", cache=cache)
    assert list_overlays(cache) == []


def test_offline_is_a_clear_error(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UV_DEFAULT_INDEX", "PIP_INDEX_URL"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_CACHE_DIR", str(cache / "uv"))
    with pytest.raises(StackError, match=r"keras==3\.6\.0 could not be installed"):
        ensure_overlay("keras", "3.6.0", cache=cache)


def test_a_release_that_is_nothing_for_this_python_is_told_in_a_sentence(cache: Path) -> None:
    with pytest.raises(StackError, match="no wheels with a matching Python ABI tag") as caught:
        ensure_overlay("optree", "0.1.0", cache=cache)
    assert "\n" not in caught.value.problem
    assert "has a wheel for this Python" in str(caught.value.fix)


WRAPPED = """error: No solution found when resolving dependencies
  cause: Because optree==0.1.0 has no wheels with a matching Python ABI tag and you
      require optree==0.1.0, your requirements are unsatisfiable.

hint: You require CPython 3.11
"""
BUILT = """  × Failed to build `x==1`
  ╰─▶ Call to `setuptools.build_meta.build_wheel` failed (exit status: 1)

      [stderr]
      Traceback (most recent call last):
      ValueError: boom

      hint: This usually indicates a problem with the package.
"""


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            WRAPPED,
            "Because optree==0.1.0 has no wheels with a matching Python ABI tag and you require "
            "optree==0.1.0, your requirements are unsatisfiable.",
        ),
        (BUILT, "ValueError: boom"),
        (
            "WARNING: a\nERROR: No matching distribution of x",
            "ERROR: No matching distribution of x",
        ),
        ("", "it gave no reason"),
    ],
)
def test_of_what_an_installer_says_the_line_that_tells_is_kept(said: str, why: str) -> None:
    assert installer._why(said) == why


def test_processes_at_once_share_one_installation(cache: Path) -> None:
    code = (
        "import sys; from pathlib import Path; "
        "from pytest_keras_golden.stacks.overlay.folder import ensure_overlay; "
        "print(ensure_overlay('keras', '3.6.0', cache=Path(sys.argv[1])))"
    )
    racing = [
        subprocess.Popen([sys.executable, "-c", code, str(cache)], stdout=subprocess.PIPE)
        for _ in range(4)
    ]
    places = {process.communicate()[0] for process in racing}
    assert [process.returncode for process in racing] == [0] * 4
    assert len(places) == 1
    assert [overlay.version for overlay in list_overlays(cache)] == ["3.6.0"]


def test_kills_at_random_moments_leave_nothing_to_trip_over(cache: Path) -> None:
    code = (
        "import sys; from pathlib import Path; "
        "from pytest_keras_golden.stacks.overlay.folder import ensure_overlay; "
        "ensure_overlay('keras', '3.6.0', cache=Path(sys.argv[1]))"
    )
    moments = random.Random(0)
    for _ in range(8):
        process = subprocess.Popen([sys.executable, "-c", code, str(cache)], start_new_session=True)
        time.sleep(moments.uniform(0.1, 0.8))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    overlay = ensure_overlay("keras", "3.6.0", cache=cache)
    assert is_whole(overlay)
    assert python(REPORT, [overlay]).startswith("3.6.0 3.6.0")
    assert [path.name for path in overlay.parent.iterdir() if path.is_dir()] == [overlay.name]


def test_a_reader_never_sees_half_an_overlay(cache: Path) -> None:
    place = ensure_overlay("keras", "3.6.0", cache=cache)
    seen_torn = []
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            if (place / MANIFEST).exists() and not is_whole(place) and (place / MANIFEST).exists():
                seen_torn.append(True)

    (place / MANIFEST).unlink()
    watcher = threading.Thread(target=watch)
    watcher.start()
    ensure_overlay("keras", "3.6.0", cache=cache)
    done.set()
    watcher.join()
    assert not seen_torn


def test_pruning_removes_what_is_old_or_damaged_and_nothing_else(cache: Path) -> None:
    old = ensure_overlay("keras", "3.5.0", cache=cache)
    kept = ensure_overlay("keras", "3.6.0", cache=cache)
    damaged = ensure_overlay("keras", "3.7.0", cache=cache)
    (damaged / MANIFEST).unlink()
    month_ago = time.time() - 30 * 86400
    os.utime(old / ".keras-golden-used", (month_ago, month_ago))
    assert prune_overlays(7 * 86400, cache=cache) == [old, damaged]
    assert [overlay.path for overlay in list_overlays(cache)] == [kept]


def test_the_users_own_pythonpath_stays_behind_the_overlay() -> None:
    environment = overlay_environment([Path("/a"), Path("/b")], {"PYTHONPATH": "/c", "X": "1"})
    assert environment == {"PYTHONPATH": os.pathsep.join(["/a", "/b", "/c"]), "X": "1"}


@pytest.mark.parametrize(
    "said",
    [
        "error: Failed to download `keras==3.14.1`\n  cause: Hash mismatch for `keras==3.14.1`\n\n"
        "   Expected:\n   sha256:{locked}\n\n   Computed:\n   sha256:{found}\n",
        "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\n"
        "    Expected sha256 {locked}\n         Got        {found}\n",
    ],
    ids=["uv", "pip"],
)
def test_another_file_than_the_locks_is_no_matter_of_the_connection(said: str) -> None:
    locked, found = "0" * 64, "e" * 64
    error = installer._failure(["keras==3.14.1"], said.format(locked=locked, found=found))
    assert f"hash mismatch, {locked} is not {found}" in error.problem
    assert "connection" not in error.fix
