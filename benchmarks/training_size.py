"""Size of the golden of a test that trains a model of 100 million parameters for three steps.

    python benchmarks/training_size.py [MILLIONS]

Runs pytest with --golden-auto on such a test, as a user would, at the defaults. Prints parameters,
the file's size, and how many times the plain test's wall-clock recording took. Exits with 1 where
the file has 2 MiB or more.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

DECODER = """
import keras
import numpy as np


def decoder(millions, length):
    \"\"\"A stack of transformer blocks of width 768, as many as it takes.\"\"\"
    width, entry = 768, keras.Input((length,), dtype="int32")
    hidden = keras.layers.Embedding(8192, width)(entry)
    blocks = max(1, round((millions * 1e6 - 2 * 8192 * width) / (12 * width**2)))
    for _ in range(blocks):
        normed = keras.layers.LayerNormalization()(hidden)
        attended = keras.layers.MultiHeadAttention(12, width // 12)(normed, normed)
        hidden = hidden + attended
        normed = keras.layers.LayerNormalization()(hidden)
        wide = keras.layers.Dense(4 * width, activation="gelu")(normed)
        hidden = hidden + keras.layers.Dense(width)(wide)
    return keras.Model(entry, keras.layers.Dense(8192)(hidden))
"""
TRAINING = """

def test_three_steps():
    keras.utils.set_random_seed(0)
    model = decoder(MILLIONS, 16)
    print(f"{model.count_params() / 1e6:.1f} M parameters, {len(model.weights)} weights")
    tokens = np.random.default_rng(0).integers(0, 8192, (3, 16)).astype("int32")
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(1e-4), loss)
    model.fit(tokens, np.roll(tokens, -1, 1), batch_size=1, verbose=0, shuffle=False)
"""


def seconds_of(folder: Path, *options: str) -> tuple[float, str]:
    """Of one pytest run, and what it printed. Raises SystemExit where it does not pass."""
    command = [sys.executable, "-m", "pytest", "-q", "-s", *options, str(folder / "test_size.py")]
    environment = {"KERAS_BACKEND": "jax", **os.environ}
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return time.perf_counter() - started, done.stdout


def main(arguments: list[str]) -> int:
    millions = float(arguments[0]) if arguments else 100.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pytest.ini").write_text("[pytest]\n")
        (folder / "test_size.py").write_text(
            (DECODER + TRAINING).replace("MILLIONS", str(millions))
        )
        plain, printed = seconds_of(folder)
        recording, _ = seconds_of(folder, "--golden-auto", "--update-goldens")
        (golden,) = folder.rglob("*.safetensors")
        size = golden.stat().st_size
    print(next(line for line in printed.splitlines() if "parameters" in line).strip("."))
    print(f"golden {size / 2**20:.2f} MiB, recording {recording / plain:.1f} × the plain test")
    return int(size >= 2 * 2**20)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
