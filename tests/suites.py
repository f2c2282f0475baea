"""Small suites that tests of the version commands run under real releases, and how to run them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROGRAM = [sys.executable, "-m", "pytest_keras_golden.cli"]

NORM = """
import keras
import numpy as np

X = np.random.default_rng(0).normal(size=(4, 64)).astype("float32") + 30


def test_norm():
    layer = keras.layers.LayerNormalization(dtype="bfloat16", name="norm")
    assert layer(X).shape == (4, 64)


def test_dense():
    layer = keras.layers.Dense(8, name="dense")
    assert layer(X).shape == (4, 8)
"""
"""bfloat16 LayerNormalization moved between 3.5.0 and 3.6.0; Dense did not."""


def suite(folder: Path, **modules: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pytest.ini").write_text("[pytest]\ngolden_precision = fail\n")
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    return kept | {"KERAS_BACKEND": "jax"} | more


def keras_golden(
    folder: Path, *arguments: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments],
        cwd=folder,
        env=environment(**(env or {})),
        capture_output=True,
        text=True,
        check=False,
    )


def as_json(done: subprocess.CompletedProcess[str]) -> Any:
    assert done.stdout, done.stderr
    return json.loads(done.stdout)
