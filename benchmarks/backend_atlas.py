"""How far Keras' layers differ between backends, and where they disagree: a Markdown table.

Runs the layers of benchmarks/history under one Keras on every backend, in float32 and bfloat16, on
the same inputs and weights, with random numbers from one stream, and judges each pair of backends
as an isolated layer is judged. Runs the short programs that show the disagreements, and writes down
what they print.

    python benchmarks/backend_atlas.py [--keras 3.15.1] [--backends jax,torch,tensorflow,numpy]
                                       [--results .atlas/backends] [--output docs/backend-atlas.md]
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from history.changes import Change, changes
from history.recordings import Recorded, Recorder

from pytest_keras_golden.stacks.overlay.folder import overlay_environment
from pytest_keras_golden.stacks.overlay.neighbours import ensure_runnable
from pytest_keras_golden.tolerance import default

EVERY_LAYER = Path(__file__).resolve().parent / "history" / "record_further.py"
POLICIES = ("float32", "bfloat16")

LIMITS = {policy: default(policy, between_backends=True).k or 0.0 for policy in POLICIES}

PROGRAMS: Mapping[str, str] = {
    "Average pooling with `same` padding: torch repeats the edge and counts it in": """\
import keras, numpy as np
x = np.arange(6, dtype="float32").reshape(1, 6, 1)
y = keras.layers.AveragePooling1D(3, 2, padding="same")(x)
print(np.round(keras.ops.convert_to_numpy(y).ravel(), 3))
""",
    "Bicubic resizing: torch takes another cubic": """\
import keras, numpy as np
x = np.arange(4, dtype="float32").reshape(1, 1, 4, 1) ** 2
y = keras.layers.UpSampling2D((1, 2), interpolation="bicubic")(x)
print(np.round(keras.ops.convert_to_numpy(y).ravel()[:4], 3))
""",
    "A masked `Attention` in bfloat16: float32 comes out on numpy": """\
import keras, numpy as np
x, mask = np.ones((1, 4, 8), "float32"), np.array([[True, True, True, False]])
y = keras.layers.Attention(dtype="bfloat16")([x, x], mask=[mask, mask])
print(keras.backend.standardize_dtype(y.dtype))
""",
    "`MultiHeadAttention` with a `value_dim` of its own: fails on jax": """\
import keras, numpy as np
x = np.ones((1, 4, 8), "float32")
y = keras.layers.MultiHeadAttention(2, 4, value_dim=3)(x, x)
print(tuple(y.shape))
""",
    "Cells of several kinds in one `RNN` in bfloat16: fails on jax": """\
import keras, numpy as np
own = {"recurrent_initializer": "glorot_uniform", "dtype": "bfloat16"}
cells = [keras.layers.GRUCell(3, **own), keras.layers.LSTMCell(3, **own)]
y = keras.layers.RNN(cells, dtype="bfloat16")(np.ones((1, 4, 2), "float32"))
print(tuple(y.shape))
""",
    "`MixUp` in bfloat16: fails on TensorFlow": """\
import keras, numpy as np
given = {"images": np.ones((2, 4, 4, 3)), "labels": np.eye(2)}
y = keras.layers.MixUp(seed=1, dtype="bfloat16")(given, training=True)
print(tuple(y["images"].shape))
""",
    "`RandomBrightness` on torch writes into what it is given": """\
import keras
x = keras.ops.ones((1, 2, 2, 3))
keras.layers.RandomBrightness(0.5, value_range=(0, 1), seed=1)(x, training=True)
print(bool(keras.ops.all(x == 1)))
""",
    "Resizing by `lanczos3`: fails on torch": """\
import keras, numpy as np
x = np.ones((1, 8, 8, 3), "float32")
y = keras.layers.Resizing(4, 4, interpolation="lanczos3")(x)
print(tuple(y.shape))
""",
    "A token that comes twice in a batch: TensorFlow clips its gradient otherwise": """\
import keras, numpy as np
e = keras.layers.Embedding(3, 1, embeddings_initializer="ones")
m = keras.Sequential([keras.Input((4,), dtype="int32"), e, keras.layers.Flatten()])
m.compile(keras.optimizers.SGD(1.0, clipnorm=1.0), "mse")
m.train_on_batch(np.array([[1, 1, 1, 2]]), np.zeros((1, 4)))
print(np.round(keras.ops.convert_to_numpy(e.embeddings).ravel(), 3))
""",
    "A token that comes twice in a batch: TensorFlow trains its embedding otherwise": """\
