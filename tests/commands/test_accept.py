"""`keras-golden accept`: a run's candidates become goldens, for chosen tests only."""

from __future__ import annotations

import io
import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from golden_files import NODEID, Run, Write, full_recording

from pytest_keras_golden.cli import main
from pytest_keras_golden.commands import accept
from pytest_keras_golden.errors import CorruptGoldenError
from pytest_keras_golden.outcomes import TestOutcome, log_json
from pytest_keras_golden.store.codec import Golden
from pytest_keras_golden.store.files import save, verify_file
from pytest_keras_golden.store.header import text_of

OTHER = "tests/test_bert.py::test_pooled"


@pytest.fixture
def artifact(project: Path, write: Write) -> Path:
    """What CI leaves: a log, and candidates of two tests under another machine's path."""
    for nodeid in (NODEID, OTHER):
        write("3.5.0", nodeid=nodeid)
        write("3.6.0", nodeid=nodeid, drift=0.5, root=project / "artifact")
    tests = []
    for nodeid, folder in ((NODEID, "test_gpt/test_prefill[bfloat16]"), (OTHER, "test_bert/x")):
        path = f"/home/runner/out/tests/{folder}/keras-3.6.0-jax-cpu-bfloat16.safetensors"
        tests.append(TestOutcome(nodeid, "failed", baseline="3.5.0", candidate=path))
    tests.append(TestOutcome("tests/test_c.py::test_same", "passed", baseline="3.5.0"))
    (project / "log.json").write_text(json.dumps(log_json(1, {}, tests)), encoding="utf-8")
    return project / "artifact"


def goldens(project: Path) -> list[str]:
    return sorted(p.relative_to(project).as_posix() for p in (project / "goldens").rglob("*.*s"))


def test_only_chosen_tests_are_accepted_with_their_reason(
    artifact: Path, golden_cli: Run, project: Path
) -> None:
    before = goldens(project)
    code, out, _ = golden_cli(
        *("accept", "log.json", "--candidates", artifact),
        *("--tests", "*test_gpt*", "--reason", "rms in float32"),
    )
    assert code == 0
    assert "1 golden accepted" in out
    (new,) = set(goldens(project)) - set(before)
    assert new == (
        "goldens/tests/test_gpt/test_prefill[bfloat16]/keras-3.6.0-jax-cpu-bfloat16.safetensors"
    )
    assert "reason: rms in float32" in golden_cli("show", project / new)[1]
    assert golden_cli("verify")[0] == 0


def test_a_node_id_with_brackets_is_taken_literally(
    artifact: Path, golden_cli: Run, project: Path
) -> None:
    code, out, _ = golden_cli(
        "accept", "log.json", "--candidates", artifact, "--tests", NODEID, "--json", "-"
    )
    assert code == 0
    assert [item["test"] for item in json.loads(out)["accepted"]] == [NODEID]


def test_the_accepted_golden_holds_the_candidates_tensors(
    artifact: Path, golden_cli: Run, project: Path
) -> None:
    golden_cli("accept", "log.json", "--candidates", artifact, "--all")
    name = "tests/test_gpt/test_prefill[bfloat16]/keras-3.6.0-jax-cpu-bfloat16.safetensors"
    with Golden.open(project / "goldens" / name) as a, Golden.open(artifact / name) as b:
        assert a.header == b.header
        assert a.path.read_bytes() == b.path.read_bytes()


