"""Every error raised on purpose: what was wrong, what was expected, what to run next; and what
anybody else's error says, in a line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path


class GoldenError(Exception):
    """Base of all deliberate errors.

    `problem` says what was wrong and what was expected; `fix` is the command, flag or setting that
    resolves it and becomes the last line of the message. Survives pickling (xdist, executors).
    """

    def __init__(self, problem: str, fix: str = "") -> None:
        super().__init__(problem, fix)
        self.problem = problem
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.problem}\n{self.fix}" if self.fix else self.problem

    @property
    def in_a_line(self) -> str:
        """Problem and fix, as sentences behind each other."""
        problem, fix = (" ".join(text.split()) for text in (self.problem, self.fix))
        return f"{problem.rstrip('.')}. {fix}" if fix else problem


class ConfigError(GoldenError):
    """An option, ini key, marker or argument is not usable; the message lists the valid choices."""


class CaptureError(GoldenError):
    """A tensor or a model cannot be captured (ragged, sparse, unknown type, nothing seen)."""


class StoreError(GoldenError):
    """A golden cannot be read or written. `path` is the file at fault."""

    def __init__(self, problem: str, fix: str = "", path: Path | None = None) -> None:
        super().__init__(problem, fix)
        self.args = (problem, fix, path)
        self.path = path


class CorruptGoldenError(StoreError):
    """A golden file is not a whole, valid golden: truncated, foreign, wrong schema, LFS pointer."""


class SavedModelError(GoldenError):
    """A saved model cannot be read, trusted, loaded or run. `path` is the file at fault."""

    def __init__(self, problem: str, fix: str = "", path: Path | None = None) -> None:
        super().__init__(problem, fix)
        self.args = (problem, fix, path)
        self.path = path


class StackError(GoldenError):
    """The surroundings cannot run what was asked: no backend, no index, unknown version."""


_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_WRAPPED = re.compile(
    r"Exception encountered when calling (?P<where>.+?)\.?\n\s*\n(?P<what>.*?)"
    r"(?:\n\s*\nArguments received by .*)?",
    re.DOTALL,
)
"""How Keras wraps what a layer raises: it says first where, then what, then all arguments."""


def telling_line(text: str) -> str:
    """The line of an error's text that tells what happened: its first, or, of what Keras wraps,
    the first of the error inside, and in which call: `boom (in L.call())`."""
    text = _COLOUR.sub("", text).strip()
    kind, colon, rest = text.partition(": ")
    wrapped = _WRAPPED.fullmatch(rest) if colon and kind.isidentifier() else None
    prefix = f"{kind}: " if wrapped else ""
    wrapped = wrapped or _WRAPPED.fullmatch(text)
    if wrapped is not None and wrapped["what"].strip():
        return f"{prefix}{telling_line(wrapped['what'])} (in {wrapped['where']})"
    return text.splitlines()[0].rstrip() if text else ""


def nearest(word: str, choices: Iterable[str], count: int = 1, cutoff: float = 0.6) -> list[str]:
    """The choices most like `word`, best first; none where nothing is alike."""
    import difflib

    return difflib.get_close_matches(word, list(choices), count, cutoff)


def did_you_mean(word: object, choices: Iterable[str]) -> str:
    """`Did you mean 'k'? `, to stand before what the choices are; empty where none is alike."""
    close = nearest(str(word), choices)
    return f"Did you mean {close[0]!r}? " if close else ""


def a_kind(value: object) -> str:
    """What was given, by its type: `an int`, `a list`."""
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' or name == 'ndarray' else 'a'} {name}"
