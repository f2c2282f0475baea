import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from store_recordings import NAME, STACK, as_nobody, bits, record, recording, sample, with_entry
from test_codec import as_bytes

from pytest_keras_golden.errors import CorruptGoldenError, StoreError
from pytest_keras_golden.records import Tolerance
from pytest_keras_golden.store.codec import Golden
from pytest_keras_golden.store.files import remove, save, verify_file

REPOSITORY = Path(__file__).parents[2]
FOREIGN = safetensors.numpy.save({"weight": np.zeros(2, np.float32)})
LOGITS_ALONE = replace(sample().records[1], reference=None)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "goldens"


@pytest.fixture
def locks(tmp_path):
    return tmp_path / "locks"


@pytest.fixture
def path(root):
    return root / "tests" / "test_a" / "test_b[1]" / NAME


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def test_a_golden_is_written_whole_and_alone(path, locks):
    assert save(path, sample(), locks)
    assert path.read_bytes() == as_bytes(sample())
    assert names(path.parent) == [NAME]


def test_permissions_are_those_of_any_other_file(path, locks):
    before = os.umask(0o027)
    try:
        save(path, sample(), locks)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize(
    "same",
    [
        sample(),
        sample(stack=STACK | {"keras": "3.5.1", "numpy": "2.9"}),
        sample(reason="another"),
        replace(sample(), pool=dict(reversed(sample().pool.items()))),
    ],
)
def test_nothing_is_written_unless_a_number_changes(path, locks, same):
    save(path, sample(), locks)
    before = path.stat()
    assert not save(path, same, locks)
    assert path.read_bytes() == as_bytes(sample())
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)


@pytest.mark.parametrize(
    "changed",
    [
        sample(seed=1),
        sample(mode="compiled"),
        sample(observer="changed"),
        sample(weights={"dense/kernel": "f" * 32}),
        sample(inputs={}),
        sample(isolation="unavailable: glue"),
        with_entry(sample(), 0, kind="block"),
        with_entry(sample(), 0, judged=False),
        with_entry(sample(), 0, order=5),
        with_entry(sample(), 0, precision="bfloat16"),
        with_entry(sample(), 0, source="materialised"),
        with_entry(sample(), 0, rms=0.5),
        with_entry(sample(), 0, noise=1.5),
        with_entry(sample(), 0, tolerance=Tolerance(k=7.0)),
        with_entry(sample(), 0, detects=1e-3),
        replace(sample(), records=(*sample().records[:1], LOGITS_ALONE, *sample().records[2:])),
        recording(*sample().records),
    ],
)  # fmt: skip
def test_whatever_else_changes_is_written(path, locks, changed):
    save(path, sample(), locks)
    assert save(path, changed, locks)
    assert path.read_bytes() == as_bytes(changed)


def test_a_noise_floor_stays_until_it_is_measured_again(path, locks):
    measured = with_entry(sample(), 0, noise=0.5)
    assert save(path, measured, locks)
    assert not save(path, sample(), locks)
    assert save(path, with_entry(sample(), 0, noise=0.25), locks)


def test_a_corrupt_golden_is_replaced(path, locks):
    save(path, sample(), locks)
    path.write_bytes(path.read_bytes()[:-5])
    assert save(path, sample(), locks)
    assert verify_file(path) == []


@pytest.mark.parametrize("place", [-1, -9, -20, -50, -70])
def test_a_golden_with_damaged_bytes_is_replaced_though_no_digest_changed(path, locks, place):
    save(path, sample(), locks)
    raw = bytearray(path.read_bytes())
    raw[place] ^= 0x40
    path.write_bytes(raw)
    assert verify_file(path) != []
    assert save(path, sample(), locks)
    assert path.read_bytes() == as_bytes(sample())


@pytest.mark.parametrize("raw", [b"version https://git-lfs.github.com/spec/v1\n", FOREIGN])
def test_what_never_was_a_golden_is_not_replaced(path, locks, raw):
    path.parent.mkdir(parents=True)
    path.write_bytes(raw)
    with pytest.raises(CorruptGoldenError, match=r"git-LFS pointer|no golden"):
        save(path, sample(), locks)
    assert path.read_bytes() == raw


def test_what_killed_writers_left_is_cleared(path, locks):
    path.parent.mkdir(parents=True)
    (path.parent / f".{NAME}.0123456789ab.tmp").write_bytes(b"half")
    (path.parent / ".keras-3.6.0-jax-cpu-float32.safetensors.0123456789ab.tmp").touch()
    (path.parent / "notes.tmp").touch()
    save(path, sample(), locks)
    assert names(path.parent) == [
        ".keras-3.6.0-jax-cpu-float32.safetensors.0123456789ab.tmp",
        NAME,
        "notes.tmp",
    ]


