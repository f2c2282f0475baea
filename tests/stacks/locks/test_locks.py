"""What each kind of lock file pins, for one platform; and what is wrong with others."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_keras_golden.errors import ConfigError, GoldenError
from pytest_keras_golden.stacks.environment import this_environment
from pytest_keras_golden.stacks.locks.files import read_lock
from pytest_keras_golden.stacks.locks.locked import Locked, LockReference
from pytest_keras_golden.stacks.locks.requirements import read_requirements

LINUX = {
    **this_environment().markers,
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
    "python_version": "3.11",
    "python_full_version": "3.11.7",
    "os_name": "posix",
}
A, B = "a" * 64, "b" * 64

FILES = {
    "requirements.txt": f"""\
# made by a tool
--index-url https://pypi.org/simple
keras==3.5.0 \\
    --hash=sha256:{A} \\
    --hash=sha256:{B}
pywin32==306 ; sys_platform == "win32"
JAX[cpu] == 0.8.1 ; python_version >= "3.10"  # via keras
numpy>=2
-e .
./local
""",
    "pylock.toml": f"""\
lock-version = "1.0"
created-by = "a tool"

[[packages]]
name = "keras"
version = "3.5.0"
index = "https://pypi.org/simple"
[[packages.wheels]]
url = "https://x/keras-3.5.0-py3-none-any.whl"
hashes = {{ sha256 = "{A}" }}

[[packages]]
name = "jax"
version = "0.8.1"
[[packages.wheels]]
url = "https://x/jax-0.8.1-py3-none-any.whl"
hashes = {{ sha256 = "{B}" }}

[[packages]]
name = "pywin32"
version = "306"
marker = "sys_platform == 'win32'"
[[packages.wheels]]
url = "https://x/pywin32-306-cp311-cp311-win_amd64.whl"
hashes = {{ sha256 = "{B}" }}
""",
    "poetry.lock": f"""\
[[package]]
name = "keras"
version = "3.5.0"
groups = ["main"]
files = [{{file = "keras-3.5.0-py3-none-any.whl", hash = "sha256:{A}"}}]

[package.dependencies]
pywin32 = {{version = "*", markers = "sys_platform == \\"win32\\""}}
jax = "*"

[[package]]
name = "jax"
version = "0.8.1"
files = []

[[package]]
name = "pywin32"
version = "306"
files = []

[[package]]
name = "colorama"
version = "0.4.6"
markers = "sys_platform == \\"win32\\""
files = []

[metadata]
lock-version = "2.1"
""",
    "pdm.lock": f"""\
[metadata]
lock_version = "4.5.0"

[[package]]
name = "keras"
version = "3.5.0"
groups = ["default"]
files = [{{file = "keras-3.5.0-py3-none-any.whl", hash = "sha256:{A}"}}]

[[package]]
name = "jax"
version = "0.8.1"
files = []

[[package]]
name = "pywin32"
version = "306"
marker = "sys_platform == \\"win32\\""
files = []
""",
    "pixi.lock": f"""\
version: 6
environments:
  default:
    channels:
    - url: https://conda.anaconda.org/conda-forge/
    indexes:
    - https://pypi.org/simple
    packages:
      linux-64:
      - conda: https://conda.anaconda.org/conda-forge/noarch/jax-0.8.1-pyhd8ed1ab_0.conda
      - pypi: https://files.pythonhosted.org/packages/keras-3.5.0-py3-none-any.whl
      win-64:
      - conda: https://conda.anaconda.org/conda-forge/win-64/pywin32-306-py311_0.conda
packages:
- conda: https://conda.anaconda.org/conda-forge/noarch/jax-0.8.1-pyhd8ed1ab_0.conda
  sha256: {B}
- pypi: https://files.pythonhosted.org/packages/keras-3.5.0-py3-none-any.whl
  name: keras
  version: 3.5.0
  sha256: {A}
""",
    "uv.lock": f"""\
version = 1
revision = 2
requires-python = ">=3.10"

[[package]]
name = "app"
version = "0.1.0"
source = {{ virtual = "." }}
dependencies = [
    {{ name = "keras" }},
    {{ name = "pywin32", marker = "sys_platform == 'win32'" }},
]

[package.dev-dependencies]
dev = [{{ name = "jax" }}]

[package.metadata]
requires-dist = [{{ name = "keras" }}, {{ name = "pywin32", marker = "sys_platform == 'win32'" }}]

[package.metadata.requires-dev]
dev = [{{ name = "jax" }}]

[[package]]
name = "keras"
version = "3.5.0"
source = {{ registry = "https://pypi.org/simple" }}
wheels = [{{ url = "https://x/keras-3.5.0-py3-none-any.whl", hash = "sha256:{A}" }}]

[[package]]
name = "jax"
version = "0.8.1"
source = {{ registry = "https://pypi.org/simple" }}
wheels = [{{ url = "https://x/jax-0.8.1-py3-none-any.whl", hash = "sha256:{B}" }}]

