"""What a side comes to: whose each package is, and which ones matter."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_keras_golden.errors import ConfigError
from pytest_keras_golden.stacks.chosen import Package, Release, Stack, choose, completed, parts
from pytest_keras_golden.stacks.environment import Environment, Installed, this_environment
from pytest_keras_golden.stacks.grammar import parse_side

HERE = this_environment()
NUMPY = HERE.installed["numpy"].version


def lock(folder: Path, name: str, *lines: str) -> str:
    (folder / name).write_text("\n".join(lines) + "\n")
    return str(folder / name)


def stack(text: str, version: str | None = None) -> Stack:
    return choose(parse_side(text), "keras", version)


def test_what_is_installed_in_that_version_stays_the_environments_own() -> None:
    numpy = stack(f"numpy=={NUMPY}").packages["numpy"]
    assert numpy == Package("numpy", NUMPY)
    assert stack("numpy==1.0").packages["numpy"] == Package("numpy", "1.0", Release())


def test_the_version_of_the_package_in_question_is_always_laid_in_front() -> None:
    keras = HERE.installed["keras"].version
    assert stack(keras, keras).packages["keras"].origin == Release()


def test_a_local_version_is_the_one_that_a_lock_pins() -> None:
    own = Installed("2.13.0+cpu", Path("/site"))
    environment = Environment(HERE.python, HERE.tag, HERE.markers, {"torch": own})
    from pytest_keras_golden.stacks.chosen import _Choosing

    choosing = _Choosing(environment)
    choosing.add(Package("torch", "2.13.0", Release()), "uv.lock")
    assert choosing.packages["torch"] == Package("torch", "2.13.0+cpu")
    in_question = _Choosing(environment)
    in_question.add(Package("torch", "2.13.0", Release()), "2.13.0", always=True)
    assert in_question.packages["torch"].origin is None, "no index has that build"


@pytest.mark.parametrize("text", ["jax==0.8.1,jax==0.8.0", "requirements.txt,requirements-dev.txt"])
def test_pins_that_contradict_each_other_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.chdir(tmp_path)
    lock(tmp_path, "requirements.txt", "keras==3.5.0")
    lock(tmp_path, "requirements-dev.txt", "keras==3.6.0")
    with pytest.raises(ConfigError, match="contradicts itself"):
        stack(text)


def test_a_pin_stands_before_a_lock(tmp_path: Path) -> None:
    text = lock(tmp_path, "requirements.txt", "keras==3.5.0", "six==1.16.0")
    packages = stack(f"{text},keras==3.6.0").packages
    assert (packages["keras"].version, packages["six"].version) == ("3.6.0", "1.16.0")


def test_pins_of_both_sides_contradict_as_well() -> None:
    with pytest.raises(ConfigError, match=r"jax 0\.8\.1, and jax==0\.8\.0"):
        choose(parse_side("jax==0.8.0"), "keras", None, [("jax", "0.8.1")])


def test_pins_that_agree_are_one(tmp_path: Path) -> None:
    found = stack(f"{lock(tmp_path, 'requirements.txt', 'jax==0.8.1')},jax==0.8.1")
    assert found.packages["jax"].version == "0.8.1"


def test_what_compares_stays_whatever_a_lock_says(tmp_path: Path) -> None:
    text = lock(tmp_path, "requirements.txt", "pytest-keras-golden==0.0.1", "pip==1.0", "six==1.0")
    assert set(stack(text).packages) == {"six"}


def test_what_both_sides_share_is_laid_only_where_the_environment_has_another(
    tmp_path: Path,
) -> None:
    shared = ["numpy==1.0", "nobody-has-this==1.0", f"packaging=={_own('packaging')}"]
    old = stack(lock(tmp_path, "old.txt", "six==1.0", *shared))
    new = stack(lock(tmp_path, "new.txt", "six==1.1", *shared))
    names = [set(side.packages) for side in completed([old, new])]
    assert names == [{"six", "numpy"}, {"six", "numpy"}]


def test_a_pin_of_both_sides_is_laid_although_the_environment_lacks_it() -> None:
    old, new = (
        choose(parse_side(v), "keras", v, [("nobody-has", "1.0")]) for v in ("3.5.0", "3.6.0")
    )
    assert {"nobody-has", "keras"} == set(completed([old, new])[0].packages)


def test_a_side_that_says_nothing_of_a_package_has_the_environments() -> None:
    old, new = completed([stack("jit=off"), stack("numpy==1.0")])
    assert old.packages == {"numpy": Package("numpy", NUMPY)}
    assert parts(old, [old, new]) == {"numpy": NUMPY, "jit": "off"}
    assert parts(new, [old, new]) == {"numpy": "1.0", "jit": None}


def test_a_backend_that_is_left_alone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "numpy")
    old, new = stack("3.5.0", "3.5.0"), stack("3.5.0,backend=jax", "3.5.0")
    assert parts(old, [old, new])["backend"] == "numpy"


def _own(name: str) -> str:
    return HERE.installed[name].version


def test_one_release_that_is_written_in_two_ways_is_no_change(tmp_path: Path) -> None:
    pinned = lock(tmp_path, "old.txt", "keras==3.5", "nobody-has==1.0.0")
    old, new = completed([stack(pinned), stack("nobody-has==1.0,keras==3.5.0")])
    assert parts(old, [old, new]) == parts(new, [old, new])
