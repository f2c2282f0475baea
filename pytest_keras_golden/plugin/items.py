"""What the plugin keeps on pytest items: settings, case, outcome, and what makes one golden."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ..config import Settings

if TYPE_CHECKING:
    from ..case.collected import Case
    from ..case.marker import VersionMarker
    from ..outcomes import TestOutcome

SETTINGS = pytest.StashKey[Settings]()
CASE = pytest.StashKey["Case"]()
OUTCOME: pytest.StashKey[TestOutcome] = pytest.StashKey()
ASKED = pytest.StashKey[bool]()
PAGE = pytest.StashKey[bool]()
"""Set where the fixture was asked for by `request.getfixturevalue`, which no signature shows, and
of saved models."""

FIXTURE = "golden_tensors"
MARKER = "keras_versions"


def parsed_marker(item: pytest.Item) -> VersionMarker | None:
    """The closest `keras_versions` marker. Raises ConfigError where it makes no sense."""
    mark = item.get_closest_marker(MARKER)
    if mark is None:
        return None
    # Not before a marker is seen: `packaging` alone is half of what an unrelated run would pay.
    from ..case.marker import parse

    return parse(mark.args, mark.kwargs)


def is_golden(item: pytest.Item, settings: Settings) -> bool:
    """Whether a test asks for the fixture, is marked, or automatic capture is on.

    Of what is no function, only a saved model.
    """
    if not isinstance(item, pytest.Function):
        return item.stash.get(ASKED, False)
    return settings.auto or is_asked_for(item)


def is_asked_for(item: pytest.Item) -> bool:
    """Whether the test itself says that it is golden: by the fixture or by the marker."""
    return asks_for_fixture(item) or parsed_marker(item) is not None


def asks_for_fixture(item: pytest.Item) -> bool:
    return FIXTURE in getattr(item, "fixturenames", ()) or item.stash.get(ASKED, False)


def nodeid_of(item: pytest.Item) -> str:
    """The node id, without the `@group` that pytest-xdist appends under `--dist loadgroup`."""
    if item.parent is not None and any(item.iter_markers("xdist_group")):
        # As pytest made it: a name may have an `@` of its own.
        return f"{item.parent.nodeid}::{item.name}"
    return item.nodeid


def typed_nodeid(item: pytest.Item) -> str | None:
    """The node id as it is typed where pytest was started; None where that is the rootdir."""
    root, here = item.config.rootpath, item.config.invocation_params.dir
    if root == here:
        return None
    # Not `cwd_relative_nodeid`: a parameter of the test may look like a path.
    path, *rest = nodeid_of(item).split("::", 1)
    return "::".join([Path(os.path.relpath(root / path, here)).as_posix(), *rest])


def new_case(item: pytest.Item) -> Case:
    """A fresh case for the item: a test that runs again (reruns) starts anew."""
    from ..case.collected import Case
    from ..case.marker import VersionMarker

    marker = parsed_marker(item) or VersionMarker()
    case = Case(nodeid_of(item), item.config.stash[SETTINGS], marker)
    item.stash[CASE] = case
    if OUTCOME in item.stash:
        del item.stash[OUTCOME]
    return case


def case_of(item: pytest.Item) -> Case:
    """The item's case, made on first use."""
    case = item.stash.get(CASE, None)
    return new_case(item) if case is None else case