@pytest.fixture
def full(artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The candidate of one test, with all that a golden may hold."""
    (path,) = artifact.rglob("test_gpt/**/*.safetensors")
    assert save(path, full_recording("3.6.0"), tmp_path_factory.mktemp("locks"))
    return path


def accepted(full: Path, golden_cli: Run, *options: str) -> Path:
    """The golden that accepting the full candidate wrote."""
    (artifact,) = (folder for folder in full.parents if folder.name == "artifact")
    command = ("accept", "log.json", "--candidates", artifact, "--tests", NODEID)
    assert golden_cli(*command, *options)[0] == 0
    return artifact.parent / "goldens" / full.relative_to(artifact)


def contents(golden: Golden) -> dict[str, tuple[str, bytes]]:
    return {name: (array.dtype.name, array.tobytes()) for name, array in golden.arrays().items()}


def test_nothing_of_a_candidate_is_lost(full: Path, golden_cli: Run) -> None:
    golden = accepted(full, golden_cli)
    assert golden.read_bytes() == full.read_bytes()
    with Golden.open(golden) as opened:
        assert opened.header.reason == "the first numbers"
        assert len(opened.arrays()) == 8  # 3 tensors, their references, 2 for isolation


def test_a_reason_changes_the_reason_and_nothing_else(full: Path, golden_cli: Run) -> None:
    golden = accepted(full, golden_cli, "--reason", "rms in float32")
    with Golden.open(golden) as new, Golden.open(full) as old:
        assert new.document["reason"] == "rms in float32"
        changed = {"reason", "checksum"}
        assert new.document.keys() == old.document.keys()
        assert all(new.document[k] == old.document[k] for k in new.document if k not in changed)
        assert contents(new) == contents(old)
    assert verify_file(golden) == []


def test_what_a_newer_version_wrote_is_kept(full: Path, golden_cli: Run) -> None:
    raw = full.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    document = json.loads(header["__metadata__"]["keras_golden"]) | {"later": {"cause": "rounding"}}
    header["__metadata__"]["keras_golden"] = text_of(document)
    text = json.dumps(header).encode()
    full.write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + length :])
    with Golden.open(accepted(full, golden_cli, "--reason", "why")) as golden:
        assert golden.document["later"] == {"cause": "rounding"}


def test_accepting_twice_writes_once(full: Path, golden_cli: Run) -> None:
    golden = accepted(full, golden_cli)
    before = golden.stat()
    out = json.loads(golden_cli(*_everything(full), "--json", "-")[1])
    assert [item["written"] for item in out["accepted"]] == [False, True]
    assert golden.stat().st_ino == before.st_ino


def test_a_damaged_golden_is_mended_by_accepting_the_same(full: Path, golden_cli: Run) -> None:
    golden = accepted(full, golden_cli)
    whole = golden.read_bytes()
    golden.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    accepted(full, golden_cli)
    assert golden.read_bytes() == whole


def test_a_candidate_with_damaged_bytes_is_refused(
    full: Path, golden_cli: Run, project: Path
) -> None:
    before = goldens(project)
    raw = full.read_bytes()
    full.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    code, _, err = golden_cli(*_everything(full))
    assert code == 2
    assert "its bytes do not have the digest on record" in err
    assert goldens(project) == before


def _everything(full: Path) -> tuple[object, ...]:
    (artifact,) = (folder for folder in full.parents if folder.name == "artifact")
    return ("accept", "log.json", "--candidates", artifact, "--all")


def test_unknown_tests_and_missing_choice_are_usage_errors(
    artifact: Path, golden_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = golden_cli("accept", "log.json", "--candidates", artifact, "--tests", "nope")
    assert code == 2
    assert NODEID in err
    code, _, err = golden_cli("accept", "log.json", "--candidates", artifact)
    assert code == 2
    assert "--tests" in err


def test_one_bad_candidate_stops_before_anything_is_written(
    artifact: Path, golden_cli: Run, project: Path
) -> None:
    before = goldens(project)
    (bad,) = artifact.rglob("test_bert/**/*.safetensors")
    bad.write_bytes(bad.read_bytes()[:-1])
    code, _, err = golden_cli("accept", "log.json", "--candidates", artifact, "--all")
    assert code == 2
    assert str(bad) in err
    assert goldens(project) == before


def test_candidates_that_are_elsewhere_are_asked_for(
    artifact: Path, golden_cli: Run, project: Path
) -> None:
    code, _, err = golden_cli("accept", "log.json", "--all")
    assert code == 2
    assert err.endswith("\nName the folder of the run's --golden-output: --candidates DIR\n")


@pytest.mark.parametrize("outcome", ["failed", "error"])
def test_failed_tests_without_candidates_are_no_success(
    golden_cli: Run, project: Path, outcome: str
) -> None:
    test = TestOutcome("t.py::test_a", outcome, reason="boom")
    (project / "log.json").write_text(json.dumps(log_json(1, {}, [test])), encoding="utf-8")
    code, _, err = golden_cli("accept", "log.json", "--all")
    assert code == 2
    assert err == (
        "keras-golden: log.json has failed tests and names no candidate golden\n"
        "Let the run keep them: pytest --golden-log=LOG --golden-output=DIR\n"
    )


def test_a_run_that_holds_has_nothing_to_accept(golden_cli: Run, project: Path) -> None:
    log = log_json(0, {}, [TestOutcome("t.py::test_a", "passed")])
    (project / "log.json").write_text(json.dumps(log), encoding="utf-8")
    code, out, _ = golden_cli("accept", "log.json", "--all")
    assert (code, out) == (0, "0 goldens accepted\n")


def test_a_log_cannot_write_outside_the_goldens_folder(golden_cli: Run, project: Path) -> None:
    test = TestOutcome("../../evil.py::test", "failed", candidate="/x/../../evil.safetensors")
    (project / "log.json").write_text(json.dumps(log_json(1, {}, [test])), encoding="utf-8")
    code, _, err = golden_cli("accept", "log.json", "--all")
    assert code == 2
    assert err == (
        "keras-golden: 'evil.safetensors' is no golden's file name\nUse the log of a real run.\n"
    )


def test_what_was_accepted_is_said(full: Path, golden_cli: Run, project: Path) -> None:
    kept = accepted(full, golden_cli)
    other = project / "goldens/tests/test_bert/test_pooled" / full.name
    _, out, _ = golden_cli(*_everything(full))
    assert out.splitlines() == [
        *(f"unchanged  {NODEID}", f"  {kept}", f"accepted  {OTHER}", f"  {other}"),
        "2 goldens accepted",
    ]
    _, out, _ = golden_cli(*_everything(full), "--json", "-")
    told = [{"test": NODEID, "golden": str(kept)}, {"test": OTHER, "golden": str(other)}]
    assert json.loads(out) == {
        "accepted": [item | {"written": False} for item in told],
        "candidates": 2,
    }


def test_another_goldens_folder(
    artifact: Path, golden_cli: Run, project: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before, other = goldens(project), tmp_path_factory.mktemp("elsewhere")
    command = ("accept", "log.json", "--candidates", artifact, "--all", "--goldens-dir", other)
    assert golden_cli(*command)[0] == 0
    assert len(list(other.rglob("*.safetensors"))) == 2
    assert goldens(project) == before


def test_nothing_is_accepted_through_a_link_that_leads_outside(
    artifact: Path, golden_cli: Run, project: Path
) -> None:
    outside = project / "outside"
    outside.mkdir()
    shutil.rmtree(project / "goldens" / "tests")
    (project / "goldens" / "tests").symlink_to(outside)
    code, _, err = golden_cli("accept", "log.json", "--candidates", artifact, "--all")
    assert code == 2
    assert "outside" in err
    assert list(outside.iterdir()) == []


def test_paths_of_another_system_are_understood(
    artifact: Path, golden_cli: Run, project: Path
) -> None:
    name = "keras-3.6.0-jax-cpu-bfloat16.safetensors"
    test = TestOutcome(NODEID, "failed", candidate=f"C:\\out\\test_gpt\\{name}")
    (project / "log.json").write_text(json.dumps(log_json(1, {}, [test])), encoding="utf-8")
    assert golden_cli("accept", "log.json", "--candidates", artifact, "--all")[0] == 0


def test_several_globs_add_up_and_name_each_test_once(artifact: Path, golden_cli: Run) -> None:
    globs = ("*test_gpt*", "*", OTHER)
    command = ("accept", "log.json", "--candidates", artifact, "--json", "-", "--tests", *globs)
    out = json.loads(golden_cli(*command)[1])
    assert [item["test"] for item in out["accepted"]] == [NODEID, OTHER]


def test_a_glob_that_matches_nothing_lists_what_there_is(golden_cli: Run, project: Path) -> None:
    name = "/x/keras-3.6.0-jax-cpu-bfloat16.safetensors"
    tests = [TestOutcome(f"t.py::test_{i:02}", "failed", candidate=name) for i in range(25)]
    (project / "log.json").write_text(json.dumps(log_json(1, {}, tests)), encoding="utf-8")
    code, _, err = golden_cli("accept", "log.json", "--tests", "absent")
    assert code == 2
    assert err.splitlines() == [
        "keras-golden: no candidate matches 'absent'",
        "The log has candidates for:",
        *(f"  t.py::test_{i:02}" for i in range(20)),
    ]
    log = log_json(0, {}, [TestOutcome("t.py::test_a", "passed")])
    (project / "log.json").write_text(json.dumps(log), encoding="utf-8")
    _, _, err = golden_cli("accept", "log.json", "--tests", "absent")
    assert err.endswith("The log has candidates for: none\n")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_who_is_no_terminal_is_not_asked(
    artifact: Path, golden_cli: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal())
    code, _, err = golden_cli("accept", "log.json", "--candidates", artifact)
    assert code == 2
    assert err == (
        "keras-golden: accept needs to be told which tests\n"
        "Pass --tests GLOB…, or --all, or use a terminal.\n"
    )


@pytest.mark.parametrize(
    ("answers", "taken"),
    [
        (("y", "y"), [NODEID, OTHER]),
        (("n", "Yes"), [OTHER]),
        (("what?", "", " y ", "q"), [NODEID]),
        (("Q",), []),
        (("n", "no"), []),
    ],
)
def test_a_person_answers_test_by_test(
    artifact: Path, monkeypatch: pytest.MonkeyPatch, answers: tuple[str, ...], taken: list[str]
) -> None:
    rest, prompts, screen = list(answers), [], Terminal()
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(sys, "stderr", screen)

    def typed(prompt: str) -> str:
        prompts.append(prompt)
        return rest.pop(0)

    monkeypatch.setattr("builtins.input", typed)
    out = artifact.parent / "out.json"
    command = ["accept", "log.json", "--candidates", str(artifact), "--json", str(out)]
    assert main(command) == 0
    assert [item["test"] for item in json.loads(out.read_text())["accepted"]] == taken
    assert set(prompts) == {"accept? [y]es, [n]o, [q]uit: "}
    assert rest == []
    assert NODEID in screen.getvalue()
    assert (OTHER in screen.getvalue()) == (len(answers) > 1)


def test_help_names_it_and_its_log(golden_cli: Run) -> None:
    flat = " ".join(golden_cli("--help")[1].split())
    assert "accept take the candidate goldens of a run, for chosen tests" in flat
    assert "[--json FILE] LOG" in " ".join(golden_cli("accept", "--help")[1].split())


def test_the_error_of_a_bad_candidate_carries_its_file(artifact: Path) -> None:
    (bad,) = artifact.rglob("test_bert/**/*.safetensors")
    bad.write_bytes(b"bad")
    item = accept.Candidate(TestOutcome(OTHER, "failed"), bad, bad)
    with pytest.raises(CorruptGoldenError) as caught:
        accept._require_whole([item])
    assert caught.value.path == bad
    assert caught.value.problem.startswith(f"{bad}: only 3 bytes")


def test_a_terminal_is_asked_test_by_test(artifact: Path, project: Path) -> None:
    before = goldens(project)
    terminal, side = pty.openpty()
    command = [sys.executable, "-m", "pytest_keras_golden.cli", "accept", "log.json"]
    asked = subprocess.Popen(
        [*command, "--candidates", str(artifact)], stdin=side, stderr=side, stdout=subprocess.PIPE
    )
    os.close(side)
    os.write(terminal, b"what?\nn\ny\n")
    out, _ = asked.communicate(timeout=120)
    assert asked.returncode == 0
    (new,) = set(goldens(project)) - set(before)
    assert "test_bert" in new
    assert b"1 golden accepted" in out
    os.close(terminal)
