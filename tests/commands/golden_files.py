"""Real recordings to write goldens from, and the shapes of this folder's fixtures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from pytest_keras_golden.records import (
    GoldenHeader,
    LayerCall,
    Recording,
    TensorEntry,
    TensorRecord,
    Tolerance,
)
from pytest_keras_golden.store.digest import digest

Write = Callable[..., Path]
Run = Callable[..., tuple[int, str, str]]

NODEID = "tests/test_gpt.py::test_prefill[bfloat16]"


def tensors(drift: float = 0.0, rounding: bool = False) -> dict[str, np.ndarray[Any, Any]]:
    """Hidden states of two blocks and logits, the second block off by a relative `drift`.

    rounding: every fifth value of the second block is one step of bfloat16 up or down.
    """
    values = np.random.default_rng(0).standard_normal((2, 8, 16)).astype(np.float32)
    second = (values * (1 + drift)).astype(ml_dtypes.bfloat16)
    if rounding:
        steps = second.reshape(-1).view(np.int16)[::5]
        steps += np.where(np.arange(steps.size) % 2, 1, -1).astype(np.int16)
    return {
        "blocks/0": values.astype(ml_dtypes.bfloat16),
        "blocks/1": second,
        "logits": np.cumsum(values, axis=-1),
    }


def recording(
    arrays: Mapping[str, np.ndarray[Any, Any]], keras: str, reason: str | None = None
) -> Recording:
    records = tuple(TensorRecord(name, value) for name, value in arrays.items())
    entries = tuple(
        TensorEntry(
            name=record.name,
            order=order,
            kind="logits" if record.name == "logits" else "block",
            dtype=record.value.dtype.name,
            shape=record.value.shape,
            precision=record.value.dtype.name,
            judged=True,
            source="materialised",
            digest=digest(record.value),
            rms=1.0,
        )
        for order, record in enumerate(records)
    )
    stack = {"keras": keras, "backend": "jax", "device": "cpu", "dtype_policy": "bfloat16"}
    header = GoldenHeader(stack=stack, mode="eager", tensors=entries, reason=reason)
    return Recording(header, records)


def full_recording(keras: str, reason: str | None = "the first numbers") -> Recording:
    """One that holds everything a golden may: references, isolation tensors, noise, tolerances."""
    plain = recording(tensors(), keras, reason)
    hidden = np.random.default_rng(1).standard_normal((4, 4))
    mask = np.array([True, False])
    logits = plain.records[2]
    calls = (
        LayerCall("dense", "Dense", (digest(hidden),), (digest(mask),), "float64"),
        LayerCall("logits", "Dense", (digest(mask),), (digest(logits.value),), "bfloat16"),
    )
    last = plain.header.tensors[2]
    measured = replace(last, noise=0.5, tolerance=Tolerance(rtol=1e-3), detects=2e-3)
    aside = replace(plain.header.tensors[1], judged=False, source="reconstructed", precision="")
    header = replace(
        plain.header,
        mode="compiled",
        tensors=(plain.header.tensors[0], aside, measured),
        weights={"dense/kernel": "0" * 32},
        inputs={"0": "f" * 32},
        calls=calls,
        observer="identical",
    )
    exact = tuple(
        replace(record, reference=record.value.astype(np.float64)) for record in plain.records
    )
    return Recording(header, exact, {digest(hidden): hidden, digest(mask): mask})