def test_a_reader_keeps_the_golden_it_opened(path, locks):
    save(path, sample(), locks)
    with Golden.open(path) as golden:
        save(path, sample(seed=1), locks)
        assert bits(golden.array("logits")) == bits(sample().records[1].value)
    with Golden.open(path) as golden:
        assert bits(golden.array("logits")) == bits(sample(seed=1).records[1].value)


def test_a_link_is_replaced_not_followed(path, locks, tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes(as_bytes(sample()))
    path.parent.mkdir(parents=True)
    path.symlink_to(outside)
    assert save(path, sample(), locks)
    assert not path.is_symlink()
    save(path, sample(seed=1), locks)
    assert outside.read_bytes() == as_bytes(sample())


def test_nothing_is_written_outside_the_folder(root, path, locks, tmp_path):
    root.mkdir()
    (tmp_path / "outside").mkdir()
    (root / "tests").symlink_to(tmp_path / "outside")
    with pytest.raises(StoreError, match="outside"):
        save(path, sample(), locks, root)
    assert names(tmp_path / "outside") == []


@pytest.mark.parametrize("planted", ["locks", "lock"])
def test_no_lock_is_opened_through_a_link(path, locks, tmp_path, planted):
    """Opening a lock empties the file, whoever owns it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "victim").write_text("of somebody else")
    if planted == "locks":
        (tmp_path / "cache").mkdir()
        locks = tmp_path / "cache" / "locks"
        locks.symlink_to(outside)
    else:
        locks = tmp_path / "cache" / "locks"
        locks.mkdir(parents=True)
        for number in range(256):
            (locks / f"{number:02x}.lock").symlink_to(outside / "victim")
    with pytest.raises(StoreError, match="outside"):
        save(path, sample(), locks)
    assert names(outside) == ["victim"]
    assert (outside / "victim").read_text() == "of somebody else"
    assert not path.exists()


def test_a_folder_in_the_way_is_an_error(path, locks):
    path.mkdir(parents=True)
    with pytest.raises(CorruptGoldenError, match="folder") as caught:
        save(path, sample(), locks)
    assert str(path) in caught.value.problem
    assert caught.value.fix == "move it out of the goldens folder"
    assert names(path.parent) == [NAME]


def test_a_file_in_the_way_is_an_error(root, path, locks):
    root.mkdir()
    (root / "tests").touch()
    with pytest.raises(StoreError, match="tests") as caught:
        save(path, sample(), locks)
    assert "in the way" in caught.value.fix


def test_an_unstorable_recording_leaves_no_trace(root, path, locks):
    made = sample()
    made.records[1].value[0] = 0  # noticed while it is written
    with pytest.raises(StoreError, match="logits has other bytes"):
        save(path, made, locks)
    assert not path.parent.exists()
    with pytest.raises(StoreError, match="complex64"):
        save(path, replace(made, records=(record("t", np.zeros(2, "c8")),)), locks)
    assert not root.exists()


def in_child(script, *arguments):
    """Run it where it can do no harm to this process; returns what it printed."""
    code = f"import sys; sys.path[:0] = {[str(Path(__file__).parent), str(REPOSITORY)]!r}\n{script}"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


SAVE = """
from pathlib import Path
from store_recordings import np, record, recording
from pytest_keras_golden.errors import StoreError
from pytest_keras_golden.store.files import save
try:
    made = recording(record("t", np.full(1 << int(sys.argv[3]), 2, "f4")))
    print(save(Path(sys.argv[1]), made, Path(sys.argv[2])))
except StoreError as error:
    print(error)
"""
SMALL = recording(record("t", np.ones(8, np.float32)))


def assert_untouched(path, output, *words):
    """The golden is the old one, alone in its folder, and the message has a reason and a fix."""
    *problem, fix = output.splitlines()
    assert all(word in "\n".join(problem) for word in (path.parent.name, *words[:-1])), output
    assert words[-1] in fix
    assert names(path.parent) == [NAME]
    assert path.read_bytes() == as_bytes(SMALL)


def test_a_file_too_large_leaves_the_old_golden(path, locks):
    save(path, SMALL, locks)
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n"
    output = in_child(limit + SAVE, path, locks, 20)
    assert_untouched(path, output, "too large", "space")


@pytest.fixture
def full_disk(tmp_path):
    """A tmpfs of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "golden", folder], capture_output=True, text=True
    )
    if mounted.returncode:
        pytest.skip(f"no tmpfs ({mounted.stderr.strip()}): a limit on file sizes is tested instead")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_leaves_the_old_golden(full_disk, locks):
    path = full_disk / "tests" / NAME
    save(path, SMALL, locks)
    assert_untouched(path, in_child(SAVE, path, locks, 20), "No space left", "free some space")


