"""The pictures in docs/: the failure page and the HTML report of a real Keras 3.5.0 → 3.6.0 run.

Runs the examples (about a minute; they need keras-hub), then Chromium and chromedriver for the
screenshots. Usage: python benchmarks/pictures.py
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
from urllib.parse import quote

from rich.console import Console
from rich.text import Text

from pytest_keras_golden.outcomes import test_from_json
from pytest_keras_golden.report.files import write_report
from pytest_keras_golden.report.terminal import failure_page
from pytest_keras_golden.stacks.overlay.folder import ensure_overlay, overlay_environment

ROOT = Path(__file__).resolve().parent.parent
PICTURED = "examples/gpt/test_gpt.py::test_prompt[bfloat16]"
DOCS = ROOT / "docs"

sys.path.insert(0, str(ROOT / "tests"))
from browser import Browser, browsing  # noqa: E402 - lies with the tests that use it too


def real_log(folder: Path) -> dict[str, Any]:
    """The examples under Keras 3.6.0 against their committed goldens of 3.5.0."""
    log = folder / "log.json"
    command = [sys.executable, "-m", "pytest", "examples", "-q", "--golden-baseline=3.5.0"]
    command += [f"--golden-log={log}", f"--golden-output={folder / 'candidates'}"]
    environment = overlay_environment([ensure_overlay("keras", "3.6.0")])
    done = subprocess.run(
        command, check=False, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
    )
    if done.returncode != 1:
        raise SystemExit(f"the examples drift there, pytest said {done.returncode}: {done.stdout}")
    found: dict[str, Any] = json.loads(log.read_text(encoding="utf-8"))
    return found


def failure_picture(log: dict[str, Any]) -> Path:
    """The failure page as SVG, in the colours of a terminal."""
    (entry,) = (test for test in log["tests"] if test["nodeid"] == PICTURED)
    golden = str(Path(entry["golden"]).relative_to(ROOT))
    candidate = f"candidates/{Path(entry['candidate']).name}"
    shown = test_from_json({**entry, "golden": golden, "candidate": candidate})
    page = Text.from_ansi(failure_page(shown, color=True))
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
            browser.open(f"{page.as_uri()}#test={quote(PICTURED)}")
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
    with TemporaryDirectory() as folder:
        log = real_log(Path(folder))
        for path in (failure_picture(log), *screenshots(log)):
            print(f"{path.relative_to(ROOT)}  {path.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