import keras, numpy as np
e = keras.layers.Embedding(3, 1, embeddings_initializer="zeros")
m = keras.Sequential([keras.Input((4,), dtype="int32"), e, keras.layers.Flatten()])
m.compile(keras.optimizers.Adam(1.0), "mse")
m.train_on_batch(np.array([[1, 1, 1, 2]]), np.arange(4.0)[None])
print(np.round(keras.ops.convert_to_numpy(e.embeddings).ravel(), 3))
""",
}
"""Title → a few lines that show a disagreement."""


@dataclass(frozen=True)
class Pair:
    """Two backends at one precision. ks: of the cases that agree but for rounding, ascending."""

    backends: tuple[str, str]
    policy: str
    compared: int
    ks: tuple[float, ...]
    others: tuple[Change, ...]


def pairs(found: Mapping[str, Recorded]) -> Iterator[Pair]:
    for one, other in itertools.combinations(found, 2):
        both = list(changes(found[one], found[other], other))
        for policy in POLICIES:
            here = [change for change in both if change.policy == policy]
            rounding = [c.local.k or 0.0 for c in here if _rounds(c) and c.local]
            keys = found[one].arrays.keys() & found[other].arrays.keys()
            compared = sum(key[0] == policy for key in keys)
            others = tuple(change for change in here if not _rounds(change))
            yield Pair((one, other), policy, compared, tuple(sorted(rounding)), others)


def _rounds(change: Change) -> bool:
    """Other implementations are biased against each other: how far they differ counts alone."""
    k = change.local.k if change.local else None
    measured = change.kind in ("rounding", "systematic", "semantic")
    return measured and k is not None and k <= LIMITS[change.policy]


def page(release: str, found: Sequence[Pair], printed: Mapping[str, Mapping[str, str]]) -> str:
    lines = [INTRODUCTION.format(release=release), "", *_totals(found), "", *_verdict(found), ""]
    lines += ["## Where backends disagree", "", *_disagreements(found), ""]
    lines += ["## In five lines", ""]
    for title, program in PROGRAMS.items():
        said = [f"{backend}: {text}" for backend, text in printed[title].items()]
        lines += [f"### {title}", "", "```python", program.rstrip(), "```", ""]
        lines += ["```text", *said, "```", ""]
    return "\n".join(lines)


def _totals(found: Sequence[Pair]) -> Iterator[str]:
    yield "| backends | precision | cases | bit-identical | median k | largest k | other |"
    yield "|---|---|---|---|---|---|---|"
    for pair in found:
        same = pair.compared - len(pair.ks) - sum(c.local is not None for c in pair.others)
        median = f"{statistics.median(pair.ks):.2g}" if pair.ks else "–"
        largest = f"{max(pair.ks, default=0.0):.3g}"
        cells = (" and ".join(pair.backends), pair.policy, pair.compared, same, median, largest)
        yield "| " + " | ".join(map(str, [*cells, len(pair.others)])) + " |"


def _verdict(found: Sequence[Pair]) -> Iterator[str]:
    for policy in POLICIES:
        ks = [k for pair in found if pair.policy == policy for k in pair.ks]
        beyond = [
            change.local.k
            for pair in found
            if pair.policy == policy
            for change in pair.others
            if change.kind == "semantic" and change.local and change.local.k
        ]
        least = f"; the smallest disagreement has k {min(beyond):.3g}" if beyond else ""
        yield (
            f"- {policy}: where they agree, k reaches {max(ks):.3g}{least}. The tolerance of one "
            f"layer between backends is k {LIMITS[policy]:g}."
        )


def _disagreements(found: Sequence[Pair]) -> Iterator[str]:
    by_case: dict[tuple[str, str, str], list[str]] = {}
    for pair in found:
        for change in pair.others:
            k = f" (k {change.local.k:.3g})" if change.local and change.local.k else ""
            key = change.case, change.kind.replace("repaired", "broken"), pair.policy
            by_case.setdefault(key, []).append(f"{'–'.join(pair.backends)}{k}")
    yield "| layer | kind | precision | between |"
    yield "|---|---|---|---|"
    for (case, kind, policy), between in sorted(by_case.items()):
        yield f"| {case} | {kind} | {policy} | {', '.join(between)} |"


INTRODUCTION = """# How far Keras' layers differ between backends

Written by `python benchmarks/backend_atlas.py` (Keras {release} on CPU; the versions of the
backends are those of `constraints.txt`). Every case is a layer of `keras.layers`, eager, on the
same inputs and weights on each backend and with random numbers from one stream, judged as one layer
is judged in isolation.

k is the largest error in units of ε·(|one| + rms), ε = 2⁻²³ for float32 and 2⁻⁷ for bfloat16.
**semantic**: beyond the tolerance between backends; **structure**: another dtype or shape;
**broken**: it runs on one of the two only. A bias is no disagreement: two approximations of one
function have one."""


def printed(title: str, release: str, backends: Sequence[str]) -> dict[str, str]:
    """What the program of that title prints on each backend; of one that fails, its last line."""
    overlay = overlay_environment([ensure_runnable("keras", release)])
    told = {}
    for backend in backends:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAMS[title]],
            env={**overlay, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
            capture_output=True,
            text=True,
            check=False,
        )
        errors = [line for line in done.stderr.splitlines() if "Error: " in line]
        told[backend] = done.stdout.strip() or errors[-1].partition(":")[0]
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keras", default="3.15.1")
    parser.add_argument("--backends", default="jax,torch,tensorflow,numpy")
    parser.add_argument("--results", type=Path, default=Path(".atlas/backends"))
    parser.add_argument("--output", type=Path, default=Path("docs/backend-atlas.md"))
    options = parser.parse_args()
    backends = options.backends.split(",")
    recorders = {name: Recorder(name, options.results, EVERY_LAYER) for name in backends}
    found = list(pairs({name: r.release(options.keras) for name, r in recorders.items()}))
    told = {title: printed(title, options.keras, backends) for title in PROGRAMS}
    options.output.write_text(page(options.keras, found, told), encoding="utf-8")
    print(f"{sum(pair.compared for pair in found)} comparisons: {options.output}")


if __name__ == "__main__":
    main()
