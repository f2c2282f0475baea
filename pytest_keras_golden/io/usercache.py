"""The user's own cache folder: overlays, release lists, and locks where pytest has no cache.

Never a folder that others can name in advance and plant links in, such as one below /tmp.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import StackError

CACHE = "KERAS_GOLDEN_CACHE"
"""Environment variable: another folder."""


def user_cache() -> Path:
    """$KERAS_GOLDEN_CACHE, else `pytest-keras-golden` in the user's cache folder.

    Raises StackError where the user has no home.
    """
    if os.environ.get(CACHE):
        return Path(os.environ[CACHE])
    if os.environ.get("XDG_CACHE_HOME"):
        return Path(os.environ["XDG_CACHE_HOME"]) / "pytest-keras-golden"
    try:
        return Path.home() / ".cache" / "pytest-keras-golden"
    except RuntimeError as error:
        raise StackError(f"there is no home folder: {error}", f"export {CACHE}=DIR") from None


@contextmanager
def writing_cache(place: Path) -> Iterator[None]:
    """Around what makes `place`, below the cache folder, or writes to it.

    Raises StackError where that cannot be: the variable names a file, a missing disk, or what is
    another user's.
    """
    try:
        yield
    except TimeoutError:
        # A lock that another process holds is no fault of the folder.
        raise
    except OSError as error:
        where = error.filename or place
        raise StackError(
            f"the cache folder cannot be written: {where}: {error.strerror}",
            f"Make room for it there, or name another folder: export {CACHE}=DIR",
        ) from None
