"""What watching costs: a captured forward over a plain one plus copies of the tensors by hand.

    python benchmarks/capture_cost.py [--repeats 7] [--json FILE] [BACKEND ...]

Model: a decoder of 12 layers, 512 wide, 8 heads, float32, on 8 × 256 tokens; and on 1 × 256, which
shows what watching costs per layer call, whatever the size of its tensors. By hand means: the plain
forward, then a host copy of every tensor that the capture takes, and the same softmax where fused
attention has to be rebuilt. Processor times, the least of interleaved repeats, one thread, each
backend in a process of its own: other work on the machine hardly moves them. Target: 1.10 on
8 × 256 tokens (exit code 1 beyond it).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BACKENDS = ("jax", "torch", "tensorflow", "numpy")
SELECTIONS = {"attention and logits": ("attention", "logits"), "blocks and logits": ("blocks",)}
LAYERS, WIDTH, HEADS, TOKENS, VOCABULARY = 12, 512, 8, 256, 1000
BATCHES = (8, 1)
TARGET = 1.10
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("backends", nargs="*", default=BACKENDS, metavar="BACKEND")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--measure", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.repeats)))
        return 0
    rows = []
    for backend in options.backends:
        for row in in_process(backend, options.repeats):
            rows.append(row)
            print(line(row), flush=True)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return int(any(row["ratio"] > TARGET for row in rows if row["batch"] == BATCHES[0]))


def line(row: dict[str, Any]) -> str:
    return (
        f"{row['backend']:<11} {row['batch']} × {TOKENS}  {row['selection']:<21} "
        f"plain {row['plain']:.3f} s  by hand {row['by_hand']:.3f} s  "
        f"captured {row['captured']:.3f} s  ratio {row['ratio']:.3f}  "
        f"({row['tensors']} tensors, {row['mebibytes']:.0f} MiB)"
    )


def in_process(backend: str, repeats: int) -> list[dict[str, Any]]:
    command = [sys.executable, __file__, "--measure", "--repeats", str(repeats)]
    environment = os.environ | ONE_THREAD | {"KERAS_BACKEND": backend}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(repeats: int) -> list[dict[str, Any]]:
    import keras
    import numpy as np

    from pytest_keras_golden.capture.state.weights import fill_weights

    model = decoder()
    fill_weights(model)
    rows = []
    for batch in BATCHES:
        numbers = np.arange(batch * TOKENS, dtype="int32").reshape(batch, TOKENS)
        tokens = keras.ops.convert_to_tensor(numbers % VOCABULARY)
        rows += [
            {"batch": batch} | compare(model, tokens, name, select, repeats)
            for name, select in SELECTIONS.items()
        ]
    return rows


def compare(
    model: Any, tokens: Any, name: str, select: tuple[str, ...], repeats: int
) -> dict[str, Any]:
    import keras

    def plain() -> None:
        finish(model(tokens))

    def captured() -> Any:
        with capture(model, select) as block:
            finish(model(tokens))
        return block

    records = captured().records
    copy = copying(model, tokens, select)
    plain()
    times = {"plain": [], "copy": [], "captured": []}
    for _ in range(repeats):
        for label, run in (("plain", plain), ("captured", captured), ("copy", copy)):
            times[label].append(seconds(run))
    least = {label: min(values) for label, values in times.items()}
    by_hand = least["plain"] + least["copy"]
    return {
        "backend": keras.backend.backend(),
        "selection": name,
        "plain": least["plain"],
        "by_hand": by_hand,
        "captured": least["captured"],
        "ratio": least["captured"] / by_hand,
        "tensors": len(records),
        "mebibytes": sum(record.value.nbytes for record in records) / 2**20,
    }


def capture(model: Any, select: tuple[str, ...]) -> Any:
    from pytest_keras_golden.capture.record.eager import capture_calls
    from pytest_keras_golden.capture.tap.request import Request

    return capture_calls(model, Request(select, isolate=False))


def copying(model: Any, tokens: Any, select: tuple[str, ...]) -> Callable[[], None]:
    """What somebody would write who holds the tensors: copy each, rebuild what is not there."""
    from pytest_keras_golden.capture.record.host import HostSink
    from pytest_keras_golden.capture.tap.select import Selection
    from pytest_keras_golden.capture.tap.taps import Taps
    from pytest_keras_golden.capture.watch.calls import watching

    held: list[Any] = []

    class Holding(HostSink):
        def take(self, tap: Any) -> None:
            held.append((tap.compute, [own(tensor) for tensor in tap.tensors]))

    with watching(model, Taps(Holding(), Selection(select))):
        model(tokens)

    def copy() -> None:
        import numpy as np

        kept = [compute(*[np.array(on_host(t)) for t in tensors]) for compute, tensors in held]
        assert len(kept) == len(held)

    return copy


def own(tensor: Any) -> Any:
    import keras

    return keras.ops.copy(tensor)


def on_host(tensor: Any) -> Any:
    return tensor.detach().cpu().numpy() if hasattr(tensor, "detach") else tensor


def finish(outputs: Any) -> None:
    if hasattr(outputs, "block_until_ready"):
        outputs.block_until_ready()


def seconds(run: Callable[[], Any]) -> float:
    begun = time.process_time()
    run()
    return time.process_time() - begun


def decoder() -> Any:
    import keras
    from keras import layers

    class Block(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.attention = layers.MultiHeadAttention(HEADS, WIDTH // HEADS)
            self.norms = [layers.LayerNormalization(), layers.LayerNormalization()]
            self.up = layers.Dense(4 * WIDTH, activation="gelu")
            self.down = layers.Dense(WIDTH)

        def call(self, x: Any) -> Any:
            normed = self.norms[0](x)
            x = x + self.attention(normed, normed, use_causal_mask=True)
            return x + self.down(self.up(self.norms[1](x)))

    inputs = keras.Input((TOKENS,), dtype="int32")
    x = layers.Embedding(VOCABULARY, WIDTH)(inputs)
    for _ in range(LAYERS):
        x = Block()(x)
    return keras.Model(inputs, layers.Dense(VOCABULARY)(layers.LayerNormalization()(x)))


if __name__ == "__main__":
    sys.exit(main())