def test_a_first_golden_that_fails_leaves_no_folder(full_disk, locks):
    (full_disk / "goldens").mkdir()
    for part in ("a", "b"):
        told = in_child(SAVE, full_disk / "goldens" / part / "test_x" / NAME, locks, 20)
        assert "No space left" in told
    assert names(full_disk / "goldens") == []


def test_a_read_only_folder_is_an_error(open_folder):
    path = open_folder / "tests" / NAME
    save(path, SMALL, open_folder / "locks")
    for entry in (open_folder / "locks", *(open_folder / "locks").iterdir()):
        entry.chmod(0o777)
    path.parent.chmod(0o555)
    told = as_nobody(lambda: save(path, sample(), open_folder / "locks"))
    assert_untouched(path, told, "Permission denied", "--goldens-dir")
    assert not as_nobody(lambda: save(path, SMALL, open_folder / "locks")).startswith(str(path))
    path.parent.chmod(0o755)


def test_a_read_only_cache_is_an_error(open_folder):
    path = open_folder / "tests" / NAME
    save(path, SMALL, open_folder / "locks")
    (open_folder / "closed").mkdir(mode=0o555)
    told = as_nobody(lambda: save(path, sample(), open_folder / "closed" / "locks"))
    assert "Permission denied" in told
    assert_untouched(path, f"{path.parent.name} {told}", "closed/locks", "cache_dir")


def test_an_unreadable_golden_is_an_error(open_folder):
    path = open_folder / NAME
    save(path, SMALL, open_folder / "locks")
    path.chmod(0o000)
    told = as_nobody(lambda: Golden.open(path))
    assert "Permission denied" in told
    assert told.endswith("check the path and its permissions")


@pytest.mark.processes
def test_writers_of_one_golden_take_turns(path, locks):
    """Each of four processes writes its own tensors over and over; the file is always one's."""
    script = """
from pathlib import Path
from store_recordings import sample
from pytest_keras_golden.store.files import save
for i in range(40):
    save(Path(sys.argv[1]), sample(seed=4 * i + int(sys.argv[3])), Path(sys.argv[2]))
"""
    code = f"import sys; sys.path[:0] = {[str(Path(__file__).parent), str(REPOSITORY)]!r}\n{script}"
    writers = [
        subprocess.Popen([sys.executable, "-c", code, path, locks, str(i)]) for i in range(4)
    ]
    looks = 0
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            assert verify_file(path) == []
            looks += 1
    assert [writer.returncode for writer in writers] == [0] * 4
    assert looks > 10
    assert names(path.parent) == [NAME]
    assert len(names(locks)) == 1


def kill(*arguments):
    """The short form of the 1,000 kills in benchmarks/kill.py; exit code and counts."""
    done = subprocess.run(
        [sys.executable, REPOSITORY / "benchmarks" / "kill.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1])


@pytest.mark.processes
def test_kill_9_at_random_moments_leaves_whole_goldens(tmp_path):
    code, counts = kill(40, "--folder", tmp_path)
    assert (code, counts["kills"], counts["whole"]) == (0, 40, 160)
    assert counts["mid_write"] > 0
    assert counts["left_behind_after_the_next_update"] == 0


def test_kill_9_would_be_noticed_with_plain_writes(tmp_path):
    code, counts = kill(40, "--folder", tmp_path, "--by", "in-place")
    assert code == 1
    assert counts["unreadable"] + counts["mixed"] > 0


def test_removing_takes_the_empty_folders_along(root, path, locks):
    other = root / "tests" / "test_c" / NAME
    save(path, sample(), locks)
    save(other, sample(), locks)
    (path.parent / f".{NAME}.0123456789ab.tmp").touch()
    remove(path, root)
    assert names(root / "tests") == ["test_c"]
    remove(other, root)
    assert names(root) == []


def test_removing_what_is_not_there_is_an_error(root, path):
    with pytest.raises(StoreError, match="No such file"):
        remove(path, root)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (NAME.replace("3.5.0", "3.6.0"), "its name says keras 3.6.0, its metadata 3.5.0"),
        (NAME.replace("jax", "torch"), "its name says backend torch, its metadata jax"),
        (NAME.replace("cpu", "gpu"), "its name says device gpu, its metadata cpu"),
        (NAME.replace("float32", "float16"), "name says dtype_policy float16, its metadata float"),
        ("golden.safetensors", "its name is no golden's"),
    ],
)
def test_verify_finds_goldens_under_a_wrong_name(path, locks, name, problem):
    save(path, sample(), locks)
    assert verify_file(path) == []
    path.rename(path.with_name(name))
    (found,) = verify_file(path.with_name(name))
    assert problem in found
