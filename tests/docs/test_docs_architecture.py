"""docs/architecture.md: the table of rooms is the code's, and the files it names are there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_table_of_rooms_is_up_to_date() -> None:
    script = ROOT / "docs" / "generate_architecture.py"
    assert subprocess.run([sys.executable, str(script), "--check"], check=False).returncode == 0


def test_what_the_page_names_is_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    text = re.sub(r"<!-- rooms -->.*<!-- end of rooms -->", "", text, flags=re.DOTALL)
    named = set(re.findall(r"`((?:\w+/)*\w+\.py|(?:\w+/)+\w*)`", text))
    assert "tolerance.py" in named
    package = ROOT / "pytest_keras_golden"
    places = {name: package / name for name in named if not name.startswith("tests/")}
    gone = [n for n, p in places.items() if not (p.exists() or p.with_suffix(".py").exists())]
    assert gone == []
