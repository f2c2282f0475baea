"""Every message that docs/troubleshooting.md explains exists in the code."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from docs_pages import DOCS

PACKAGE = DOCS.parent / "pytest_keras_golden"
MESSAGES = re.findall(
    r"^### `(.+)`$", (DOCS / "troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE
)


@cache
def texts() -> frozenset[str]:
    """Every string of the package, `…` in the place of what varies."""
    found: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        found |= strings(path)
    return frozenset(found)


def strings(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        text(node) for node in ast.walk(tree) if isinstance(node, (ast.JoinedStr, ast.Constant))
    }


def text(node: ast.JoinedStr | ast.Constant) -> str:
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)


def exists(message: str) -> bool:
    pattern = re.compile(".*".join(re.escape(part) for part in message.split("…")), re.DOTALL)
    return any(pattern.search(found) for found in texts())


@pytest.mark.parametrize("message", MESSAGES)
def test_the_message_is_in_the_code(message: str) -> None:
    assert exists(message)


def test_what_the_code_does_not_say_is_noticed() -> None:
    assert len(MESSAGES) > 25
    assert not exists("no golden to compare … against: …")
