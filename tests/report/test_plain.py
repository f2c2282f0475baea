"""What a stream without Unicode shows: our signs as ASCII, other characters as escapes."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_keras_golden
from pytest_keras_golden.report.plain import encodable

ASCII = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("keras 3.5.0 → 3.6.0, 4.2× its limit …", "keras 3.5.0 -> 3.6.0, 4.2x its limit ..."),
        (" →*  norm\n → first", " >*  norm\n > first"),
        ("├──┤│─", "+--+|-"),
        ("max |Δ| ≤ 2ε", "max |d| <= 2eps"),
        ("layer_é", "layer_\\xe9"),
        ("\udc80", "\\udc80"),
    ],
)
def test_signs_become_ascii_and_letters_escapes(text: str, shown: str) -> None:
    assert encodable(text, "ascii") == shown


def test_what_can_be_shown_stays() -> None:
    assert encodable("4.2× → é", "latin-1") == "4.2× -> é"
    assert encodable("4.2× → é", "utf-8") == encodable("4.2× → é", None) == "4.2× → é"
    assert encodable("→", "no encoding") == "→"


NO_OUTPUT = {"names.py", "installer.py", "toml.py"}
"""Names of devices, and what other programs print."""


def strings() -> Iterator[str]:
    """What the package can print: its strings, docstrings apart."""
    root = Path(pytest_keras_golden.__file__).parent
    for path in root.rglob("*.py"):
        if path.name in NO_OUTPUT | {"plain.py"}:
            continue
        every = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        bare = {id(node.value) for node in every if isinstance(node, ast.Expr)}
        for node in every:
            if isinstance(node, ast.Constant) and id(node) not in bare:
                yield node.value if isinstance(node.value, str) else ""


def test_every_sign_of_ours_has_a_plain_one() -> None:
    signs = {sign for text in strings() for sign in text if ord(sign) > 127} - set("✅❌")
    assert {"→", "×", "…"} <= signs
    assert [sign for sign in sorted(signs) if "\\" in encodable(sign, "ascii")] == []


@pytest.mark.processes
def test_a_failure_and_a_command_have_no_escapes(suite: pytest.Pytester) -> None:
    source = "def test_a(golden_tensors): golden_tensors.check('a', [1.0, {}])"
    suite.makepyfile(test_a=source.format("2.0"))
    suite.runpytest_inprocess("--update-goldens").assert_outcomes(passed=1)
    suite.makepyfile(test_a=source.format("3.0"))
    (golden,) = suite.path.rglob("goldens/**/*.safetensors")
    show = ["pytest_keras_golden.cli", "show", str(golden)]
    for arguments, said in ((["pytest"], "max |d|"), (show, "detects:")):
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=suite.path,
            env={**os.environ, **ASCII},
            capture_output=True,
            text=True,
            check=False,
        )
        assert said in done.stdout
        assert "\\" not in done.stdout
        assert done.stdout.isascii()
