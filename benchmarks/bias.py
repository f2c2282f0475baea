"""How often the test of bias is wrong, and what it finds: rounding of many kinds against constants.

Every case computes one thing twice, in bfloat16 or float32: once as the baseline, once with the
arithmetic arranged otherwise (harmless: nothing may be called systematic) or with a constant
changed (harmful: below the elementwise tolerance, where nothing else can see it). Prints the rate
of false alarms over shapes and seeds, the largest slopes and t seen, and the detection rate where
there are rows enough to tell a constant from a rounded statistic.

    python benchmarks/bias.py [SEEDS]
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from pytest_keras_golden.compare.bias import Bias
from pytest_keras_golden.compare.metrics import measure
from pytest_keras_golden.tolerance import default

Tensor = npt.NDArray[Any]
Round = Callable[[Tensor], Tensor]
Case = Callable[[np.random.Generator, tuple[int, ...], Round], tuple[Tensor, Tensor]]
FORMATS: dict[str, Any] = {"bfloat16": ml_dtypes.bfloat16, "float32": np.float32}
FEW_ROWS = ((4, 8), (1, 64), (1, 512), (1, 4096))
MANY_ROWS = ((8, 32), (2, 16, 64), (8, 64, 96), (64, 1024))
SHAPES = FEW_ROWS + MANY_ROWS


def eps_of(r: Round) -> float:
    """ε of the format that `r` rounds to."""
    return 2.0**-7 if float(r(np.array(1 + 2.0**-9))) == 1.0 else 2.0**-23


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Tensor:
    return rng.standard_normal(shape)


def product(rng: np.random.Generator, shape: tuple[int, ...], r: Round) -> tuple[Tensor, Tensor]:
    return r(normal(rng, (*shape[:-1], 48))), r(normal(rng, (48, shape[-1])) / 48**0.5)


# Harmless: the same mathematics, rounded otherwise.


def reassociated(rng: np.random.Generator, shape: tuple[int, ...], r: Round) -> tuple[Tensor, ...]:
    x, w = product(rng, shape, r)
    halves = [r(x[..., part] @ w[part]) for part in (slice(0, 24), slice(24, 48))]
    return r(x @ w), r(halves[0] + halves[1])


def extra_rounding(
    rng: np.random.Generator, shape: tuple[int, ...], r: Round
) -> tuple[Tensor, ...]:
    x, w = product(rng, shape, r)
    b = r(normal(rng, shape[-1:]))
    return r(x @ w + b), r(r(x @ w) + b)


def double_rounding(
    rng: np.random.Generator, shape: tuple[int, ...], r: Round
) -> tuple[Tensor, ...]:
    x, grid = normal(rng, shape), eps_of(r) / 4
    return r(x), r(np.round(x / grid) * grid)


def norm(x: Tensor, r: Round, inner: Round, epsilon: float = 1e-3) -> Tensor:
    mean = inner(x.mean(-1, keepdims=True))
    variance = inner(inner(np.square(x - mean)).mean(-1, keepdims=True))
    return r(inner(x - mean) * inner(1.0 / np.sqrt(inner(variance + epsilon))))


def norm_in_low_precision(
    rng: np.random.Generator, shape: tuple[int, ...], r: Round
) -> tuple[Tensor, ...]:
    x = r(normal(rng, shape) * 1.3 + 0.2)
    return norm(x, r, r), norm(x, r, np.asarray)


def softmax(x: Tensor, r: Round) -> Tensor:
    e = r(np.exp(r(x - x.max(-1, keepdims=True))))
    return r(e / r(e.sum(-1, keepdims=True)))


def softmax_in_low_precision(
    rng: np.random.Generator, shape: tuple[int, ...], r: Round
) -> tuple[Tensor, ...]:
    x = r(2 * normal(rng, shape))
    return softmax(x, r), r(softmax(x, np.asarray))


def gelu(x: Tensor, r: Round) -> Tensor:
    inner = r(np.tanh(r(0.7978845608 * r(x + r(0.044715 * r(x**3))))))
    return r(r(0.5 * x) * r(1 + inner))


def gelu_fused(rng: np.random.Generator, shape: tuple[int, ...], r: Round) -> tuple[Tensor, ...]:
    x = r(normal(rng, shape))
    return gelu(x, r), r(gelu(x, np.asarray))


def coarse_grid(rng: np.random.Generator, shape: tuple[int, ...], r: Round) -> tuple[Tensor, ...]:
    x = np.round(normal(rng, shape) * 4) / 4
    return r(r(x * 0.1) * 0.3), r(x * 0.03)


def few_values(rng: np.random.Generator, shape: tuple[int, ...], r: Round) -> tuple[Tensor, ...]:
    table = normal(rng, (6,))
    x = table[rng.integers(0, 6, shape)]
    return r(r(x * 0.1) * 0.3), r(x * 0.03)


def saturated(rng: np.random.Generator, shape: tuple[int, ...], r: Round) -> tuple[Tensor, ...]:
    x = r(np.clip(6 * normal(rng, shape), 0, 6))
    return r(r(x * 0.7) * 0.3), r(x * 0.21)


def repeated_rows(rng: np.random.Generator, shape: tuple[int, ...], r: Round) -> tuple[Tensor, ...]:
    x = np.broadcast_to(normal(rng, shape[-1:]), shape)
    return r(r(x * 0.7) + 0.3), r(x * 0.7 + 0.3)


def row_factor(rng: np.random.Generator, shape: tuple[int, ...], r: Round) -> tuple[Tensor, ...]:
    x, s = normal(rng, shape), np.exp(normal(rng, (*shape[:-1], 1)))
    return r(x * s), r(x * r(s))


def channel_factor(
    rng: np.random.Generator, shape: tuple[int, ...], r: Round
) -> tuple[Tensor, ...]:
    x, s = normal(rng, shape), 1 + 0.3 * normal(rng, shape[-1:])
    return r(x * s), r(x * r(s))


def head_factor(rng: np.random.Generator, shape: tuple[int, ...], r: Round) -> tuple[Tensor, ...]:
    x, s = normal(rng, shape), np.repeat(1 + 0.3 * normal(rng, (shape[-1] // 4,)), 4)
    return r(x * s), r(x * r(s))


def rounded_constant(
    rng: np.random.Generator, shape: tuple[int, ...], r: Round
) -> tuple[Tensor, ...]:
    x = r(normal(rng, shape))
    return r(x / 7), r(x * np.float64(np.float32(1 / 7)))


def positive(rng: np.random.Generator, shape: tuple[int, ...], r: Round) -> tuple[Tensor, ...]:
    x = 1.0 + rng.random(shape) ** 2
    return r(r(x * 0.7) * 0.9), r(x * 0.63)


def cancelling(rng: np.random.Generator, shape: tuple[int, ...], r: Round) -> tuple[Tensor, ...]:
    x, y = r(20 * normal(rng, shape)), r(normal(rng, shape))
    return r(r(x + y) - x), r(r(r(x * 0.5) + r(y * 0.5)) * 2 - x)


HARMLESS: dict[str, Case] = {
    name: globals()[name]
    for name in (
        "reassociated",
        "extra_rounding",
        "double_rounding",
        "norm_in_low_precision",
        "softmax_in_low_precision",
        "gelu_fused",
        "coarse_grid",
        "few_values",
        "saturated",
        "repeated_rows",
        "row_factor",
        "channel_factor",
        "head_factor",
        "rounded_constant",
        "positive",
        "cancelling",
    )
}

# Harmful: a constant changed by less than one rounding of an element.


def change_of(r: Round) -> float:
    """Half an ε in bfloat16; 1.5 ε in float32, where half an ε is a constant rounded otherwise."""
    return (0.5 if eps_of(r) > 2.0**-20 else 1.5) * eps_of(r)


def scale_smaller(rng: np.random.Generator, shape: tuple[int, ...], r: Round) -> tuple[Tensor, ...]:
    x, w = product(rng, shape, r)
    return r(x @ w), r((1 - change_of(r)) * (x @ w))


def scale_larger(rng: np.random.Generator, shape: tuple[int, ...], r: Round) -> tuple[Tensor, ...]:
    x, w = product(rng, shape, r)
    return r(x @ w), r(r((1 + change_of(r)) * x @ w))


def norm_epsilon(rng: np.random.Generator, shape: tuple[int, ...], r: Round) -> tuple[Tensor, ...]:
    x = r(normal(rng, shape))
    return norm(x, r, np.asarray, 0.0), norm(x, r, np.asarray, 2 * change_of(r))


def shifted(rng: np.random.Generator, shape: tuple[int, ...], r: Round) -> tuple[Tensor, ...]:
    x, w = product(rng, shape, r)
    return r(x @ w), r(x @ w + change_of(r))


def residual_scale(
    rng: np.random.Generator, shape: tuple[int, ...], r: Round
) -> tuple[Tensor, ...]:
    x, w = product(rng, shape, r)
    y = r(normal(rng, shape))
    return r(y + x @ w), r(y + (1 + 2 * change_of(r)) * (x @ w))


def saturated_scale(
    rng: np.random.Generator, shape: tuple[int, ...], r: Round
) -> tuple[Tensor, ...]:
    x = normal(rng, shape)
    return r(np.maximum(x, 0)), r(np.maximum(x * (1 + change_of(r)), 0))


def other_function(
    rng: np.random.Generator, shape: tuple[int, ...], r: Round
) -> tuple[Tensor, ...]:
    """gelu by a sigmoid: in float32 far beyond the tolerance, in bfloat16 inside it."""
    x = r(normal(rng, shape))
    erf = 0.5 * x * (1 + np.vectorize(math.erf)(x / 2**0.5))
    return r(erf), r(x / (1 + np.exp(-1.702 * x)))


HARMFUL: dict[str, Case] = {
    name: globals()[name]
    for name in (
        "other_function",
        "scale_smaller",
        "scale_larger",
        "norm_epsilon",
        "shifted",
        "residual_scale",
        "saturated_scale",
    )
}


def rounding(dtype: Any) -> Round:
    return lambda x: np.asarray(x).astype(dtype).astype(np.float64)


def fit(case: Case, dtype: str, shape: tuple[int, ...], seed: int) -> tuple[Bias, bool]:
    baseline, run = case(np.random.default_rng(seed), shape, rounding(FORMATS[dtype]))
    a, g = run.astype(FORMATS[dtype]), baseline.astype(FORMATS[dtype])
    found = measure(a, g, default(dtype), dtype)
    return found.bias or Bias(0.0, 0.0, 0.0, 0.0), found.mismatches > 0


def main(seeds: int) -> None:
    alarms = total = 0
    print(
        f"{'case':26}{'format':10}{'called':>9}{'|slope|':>9}{'|t|':>9}{'|offset|':>9}{'|t|':>9}{'curve':>9}"
    )
    for kind, cases in (("harmless", HARMLESS), ("harmful", HARMFUL)):
        print(f"-- {kind}: called systematic, and the largest (harmful: median) of each number")
        for name, case in cases.items():
            for dtype in FORMATS:
                shapes = SHAPES if kind == "harmless" else MANY_ROWS
                runs = [fit(case, dtype, shape, seed) for shape in shapes for seed in range(seeds)]
                found = [bias for bias, drifted in runs if not drifted]
                called = sum(bias.systematic for bias in found)
                alarms += called if kind == "harmless" else 0
                total += len(found) if kind == "harmless" else 0
                summary = np.max if kind == "harmless" else np.median
                if not found:
                    print(f"{name:26}{dtype:10}  all beyond the elementwise tolerance")
                    continue
                numbers = np.abs(
                    [[b.slope, b.slope_t, b.offset, b.offset_t, b.curve] for b in found]
                )
                cells = "".join(f"{value:9.3f}" for value in summary(numbers, axis=0))
                print(f"{name:26}{dtype:10}{called:4}/{len(found):<4}{cells}")
    print(f"false alarms: {alarms} of {total}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20)
