"""Goldens that no test uses any more, where a run can tell: it must have run all of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import pytest

from .names import golden_folder

_NARROWING = ("keyword", "markexpr", "deselect", "lf", "ignore", "ignore_glob", "stepwise")


def unused_goldens(config: pytest.Config, root: Path | None, nodeids: Iterable[str]) -> list[str]:
    """Paths below the goldens folder, of the folders and files that pytest was asked to run.

    Empty where a part of them was left out on purpose: -k, -m, node ids, --lf and the like.
    """
    scopes = _scopes(config)
    if root is None or not scopes:
        return []
    from .store.inventory import list_goldens

    used = {golden_folder(nodeid) for nodeid in nodeids}
    return [
        (golden.folder / golden.path.name).as_posix()
        for golden in list_goldens(root)
        if golden.folder not in used and _covered(golden.folder, scopes)
    ]


def _scopes(config: pytest.Config) -> list[PurePosixPath]:
    """Where goldens of the tests that ran would lie; empty where the run was narrowed."""
    narrowed = any(getattr(config.option, name, None) for name in _NARROWING)
    if narrowed or any("::" in argument for argument in config.args):
        return []
    found = (_scope(config, argument) for argument in config.args)
    return [scope for scope in found if scope is not None]


def _scope(config: pytest.Config, argument: str) -> PurePosixPath | None:
    path = (config.invocation_params.dir / argument).resolve()
    if not path.is_relative_to(config.rootpath):
        return None
    inside = PurePosixPath(path.relative_to(config.rootpath).as_posix())
    return inside.with_suffix("") if path.is_file() else inside


def _covered(folder: PurePosixPath, scopes: Iterable[PurePosixPath]) -> bool:
    return any(folder.is_relative_to(scope) for scope in scopes)
