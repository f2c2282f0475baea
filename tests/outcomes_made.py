"""Outcomes as a run of a decoder leaves them, in any depth, for what a renderer must stand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pytest_keras_golden.outcomes import LocalOutcome, TensorOutcome, TestOutcome
from pytest_keras_golden.records import Tolerance

LOW = Tolerance(k=5.0)


def tensor(name: str, order: int, k: float = 0.0, **changed: Any) -> TensorOutcome:
    verdict = "identical" if k == 0 else "within" if k <= 5 else "drift"
    made = TensorOutcome(
        name=name,
        order=order,
        kind="attention",
        dtype="bfloat16",
        precision="bfloat16",
        shape=(1, 4, 16, 16),
        judged=True,
        verdict=verdict,
        tolerance=LOW,
        max_abs=k / 100,
        max_rel=k / 50,
        k=k,
        rel_l2=k / 1000,
        cosine=1.0,
        mismatches=int(k * 10),
        max_ulp=int(k),
        index=(0, 1, 2, 3),
    )
    return replace(made, **changed)


def outcome(*tensors: TensorOutcome, **changed: Any) -> TestOutcome:
    made = TestOutcome(
        nodeid="tests/test_gpt.py::test_prefill[bfloat16]",
        outcome="failed" if any(t.verdict == "drift" for t in tensors) else "passed",
        baseline="3.5.0",
        golden="goldens/tests/test_gpt/test_prefill/keras-3.5.0-jax-cpu-bfloat16.safetensors",
        stack={"keras": "3.6.0", "backend": "jax"},
        stack_changes={"keras": ("3.5.0", "3.6.0")},
        mode="eager",
        isolation="complete",
        weights="equal",
        first_drift=next((t.name for t in tensors if t.verdict == "drift"), None),
        tensors=tensors,
    )
    return replace(made, **changed)


def decoder(blocks: int) -> TestOutcome:
    """Norms drift by themselves (Keras 3.5 → 3.6 in bfloat16), attention and logits inherit it."""
    attention = [tensor(f"blocks/{i}/attention/probabilities", i, k=2.0 + i) for i in range(blocks)]
    logits = tensor(
        "logits",
        blocks,
        k=9.0,
        kind="logits",
        shape=(1, 16, 512),
        extra={
            "rows": 16,
            "kl": 2e-4,
            "top1": 15 / 16,
            "top5": 1.0,
            "flips": [
                {"position": 12, "golden": 318, "actual": 262, "margin_ulp": 41.0, "tie": False}
            ],
            "flips_real": 1,
            "flips_tie": 0,
        },
    )
    layers = [
        LocalOutcome(name, order, verdict, "bfloat16", k=k, rel_l2=k / 1000)
        for order, (name, verdict, k) in enumerate(_calls(blocks))
    ]
    guilty = tuple(layer.name for layer in layers if layer.verdict == "drift")
    return outcome(*attention, logits, locals=tuple(layers), local_drift=guilty)


def _calls(blocks: int) -> list[tuple[str, str, float]]:
    block = (("norm", "drift", 17.0), ("attention", "identical", 0.0), ("mlp", "within", 0.5))
    calls = [(f"blocks/{i}/{name}", v, k) for i in range(blocks) for name, v, k in block]
    return [*calls, ("final_norm", "drift", 17.5), ("logits", "identical", 0.0)]
