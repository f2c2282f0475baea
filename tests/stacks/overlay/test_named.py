"""What reaches pip, uv and git is a name, a version or a hash, whatever was given."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from suites import keras_golden, suite

from pytest_keras_golden.errors import ConfigError, GoldenError, StackError
from pytest_keras_golden.stacks.clone import Clone
from pytest_keras_golden.stacks.overlay import installer, named
from pytest_keras_golden.stacks.overlay.folder import ensure_overlay
from pytest_keras_golden.stacks.overlay.releases import releases

BUILDS = """
from pathlib import Path
Path({mark!r}).touch()
raise SystemExit("a build backend ran")
"""


@pytest.fixture
def hostile(tmp_path: Path) -> tuple[Path, Path]:
    """A folder whose build backend leaves a mark when it is run, and that mark."""
    folder, mark = tmp_path / "hostile", tmp_path / "it-ran"
    folder.mkdir()
    (folder / "setup.py").write_text(BUILDS.format(mark=str(mark)))
    return folder, mark


@pytest.mark.parametrize("command", ["gate", "matrix", "bisect"])
def test_an_address_is_no_package_and_nothing_of_it_runs(
    tmp_path: Path, hostile: tuple[Path, Path], command: str
) -> None:
    folder, mark = hostile
    text = f"x@file://{folder}==1"
    done = keras_golden(
        suite(tmp_path / "suite", test_a="x = 1\n"), command, "3.5.0", "3.6.0", "--with", text
    )
    assert done.returncode == 2
    assert "is no package name" in done.stderr
    assert not mark.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["--with=--index-url=http://127.0.0.1:9/==1"],
        ["--with", "jax==1; python_version>'3'"],
        ["--with", "jax[cuda]==1"],
        ["--with", "jax==0.4.*"],
        ["--with", "jax===0.4.38"],
        ["--with", "jax==1 --index-url=http://127.0.0.1:9/"],
        ["--with", "../folder==1"],
        ["--package=--index-url=http://127.0.0.1:9/"],
        ["--package", "keras@file:///tmp"],
        ["--package", "../../etc/passwd"],
        ["--package", "keras\nimport os"],
    ],
)
def test_options_paths_and_markers_are_no_packages(tmp_path: Path, arguments: list[str]) -> None:
    folder = suite(tmp_path / "suite", test_a="x = 1\n")
    done = keras_golden(folder, "gate", "3.5.0", "3.6.0", *arguments)
    assert done.returncode == 2, done.stdout
    assert "is no " in done.stderr
    assert "Traceback" not in done.stderr


@given(st.text(max_size=12))
def test_a_name_is_one_by_pep_508(text: str) -> None:
    try:
        assert named.package_name(text) == text
    except ConfigError:
        return
    assert canonicalize_name(text).replace("-", "").isalnum()
    assert text.isascii()
    assert text[0].isalnum()


@given(st.text(max_size=12) | st.from_regex(r"v?[0-9.]+(rc[0-9])?(\+[a-z]+)?", fullmatch=True))
def test_a_version_is_one_by_pep_440_as_packaging_writes_it(text: str) -> None:
    try:
        made = named.exact_version(text)
    except ConfigError:
        return
    assert made == str(Version(text))
    assert not made.startswith("-")


@pytest.mark.parametrize(
    "text", ["x @ file:///tmp/x", "-r file", "--pre", "x[a]", "x; os_name=='a'", "./x", "", "x y"]
)
def test_a_requirement_is_a_name_with_versions(text: str) -> None:
    with pytest.raises(ConfigError):
        named.requirement(text)
    with pytest.raises(ConfigError):
        installer.install([text], Path("nowhere"))


@pytest.mark.parametrize("text", ["dm-tree", "protobuf>=3,<5", "keras==3.5.0"])
def test_what_releases_declare_is_taken(text: str) -> None:
    assert Requirement(named.requirement(text)) == Requirement(text)


def test_the_doors_to_index_and_cache_are_closed_too(tmp_path: Path) -> None:
    for call in (
        lambda: releases("../x", cache=tmp_path),
        lambda: releases("--pre", cache=tmp_path),
        lambda: ensure_overlay("x@y", "1", cache=tmp_path),
        lambda: ensure_overlay("x", "1; y", cache=tmp_path),
        lambda: ensure_overlay("x", "1", cache=tmp_path, extra=["--index-url=x"]),
        lambda: Clone(tmp_path, "--upload-pack=x").folder,
    ):
        with pytest.raises(GoldenError):
            call()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["--output=x", "HEAD", "-S", "a..b", "", "abc"])
def test_a_revision_is_a_hash(tmp_path: Path, text: str) -> None:
    clone = Clone(tmp_path, "subject")
    for call in (
        clone.describe,
        lambda sha: clone.archive(sha, "x"),
        lambda sha: clone.has(sha, "x"),
    ):
        with pytest.raises(StackError, match="is no hash"):
            call(text)


@pytest.mark.overlay
@pytest.mark.parametrize("client", ["uv", "pip"])
def test_installers_take_what_is_behind_two_dashes(
    tmp_path: Path, client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_GOLDEN_INSTALLER", client)
    installer.install(["six==1.16.0"], tmp_path / "six")
    assert (tmp_path / "six" / "six.py").exists()
    assert Version("1.16.0") in releases("six", cache=tmp_path / "cache")
