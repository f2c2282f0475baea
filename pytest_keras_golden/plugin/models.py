"""Saved models as test files: a file, or a preset's folder, with one test in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ..errors import GoldenError
from ..saved.formats import ModelFile, model_file
from .items import ASKED, SETTINGS, case_of

NAME = "model"


class SavedModelItem(pytest.Item):
    """The one test of a saved model."""

    def __init__(self, file: ModelFile, **rest: Any) -> None:
        super().__init__(**rest)
        self.file = file
        # As if it asked for the fixture: it captures by itself.
        self.stash[ASKED] = True

    def runtest(self) -> None:
        from ..case.saved import run_saved_model

        run_saved_model(case_of(self), self.file, self.config.rootpath)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if not isinstance(excinfo.value, GoldenError):
            return super().repr_failure(excinfo, style)
        from ..report.escape import lines

        return lines(str(excinfo.value))

    def reportinfo(self) -> tuple[Path, None, str]:
        return self.path, None, self.file.name


class SavedModelFile(pytest.File):
    """A file of one of the formats that hold a model."""

    def collect(self) -> Iterator[SavedModelItem]:
        return _items(self)


class SavedModelFolder(pytest.Directory):
    """A preset of keras-hub."""

    def collect(self) -> Iterator[SavedModelItem]:
        return _items(self)


def _items(node: pytest.File | pytest.Directory) -> Iterator[SavedModelItem]:
    file = _found(node.path, node.session)
    if file is not None:
        yield SavedModelItem.from_parent(node, name=NAME, file=file)


def collected_file(path: Path, parent: pytest.Collector) -> SavedModelFile | None:
    """The collector of a path that is a saved model of this suite, or was named by the user."""
    found = _found(path, parent.session)
    return None if found is None else SavedModelFile.from_parent(parent, path=path)


def collected_folder(path: Path, parent: pytest.Collector) -> SavedModelFolder | None:
    found = _found(path, parent.session)
    return None if found is None else SavedModelFolder.from_parent(parent, path=path)


def _found(path: Path, session: pytest.Session) -> ModelFile | None:
    patterns = session.config.stash[SETTINGS].models
    named = session.isinitpath(path)
    return model_file(path, session.config.rootpath, patterns, named)
