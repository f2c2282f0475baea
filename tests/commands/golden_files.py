"""Real recordings to write goldens from, and the shapes of this folder's fixtures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from pytest_keras_golden.records import GoldenHeader, Recording, TensorEntry, TensorRecord
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
