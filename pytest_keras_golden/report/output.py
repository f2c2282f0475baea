"""Where a command's result goes: text for people, JSON for machines, progress for the patient."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, TypeVar

from ..errors import GoldenError
from ..io.atomic import write_whole
from ..outcomes import to_json
from .plain import PLAIN, encodable

_Item = TypeVar("_Item")

_PATIENCE_S = 1.0


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", metavar="FILE", help="write JSON; - is standard output")


def emit_plain(json_file: str | None, document: Any, text: Callable[[], str]) -> None:
    """As `emit`, for a text that has names as they are: they are shown, not obeyed."""
    from .escape import lines

    emit(json_file, document, lambda: lines(text()))


def emit(json_file: str | None, document: Any, text: Callable[[], str]) -> None:
    """Writes the document where `--json` says, the text to standard output where that is free."""
    if json_file is not None:
        write_json(json_file, document)
    if json_file != "-":
        say(text())


def write_json(json_file: str, document: Any) -> None:
    """The document into a file, or to standard output (`-`)."""
    # ASCII alone: valid wherever it is written, whatever names it holds.
    text = json.dumps(to_json(document), indent=1, allow_nan=False)
    if json_file == "-":
        say(text)
        return
    with writing_to("--json=FILE"):
        write_whole(Path(json_file), text + "\n")


@contextmanager
def writing_to(option: str) -> Iterator[None]:
    """Inside, the file that an option names is written. Where it cannot be, raises GoldenError:
    which file, why, and what to name instead."""
    try:
        yield
    except OSError as error:
        raise GoldenError(
            f"cannot write {error.filename}: {error.strerror}",
            f"Name a file that can be written: {option}. What was there is as it was.",
        ) from error


def prepare_streams() -> None:
    """A stream that was closed (`>&-`) or knows ASCII only must not end a command."""
    number = -1
    while number <= 2:
        # Else the next file that is opened would be standard output to every child.
        number = os.open(os.devnull, os.O_RDWR)
    os.close(number)
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, io.StringIO())
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=PLAIN)


def say(text: str) -> None:
    """Text to standard output; a reader who has seen enough (head, less) ends nothing.

    Raises GoldenError where it cannot be written otherwise.
    """
    with _written():
        _put(sys.stdout, text + "\n")


def note(text: str) -> None:
    """A line on standard error, so that it never mixes with a result; names in it are shown, not
    obeyed."""
    from .escape import lines

    with suppress(OSError):
        _put(sys.stderr, lines(text) + "\n")


def flush() -> None:
    """Raises as `say`."""
    with _written():
        sys.stdout.flush()


def _put(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
    except UnicodeEncodeError:
        stream.write(encodable(text, stream.encoding or "ascii"))


@contextmanager
def _written() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        _mute()
    except OSError as error:
        _mute()
        raise GoldenError(
            f"cannot write to standard output: {error.strerror}",
            "Make room where it goes, or name a file that can be written.",
        ) from error


def _mute() -> None:
    """What is still in the buffer has no reader: the interpreter must not try again at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def tracked(items: Iterable[_Item], what: str) -> Iterator[_Item]:
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
