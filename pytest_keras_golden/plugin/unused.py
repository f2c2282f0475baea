"""What of the suite a run left out, and the goldens that no test uses any more.

Only a run of the whole suite can tell which goldens are unused: every way of running a part of it
is a reason not to, here and for `keras-golden prune --unused-by`.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from ..names import golden_folder

WORKER_KEY = "keras_golden_left_out"
"""Under which a pytest-xdist worker sends what it left out to the controller."""

_NARROWING = {
    "keyword": "-k",
    "markexpr": "-m",
    "deselect": "--deselect",
    "ignore": "--ignore",
    "ignore_glob": "--ignore-glob",
    "lf": "--lf",
    "stepwise": "--stepwise",
    "collectonly": "--collect-only",
    "setuponly": "--setup-only",
    "setupplan": "--setup-plan",
    "noconftest": "--noconftest",
    "pyargs": "--pyargs",
}
_COLLECTING = ("testpaths", "norecursedirs", "python_files", "python_classes", "python_functions")
_STOPPED = (
    pytest.ExitCode.INTERRUPTED,
    pytest.ExitCode.INTERNAL_ERROR,
    pytest.ExitCode.USAGE_ERROR,
)


class LeftOut:
    """Hooks that note whatever keeps a run from being one of the whole suite."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._reasons: dict[str, None] = {}
        self._collected: dict[str, None] = {}
        self._finished: set[str] = set()
        self._unheard: dict[str, None] = {}

    def reasons(self, exitstatus: int, judged: Collection[str], root: Path | None) -> list[str]:
        """Why this was no run of the whole suite, each in a few words; empty where it was.

        judged: node ids with an outcome. root: the goldens folder.
        """
        reasons = [*_narrowed(self._config), *self._paths_left_out(), *self._reasons]
        if exitstatus in _STOPPED:
            reasons.append(f"the run was stopped (exit code {int(exitstatus)})")
        reasons += [f"{worker} never said what it left out" for worker in self._unheard]
        reasons += _counted("not run to the end", self._collected.keys() - self._finished)
        return reasons + _counted("not judged, in spite of goldens", self._unjudged(judged, root))

    def is_whole(self, exitstatus: int, judged: Collection[str], root: Path | None) -> bool:
        """Whether everything ran below the folders and files that pytest was asked to run."""
        return self.reasons(exitstatus, judged, root) == list(self._paths_left_out())

    def unused(self, judged: Collection[str], root: Path | None) -> list[str]:
        """Goldens of no test, below the folders and files that pytest was asked to run, of a run
        that `is_whole`. Paths below the goldens folder."""
        if root is None:
            return []
        from ..store.inventory import list_goldens

        used = {golden_folder(nodeid) for nodeid in judged}
        scopes = [scope for path in self._asked() if (scope := self._scope(path)) is not None]
        return [
            (golden.folder / golden.path.name).as_posix()
            for golden in list_goldens(root)
            if golden.folder not in used and any(map(golden.folder.is_relative_to, scopes))
        ]

    # -- paths ------------------------------------------------------------------------------

    def _paths_left_out(self) -> Iterable[str]:
        asked = list(self._asked())
        for path in self._suite():
            if not any(map(path.is_relative_to, asked)):
                yield f"not all of {path} was asked for"

    def _asked(self) -> Iterable[Path]:
        folder = self._config.invocation_params.dir
        return ((folder / argument.partition("::")[0]).resolve() for argument in self._config.args)

    def _suite(self) -> list[Path]:
        """Where tests are: `testpaths`, as pytest reads it, else the rootdir."""
        root = self._config.rootpath
        patterns = self._config.getini("testpaths")
        files = [path for pattern in patterns for path in _matching(root, pattern)]
        return [path.resolve() for path in files or [root]]

    def _scope(self, path: Path) -> PurePosixPath | None:
        root = self._config.rootpath.resolve()
        if not path.is_relative_to(root):
            return None
        inside = PurePosixPath(path.relative_to(root).as_posix())
        return inside.with_suffix("") if path.suffix == ".py" else inside

    # -- tests ------------------------------------------------------------------------------

    def _unjudged(self, judged: Collection[str], root: Path | None) -> list[str]:
        """Tests whose goldens this run, without `--golden-auto` for example, did not look at."""
        # Behind the last @ pytest-xdist puts a test's group.
        rest = (
            nodeid
            for nodeid in self._collected
            if nodeid not in judged and nodeid.rpartition("@")[0] not in judged
        )
        return [i for i in rest if root is not None and (root / golden_folder(i)).is_dir()]

    def _note(self, reason: str) -> None:
        self._reasons[reason] = None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_ignore_collect(
        self, collection_path: Path
    ) -> Generator[None, bool | None, bool | None]:
        ignored = yield
        if ignored and self._holds_tests(collection_path):
            self._note(f"{collection_path} was not collected")
        return ignored

    def _holds_tests(self, path: Path) -> bool:
        patterns = self._config.getini("python_files")
        if path.is_file():
            return any(fnmatch(path.name, pattern) for pattern in patterns)
        never = ("__pycache__", *self._config.getini("norecursedirs"))
        if any(fnmatch(path.name, pattern) for pattern in never) or _is_environment(path):
            return False
        return any(True for pattern in patterns for _ in path.rglob(pattern))

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if not report.passed:
            said = "was skipped as a whole" if report.skipped else "could not be collected"
            self._note(f"{report.nodeid or 'the suite'} {said}")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        before = [(id(item), item.nodeid) for item in items]
        yield
        kept = set(map(id, items))
        # Not every plugin that takes tests out says so.
        for reason in _counted("deselected", [i for key, i in before if key not in kept]):
            self._note(reason)
        self._collected = dict.fromkeys(item.nodeid for item in items)

    def pytest_deselected(self, items: Sequence[pytest.Item]) -> None:
        for reason in _counted("deselected", [item.nodeid for item in items]):
            self._note(reason)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self._finished.add(nodeid)

    def pytest_keyboard_interrupt(self) -> None:
        # pytest.exit comes here too, with an exit code of its own.
        self._note("the run was stopped")

    # -- pytest-xdist -----------------------------------------------------------------------

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        self._collected |= dict.fromkeys(ids)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodeready(self, node: Any) -> None:
        self._unheard[f"pytest-xdist's worker {node.gateway.id}"] = None

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        told = getattr(node, "workeroutput", None)
        if error is None and told is not None and WORKER_KEY in told:
            self._unheard.pop(f"pytest-xdist's worker {node.gateway.id}", None)
            self._reasons |= dict.fromkeys(told[WORKER_KEY])

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        stopped = session.shouldfail or session.shouldstop
        if stopped:
            self._note(f"the run was stopped ({stopped})")
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output[WORKER_KEY] = list(self._reasons)


def _matching(root: Path, pattern: str) -> Iterable[Path]:
    return [root / pattern] if (root / pattern).exists() else root.glob(pattern)


def _narrowed(config: pytest.Config) -> Iterable[str]:
    """What the command line, or `addopts`, takes out of the suite."""
    for name, flag in _NARROWING.items():
        value = getattr(config.option, name, None)
        if value:
            yield f"{flag} was given" if value is True else f"{flag} was given ({_short(value)})"
    overridden = [item.partition("=")[0] for item in config.option.override_ini or ()]
    yield from (f"{key} was overridden" for key in overridden if key in _COLLECTING)
    if any("::" in argument for argument in config.args):
        yield "node ids were given"


def _short(value: object) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _counted(what: str, nodeids: Collection[str]) -> list[str]:
    """`deselected: test_a.py::test_b and 3 more`, or nothing."""
    if not nodeids:
        return []
    more = f" and {len(nodeids) - 1} more" if len(nodeids) > 1 else ""
    return [f"{what}: {min(nodeids)}{more}"]


def _is_environment(path: Path) -> bool:
    return (path / "pyvenv.cfg").is_file() or (path / "conda-meta").is_dir()
