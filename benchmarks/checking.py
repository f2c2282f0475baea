"""Checking a tensor against its golden, beside the checks that suites use today.

    python benchmarks/checking.py [MIB=128] [--rounds N]

On float32 of MIB: unchanged (by digest) and changed within tolerance (`judge`, every metric of an
outcome), beside `numpy.testing.assert_allclose`; on bfloat16 of half as many bytes beside
`torch.testing.assert_close`, where torch is installed. All in turn in one process, best round of
each; BLAS and torch keep to one thread. The last line is JSON with the ratios and the largest
memory that a check took beside the tensors, the golden being memory-mapped.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import ml_dtypes
import numpy as np

from pytest_keras_golden.case.recording import describe
from pytest_keras_golden.compare.verdict import judge
from pytest_keras_golden.outcomes import TensorOutcome
from pytest_keras_golden.records import TensorEntry, TensorRecord
from pytest_keras_golden.store.digest import digest
from pytest_keras_golden.tolerance import default

Check = Callable[[], Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mib", type=int, nargs="?", default=128)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    shape = (options.mib << 8, 1024)
    golden = rng.standard_normal(shape, np.float32)
    noise = rng.standard_normal(shape, np.float32)
    with tempfile.TemporaryDirectory() as folder:
        result = float32(Path(folder), golden, noise, options.rounds)
        result |= bfloat16(Path(folder), golden, noise, options.rounds)
    print(json.dumps({"mib": options.mib} | result))


def float32(folder: Path, golden: Any, noise: Any, rounds: int) -> dict[str, float]:
    changed = golden * (1 + np.float32(3e-7) * noise)
    mapped = memory_mapped(folder / "float32", golden)
    entry = describe(TensorRecord("x", golden), 0, default("float32"))
    same = golden.copy()
    best = in_turn(
        {
            "assert_allclose": lambda: np.testing.assert_allclose(changed, golden, rtol=1e-4),
            "changed": lambda: check(changed, mapped, entry, "within"),
            "unchanged": lambda: check(same, mapped, entry, "identical"),
        },
        rounds,
    )
    peaks = [
        peak(lambda: check(changed, mapped, entry, "within")),
        peak(lambda: check(same, mapped, entry, "identical")),
    ]
    return {
        "unchanged_ratio": round(best["assert_allclose"] / best["unchanged"], 1),
        "changed_ratio": round(best["assert_allclose"] / best["changed"], 1),
        "changed_gb_s": round(golden.nbytes / best["changed"] / 1e9, 2),
        "unchanged_gb_s": round(golden.nbytes / best["unchanged"] / 1e9, 2),
        "peak_mib": round(max(peaks) / 2**20, 1),
    }


def bfloat16(folder: Path, golden: Any, noise: Any, rounds: int) -> dict[str, float]:
    try:
        import torch
    except ModuleNotFoundError:
        print("torch is not installed: bfloat16 is not compared", file=sys.stderr)
        return {}
    torch.set_num_threads(1)
    low = golden.astype(ml_dtypes.bfloat16)
    changed = (golden * (1 + np.float32(2e-3) * noise)).astype(ml_dtypes.bfloat16)
    mapped = memory_mapped(folder / "bfloat16", low)
    entry = describe(TensorRecord("x", low), 0, default("bfloat16"))
    a, g = (torch.from_numpy(x.view(np.int16)).view(torch.bfloat16) for x in (changed, low))
    best = in_turn(
        {
            "assert_close": lambda: torch.testing.assert_close(a, g, rtol=0.1, atol=0.1),
            "changed": lambda: check(changed, mapped, entry, "within"),
        },
        rounds,
    )
    memory = peak(lambda: check(changed, mapped, entry, "within"))
    return {
        "bfloat16_changed_ratio": round(best["assert_close"] / best["changed"], 1),
        "bfloat16_changed_gb_s": round(low.nbytes / best["changed"] / 1e9, 2),
        "bfloat16_peak_mib": round(memory / 2**20, 1),
    }


def check(actual: Any, golden: Any, entry: TensorEntry, verdict: str) -> TensorOutcome:
    """What a session does with a tensor: digest first, the golden's bytes only where it differs."""
    record = TensorRecord("x", actual)
    tolerance = default(entry.precision)
    outcome = judge(record, 0, entry, lambda: golden, tolerance, digest=digest(actual))
    assert outcome.verdict == verdict, outcome
    return outcome


def memory_mapped(path: Path, array: Any) -> Any:
    path.write_bytes(array.tobytes())
    return np.memmap(path, array.dtype, "r", shape=array.shape)


def in_turn(checks: dict[str, Check], rounds: int) -> dict[str, float]:
    """Best seconds of each, taken alternately: what else the machine does hits all alike."""
    best = dict.fromkeys(checks, float("inf"))
    for turn in range(rounds):
        for name, run in checks.items():
            start = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - start)
        shown = ", ".join(f"{name} {best[name]:.4f} s" for name in checks)
        print(f"round {turn + 1}/{rounds}, best so far: {shown}", file=sys.stderr)
    return best


def peak(run: Check) -> int:
    """Bytes allocated at once, beside what existed before."""
    tracemalloc.start()
    run()
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


if __name__ == "__main__":
    main()
