"""`keras-golden git-setup`: let `git diff` show what changed in a golden."""

from __future__ import annotations

import argparse
import subprocess
from pathlib import Path
from typing import Any

from ..errors import StackError
from ..io.atomic import append_whole
from ..report.escape import visible
from ..report.output import say, writing_to
from .examples import examples

ATTRIBUTE = "*.safetensors diff=keras-golden"
SETTING, PROGRAM = "diff.keras-golden.textconv", "keras-golden show --textconv"


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "git-setup",
        help="let git diff show what changed in a golden",
        description="Add the attribute of goldens to .gitattributes, which is committed, and tell "
        "this clone's git to show them as text, which every clone does once. Safe to run again.",
        **examples("git-setup", "git-setup --check"),
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="only look; exit code 2 where something is missing",
    )
    parser.set_defaults(handler=run)


def run(arguments: argparse.Namespace) -> int:
    attributes = Path(_git("rev-parse", "--show-toplevel")) / ".gitattributes"
    missing = {".gitattributes": not _has_attribute(attributes), SETTING: not _is_set()}
    if arguments.check:
        for name, lacks in missing.items():
            say(f"{name}: {'missing' if lacks else 'there'}")
        return 2 if any(missing.values()) else 0
    if missing[".gitattributes"]:
        _add_attribute(attributes)
        say(f"added to {visible(str(attributes))}: {ATTRIBUTE} (commit it)")
    if missing[SETTING]:
        _git("config", "--local", SETTING, PROGRAM)
        say(f"set in this clone: {SETTING} = {PROGRAM}")
    if not any(missing.values()):
        say("git shows goldens as text already: nothing to do.")
    return 0


def _has_attribute(attributes: Path) -> bool:
    try:
        lines = attributes.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except FileNotFoundError:
        return False
    return any(line.split() == ATTRIBUTE.split() for line in lines)


def _add_attribute(attributes: Path) -> None:
    """As the last line, whether or not the line before it was ended."""
    with writing_to(".gitattributes"):
        before = attributes.read_bytes() if attributes.exists() else b""
        start = "" if not before or before.endswith(b"\n") else "\n"
        append_whole(attributes, f"{start}{ATTRIBUTE}\n")


def _is_set() -> bool:
    done = subprocess.run(["git", "config", "--get", SETTING], capture_output=True, check=False)
    return done.returncode == 0 and done.stdout.decode().strip() == PROGRAM


def _git(*arguments: str) -> str:
    """Standard output. Raises StackError in git's words."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, check=False)
    except FileNotFoundError as error:
        raise StackError("git is not installed.") from error
    if done.returncode:
        raise StackError(
            f"git {arguments[0]} failed: {done.stderr.decode('utf-8', 'replace').strip()}",
            "Run it inside of a git repository.",
        )
    return done.stdout.decode("utf-8", "surrogateescape").strip()
