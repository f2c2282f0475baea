"""Commit bisection on small repositories made here; Keras' own clone is in test_real_changes."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_keras_golden.errors import StackError
from pytest_keras_golden.stacks.clone import Clone, overlay_of_commit
from pytest_keras_golden.stacks.overlay.folder import is_whole, overlay_environment
from pytest_keras_golden.versions.search.commits import first_bad_commit
from pytest_keras_golden.versions.search.halves import Answer


class Repository:
    """A git repository under construction; `value` is what its package says."""

    def __init__(self, path: Path, package: str = "subject") -> None:
        self.path, self.package = path, package
        path.mkdir()
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str) -> str:
        who = ("-c", "user.name=a", "-c", "user.email=a@b")
        command = ["git", "-C", str(self.path), *who, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, title: str, files: dict[str, str]) -> str:
        for name, text in files.items():
            file = self.path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", title)
        return self.git("rev-parse", "HEAD")

    def clone(self) -> Clone:
        return Clone(self.path, self.package)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A release that adds nothing."""
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


def prober(clone: Clone, bad: str, asked: list[str]):  # type: ignore[no-untyped-def]
    """Bad where the package's text has `bad` in it."""

    def probe(sha: str) -> Answer:
        asked.append(sha)
        return "bad" if bad in clone.git("show", f"{sha}:subject/__init__.py") else "good"

    return probe


def test_a_straight_line(repository: Repository) -> None:
    shas = []
    for number in range(40):
        value = "new" if number >= 23 else "old"
        shas.append(repository.commit(f"c{number}", {"subject/__init__.py": f"{value} {number}"}))
    asked: list[str] = []
    clone = repository.clone()
    found = first_bad_commit(clone, shas[0], shas[-1], prober(clone, "new", asked))
    assert clone.describe(found.first_bad).title == "c23"
    assert found.between == ()
    assert len(asked) <= math.ceil(math.log2(found.candidates)) + 2
    assert len(asked) == len(set(asked))


def test_commits_that_leave_the_package_alone_are_no_candidates(repository: Repository) -> None:
    good = repository.commit("good", {"subject/__init__.py": "old"})
    for number in range(10):
        repository.commit(f"docs {number}", {"README": str(number)})
    culprit = repository.commit("culprit", {"subject/__init__.py": "new"})
    bad = repository.commit("docs at the end", {"README": "end"})
    asked: list[str] = []
    found = first_bad_commit(
        repository.clone(), good, bad, prober(repository.clone(), "new", asked)
    )
    assert (found.first_bad, found.candidates, asked) == (culprit, 1, [])


def test_a_culprit_on_a_merged_branch(repository: Repository) -> None:
    good = repository.commit("good", {"subject/__init__.py": "old 0", "subject/other.py": "0"})
    repository.git("checkout", "-q", "-b", "topic")
    for number in range(6):
        value = "new" if number >= 4 else "old"
        repository.commit(f"topic {number}", {"subject/__init__.py": f"{value} {number}"})
    repository.git("checkout", "-q", "main")
    for number in range(6):
        repository.commit(f"main {number}", {"subject/other.py": str(number + 1)})
    repository.git("merge", "-q", "--no-ff", "-m", "merge", "topic")
    bad = repository.commit("after", {"subject/other.py": "after"})
    asked: list[str] = []
    clone = repository.clone()
    found = first_bad_commit(clone, good, bad, prober(clone, "new", asked))
    assert clone.describe(found.first_bad).title == "topic 4"


def test_a_release_branch_probes_where_it_parted(repository: Repository) -> None:
    base = repository.commit("base", {"subject/__init__.py": "old"})
    repository.git("checkout", "-q", "-b", "release")
    good = repository.commit("patch", {"subject/__init__.py": "old patched"})
    repository.git("checkout", "-q", "main")
    culprit = repository.commit("culprit", {"subject/__init__.py": "new"})
    bad = repository.commit("later", {"subject/__init__.py": "new later"})
    asked: list[str] = []
    clone = repository.clone()
    found = first_bad_commit(clone, good, bad, prober(clone, "new", asked))
    assert found.first_bad == culprit
    assert asked[0] == base


