"""What jax compiled in one inner run is there for the next."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from suites import suite

from pytest_keras_golden.stacks.pin import Pin
from pytest_keras_golden.stacks.side import Side
from pytest_keras_golden.versions.inner.job import Job
from pytest_keras_golden.versions.inner.run import run_inner
from pytest_keras_golden.versions.trace import compilations
from pytest_keras_golden.versions.trace.compilations import COMPILED, borrow, folder_of

COMPILES = """
import os
import jax
import pytest

taken = []
jax.monitoring.register_event_listener(lambda event, **_: taken.append(event))


@pytest.mark.parametrize("size", [3, 4])
def test_compiles(size):
    jax.jit(lambda x: x * 2 + size)(jax.numpy.ones(size))
    hits = taken.count("/jax/compilation_cache/cache_hits")
    with open(f"hits.{size}", "a") as file:
        file.write(f"{min(hits, 1)}")
"""


def lent(folder: Path, environment: dict[str, str]) -> compilations.Borrowed:
    borrowed = borrow(folder, environment)
    assert borrowed is not None
    return borrowed


def test_what_one_process_adds_the_next_one_has(tmp_path: Path) -> None:
    shared, environment = tmp_path / "shared", {COMPILED: str(tmp_path / "shared")}
    first = lent(tmp_path / "1", environment)
    assert environment["JAX_COMPILATION_CACHE_DIR"] == str(tmp_path / "1")
    (tmp_path / "1" / "a-cache").write_bytes(b"a")
    (tmp_path / "1" / "a-atime").write_bytes(b"of jax")
    assert not first.shared.exists()
    first.hand_over()
    second = lent(tmp_path / "2", {COMPILED: str(shared)})
    assert [path.name for path in second.own.iterdir()] == ["a-cache"]
    assert (second.own / "a-cache").read_bytes() == b"a"
    # What is half written is in nobody else's folder.
    (second.own / "b-cache").write_bytes(b"")
    assert not list(lent(tmp_path / "3", {COMPILED: str(shared)}).own.glob("b-*"))


def test_folders_without_links_between_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuses)
    shared = tmp_path / "shared"
    first = lent(tmp_path / "1", {COMPILED: str(shared)})
    (first.own / "a-cache").write_bytes(b"a")
    first.hand_over()
    second = lent(tmp_path / "2", {COMPILED: str(shared)})
    assert {path.name: path.read_bytes() for path in second.own.iterdir()} == {"a-cache": b"a"}


@pytest.mark.parametrize("name", ["JAX_COMPILATION_CACHE_DIR", "JAX_ENABLE_COMPILATION_CACHE"])
def test_who_chose_a_cache_keeps_it(tmp_path: Path, name: str) -> None:
    environment = {COMPILED: str(tmp_path), name: "x"}
    assert borrow(tmp_path / "own", environment) is None
    assert environment == {COMPILED: str(tmp_path), name: "x"}
    assert borrow(tmp_path / "own", {}) is None
    assert not (tmp_path / "own").exists()


def test_a_folder_that_cannot_be_made_costs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    environment = {COMPILED: str(tmp_path / "shared")}
    assert borrow(tmp_path / "file" / "own", environment) is None
    assert environment == {COMPILED: str(tmp_path / "shared")}


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    borrowed = lent(tmp_path / "own", {COMPILED: str(tmp_path / "shared")})
    borrowed.shared.mkdir()
    (borrowed.shared / "mine-cache").write_text("mine")
    (borrowed.own / "a-cache").write_bytes(b"a")
    borrowed.hand_over()
    assert [path.name for path in borrowed.shared.iterdir()] == ["mine-cache"]


def test_it_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilations, "MOST_BYTES", 10)
    shared = tmp_path / "shared"
    for number in range(4):
        borrowed = lent(tmp_path / str(number), {COMPILED: str(shared)})
        (borrowed.own / f"{number}-cache").write_bytes(b"8 bytes.")
        borrowed.hand_over()
    assert sorted(path.name for path in borrowed.shared.glob("*-cache")) == ["2-cache", "3-cache"]


def test_a_worker_has_a_folder_of_its_own(tmp_path: Path) -> None:
    """jax writes an entry where it stands: of two in one folder, one may read half of it."""
    environment = {COMPILED: str(tmp_path / "shared")}
    controller = lent(tmp_path / "controller", environment)
    worker = lent(tmp_path / "worker", dict(environment))
    assert worker.own != controller.own
    (worker.own / "a-cache").write_bytes(b"a")
    worker.hand_over()
    assert [path.name for path in lent(tmp_path / "next", environment).own.iterdir()] == ["a-cache"]


def test_another_processor_takes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is kept may go from machine to machine with a CI's cache."""
    environment = {COMPILED: str(tmp_path / "shared")}
    first = lent(tmp_path / "1", dict(environment))
    (first.own / "a-cache").write_bytes(b"a")
    first.hand_over()
    monkeypatch.setattr(compilations, "cpu_flags", lambda: frozenset({"sse2"}))
    assert list(lent(tmp_path / "2", dict(environment)).own.iterdir()) == []
    monkeypatch.undo()
    monkeypatch.setattr(compilations, "processors", lambda: 1000)
    assert list(lent(tmp_path / "3", dict(environment)).own.iterdir()) == []
    monkeypatch.undo()
    assert len(list(lent(tmp_path / "4", dict(environment)).own.iterdir())) == 1