[[package]]
name = "pywin32"
version = "306"
source = {{ registry = "https://pypi.org/simple" }}
wheels = [{{ url = "https://x/pywin32-306-cp311-cp311-win_amd64.whl", hash = "sha256:{B}" }}]
""",
}


def written(folder: Path, name: str, text: str) -> LockReference:
    (folder / name).write_text(text, encoding="utf-8")
    return LockReference(folder / name)


@pytest.mark.parametrize("name", FILES)
def test_every_kind_pins_what_this_platform_takes(tmp_path: Path, name: str) -> None:
    found = read_lock(written(tmp_path, name, FILES[name]), LINUX)
    assert {p.name: p.version for p in found.values()} == {"keras": "3.5.0", "jax": "0.8.1"}
    assert f"sha256:{A}" in found["keras"].hashes


# Of the others this interpreter is asked which wheels fit.
@pytest.mark.parametrize("name", [n for n in FILES if n not in ("pylock.toml", "uv.lock")])
def test_every_kind_pins_what_windows_takes(tmp_path: Path, name: str) -> None:
    windows = {**LINUX, "sys_platform": "win32", "platform_system": "Windows"}
    windows |= {"platform_machine": "AMD64", "os_name": "nt"}
    found = read_lock(written(tmp_path, name, FILES[name]), windows)
    assert found["pywin32"].version == "306"


@pytest.mark.parametrize("name", FILES)
def test_what_does_not_parse_is_one_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be read as a lock file") as caught:
        read_lock(written(tmp_path, name, "[[package\n<<<<<<< HEAD ]]: {"), LINUX)
    assert "\n" not in caught.value.problem


@pytest.mark.parametrize("name", [n for n in FILES if n != "pixi.lock"])
def test_a_lock_of_nothing_is_refused(tmp_path: Path, name: str) -> None:
    empty = {"pylock.toml": 'lock-version = "1.0"\ncreated-by = "x"\npackages = []\n'}
    empty["uv.lock"] = FILES["uv.lock"].partition("dependencies")[0]
    with pytest.raises(ConfigError, match="pins nothing for this platform"):
        read_lock(written(tmp_path, name, empty.get(name, "# nothing\n")), LINUX)


def test_a_pixi_lock_for_another_platform_is_refused(tmp_path: Path) -> None:
    text = FILES["pixi.lock"].replace("linux-64", "osx-arm64")
    with pytest.raises(ConfigError, match="pins nothing for this platform"):
        read_lock(written(tmp_path, "pixi.lock", text), LINUX)


def test_requirements_include_each_other_without_end(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("-r requirements.txt\njax==0.8.1\n")
    found = read_lock(written(tmp_path, "requirements.txt", "-r more.txt\nkeras==3.5.0\n"), LINUX)
    assert set(found) == {"keras", "jax"}


def test_two_versions_of_one_package_are_refused(tmp_path: Path) -> None:
    reference = written(tmp_path, "requirements.txt", "keras==3.5.0\nKeras==3.6.0\n")
    with pytest.raises(ConfigError, match=r"pins keras 3\.5\.0 and 3\.6\.0"):
        read_lock(reference, LINUX)


def test_the_index_a_lock_names_is_known(tmp_path: Path) -> None:
    text = "--extra-index-url https://pypi.corp.example/simple\nkeras==3.5.0\n"
    found = read_lock(written(tmp_path, "requirements.txt", text), LINUX)
    assert found["keras"].index == "https://pypi.corp.example/simple"
    text = FILES["uv.lock"].replace("https://pypi.org/simple", "https://pypi.corp.example/simple")
    found = read_lock(written(tmp_path, "uv.lock", text), LINUX)
    assert found["keras"].index == "https://pypi.corp.example/simple"


def test_what_comes_from_a_repository_is_told_apart(tmp_path: Path) -> None:
    text = FILES["poetry.lock"] + (
        '\n[[package]]\nname = "mine"\nversion = "1.0"\nfiles = []\n'
        '[package.source]\ntype = "git"\nurl = "https://git.corp.example/mine"\n'
    )
    found = read_lock(written(tmp_path, "poetry.lock", text), LINUX)
    assert found["mine"] == Locked("mine", "1.0", address="https://git.corp.example/mine")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not there to be read"):
        read_lock(LockReference(tmp_path / "uv.lock"), LINUX)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)

    def git(*arguments: str) -> None:
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        subprocess.run(["git", *who, *arguments], check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "requirements.txt").write_text("-r base.txt\nkeras==3.5.0\n")
    (tmp_path / "app" / "base.txt").write_text("jax==0.8.1\n")
    git("add", "-A")
    git("commit", "-q", "-m", "old")
    (tmp_path / "app" / "requirements.txt").write_text("keras==3.6.0\n")
    (tmp_path / "app" / "base.txt").unlink()
    return tmp_path


@pytest.mark.parametrize("absolute", [False, True])
def test_a_file_at_a_revision_with_what_it_includes(repository: Path, absolute: bool) -> None:
    path = Path("app/requirements.txt")
    found = read_lock(LockReference(repository / path if absolute else path, "HEAD"), LINUX)
    assert {p.name: p.version for p in found.values()} == {"keras": "3.5.0", "jax": "0.8.1"}


def test_a_path_at_a_revision_begins_where_the_command_runs(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository / "app")
    assert read_lock(LockReference(Path("requirements.txt"), "HEAD"), LINUX)["keras"]


@pytest.mark.parametrize("revision", ["nowhere", "--output=/tmp/x", "HEAD~7"])
def test_a_revision_that_is_none_is_refused(repository: Path, revision: str) -> None:
    with pytest.raises(ConfigError, match="git knows no revision"):
        read_lock(LockReference(Path("app/requirements.txt"), revision), LINUX)


def test_a_file_that_was_not_there_then_is_refused(repository: Path) -> None:
    with pytest.raises(ConfigError, match=r"app/uv\.lock is not in revision 'HEAD'"):
        read_lock(LockReference(Path("app/uv.lock"), "HEAD"), LINUX)


def _nothing(name: str) -> str:
    raise ConfigError(f"{name} is not there")


@given(st.text(max_size=200))
def test_any_text_is_requirements_or_a_deliberate_error(text: str) -> None:
    with contextlib.suppress(GoldenError):
        read_requirements("x.txt", text, LINUX, _nothing)
