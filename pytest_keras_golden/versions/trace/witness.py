"""The pytest plugin of an inner run: it proves what ran, and dies with the outer process.

Loaded with `-p` by `inner` only. Writes one JSON file per process (xdist workers too) into the
folder that the environment names.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

from pluggy import HookimplMarker

from ...errors import GoldenError, StackError
from ...io.process import LIFELINE
from ...saved.formats import ModelFile
from ...stacks.switches import FAMILY, KERAS
from ...stacks.switches import asked as asked_switches
from . import evidence
from .hearing import REFUSED, SWITCHED, WITNESS, Wanted, compiled, listener, wanted
from .listener import Listener
from .proof import sightings
from .selected import deselect
from .telling import Telling

hook = HookimplMarker("pytest")


@hook(tryfirst=True)
def pytest_configure(config: Any) -> None:
    # Loaded behind the plugin, so asked before it: what it refuses has been written down by then.
    if not hasattr(config, "workerinput"):
        _hold_lifeline()
    folder = os.environ.get(WITNESS)
    if folder:
        witness = Witness(Path(folder), config)
        config.pluginmanager.register(witness, "keras-golden-witness")
        if not hasattr(config, "workerinput"):
            config.pluginmanager.register(Telling(Path(folder)), "keras-golden-telling")
        witness.set_switches()


class Witness:
    """Writes down what this process imports and, where that is wanted, what it read."""

    def __init__(self, folder: Path, config: Any) -> None:
        self.folder = folder
        self._write("-configure.json", json.dumps(sightings()))
        self.switches = asked_switches()
        asked = wanted(folder)
        self.evidence = None
        if asked is not None and listener is not None:
            controls = not hasattr(config, "workerinput")
            # Workers run in the same folders: one walk is enough.
            roots = (config.rootpath, config.invocation_params.dir) if controls else ()
            self.evidence = Evidence(listener, asked, roots)

    def set_switches(self) -> None:
        """Before any module of the suite is imported."""
        if not self.switches:
            return
        from ...capture.export.runtimes import demand_able
        from ...capture.switches import set_switches

        try:
            set_switches(self.switches)
            demand_able(self.switches.get("run", KERAS))
        except GoldenError as error:
            self._write(REFUSED, json.dumps([error.problem, error.fix]))
            raise

    def _tell_switches(self) -> None:
        if not self.switches or "keras" not in sys.modules:
            return
        from ...capture.switches import read_switches

        found = read_switches(self.switches)
        told = {name: (wanted, found[name]) for name, wanted in self.switches.items()}
        self._write(SWITCHED, json.dumps(told))

    @hook(tryfirst=True)
    def pytest_collection_modifyitems(self, config: Any, items: list[Any]) -> None:
        deselect(config, items)
        self._demand_models(items)

    def _demand_models(self, items: list[Any]) -> None:
        """What runs saved models alone: a runtime, and Keras 2, for which no suite was written."""
        problem, fix = self._models_alone()
        other = next(
            (i for i in items if not isinstance(getattr(i, "file", None), ModelFile)), None
        )
        if problem is not None and other is not None:
            problem = f"{problem}, and {other.nodeid} is none."
            self._write(REFUSED, json.dumps([problem, fix]))
            raise StackError(problem, fix)

    def _models_alone(self) -> tuple[str | None, str]:
        """Why this side runs nothing else, and what to do."""
        if FAMILY in self.switches:
            return (
                "a side of tf_keras is for saved models only",
                "Name files behind `--`, such as model.h5; of suites compare releases of Keras 3.",
            )
        wanted = "run= is for saved models" if "run" in self.switches else None
        return wanted, "Name the models alone behind `--`."

    @hook(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self) -> Generator[None, object, object]:
        # The plugin may refuse a package now, and end the run; what others read comes afterwards.
        self._write("-finish.json", json.dumps(sightings()))
        self._tell_switches()
        result = yield
        if self.evidence is not None:
            self._write(evidence.SUFFIX, self.evidence.told())
        if compiled is not None:
            compiled.hand_over()
        return result

    def _write(self, ending: str, text: str) -> None:
        (self.folder / f"{os.getpid()}{ending}").write_text(text, encoding="utf-8")


class Evidence:
    """What the listener hears, and the suite's files before and after."""

    def __init__(self, listener: Listener, asked: Wanted, roots: tuple[Path, ...]) -> None:
        self.listener, self.asked, self.roots = listener, asked, roots
        self.before = self._trees()

    def told(self) -> str:
        after = self._trees()
        return evidence.testimony(self.listener.finish(), self.before, after)

    def _trees(self) -> evidence.Trees:
        try:
            return evidence.trees(self.roots, self.asked.left_out)
        except ValueError as error:
            self.listener.heard.unproven = str(error)
            return {}


def _hold_lifeline() -> None:
    descriptor = os.environ.get(LIFELINE)
    if descriptor:
        threading.Thread(target=_wait_for_death, args=(int(descriptor),), daemon=True).start()


def _wait_for_death(descriptor: int) -> None:
    try:
        os.read(descriptor, 1)
    except OSError:
        return
    # Only an inner run leads its own group; never end a group that others belong to.
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)
