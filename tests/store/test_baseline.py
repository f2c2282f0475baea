from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version
from store_recordings import as_nobody, recording, sample

from pytest_keras_golden.errors import CorruptGoldenError
from pytest_keras_golden.names import Slot
from pytest_keras_golden.store.baseline import candidates, find_anchor, find_baseline
from pytest_keras_golden.store.codec import Golden
from pytest_keras_golden.store.files import save

FOLDER = PurePosixPath("tests/test_a/test_b[1]")


def slot(keras, backend="jax", device="cpu", policy="float32"):
    return Slot(keras, backend, device, policy)


@pytest.fixture
def root(tmp_path):
    return tmp_path


@pytest.fixture
def stored(root):
    """Puts files of these slots into the test's folder: names alone decide."""

    def put(*slots):
        (root / FOLDER).mkdir(parents=True, exist_ok=True)
        for each in slots:
            (root / FOLDER / (slot(each) if isinstance(each, str) else each).filename).touch()

    return put


def found(path):
    return path and Slot.parse(path.name).keras


@pytest.mark.parametrize(
    ("recorded", "running", "expected"),
    [
        (["3.5.0", "3.6.0", "3.10.0"], "3.7.0", "3.6.0"),
        (["3.5.0", "3.6.0", "3.10.0"], "3.15.1", "3.10.0"),
        (["3.5.0", "3.6.0"], "3.6.0", "3.6.0"),
        (["3.6.0"], "3.5.0", None),
        ([], "3.5.0", None),
        (["3.6.0rc1", "3.6.0.dev1", "3.5.0"], "3.6.0", "3.6.0rc1"),
        (["3.6.0", "3.5.0"], "3.6.0rc1", "3.5.0"),
        (["3.6.0+cpu"], "3.6.0", None),
        (["3.6.0"], "3.6.0+cpu", "3.6.0"),
        (["3.6.0", "3.6"], "3.6", "3.6"),
        (["3.6.0", "3.6"], "3.6.0", "3.6.0"),
        (["nightly", "3.5.0"], "3.6.0", "3.5.0"),
        (["nightly", "3.5.0"], "nightly", "nightly"),
        (["3.5.0"], "nightly", None),
    ],
)
def test_the_newest_that_is_not_newer(root, stored, recorded, running, expected):
    stored(*recorded)
    assert found(find_baseline(root, FOLDER, slot(running))) == expected


versions = st.from_regex(r"3\.[0-9]{1,2}\.[0-3]((a|b|rc)[12])?(\.dev[12])?", fullmatch=True)


@given(st.sets(versions, max_size=5), versions)
def test_no_recorded_version_is_closer(tmp_path_factory, recorded, running):
    root = tmp_path_factory.mktemp("goldens")
    (root / FOLDER).mkdir(parents=True)
    for version in recorded:
        (root / FOLDER / slot(version).filename).touch()
    baseline = found(find_baseline(root, FOLDER, slot(running)))
    older = [Version(version) for version in recorded if Version(version) <= Version(running)]
    assert (baseline and Version(baseline)) == max(older, default=None)


@pytest.mark.parametrize(
    ("requested", "expected"),
    [("3.5.0", "3.5.0"), ("3.5", "3.5.0"), ("3.10.0", "3.10.0"), ("3.6.0", None), ("x", None)],
)
def test_a_requested_version_is_that_one_or_none(root, stored, requested, expected):
    stored("3.5.0", "3.5.1", "3.10.0")
    assert found(find_baseline(root, FOLDER, slot("3.7.0"), requested)) == expected


@pytest.mark.parametrize("asked", ["3.5", "3.5.0"])
def test_of_two_spellings_the_one_asked_for_is_taken(root, stored, asked):
    stored("3.4.0", "3.5", "3.5.0")
    assert found(find_baseline(root, FOLDER, slot("3.7.0"), asked)) == asked
    assert found(find_baseline(root, FOLDER, slot(asked))) == asked


@pytest.mark.parametrize(
    "other", [slot("3.5.0", "torch"), slot("3.5.0", device="gpu"), slot("3.5.0", policy="float16")]
)
def test_other_slots_are_no_baseline(root, stored, other):
    stored(other)
    assert find_baseline(root, FOLDER, slot("3.6.0")) is None
    assert find_baseline(root, FOLDER, slot("3.6.0"), "3.5.0") is None
    assert find_anchor(root, FOLDER, slot("3.6.0")) is None
    assert candidates(root, FOLDER) == [other]


def test_on_request_goldens_of_another_policy_count_too(root, stored):
    stored(slot("3.5.0", policy="float16"), slot("3.5.1", "torch"), slot("3.5.2", device="gpu"))
    assert found(find_baseline(root, FOLDER, slot("3.6.0"), any_policy=True)) == "3.5.0"


def test_the_anchor_is_the_oldest(root, stored):
    stored("3.10.0", "3.5.0", "3.9.0", slot("3.0.5", "torch"))
    assert found(find_anchor(root, FOLDER, slot("3.15.1"))) == "3.5.0"


def test_candidates_are_listed_in_order_of_versions(root, stored):
    stored("3.10.0", "3.9.0", slot("3.9.0", "torch"))
    (root / FOLDER / "README.md").touch()
    assert candidates(root, FOLDER) == [slot("3.9.0"), slot("3.9.0", "torch"), slot("3.10.0")]


def test_what_is_no_version_comes_before_all_versions(root, stored):
    stored("3.5.0", "nightly", "custom", "0.1.0")
    assert [each.keras for each in candidates(root, FOLDER)] == [
        *("custom", "nightly", "0.1.0", "3.5.0")
    ]


def test_a_corrupt_golden_is_not_passed_over(root, stored, tmp_path):
    save(root / FOLDER / slot("3.5.0").filename, sample(), tmp_path / "locks")
    stored("3.6.0")  # an empty file
    path = find_baseline(root, FOLDER, slot("3.7.0"))
    with pytest.raises(CorruptGoldenError, match=r"3\.6\.0"):
        Golden.open(path, root)


def test_an_unreadable_folder_is_not_passed_over(open_folder):
    (open_folder / FOLDER).mkdir(parents=True)
    (open_folder / FOLDER).chmod(0o000)
    told = as_nobody(lambda: find_baseline(open_folder, FOLDER, slot("3.7.0")))
    assert told == f"{open_folder / FOLDER}: Permission denied\nmake the folder readable"


def test_a_link_to_nothing_and_a_folder_are_not_passed_over(root):
    (root / FOLDER).mkdir(parents=True)
    (root / FOLDER / slot("3.5.0").filename).symlink_to("nowhere")
    assert found(find_baseline(root, FOLDER, slot("3.7.0"))) == "3.5.0"
    (root / FOLDER / slot("3.6.0").filename).mkdir()
    assert found(find_baseline(root, FOLDER, slot("3.7.0"))) == "3.6.0"


def test_a_recording_is_its_own_baseline(root, tmp_path):
    save(root / FOLDER / slot("3.5.0").filename, recording(), tmp_path / "locks")
    with Golden.open(find_baseline(root, FOLDER, slot("3.5.0")), root) as golden:
        assert golden.header.tensors == ()
