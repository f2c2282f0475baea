"""The pictures in docs/: the failure page and the HTML report of a real Keras 3.5.0 → 3.6.0 run.

Runs `examples/demo.py` where its logs are missing (`make demo` leaves them in .demo/), then needs
Chromium and chromedriver for the screenshots. Usage: python benchmarks/pictures.py
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.text import Text

from pytest_keras_golden.outcomes import test_from_json
from pytest_keras_golden.report.files import write_report
from pytest_keras_golden.report.terminal import failure_page

ROOT = Path(__file__).resolve().parent.parent
LOG = ROOT / ".demo" / "keras-3.6.0.json"
DOCS = ROOT / "docs"

sys.path.insert(0, str(ROOT / "tests" / "report"))
from browser import Browser, browsing  # noqa: E402 - lies with the tests that use it too


def real_log() -> dict[str, Any]:
    """The demo's run under Keras 3.6.0, paths made absolute for the report."""
    if not LOG.is_file():
        subprocess.run([sys.executable, "examples/demo.py"], cwd=ROOT, check=True)
    log: dict[str, Any] = json.loads(LOG.read_text(encoding="utf-8"))
    for test in log["tests"]:
        for key in ("golden", "candidate"):
            test[key] = test[key] and str(ROOT / test[key])
    return log


def failure_picture(log: dict[str, Any]) -> Path:
    """The failure page as SVG, in the colours of a terminal."""
    (entry,) = log["tests"]
    for key in ("golden", "candidate"):
        entry = {**entry, key: entry[key] and str(Path(entry[key]).relative_to(ROOT))}
    page = Text.from_ansi(failure_page(test_from_json(entry), color=True))
    console = Console(width=112, record=True, file=StringIO())
    console.print(page, soft_wrap=False)
    svg = console.export_svg(title="pytest")
    # The fonts that rich names would be fetched from elsewhere; a reader's own monospace will do.
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    path = DOCS / "failure-page.svg"
    path.write_text(svg, encoding="utf-8")
    return path


@contextmanager
def opened(log: dict[str, Any]) -> Iterator[Browser]:
    with TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        write_report(log, page)
        with browsing(Path(folder) / "profile") as browser:
            browser.resize(1360, 1000)
            browser.open(page.as_uri())
            yield browser


def screenshots(log: dict[str, Any]) -> Iterator[Path]:
    """The first screen in light and dark, and the pictures further down."""
    with opened(log) as browser:
        for scheme in ("light", "dark"):
            browser.emulate(prefers_color_scheme=scheme)
            path = DOCS / f"report-{scheme}.png"
            browser.screenshot(path)
            yield path
        browser.emulate(prefers_color_scheme="light")
        browser.script("document.querySelector('.heat').previousElementSibling.scrollIntoView()")
        path = DOCS / "report-where.png"
        browser.screenshot(path)
        yield path


def main() -> None:
    log = real_log()
    for path in (failure_picture(log), *screenshots(log)):
        print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
