"""Some tests of a suite only, by node id: names that no command line could carry among them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...io.atomic import write_whole

ONLY = "KERAS_GOLDEN_ONLY"
"""Environment variable: the file that names the tests of an inner run."""


def selection(file: Path, nodeids: Iterable[str]) -> dict[str, str]:
    """The environment entry under which only these tests run; the file stays as it is where it
    says the same already."""
    text = json.dumps(sorted(nodeids))
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, text)
    return {ONLY: str(file)}


def deselect(config: Any, items: list[Any]) -> None:
    """Leave the tests that are asked for; all where none is named."""
    file = os.environ.get(ONLY)
    if not file:
        return
    wanted = frozenset(json.loads(Path(file).read_text(encoding="utf-8")))
    left_out = [item for item in items if wanted.isdisjoint(_names(item))]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not wanted.isdisjoint(_names(item))]


def _names(item: Any) -> tuple[str, str]:
    """The node id; and without the `@group` that pytest-xdist appends under `--dist loadgroup`."""
    return item.nodeid, f"{getattr(item.parent, 'nodeid', '')}::{item.name}"
