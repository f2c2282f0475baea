"""Packages from clones, source checkouts and wheels."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.injection.wheels import write_wheel
from pytest_keras_golden.errors import ConfigError
from pytest_keras_golden.stacks.environment import this_environment
from pytest_keras_golden.stacks.grammar import SourceReference, parse_side
from pytest_keras_golden.stacks.overlay.folder import overlay_environment
from pytest_keras_golden.stacks.sources import ensure_source


def ensured(text: str) -> Path:
    (source,) = parse_side(text).sources
    return ensure_source(source, this_environment())


def test_a_wheel_is_installed_by_its_content(offer: Callable[..., Path], tmp_path: Path) -> None:
    place = write_wheel(tmp_path, "kg-one", "1.0")
    first = ensured(f"kg-one@{place}")
    write_wheel(tmp_path, "kg-one", "1.0", module="VERSION = 'another'\n")
    second = ensured(f"kg-one@{place}")
    assert first != second
    assert "another" in (second / "kg_one.py").read_text()
    assert ensured(f"kg-one@{place}") == second


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda folder: folder / "kg_one-1.0-py3-none-any.whl", "there is no file"),
        (lambda folder: write_wheel(folder, "kg-two", "1.0"), "the wheel is of kg-two"),
        (lambda folder: _touched(folder / "kg.whl"), "kg.whl"),
        (lambda folder: folder / "nowhere", "there is no"),
        (lambda folder: folder, "holds no package folder kg_one/"),
    ],
)
def test_what_is_no_source_is_refused(
    tmp_path: Path, make: Callable[[Path], Path], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        ensure_source(SourceReference("kg-one", make(tmp_path)), this_environment())


def _touched(path: Path) -> Path:
    path.touch()
    return path


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    def git(*arguments: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        command = ["git", "-C", str(tmp_path), *who, *arguments]
        subprocess.run(command, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    (tmp_path / "README").write_text("x")
    git("add", "-A")
    git("commit", "-q", "-m", "first")
    return tmp_path


@pytest.mark.parametrize("revision", ["nowhere", "-x"])
def test_a_revision_that_the_clone_lacks_is_refused(clone: Path, revision: str) -> None:
    source = SourceReference("keras", clone, revision)
    with pytest.raises(ConfigError, match="the clone has no revision"):
        ensure_source(source, this_environment())


def test_a_commit_without_the_package_is_refused(clone: Path) -> None:
    with pytest.raises(ConfigError, match="that commit has no folder keras/"):
        ensured(f"keras@{clone}:main")


@pytest.mark.overlay
def test_a_checkout_is_taken_as_it_is_now(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pytest_keras_golden.stacks.overlay.folder import ensure_overlay

    release = ensure_overlay("keras", "3.14.1")
    checkout = tmp_path / "checkout"
    subprocess.run(["cp", "-r", str(release), str(checkout)], check=True)
    version = checkout / "keras" / "src" / "version.py"
    version.write_text(version.read_text().replace("3.14.1", "3.14.2.dev0"))
    folder = ensured(f"keras@{checkout}")
    code = "import keras, importlib.metadata as m; print(keras.__version__, m.version('keras'))"
    environment = {**overlay_environment([folder]), "KERAS_BACKEND": "numpy"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["3.14.2.dev0", "3.14.2.dev0"]
