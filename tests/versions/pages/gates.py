"""Gates and matrices as they come out, made without running any."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from outcomes_made import decoder, outcome, tensor

from pytest_keras_golden.outcomes import TestOutcome, log_json
from pytest_keras_golden.versions.compared.verdicts import VerdictRow
from pytest_keras_golden.versions.gate import Asked, GateResult, Side
from pytest_keras_golden.versions.inner.job import InnerRun, Pin

OLD, NEW = (Side((Pin("keras", version, Path()),)) for version in ("3.5.0", "3.6.0"))
RUN = InnerRun("keras", 0, 4.0, Path(), log_json(0, {"keras": "3.5.0"}, []))
ASKED = Asked("3.5.0", "3.6.0", Path("/nowhere"), (), ("tests/", "-k", "gpt"))


def moved(nodeid: str = "tests/test_gpt.py::test_prefill", **changed: Any) -> VerdictRow:
    return VerdictRow(nodeid, "moved", replace(decoder(2), nodeid=nodeid, **changed))


def held(nodeid: str = "tests/test_mlp.py::test_call") -> VerdictRow:
    return VerdictRow(nodeid, "holds", outcome(tensor("a", 0), nodeid=nodeid))


def broke() -> VerdictRow:
    return VerdictRow("tests/test_old.py", "broke", reason="TypeError: no <b>argument</b>")


def trains() -> VerdictRow:
    test = TestOutcome("tests/test_fit.py::test_fit", "passed", unseen=("fit",))
    return VerdictRow(test.nodeid, "no tensors", test)


def gate_of(*rows: VerdictRow, **changed: Any) -> GateResult:
    made = GateResult(OLD, NEW, rows, {"old": RUN, "new": RUN}, asked=ASKED)
    return replace(made, **changed)
