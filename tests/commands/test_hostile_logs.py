"""Whatever a log holds, the commands end with code 2, the file and the field; never with 0 or 1."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from golden_files import NODEID, Run, Write
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pytest_keras_golden.cli import main
from pytest_keras_golden.io.strict import FieldError
from pytest_keras_golden.outcomes import (
    LocalOutcome,
    TensorOutcome,
    TestOutcome,
    log_from_json,
    log_json,
)
from pytest_keras_golden.records import Tolerance

TENSOR = TensorOutcome(
    *("logits", 0, "logits", "bfloat16", "bfloat16", (2, 3), True, "drift"),
    tolerance=Tolerance(k=5.0),
    k=float("inf"),
    max_ulp=2**64,
    index=(0, 1),
    extra={"rows": 2, "flips_real": 1, "flips_tie": 0, "flips": [
        {"position": 1, "golden": 3, "actual": 4, "margin_ulp": "inf", "tie": False}
    ], "reference": {"accuracy": "worse"}},
)  # fmt: skip
TEST = TestOutcome(
    NODEID,
    "failed",
    baseline="3.5.0",
    stack={"keras": "3.6.0"},
    stack_changes={"keras": ("3.5.0", "3.6.0")},
    tensors=(TENSOR,),
    locals=(LocalOutcome("logits", 0, "drift", "bfloat16", 9.0),),
    local_drift=("logits",),
)
LOG = log_json(1, {"keras": "3.6.0"}, [TEST], left_out=[])
COMMANDS = (
    ("report", "log.json"),
    ("prune", "--unused-by", "log.json", "--yes"),
    ("accept", "log.json", "--all"),
)


def changed(path: str, value: Any) -> str:
    """The log with the value in one place, such as `tests.0.tensors.0.k`."""
    document = deepcopy(LOG)
    *steps, last = (int(step) if step.isdigit() else step for step in path.split("."))
    place: Any = document
    for step in steps:
        place = place[step]
    place[last] = value
    return json.dumps(document)


DEEP = "[" * 900 + "]" * 900
BAD = {
    "nested": ("[" * 100_000, "is nested too deeply"),
    "nested objects": ('{"a":' * 100_000, "is nested too deeply"),
    "nested inside": (
        changed("tests.0.tensors.0.extra.later", 0).replace('": 0}', '": ' + DEEP + "}"),
        "extra['later'] is nested too deeply",
    ),
    "NUL": ("\0", "is no JSON"),
    "a NUL in a path": (
        changed("tests.0.candidate", "/x\0/keras-3.6.0-jax-cpu-bfloat16.safetensors"),
        "no name of a file",
    ),
    "half a log": (json.dumps(LOG)[:-40], "is no JSON"),
    "NaN": (json.dumps(LOG | {"exitstatus": float("nan")}), "NaN"),
    "1e999": (json.dumps(LOG).replace('"inf"', "1e999", 1), "beyond any number"),
    "repeated key": (json.dumps(LOG)[:-1] + ', "tests": []}', "repeats a key: 'tests'"),
    "schema": (changed("schema", 2), "has schema 2, this version reads 1"),
    "schema true": (changed("schema", True), "has schema True"),
    "tests an object": (changed("tests", {}), "tests is {}: expected a list"),
    "a test a number": (changed("tests.0", 5), "tests[0] is 5: expected an object"),
    "nodeid": (changed("tests.0.nodeid", 5), "tests[0].nodeid is 5: expected a text"),
    "outcome": (changed("tests.0.outcome", "fine"), "tests[0].outcome is 'fine'"),
    "stack": (changed("tests.0.stack", {"keras": ["3"]}), "'keras' of the stack"),
    "stack of novels": (changed("stack", {"x": "y" * 10**6}), "'x' should be one short fact"),
    "changes": (changed("tests.0.stack_changes", {"keras": ["3"]}), "stack_changes['keras']"),
    "tensors": (changed("tests.0.tensors", None), "tests[0].tensors is None"),
    "order": (changed("tests.0.tensors.0.order", "x"), "tests[0].tensors[0].order is 'x'"),
    "huge order": (changed("tests.0.tensors.0.order", 10**400), "tensors[0].order is 1"),
    "shape": (changed("tests.0.tensors.0.shape", [2, "x"]), "shape[1] is 'x'"),
    "verdict": (changed("tests.0.tensors.0.verdict", "good"), "tensors[0].verdict is 'good'"),
    "unhashable verdict": (changed("tests.0.tensors.0.verdict", {}), "tensors[0].verdict is {}"),
    "tolerance": (changed("tests.0.tensors.0.tolerance", {"k": "x"}), "tolerance.k is 'x'"),
    "flips": (changed("tests.0.tensors.0.extra.flips", [{}]), "extra.flips[0] has no"),
    "rows": (changed("tests.0.tensors.0.extra.rows", None), "extra.rows is None"),
    "reference": (changed("tests.0.tensors.0.extra.reference", {}), "extra.reference has no"),
    "locals": (changed("tests.0.locals.0.name", []), "tests[0].locals[0].name is []"),
    "left out": (changed("left_out", "nothing"), "left_out is 'nothing': expected a list"),
    "errors": (changed("collection_errors", [1]), "collection_errors[0] is 1"),
}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_log_is_refused_with_its_field(
    project: Path, golden_cli: Run, write: Write, kind: str, command: tuple[str, ...]
) -> None:
    kept = write("3.5.0")
    text, said = BAD[kind]
    if kind == "a NUL in a path" and command[0] != "accept":
        pytest.skip("no other command opens it")
    (project / "log.json").write_text(text, encoding="utf-8")
    code, out, err = golden_cli(*command)
    assert (code, out) == (2, "")
    assert "log.json" in err or kind == "a NUL in a path"
    assert said in err
    assert "unexpected" not in err
    assert len(err) < 2000
    assert kept.exists()


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"\xef\xbb\xbf{}", "{}".encode("utf-16")])
def test_bytes_that_are_no_text(project: Path, golden_cli: Run, raw: bytes) -> None:
    (project / "log.json").write_bytes(raw)
    assert golden_cli("report", "log.json")[0] == 2


def test_a_folder_or_no_file(project: Path, golden_cli: Run) -> None:
    for name in ("goldens", "absent.json"):
        code, _, err = golden_cli("report", name)
        assert code == 2
        assert err.startswith(f"keras-golden: {name} is no log of golden tests: ")


def test_node_ids_of_badly_encoded_names_keep_their_goldens(
    project: Path, golden_cli: Run, write: Write
) -> None:
    nodeid = "t\udce9st.py::test_\ud800"
    kept, unused = write("3.5.0", nodeid=nodeid), write("3.5.0")
    (project / "log.json").write_text(changed("tests.0.nodeid", nodeid))
    assert golden_cli(*COMMANDS[1])[0] == 0
    assert (kept.exists(), unused.exists()) == (True, False)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a document."""
    found = [at] if at else []
    if isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            found += places(item, (*at, key))
    return found


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(places(LOG)), anything | st.just(...))
def test_a_log_is_read_or_refused(place: tuple[Any, ...], value: Any) -> None:
    document = deepcopy(LOG)
    inner: Any = document
    for step in place[:-1]:
        inner = inner[step]
    if value is ...:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    try:
        log_from_json(document)
    except FieldError as error:
        message = str(error)
    else:
        message = "read"
    assert 0 < len(message) <= 300


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.data())
def test_no_command_falls_over_a_log(
    project: Path, capsys: pytest.CaptureFixture[str], data: st.DataObject
) -> None:
    place = data.draw(st.sampled_from(places(LOG)))
    document = deepcopy(LOG)
    inner: Any = document
    for step in place[:-1]:
        inner = inner[step]
    inner[place[-1]] = data.draw(anything)
    (project / "log.json").write_text(json.dumps(document))
    for command in (COMMANDS[0], COMMANDS[2]):
        code = main(list(command))
        err = capsys.readouterr().err
        assert code in (0, 2)
        assert "unexpected" not in err
        assert len(err) < 2000
