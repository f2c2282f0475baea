"""kill -9 at random moments of an update: no golden unreadable, none lost, none mixed from two.

    python benchmarks/kill.py [KILLS=1000] [--folder DIR] [--seed N] [--by store|session|in-place]

Every round forks a writer that rewrites four goldens (64 KiB to 4 MiB) over and over, kills it at
a random moment, and reads all four again, every byte hashed. The writer is `store.files.save`, or
a whole `pytest --update-goldens` session, or (`in-place`) overwrites the files as plain code
would: the control, which must find something. The last line is JSON; exit code 1 where anything
was found.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from pytest_keras_golden.errors import StoreError
from pytest_keras_golden.records import GoldenHeader, Recording, TensorEntry, TensorRecord
from pytest_keras_golden.store.codec import Golden
from pytest_keras_golden.store.digest import digest
from pytest_keras_golden.store.encoding import encode, write
from pytest_keras_golden.store.files import save
from pytest_keras_golden.store.inventory import leftovers, list_goldens

SIZES = (1 << 14, 1 << 16, 1 << 18, 1 << 20)
"""float32 elements in each of the four goldens."""
CONTENTS = 3
"""How many different contents the writer puts into each golden in turn."""
NAME = "keras-3.5.0-jax-cpu-float32.safetensors"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kills", type=int, nargs="?", default=1000)
    parser.add_argument("--folder", type=Path, help="on the disk to be tested")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--by", choices=sorted(UPDATES), default="store")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        updater = Updater(Path(folder), UPDATES[options.by])
        counts = kill_writers(updater, options.kills, random.Random(options.seed))
    print(json.dumps(counts))
    return 1 if counts["unreadable"] or counts["lost"] or counts["mixed"] else 0


@dataclass(frozen=True)
class Updater:
    """Four goldens in a folder, what may be in each, and what rewrites them."""

    folder: Path
    rewrite: Callable[[Path, int], None]

    @cached_property
    def goldens(self) -> list[Path]:
        """The files of the first update: none of them may be missing later."""
        return [golden.path for golden in list_goldens(self.folder)]

    @cached_property
    def known(self) -> set[str]:
        return {digest(content(size, seed)) for size in SIZES for seed in range(CONTENTS)}

    def update(self, turn: int) -> None:
        self.rewrite(self.folder, turn % CONTENTS)

    def update_for_ever(self) -> NoReturn:
        """Until it is killed, or left alone."""
        try:
            parent, turn = os.getppid(), 0
            while os.getppid() == parent:
                turn += 1
                self.update(turn)
        finally:
            os._exit(1)

    def states(self) -> list[str]:
        return [state(path, self.known) for path in self.goldens]

    def versions(self) -> list[int]:
        """One number per file, another one whenever it was replaced."""
        return [path.stat().st_ino for path in self.goldens if path.exists()]


def kill_writers(updater: Updater, kills: int, chance: random.Random) -> dict[str, float]:
    """Counts of what the kills hit and what they left. `mid_write`: a temporary file was open."""
    updater.update(turn=0)
    began = time.perf_counter()
    updater.update(turn=1)
    update_s = time.perf_counter() - began
    if len(updater.goldens) != len(SIZES):
        raise SystemExit(f"expected {len(SIZES)} goldens, found {updater.goldens}")
    counts = Counter(kills=0, mid_write=0, rewritten=0, whole=0, unreadable=0, lost=0, mixed=0)
    for _ in range(kills):
        before = updater.versions()
        kill_one(updater, chance.uniform(0, 2 * update_s))
        counts["kills"] += 1
        counts["mid_write"] += bool(leftovers(updater.folder))
        counts["rewritten"] += before != updater.versions()
        counts.update(updater.states())
        progress(counts["kills"], kills)
    for turn in range(2):
        updater.update(turn)
    counts["left_behind_after_the_next_update"] = len(leftovers(updater.folder))
    return {**counts, "seconds": round(time.perf_counter() - began, 1)}


def content(size: int, seed: int) -> npt.NDArray[np.float32]:
    return np.random.default_rng(seed).random(size, np.float32)


def recording(size: int, seed: int) -> Recording:
    array = content(size, seed)
    entry = TensorEntry(
        *("t", 0, "tensor", "float32", array.shape, "float32", True, "materialised"),
        digest=digest(array),
        rms=1.0,
    )
    header = GoldenHeader({"keras": "3.5.0"}, "eager", (entry,))
    return Recording(header, (TensorRecord("t", array),))


def by_store(folder: Path, seed: int) -> None:
    for size in SIZES:
        save(folder / f"goldens/test_{size}" / NAME, recording(size, seed), folder / "locks")


def in_place(folder: Path, seed: int) -> None:
    for size in SIZES:
        path = folder / f"goldens/test_{size}" / NAME
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            write(file, encode(recording(size, seed)))


SUITE = """
import numpy as np, os, pytest

@pytest.mark.parametrize("size", {sizes})
def test_golden(golden_tensors, size):
    random = np.random.default_rng(int(os.environ["GOLDEN_SEED"]))
    golden_tensors.check("t", random.random(size, np.float32))
"""


def by_session(folder: Path, seed: int) -> None:
    """In this process: a forked one need not import everything again, and most kills hit work."""
    import pytest

    suite = folder / "test_golden.py"
    if not suite.exists():
        (folder / "pytest.ini").write_text("[pytest]\n")
        suite.write_text(SUITE.format(sizes=SIZES))
    os.environ |= {"GOLDEN_SEED": str(seed), "KERAS_BACKEND": "numpy", "CI": "false"}
    with redirect_stdout(io.StringIO()) as printed:
        code = pytest.main([str(folder), "-q", "--rootdir", str(folder), "--update-goldens"])
    if code != 0:
        print(printed.getvalue(), file=sys.stderr)
        raise SystemExit("the session failed: nothing was tested")


UPDATES = {"store": by_store, "session": by_session, "in-place": in_place}


def kill_one(updater: Updater, after_s: float) -> None:
    child = os.fork()
    if child == 0:
        updater.update_for_ever()
    time.sleep(after_s)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status):
        raise SystemExit("the writer ended by itself: nothing was tested")


def state(path: Path, known: set[str]) -> str:
    """What a reader finds: `whole`, or what is wrong."""
    if not path.exists():
        return "lost"
    try:
        with Golden.open(path) as golden:
            if golden.verify() or golden.header.tensors[0].digest not in known:
                return "mixed"
    except StoreError as error:
        print(error, file=sys.stderr)
        return "unreadable"
    return "whole"


def progress(done: int, kills: int) -> None:
    if done % 100 == 0 or done == kills:
        print(f"{done}/{kills} kills", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
