"""`keras-golden diff`: what a test would say about two goldens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from golden_files import Run, Write


def test_equal_goldens_are_identical(write: Write, golden_cli: Run) -> None:
    code, out, _ = golden_cli("diff", write("3.5.0"), write("3.6.0"))
    assert code == 0
    assert out.startswith("IDENTICAL")
    assert "3 tensors: 3 identical" in out
    assert "keras 3.5.0 → 3.6.0" in out


def test_a_drift_is_named_and_exits_1(write: Write, golden_cli: Run) -> None:
    code, out, _ = golden_cli("diff", write("3.5.0"), write("3.6.0", drift=0.5))
    assert code == 1
    assert "1 of 3 tensors drifted between Keras 3.5.0 and 3.6.0, first `blocks/1`" in out
    assert "→   blocks/1" in out


def test_a_change_of_one_rounding_holds(write: Write, golden_cli: Run) -> None:
    code, out, _ = golden_cli("diff", write("3.5.0"), write("3.6.0", rounding=True))
    assert code == 0
    assert "3 tensors: 2 identical, 1 within" in out


def test_a_tolerance_can_be_asked_for(write: Write, golden_cli: Run) -> None:
    a, b = write("3.5.0"), write("3.6.0", drift=0.5)
    code, out, _ = golden_cli("diff", a, b, "--tolerance", "rtol=1")
    assert "drifted" not in out
    code, _, err = golden_cli("diff", a, b, "--tolerance", "rtol=-1")
    assert code == 2
    assert "non-negative" in err


def test_tolerances_of_the_ini_file_hold(write: Write, golden_cli: Run, project: Path) -> None:
    a, b = write("3.5.0"), write("3.6.0", drift=0.5)
    (project / "pytest.ini").write_text("[pytest]\ngolden_tolerances =\n  blocks/*: k=1e6\n")
    assert "drifted" not in golden_cli("diff", a, b)[1]


def test_reasons_are_told(write: Write, golden_cli: Run) -> None:
    _, out, _ = golden_cli("diff", write("3.5.0"), write("3.6.0", reason="faster norm"))
    assert "B was recorded because: faster norm" in out


def test_json_carries_the_verdicts(write: Write, golden_cli: Run) -> None:
    code, out, _ = golden_cli("diff", write("3.5.0"), write("3.6.0", drift=0.5), "--json", "-")
    document = json.loads(out)
    assert code == 1
    assert [t["verdict"] for t in document["tensors"]] == ["identical", "drift", "identical"]
    assert document["first_drift"] == "blocks/1"


def test_a_missing_file_is_an_error_not_a_drift(write: Write, golden_cli: Run) -> None:
    code, out, err = golden_cli("diff", write("3.5.0"), "absent.safetensors")
    assert (code, out) == (2, "")
    assert "absent.safetensors" in err


@pytest.mark.parametrize("width", [80, 120])
def test_the_page_fits_the_terminal(
    write: Write, golden_cli: Run, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    _, out, _ = golden_cli("diff", write("3.5.0"), write("3.6.0", drift=0.5))
    lines = out.splitlines()[1:]  # the first line has the paths of both
    assert max(map(len, lines)) <= width
    assert max(map(len, lines)) > width - 20
