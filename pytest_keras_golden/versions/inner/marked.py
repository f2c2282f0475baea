"""The pytest plugin that writes down which exact versions the collected markers name."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from packaging.version import Version

from ...release import normalised

MARKED = "KERAS_GOLDEN_MARKED"
"""Environment variable: the file that takes the JSON list."""


def pytest_collection_finish(session: Any) -> None:
    specs = {
        spec
        for item in session.items
        for marker in item.iter_markers("keras_versions")
        for spec in map(exact, marker.args)
        if spec is not None
    }
    ordered = [str(version) for version in sorted(map(Version, specs))]
    Path(os.environ[MARKED]).write_text(json.dumps(ordered), encoding="utf-8")


def exact(spec: object) -> str | None:
    """`3.5.0` or `==3.5.0` as a version; None for a range."""
    return normalised(str(spec).strip().removeprefix("==").strip())
