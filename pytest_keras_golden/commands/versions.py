"""`keras-golden gate`, `matrix`, `bisect`, `overlays`: parsers and handlers."""

from __future__ import annotations

from typing import Any

from . import bisect as bisect_command
from . import gate as gate_command
from . import matrix as matrix_command
from . import overlays as overlays_command
from .arguments import split_pytest_arguments

__all__ = ["add_parser", "split_pytest_arguments"]


def add_parser(subparsers: Any) -> None:
    """Register every version command."""
    for command in (gate_command, matrix_command, bisect_command, overlays_command):
        command.add_parser(subparsers)