def test_only_what_is_compiled_alike_is_shared(tmp_path: Path) -> None:
    keras = Side((Pin("keras", "3.5.0", tmp_path),))
    jax = Side((*keras.pins, Pin("jaxlib", "0.8.1", tmp_path)))
    sides = {
        "keras": keras,
        "newer keras": Side((Pin("keras", "3.6.0", tmp_path),)),
        "jax": jax,
        "another build": Side((*keras.pins, Pin("jaxlib", "0.8.1", tmp_path / "built"))),
        "a switch": replace(keras, switches={"threads": "1"}),
        "an interpreter": replace(keras, python="/usr/bin/python3"),
    }
    folders = {name: folder_of(side, tmp_path) for name, side in sides.items()}
    assert folders["keras"] == folders["newer keras"]
    assert len(set(folders.values())) == len(sides) - 1


@pytest.mark.processes
def test_an_entry_that_cannot_be_read_breaks_no_test(tmp_path: Path) -> None:
    folder = suite(tmp_path / "suite", test_compiles=COMPILES)
    command = tmp_path / "command"
    shared = folder_of(Side(()), command)
    arguments = ("-p", "no:randomly", "-W", "error")
    for number in range(2):
        place = command / "runs" / str(number)
        job = Job((), arguments, (), folder, place, compiled=shared)
        run = run_inner(replace(job, environment={"JAX_COMPILATION_CACHE_DIR": ""}))
        assert run.exitstatus == 0, run.output
        entries = list(command.glob("compiled/*/*-cache"))
        assert entries
        for entry in entries:
            entry.write_bytes(b"half")


@pytest.mark.processes
@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_second_run_compiles_nothing_anew(tmp_path: Path, workers: tuple[str, ...]) -> None:
    folder = suite(tmp_path / "suite", test_compiles=COMPILES)
    arguments = ("-p", "no:randomly", "-W", "error", *workers)
    for number in range(2):
        place = tmp_path / "command" / "runs" / str(number)
        shared = folder_of(Side(()), tmp_path / "command")
        job = Job((), arguments, (), folder, place, compiled=shared)
        run = run_inner(replace(job, environment={"JAX_COMPILATION_CACHE_DIR": ""}))
        assert run.exitstatus == 0, run.output
    assert (folder / "hits.3").read_text() == "01"
    assert (folder / "hits.4").read_text() in ("01", "11")
