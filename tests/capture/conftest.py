"""Running code under one backend and one Keras release, each in its own process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import preloaded
import pytest


@pytest.fixture
def run_python(tmp_path):
    """Runs `code` in its own process with one Keras backend; its standard output."""

    def run(code: str, backend: str = "jax", overlay: Path | None = None, **env: str) -> str:
        variables = {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"} | env
        code = textwrap.dedent(code)
        if overlay is None:
            done = preloaded.run(code, folder=tmp_path, **variables)
        else:
            done = subprocess.run(
                [sys.executable, "-c", code],
                env=os.environ | {"PYTHONPATH": str(overlay)} | variables,
                cwd=tmp_path,
                capture_output=True,
                text=True,
            )
        assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
        return done.stdout

    return run
