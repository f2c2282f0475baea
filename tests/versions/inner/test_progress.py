from __future__ import annotations

import io
import os
import pty
import subprocess
import sys

from rich.console import Console

from pytest_keras_golden.versions.inner.progress import Lines, Rows, progress


def test_in_a_pipe_and_in_ci_it_is_plain_lines() -> None:
    stream = io.StringIO()
    with progress("gate", {}, stream) as told:
        told.started("keras 3.5.0")
        told.finished("keras 3.5.0", "2 recorded")
    assert isinstance(told, Lines)
    first, second = stream.getvalue().splitlines()
    assert first == "keras 3.5.0 …"
    assert second.startswith("keras 3.5.0: 2 recorded (0.")


def test_the_live_table_has_a_row_per_run_with_its_state() -> None:
    rows = Rows("gate keras 3.5.0 → 3.6.0")
    rows.started("keras 3.5.0")
    rows.finished("keras 3.5.0", "2 recorded")
    rows.started("keras 3.6.0")
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(rows)
    text = console.export_text()
    assert "gate keras 3.5.0 → 3.6.0" in text
    assert any("keras 3.5.0" in line and "2 recorded" in line for line in text.splitlines())
    assert any("keras 3.6.0" in line and "running" in line for line in text.splitlines())


ON_TERMINAL = """
import sys
from pytest_keras_golden.versions.inner.progress import Rows, progress
with progress("gate", {"CI": sys.argv[1]}) as told:
    told.started("keras 3.5.0")
    told.finished("keras 3.5.0", "2 recorded")
print("LIVE" if isinstance(told, Rows) else "LINES")
"""


def kind_on_a_terminal(ci: str) -> str:
    outer, inner = pty.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", ON_TERMINAL, ci], stderr=inner, stdout=subprocess.PIPE, text=True
        )
        assert b"2 recorded" in os.read(outer, 65536)
    finally:
        os.close(inner)
        os.close(outer)
    return done.stdout.strip()


def test_a_terminal_gets_the_live_table_unless_it_is_cis() -> None:
    assert kind_on_a_terminal("") == "LIVE"
    assert kind_on_a_terminal("true") == "LINES"
