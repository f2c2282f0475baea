"""Writes the table of rooms into docs/architecture.md, from the first sentence of each package.

    python docs/generate_architecture.py            writes it
    python docs/generate_architecture.py --check    exit code 1 where it is out of date
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

PAGE = Path(__file__).with_name("architecture.md")
PACKAGE = Path(__file__).parents[1] / "pytest_keras_golden"
BEGIN, END = "<!-- rooms -->\n", "<!-- end of rooms -->"


def rooms() -> Iterator[str]:
    yield "| room | what it is for | modules |"
    yield "|---|---|---|"
    for init in sorted(PACKAGE.glob("*/**/__init__.py")):
        folder = init.parent
        said = (ast.get_docstring(ast.parse(init.read_text(encoding="utf-8"))) or "").partition("\n")[0]
        names = sorted(path.stem for path in folder.glob("*.py") if path != init)
        listed = ", ".join(f"`{name}`" for name in names)
        yield f"| `{folder.relative_to(PACKAGE).as_posix()}/` | {said} | {listed} |"


def page(text: str) -> str:
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return head + BEGIN + "\n".join(rooms()) + "\n" + END + tail


if __name__ == "__main__":
    now = PAGE.read_text(encoding="utf-8")
    if "--check" in sys.argv[1:]:
        sys.exit(int(page(now) != now))
    PAGE.write_text(page(now), encoding="utf-8")
