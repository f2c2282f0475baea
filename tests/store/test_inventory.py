import random
from pathlib import PurePosixPath

import pytest
from store_recordings import as_nobody

from pytest_keras_golden.names import Slot
from pytest_keras_golden.store.inventory import (
    leftovers,
    list_goldens,
    oversized,
    stats,
    superseded,
)


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "goldens"
    for place, size in {
        "tests/test_a/test_b/keras-3.10.0-jax-cpu-float32": 10,
        "tests/test_a/test_b/keras-3.9.0-jax-cpu-float32": 20,
        "tests/test_a/test_b/keras-3.5.0-jax-cpu-float32": 30,
        "tests/test_a/test_b/keras-3.5.0-torch-cpu-float32": 40,
        "tests/test_a/test_b/keras-3.5.0-jax-cpu-bfloat16": 50,
        "tests/test_a/TestC.test_d[1]/keras-3.5.0-jax-cpu-float32": 60,
    }.items():
        path = root / f"{place}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
    (root / "README.md").touch()
    (root / "tests/test_a/test_b/.keras-3.5.0-jax-cpu-float32.safetensors.01ab.tmp").touch()
    return root


def test_goldens_are_listed_by_their_names(root):
    found = list(list_goldens(root))
    assert [str(golden.folder) for golden in found] == [
        *["tests/test_a/TestC.test_d[1]"],
        *["tests/test_a/test_b"] * 5,
    ]
    assert found[0].path == root / "tests/test_a/TestC.test_d[1]" / found[0].slot.filename
    assert found[0].folder == PurePosixPath("tests/test_a/TestC.test_d[1]")
    assert found[0].slot == Slot("3.5.0", "jax", "cpu", "float32")


def test_the_order_is_that_of_the_paths(root):
    for number in random.Random(0).sample(range(100, 200), 30):
        path = root / f"test_{number}" / "keras-3.5.0-jax-cpu-float32.safetensors"
        path.parent.mkdir()
        path.touch()
    folders = [golden.folder for golden in list_goldens(root)]
    assert folders == sorted(folders)


def test_no_folder_holds_no_goldens(tmp_path):
    assert list(list_goldens(tmp_path / "nowhere")) == []


def test_linked_folders_are_not_entered(root):
    (root / "tests" / "again").symlink_to(root)
    assert len(list(list_goldens(root))) == 6


def test_an_unreadable_folder_is_not_passed_over(open_folder):
    (open_folder / "closed").mkdir(mode=0o000)
    told = as_nobody(lambda: list(list_goldens(open_folder)))
    assert "closed: Permission denied" in told


def test_totals(root):
    totals = stats(root)
    assert (totals.tests, totals.goldens, totals.bytes) == (2, 6, 210)
    assert list(totals.versions.items()) == [("3.5.0", 4), ("3.9.0", 1), ("3.10.0", 1)]
    assert totals.backends == {"jax": 5, "torch": 1}


@pytest.mark.parametrize(
    ("keep", "sizes"), [(2, [30]), (1, [20, 30]), (3, []), (0, [10, 20, 30, 40, 50, 60])]
)
def test_superseded_are_the_older_of_one_slot(root, keep, sizes):
    assert sorted(golden.size for golden in superseded(root, keep)) == sizes


def test_oversized(root):
    assert sorted(golden.size for golden in oversized(root, 40)) == [50, 60]


def test_leftovers(root):
    assert [path.name for path in leftovers(root)] == [
        ".keras-3.5.0-jax-cpu-float32.safetensors.01ab.tmp"
    ]
