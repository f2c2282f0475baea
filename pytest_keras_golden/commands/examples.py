"""Examples under a command's help, a line each."""

from __future__ import annotations

import argparse
from typing import Any

_TITLE = "examples:"


class _Formatter(argparse.HelpFormatter):
    """Wraps everything but examples, which are to be pasted."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith(_TITLE):
            return "\n".join(indent + line for line in text.splitlines())
        return super()._fill_text(text, width, indent)


def examples(*commands: str) -> dict[str, Any]:
    """What `add_parser` takes beside a command's description."""
    lines = "\n".join(f"  keras-golden {command}" for command in commands)
    return {"epilog": f"{_TITLE}\n{lines}", "formatter_class": _Formatter}
