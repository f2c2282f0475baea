"""What git says of the repository that this process stands in."""

from __future__ import annotations

import subprocess

from ..errors import ConfigError


def said_by_git(*arguments: str) -> bytes | None:
    """Standard output; None where git fails. Raises ConfigError where it is not installed."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, check=False)
    except FileNotFoundError as error:
        raise ConfigError("A file at a revision needs git, which is not installed.") from error
    return None if done.returncode else done.stdout
