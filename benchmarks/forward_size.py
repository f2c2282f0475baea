"""Size of the golden of one forward of a large decoder, and what the captured call costs.

    python benchmarks/forward_size.py [MILLIONS=104]

Runs pytest on a test that captures one forward of 128 tokens at the defaults, as a user would:
recorded, checked unchanged, and checked with one block's feed-forward a thousandth larger, which
has to fail. Prints the file's size, that of the captured tensors, and the processor time of the
captured call, unchanged, over that of a plain one (the least of five each). Exits with 1 where the
file has 2 MiB or more, the call takes more than 1.5 times as long, or the change passes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from training_size import DECODER

FORWARD = """
import json
import os
import time

FACTOR = float(os.environ.get("FACTOR", 1))


def least(call):
    took = []
    for _ in range(5):
        began = time.process_time()
        call()
        took.append(time.process_time() - began)
    return min(took)


def test_forward(golden_tensors):
    model = decoder(MILLIONS, 128)
    golden_tensors.fill_weights(model)
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)][-4]
    dense.kernel.assign(dense.kernel * FACTOR)
    tokens = np.arange(128)[None] % 8192
    plain = least(lambda: np.asarray(model(tokens)))
    size, names = 0, iter("abcde")

    def captured():
        nonlocal size
        with golden_tensors.capture(model, name=next(names)) as tensors:
            np.asarray(model(tokens))
        size = sum(array.nbytes for array in tensors.values())

    if os.environ.get("TIMED"):
        ratio = least(captured) / plain
    else:
        ratio = 0
        captured()
    with open("said.json", "w") as file:
        json.dump({"ratio": ratio, "tensors": size, "weights": model.count_params()}, file)
"""


def ran(folder: Path, *options: str, **environment: str) -> tuple[int, dict[str, Any]]:
    """The exit code of one pytest run, and what its test said."""
    command = [sys.executable, "-m", "pytest", "-q", *options, "test_forward.py"]
    here = {"KERAS_BACKEND": "jax", **os.environ, **environment}
    done = subprocess.run(command, cwd=folder, env=here, capture_output=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(done.stdout.decode() + done.stderr.decode())
    return done.returncode, json.loads((folder / "said.json").read_text())


def main(arguments: list[str]) -> int:
    millions = arguments[0] if arguments else "104"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "pytest.ini").write_text("[pytest]\ngoldens_dir = goldens\n")
        (folder / "test_forward.py").write_text((DECODER + FORWARD).replace("MILLIONS", millions))
        _, said = ran(folder, "--update-goldens", "--update-goldens-in-ci")
        (golden,) = folder.rglob("goldens/**/*.safetensors")
        size = golden.stat().st_size / 2**20
        unchanged, _ = ran(folder)
        changed, _ = ran(folder, FACTOR="1.001")
        # Five calls in one test are five times the tensors: a golden of their own.
        ran(folder, "--update-goldens", "--update-goldens-in-ci", TIMED="yes")
        _, timed = ran(folder, TIMED="yes")
    weights, tensors = said["weights"] / 1e6, said["tensors"] / 2**20
    print(f"{weights:.0f} M weights, {tensors:.1f} MiB of tensors: golden {size:.2f} MiB")
    print(f"captured call {timed['ratio']:.2f} × a plain one")
    print(f"unchanged: exit code {unchanged}; one layer 0.1 % larger: exit code {changed}")
    return int(size >= 2 or timed["ratio"] > 1.5 or unchanged != 0 or changed != 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
