"""Suites that train, on each backend that can, and what they came to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from preloaded import runpytest


def outcomes(suite: pytest.Pytester, *options: str) -> dict[str, Any]:
    """Name of a test that ran, captured automatically → its entry in the log."""
    runpytest(suite, "--golden-auto", "--golden-log=log.json", *options)
    tests = json.loads((suite.path / "log.json").read_text())["tests"]
    ran = (test for test in tests if test["outcome"] != "skipped")
    return {test["nodeid"].rpartition("::")[2]: test for test in ran}