def test_a_change_undone_on_a_branch_is_said_to_be_one(repository: Repository) -> None:
    repository.commit("base", {"subject/__init__.py": "new"})
    repository.git("checkout", "-q", "-b", "release")
    good = repository.commit("undone", {"subject/__init__.py": "old"})
    repository.git("checkout", "-q", "main")
    bad = repository.commit("later", {"subject/__init__.py": "new later"})
    clone = repository.clone()
    with pytest.raises(StackError, match="drifts already"):
        first_bad_commit(clone, good, bad, prober(clone, "new", []))


def test_untestable_commits_stay_in_question(repository: Repository) -> None:
    shas = [repository.commit(f"c{n}", {"subject/__init__.py": str(n)}) for n in range(8)]

    def probe(sha: str) -> Answer:
        number = shas.index(sha)
        return "skip" if number in (3, 4) else ("bad" if number >= 4 else "good")

    found = first_bad_commit(repository.clone(), shas[0], shas[-1], probe)
    assert found.first_bad == shas[5]
    assert set(found.between) == {shas[3], shas[4]}


def test_a_commit_is_an_honest_overlay(repository: Repository, cache: Path, empty: Path) -> None:
    code = "__version__ = \"1.2.3\"\nVALUE = 'first'\n"
    first = repository.commit("first", {"subject/__init__.py": code, "subject/version.py": code})
    repository.commit("second", {"subject/__init__.py": "VALUE = 'second'"})
    overlay = overlay_of_commit(repository.clone(), first, "1.3.0", empty, cache=cache)
    asked = (
        "import subject, importlib.metadata as m; "
        "print(subject.VALUE, m.version('subject'), subject.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked],
        env=overlay_environment([overlay]),
        capture_output=True,
        text=True,
    )
    value, version, file = done.stdout.split()
    assert (value, version) == ("first", "1.2.3")
    assert Path(file).is_relative_to(overlay)
    assert is_whole(overlay)


def test_tests_of_the_package_stay_out(repository: Repository, cache: Path, empty: Path) -> None:
    sha = repository.commit("all", {"subject/__init__.py": "", "subject/deep/a_test.py": ""})
    overlay = overlay_of_commit(repository.clone(), sha, "1.0", empty, cache=cache)
    assert not list(overlay.rglob("*_test.py"))


def test_the_generated_api_comes_from_a_release(tmp_path: Path, cache: Path) -> None:
    """A layout with sources only: names the commit does not define yet are left out."""
    repository = Repository(tmp_path / "repository", "keras")
    sha = repository.commit(
        "sources only",
        {
            "keras/__init__.py": "",
            "keras/layers/__init__.py": "from keras.layers.dense import Dense\n",
            "keras/layers/dense.py": "class Dense:\n    pass\n",
            "keras/version.py": '__version__ = "3.0.9"\n',
        },
    )
    release = tmp_path / "release"
    for name, text in {
        "keras/__init__.py": 'from keras import layers\n__version__ = "3.0.8"\n',
        "keras/layers/__init__.py": (
            "from keras.src.layers.dense import Dense\n"
            "from keras.src.layers.dense import NotYetThere\n"
            "from keras.src.layers.later import Later\n"
        ),
        "keras/src/layers/dense.py": "raise RuntimeError('the release, not the commit')\n",
    }.items():
        (release / name).parent.mkdir(parents=True, exist_ok=True)
        (release / name).write_text(text)
    overlay = overlay_of_commit(repository.clone(), sha, "3.1.0", release, cache=cache)
    asked = (
        "import keras, importlib.metadata as m; "
        "print(keras.layers.Dense.__module__, keras.__version__, m.version('keras'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", asked],
        env=overlay_environment([overlay]),
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["keras.src.layers.dense", "3.0.9", "3.0.9"], done.stderr


def test_a_release_is_found_by_tag_or_by_its_version_change(repository: Repository) -> None:
    set_here = repository.commit("bump", {"subject/version.py": '__version__ = "1.2.0"\n'})
    tagged = repository.commit("more", {"subject/__init__.py": ""})
    repository.git("tag", "v1.3.0")
    clone = repository.clone()
    assert clone.release("1.2.0") == set_here
    assert clone.release("1.3.0") == tagged
    with pytest.raises(StackError, match=r"neither a tag nor a version change for subject 9\.9"):
        clone.release("9.9")


def test_a_folder_that_is_no_clone_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="failed in") as caught:
        Clone(tmp_path, "keras").git("log")
    assert "--repo" in caught.value.fix
    assert os.fspath(tmp_path) in caught.value.problem
