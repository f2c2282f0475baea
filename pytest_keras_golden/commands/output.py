"""Where a command's result goes: text for people, JSON for machines, progress for the patient."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from ..errors import GoldenError
from ..outcomes import to_json

Item = TypeVar("Item")

_PATIENCE_S = 1.0


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", metavar="FILE", help="write JSON; - is standard output")


def emit(json_file: str | None, document: Any, text: Callable[[], str]) -> None:
    """Writes the document where `--json` says, the text to standard output where that is free."""
    if json_file is not None:
        _write_json(json_file, json.dumps(to_json(document), indent=1, ensure_ascii=False))
    if json_file != "-":
        say(text())


def _write_json(json_file: str, text: str) -> None:
    if json_file == "-":
        say(text)
        return
    try:
        Path(json_file).write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise GoldenError(
            f"cannot write {json_file}: {error.strerror}", "Name a writable file: --json FILE"
        ) from error


def say(text: str) -> None:
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """A line on standard error, so that it never mixes with a result."""
    sys.stderr.write(text + "\n")


def tracked(items: Iterable[Item], what: str) -> Iterator[Item]:
    """The items, with a progress bar on a terminal once they have taken over a second."""
    every = list(items)
    if not sys.stderr.isatty():
        yield from every
        return
    started = time.monotonic()
    bar: Any = None
    try:
        for place, item in enumerate(every):
            if bar is None and time.monotonic() - started > _PATIENCE_S:
                bar = _bar(what, len(every))
            if bar is not None:
                bar.update(bar.task_ids[0], completed=place)
            yield item
    finally:
        if bar is not None:
            bar.stop()


def _bar(what: str, total: int) -> Any:
    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(console=Console(stderr=True), transient=True)
    bar.add_task(what, total=total)
    bar.start()
    return bar
