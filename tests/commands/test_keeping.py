"""`list`, `stats`, `verify` and `prune`: goldens kept tidy, none lost by accident."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from golden_files import NODEID, Run, Write

from pytest_keras_golden.outcomes import TestOutcome, log_json
from pytest_keras_golden.store import codec

OTHER = "tests/test_bert.py::test_pooled"


@pytest.fixture
def three(write: Write) -> list[Path]:
    """Three versions of one test (3.10 is newest), one of another."""
    return [write(v) for v in ("3.5.0", "3.9.0", "3.10.0")] + [write("3.5.0", nodeid=OTHER)]


def test_list_orders_versions_as_versions(three: list[Path], golden_cli: Run) -> None:
    code, out, _ = golden_cli("list")
    assert code == 0
    lines = [line.split()[0] for line in out.splitlines()]
    assert lines[:2] == ["tests/test_bert/test_pooled", three[3].name]
    assert lines[2:6] == ["tests/test_gpt/test_prefill[bfloat16]", *(p.name for p in three[:3])]
    assert out.splitlines()[-1].startswith("4 goldens of 2 tests")


def test_list_takes_globs_and_parts(three: list[Path], golden_cli: Run) -> None:
    assert "2 goldens of 2 tests" in golden_cli("list", "keras-3.5.0-")[1]
    found = json.loads(golden_cli("list", "tests/test_bert/*", "--json", "-")[1])
    assert [(item["test"], item["keras"], item["backend"]) for item in found] == [
        ("tests/test_bert/test_pooled", "3.5.0", "jax")
    ]


def test_stats_add_up(three: list[Path], golden_cli: Run) -> None:
    found = json.loads(golden_cli("stats", "--json", "-")[1])
    assert (found["goldens"], found["tests"]) == (4, 2)
    assert found["bytes"] == sum(path.stat().st_size for path in three)
    assert found["by_keras"] == {"3.5.0": 2, "3.9.0": 1, "3.10.0": 1}
    assert list(found["by_keras"]) == ["3.5.0", "3.9.0", "3.10.0"]
    assert len(found["superseded"]) == 1
    assert "4 goldens of 2 tests" in golden_cli("stats")[1]


def test_verify_finds_a_flipped_bit(three: list[Path], golden_cli: Run) -> None:
    assert golden_cli("verify")[0] == 0
    content = bytearray(three[1].read_bytes())
    content[-1] ^= 1
    three[1].write_bytes(content)
    code, out, _ = golden_cli("verify")
    assert code == 1
    assert str(three[1]) in out
    assert "4 goldens checked, 1 bad" in out
    assert golden_cli("verify", three[0])[0] == 0
    assert golden_cli("verify", "test_bert")[0] == 0


@pytest.mark.parametrize(
    "piece", [b'\\"rms\\":1e999', b'\\"rms\\":[[[[[[]]]]]]', b'\\"rms\\":\\"\\\\u0000\\"']
)
def test_verify_names_the_bad_file_and_goes_on_with_the_others(
    three: list[Path], golden_cli: Run, piece: bytes
) -> None:
    raw = three[1].read_bytes().replace(b'\\"rms\\":1.0', piece, 1)
    text = raw[8:].partition(b"}}")[0]
    length = int.from_bytes(raw[:8], "little") + len(piece) - len(b'\\"rms\\":1.0')
    assert piece in text
    three[1].write_bytes(length.to_bytes(8, "little") + raw[8:])
    three[3].write_bytes(three[3].read_bytes()[:-1])
    code, out, _ = golden_cli("verify", "--json", "-")
    assert code == 1
    found = json.loads(out)
    assert found["checked"] == 4
    assert list(found["bad"]) == [str(three[3]), str(three[1])]
    assert all(len(problem) < 400 for bad in found["bad"].values() for problem in bad)


def test_verify_goes_on_behind_a_file_that_no_reader_survives(
    three: list[Path], golden_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fall(self: object, path: object, root: object = None) -> None:
        raise RecursionError("x" * 10**6)

    monkeypatch.setattr(codec.Golden, "open", classmethod(fall))
    code, out, _ = golden_cli("verify")
    assert code == 1
    assert "4 goldens checked, 4 bad" in out
    assert len(out) < 4000


def test_verifying_nothing_is_no_success(three: list[Path], golden_cli: Run) -> None:
    code, _, err = golden_cli("verify", "test_of_another_name")
    assert code == 2
    assert "nothing was verified" in err


def test_verifying_an_empty_folder_is_no_success(project: Path, golden_cli: Run) -> None:
    (project / "goldens").mkdir(exist_ok=True)
    code, _, err = golden_cli("verify")
    assert code == 2
    assert "nothing was verified" in err


def test_verify_takes_files_that_end_like_goldens_whatever_their_names(
    three: list[Path], golden_cli: Run, project: Path
) -> None:
    (project / "goldens" / "stray.safetensors").write_bytes(b"stray")
    code, out, _ = golden_cli("verify", "--json", "-")
    assert code == 1
    assert list(json.loads(out)["bad"]) == [str(project / "goldens" / "stray.safetensors")]


def test_prune_shows_first_and_removes_with_yes(three: list[Path], golden_cli: Run) -> None:
    code, out, _ = golden_cli("prune", "--keep", 2)
    assert code == 0
    assert three[0].name in out
    assert "--yes removes them" in out
    assert all(path.exists() for path in three)
    golden_cli("prune", "--keep", 2, "--yes")
    assert [path.exists() for path in three] == [False, True, True, True]
    assert "nothing to remove" in golden_cli("prune", "--keep", 2)[1]


def test_prune_removes_goldens_of_tests_that_a_whole_run_does_not_have(
    three: list[Path], golden_cli: Run, project: Path
) -> None:
    log = _log(project, TestOutcome(NODEID, "passed"))
    golden_cli("prune", "--unused-by", log, "--yes")
    assert [path.exists() for path in three] == [True, True, True, False]
    assert not three[3].parent.exists()


def test_prune_trusts_no_run_that_could_not_collect(
    three: list[Path], golden_cli: Run, project: Path
) -> None:
    broken = _log(project, TestOutcome(NODEID, "passed"), errors=("tests/test_bert.py",))
    code, _, err = golden_cli("prune", "--unused-by", broken, "--yes")
    assert code == 2
    assert "collection errors" in err
    code, _, err = golden_cli("prune", "--unused-by", _log(project), "--yes")
    assert code == 2
    assert all(path.exists() for path in three)


def _log(folder: Path, *tests: TestOutcome, errors: tuple[str, ...] = ()) -> Path:
    path = folder / "log.json"
    path.write_text(json.dumps(log_json(0, {}, tests, errors, left_out=[])), encoding="utf-8")
    return path


@pytest.mark.parametrize("arguments", [[], ["--keep", "0"], ["--oversized", "big"]])
def test_prune_refuses_rules_that_make_no_sense(
    three: list[Path], golden_cli: Run, arguments: list[str]
) -> None:
    code, _, err = golden_cli("prune", *arguments, "--yes")
    assert code == 2
    assert err.count("\n") >= 2
    assert all(path.exists() for path in three)


def test_prune_by_size(three: list[Path], golden_cli: Run) -> None:
    out = golden_cli("prune", "--oversized", "1", "--json", "-", "test_bert")[1]
    found = json.loads(out)
    assert found["removed"] is False
    assert [item["because"] for item in found["goldens"]] == ["oversized"]
