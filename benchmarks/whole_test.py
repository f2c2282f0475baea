"""What a golden test costs from end to end, beside the same assertions by numpy.

    python benchmarks/whole_test.py [MIB=128] [--rounds N]

One pytest session holds both kinds in turn: tensors on the backend of KERAS_BACKEND are checked by
`golden_tensors` or read from an `.npy` file and compared by `numpy.testing.assert_allclose`. Timed
is the whole protocol of a test (set-up, body, judging, candidate, tear-down), best round of each.
Once unchanged, once changed within tolerance, on MIB of float32 in one tensor; and with eight
tensors of 4 KiB, in milliseconds beyond the plain test. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

CONFTEST = """
import json, time
import pytest

took = {}

@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    began = time.perf_counter()
    try:
        return (yield)
    finally:
        took.setdefault(item.originalname, []).append(time.perf_counter() - began)

def pytest_sessionfinish(session):
    with open("took.json", "w") as file:
        json.dump({name: min(times) for name, times in took.items()}, file)
"""

SUITE = """
import os
import keras, numpy as np, pytest

ROUNDS, CHANGED = int(os.environ["ROUNDS"]), os.environ.get("CHANGED")
SHAPE = (int(os.environ["MIB"]) << 8, 1024)
rng = np.random.default_rng(0)
LARGE = rng.standard_normal(SHAPE, np.float32)
SMALL = rng.standard_normal((8, 32, 32), np.float32)
if not os.path.exists("large.npy"):
    np.save("large.npy", LARGE), np.save("small.npy", SMALL)
if CHANGED:
    LARGE *= 1 + np.float32(3e-7) * rng.standard_normal(SHAPE, np.float32)
    SMALL *= 1 + np.float32(3e-7) * rng.standard_normal(SMALL.shape, np.float32)
LARGE = keras.ops.convert_to_tensor(LARGE)
SMALL = [keras.ops.convert_to_tensor(part) for part in SMALL]
ROUND = pytest.mark.parametrize("round", range(ROUNDS))

@ROUND
def test_large_plain(round):
    np.testing.assert_allclose(np.asarray(LARGE), np.load("large.npy"), rtol=1e-4)

@ROUND
def test_large(round, golden_tensors):
    golden_tensors.check("large", LARGE)

@ROUND
def test_small_plain(round):
    for part, known in zip(SMALL, np.load("small.npy")):
        np.testing.assert_allclose(np.asarray(part), known, rtol=1e-4)

@ROUND
def test_small(round, golden_tensors):
    for number, part in enumerate(SMALL):
        golden_tensors.check(f"part_{number}", part)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mib", type=int, nargs="?", default=128)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "conftest.py").write_text(CONFTEST)
        (folder / "test_cost.py").write_text(SUITE)
        sizes = {"MIB": str(options.mib), "ROUNDS": str(options.rounds)}
        took = session(folder, sizes, "--update-goldens")
        report("recording", took)
        same = session(folder, sizes)
        report("unchanged", same)
        changed = session(folder, {**sizes, "CHANGED": "1"})
        report("changed", changed)
    figures = {
        "mib": options.mib,
        "unchanged_ratio": round(ratio(same), 1),
        "changed_ratio": round(ratio(changed), 1),
        "small_unchanged_ms": round(beyond(same), 2),
        "small_changed_ms": round(beyond(changed), 2),
    }
    print(json.dumps(figures))


def session(folder: Path, sizes: dict[str, str], *arguments: str) -> dict[str, float]:
    """Test → seconds of its best round."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", *arguments]
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | sizes
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    took: dict[str, float] = json.loads((folder / "took.json").read_text())
    return took


def ratio(took: dict[str, float]) -> float:
    return took["test_large_plain"] / took["test_large"]


def beyond(took: dict[str, float]) -> float:
    return 1e3 * (took["test_small"] - took["test_small_plain"])


def report(said: str, took: dict[str, float]) -> None:
    print(f"{said:10} " + "  ".join(f"{name} {1e3 * t:.1f} ms" for name, t in took.items()))


if __name__ == "__main__":
    main()
