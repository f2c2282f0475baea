"""Recording: bytes per second into a durable golden, beside a bare write + fsync of the same bytes.

    python benchmarks/recording.py [MIB=256] [--folder DIR] [--rounds N]

Both sides write and fsync new bytes in turn, on the same disk; the golden also hashes, locks,
replaces and fsyncs the folder. The last line is JSON: the medians in GB/s, their ratio, and the
largest memory that recording took beside the tensors.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np

from pytest_keras_golden.records import GoldenHeader, Recording, TensorEntry, TensorRecord
from pytest_keras_golden.store.digest import digest
from pytest_keras_golden.store.files import save

TENSORS = 16
NAME = "keras-3.5.0-jax-cpu-float32.safetensors"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mib", type=int, nargs="?", default=256)
    parser.add_argument("--folder", type=Path, help="on the disk to be measured")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    arrays = [
        np.random.default_rng(seed).random((options.mib << 18) // TENSORS, np.float32)
        for seed in range(TENSORS)
    ]
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        print(json.dumps(measure(Path(folder), arrays, options.rounds)))


def measure(folder: Path, arrays: list[np.ndarray], rounds: int) -> dict[str, float]:
    """Alternates the two, so that a disk that slows down slows both."""
    golden, bare = [], []
    for turn in range(rounds):
        for array in arrays:
            array[0] = turn  # nothing is written where no number changed
        bare.append(seconds(lambda: write_bare(folder / "bare", arrays)))
        golden.append(seconds(lambda: record(folder, arrays)))
        print(f"round {turn + 1}/{rounds}: bare {bare[-1]:.3f} s, golden {golden[-1]:.3f} s")
    size = sum(array.nbytes for array in arrays)
    return {
        "mib": size >> 20,
        "golden_gb_s": round(size / statistics.median(golden) / 1e9, 2),
        "bare_gb_s": round(size / statistics.median(bare) / 1e9, 2),
        "ratio": round(statistics.median(bare) / statistics.median(golden), 2),
        "extra_memory_mib": round(extra_memory(folder, arrays) / 2**20, 1),
    }


def record(folder: Path, arrays: list[np.ndarray]) -> None:
    """As a session does: hash every tensor, then save."""
    records = tuple(TensorRecord(f"blocks/{i}", array) for i, array in enumerate(arrays))
    entries = tuple(
        TensorEntry(
            *(item.name, order, "tensor", "float32", item.value.shape, "float32"),
            *(True, "materialised", digest(item.value), 1.0),
        )
        for order, item in enumerate(records)
    )
    header = GoldenHeader({"keras": "3.5.0"}, "eager", entries)
    if not save(folder / "goldens" / NAME, Recording(header, records), folder / "locks"):
        raise SystemExit("nothing was written: nothing was measured")


def write_bare(path: Path, arrays: list[np.ndarray]) -> None:
    path.unlink(missing_ok=True)
    with path.open("wb") as file:
        for array in arrays:
            file.write(array.data)
        os.fsync(file.fileno())


def seconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def extra_memory(folder: Path, arrays: list[np.ndarray]) -> int:
    for array in arrays:
        array[0] = -1
    tracemalloc.start()
    record(folder, arrays)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


if __name__ == "__main__":
    main()
