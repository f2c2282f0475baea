"""Which lock file a change moves, in real git repositories."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from pytest_keras_golden.ci import lockfile
from pytest_keras_golden.errors import ConfigError


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "protocol.file.allow=always")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    write(folder, **{"uv.lock": "0", "requirements.txt": "0", "app.py": "0"})
    commit(folder)
    monkeypatch.chdir(folder)
    return folder


def write(folder: Path, **files: str) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def commit(folder: Path) -> str:
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "x")
    return git(folder, "rev-parse", "HEAD")


def test_no_lock_moves_where_none_does(repository: Path) -> None:
    write(repository, **{"app.py": "2"})
    assert lockfile.moved_lock("HEAD") is None


@pytest.mark.parametrize(
    "name",
    ["uv.lock", "requirements.txt", "requirements-dev.txt", "requirements/test.txt", "a/pixi.lock",
     "poetry.lock", "pdm.lock", "pylock.toml", "pylock.dev.toml"],
)  # fmt: skip
def test_every_kind_is_known(repository: Path, name: str) -> None:
    write(repository, **{name: "1"})
    base = commit(repository)
    write(repository, **{name: "2"})
    commit(repository)
    assert lockfile.moved_lock(base) == Path(name)
    assert lockfile.was_there(base, Path(name))


def test_a_lock_comes_before_what_is_exported_from_it(repository: Path) -> None:
    write(repository, **{"uv.lock": "2", "requirements.txt": "2"})
    assert lockfile.moved_lock("HEAD") == Path("uv.lock")


def test_two_of_a_kind_have_to_be_told_apart(repository: Path) -> None:
    write(repository, **{"requirements.txt": "2", "requirements-dev.txt": "2"})
    commit(repository)
    with pytest.raises(ConfigError, match="Several lock files"):
        lockfile.moved_lock("HEAD~1")


def test_a_lock_that_is_gone_moves_nothing(repository: Path) -> None:
    (repository / "uv.lock").unlink()
    assert lockfile.moved_lock("HEAD") is None


def test_a_new_lock_was_not_there(repository: Path) -> None:
    base = git(repository, "rev-parse", "HEAD")
    write(repository, **{"pdm.lock": "1"})
    commit(repository)
    assert lockfile.moved_lock(base) == Path("pdm.lock")
    assert not lockfile.was_there(base, Path("pdm.lock"))


def test_names_are_of_this_folder(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(repository, **{"sub/uv.lock": "1"})
    base = commit(repository)
    write(repository, **{"sub/uv.lock": "2", "uv.lock": "2"})
    commit(repository)
    monkeypatch.chdir(repository / "sub")
    assert lockfile.moved_lock(base) == Path("uv.lock")
    assert lockfile.was_there(base, Path("uv.lock"))


def test_a_lock_may_be_named_by_any_path(repository: Path) -> None:
    assert lockfile.named(repository / "uv.lock") == Path("uv.lock")
    assert lockfile.named(Path("./uv.lock")) == Path("uv.lock")
    with pytest.raises(ConfigError, match=r"gone\.lock is no file"):
        lockfile.named(Path("gone.lock"))


def test_a_shallow_clone_fetches_what_it_lacks(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = git(repository, "rev-parse", "HEAD")
    write(repository, **{"uv.lock": "2"})
    commit(repository)
    git(repository, "config", "uploadpack.allowAnySHA1InWant", "true")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{repository}", "shallow")
    monkeypatch.chdir(tmp_path / "shallow")
    assert lockfile.available(base) == base
    assert lockfile.moved_lock(base) == Path("uv.lock")


@pytest.mark.parametrize("base", ["--upload-pack=touch x", "nonsense", "f" * 40])
def test_a_base_that_cannot_be_had_is_an_error(repository: Path, base: str) -> None:
    with pytest.raises(ConfigError):
        lockfile.available(base)
    assert not (repository / "x").exists()


def test_what_an_earlier_fetch_left_is_no_base(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "clone", "-q", f"file://{repository}", "clone")
    git(tmp_path / "clone", "fetch", "-q", "origin", "main")
    monkeypatch.chdir(tmp_path / "clone")
    assert git(tmp_path / "clone", "rev-parse", "FETCH_HEAD")
    with pytest.raises(ConfigError, match="no revision 'nonsense'"):
        lockfile.available("nonsense")


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["requirements.txt"], "requirements.txt"),
        (["uv.lock", "requirements.txt"], "uv.lock"),
        (["requirements/a.txt"], "requirements/a.txt"),
        (["sub/uv.lock", "requirements-old/a.txt"], None),
    ],
)
def test_without_a_change_the_lock_of_this_folder_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], found: str | None
) -> None:
    git(tmp_path, "init", "-q")
    write(tmp_path, **dict.fromkeys(names, "1"))
    git(tmp_path, "add", "-A")
    monkeypatch.chdir(tmp_path)
    assert lockfile.only_lock() == (None if found is None else Path(found))


def test_a_shell_compares_with_the_remotes_branch(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="--base REVISION"):
        lockfile.usual_base()
    base = git(repository, "rev-parse", "HEAD")
    git(tmp_path, "clone", "-q", str(repository), "clone")
    clone = tmp_path / "clone"
    write(clone, **{"uv.lock": "2"})
    commit(clone)
    monkeypatch.chdir(clone)
    assert lockfile.usual_base() == base


def test_outside_of_git_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(ConfigError):
        lockfile.available("HEAD")
