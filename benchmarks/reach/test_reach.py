"""The suite that depth.py gates: every layer of four models, in both precisions."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1]))


@pytest.mark.parametrize("policy", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["gpt", "llama", "bert", "convnet"])
def test_reach(golden_tensors: Any, name: str, policy: str) -> None:
    model, arguments = import_module(f"injection.{name}").SUBJECT.build(policy)
    with golden_tensors.capture(model, select="all"):
        model(*arguments)
