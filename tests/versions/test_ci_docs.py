"""docs/ci.md as pasted: its workflows parse, and the commands in them run."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from suites import NORM, environment, suite

yaml = pytest.importorskip("yaml")
pytestmark = [pytest.mark.overlay, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")

MARKED = """
import keras
import numpy as np
import pytest


@pytest.mark.keras_versions("3.5.0", "3.6.0")
def test_dense():
    keras.layers.Dense(8, name="dense")(np.ones((2, 4), "float32"))
"""


def block(first_line: str) -> str:
    """The fenced block that begins with (or contains, for commands) a line."""
    blocks: list[str] = re.findall(r"^```\w+\n(.*?)^```$", DOCUMENT, re.MULTILINE | re.DOTALL)
    (found,) = [text for text in blocks if first_line in text]
    return found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository whose branch bumps keras from 3.5.0 to 3.6.0, with an origin."""
    folder = tmp_path / "project"
    suite(folder / "tests", test_norm=NORM)
    (folder / "tests" / "pytest.ini").unlink()
    # The norm is more accurate in 3.6.0, which passes unless the suite asks otherwise.
    (folder / "pytest.ini").write_text("[pytest]\ngolden_precision = fail\n")
    (folder / "requirements.txt").write_text("keras==3.5.0\njax\npytest\n")
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "the suite")
    git(tmp_path, "clone", "-q", "--bare", str(folder), str(tmp_path / "origin.git"))
    git(folder, "remote", "add", "origin", str(tmp_path / "origin.git"))
    git(folder, "fetch", "-q", "origin")
    git(folder, "checkout", "-q", "-b", "bump")
    bumped = (folder / "requirements.txt").read_text().replace("3.5.0", "3.6.0")
    (folder / "requirements.txt").write_text(bumped)
    return folder


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True)


def shell(
    folder: Path, script: str, program: str = "bash", **env: str
) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        [program, "-e", "-c", script],
        cwd=folder,
        env=environment(PATH=path, CI="true", **env),
        capture_output=True,
        text=True,
    )


def expect_drift(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 1, done.stderr[-3000:]
    assert "1 of 2 compared tests moved" in done.stdout


def test_the_github_workflow_gates_the_bump(project: Path) -> None:
    workflow: Any = yaml.safe_load(block("# .github/workflows/keras-bump.yml"))
    job = workflow["jobs"]["gate"]
    (script,) = [step["run"] for step in job["steps"] if "keras-golden" in step.get("run", "")[:800]
                 and "pip install" not in step["run"]]  # fmt: skip
    summary = project / "summary.md"
    done = shell(
        project, script, GITHUB_BASE_REF="main", GITHUB_STEP_SUMMARY=str(summary), **job["env"]
    )
    expect_drift(done)
    assert "### ❌ keras 3.5.0 → 3.6.0: DRIFT" in summary.read_text(encoding="utf-8")
    assert (project / "gate.json").exists()


@pytest.mark.parametrize(
    ("pinned", "said"),
    [("keras==3.5.0 --hash=sha256:0\n", "keras stays at 3.5.0"), ("keras>=3\n", "no line keras==")],
)
def test_without_a_bump_nothing_is_run_and_without_a_pin_the_job_fails(
    project: Path, pinned: str, said: str
) -> None:
    (project / "requirements.txt").write_text(pinned)
    github: Any = yaml.safe_load(block("# .github/workflows/keras-bump.yml"))
    gitlab: Any = yaml.safe_load(block("# .gitlab-ci.yml"))["keras-bump"]
    for script in (github["jobs"]["gate"]["steps"][4]["run"], "\n".join(gitlab["script"])):
        base = {"GITHUB_BASE_REF": "main", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main"}
        done = shell(project, script, GITHUB_STEP_SUMMARY="summary.md", **base)
        assert said in done.stdout + done.stderr
        assert (done.returncode == 0) == (said in done.stdout)


def test_the_gitlab_job_gates_the_bump(project: Path, tmp_path: Path) -> None:
    job: Any = yaml.safe_load(block("# .gitlab-ci.yml"))["keras-bump"]
    done = shell(
        project,
        "\n".join(job["script"]),
        CI_MERGE_REQUEST_TARGET_BRANCH_NAME="main",
        KERAS_BACKEND=job["variables"]["KERAS_BACKEND"],
        KERAS_GOLDEN_CACHE=str(tmp_path / "cache"),
    )
    expect_drift(done)
    assert all((project / name).exists() for name in job["artifacts"]["paths"])


def test_the_shell_script_gates_against_a_version_or_the_latest(project: Path) -> None:
    git(project, "checkout", "-q", "--", "requirements.txt")
    script = project / "keras-bump.sh"
    script.write_text(block("# keras-bump.sh"))
    expect_drift(shell(project, f"sh {script} 3.6.0", "sh"))
    assert "DRIFT" in (project / "gate.html").read_text(encoding="utf-8")


def test_matrix_and_bisect_run(project: Path) -> None:
    matrix, bisect = block("keras-golden matrix 3.5.0..3.7").strip().splitlines()
    done = shell(project, matrix)
    assert done.returncode == 1, done.stderr[-3000:]
    assert "the first under 3.6.0" in done.stdout
    done = shell(project, bisect)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "keras 3.6.0 is the first release that drifts from 3.5.0" in done.stdout


def test_a_suite_with_its_own_goldens_runs_per_version(project: Path) -> None:
    (project / "tests" / "test_norm.py").write_text(MARKED)
    marked, named = block("pytest --keras-versions=marked").strip().splitlines()
    missing = shell(project, marked)
    assert missing.returncode == 1, missing.stdout
    options = "--update-goldens --update-goldens-mode=all --update-goldens-in-ci"
    record = marked.replace("pytest", f"pytest {options}", 1)
    assert shell(project, record).returncode == 0
    assert len(list((project / "goldens").rglob("*.safetensors"))) == 2
    done = shell(project, marked)
    assert done.returncode == 0, done.stdout
    assert shell(project, named).returncode == 0
    for version in ("3.5.0", "3.6.0"):
        assert "golden.verdict" in (project / f"junit-{version}.xml").read_text()
        assert (project / f"outcomes-{version}.json").exists()


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This project as a wheel, where pip finds it: it need not be published for this test."""
    folder = tmp_path_factory.mktemp("wheels")
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)]
    subprocess.run(build, check=True)
    return folder


@pytest.mark.parametrize("tool", ["tox", "nox"])
def test_tox_and_nox_gate_in_an_environment_of_their_own(
    project: Path, wheels: Path, tool: str
) -> None:
    if importlib.util.find_spec(tool) is None:
        pytest.skip(f"{tool} is not installed")
    files = {"tox": ("tox.ini", "# tox.ini"), "nox": ("noxfile.py", "# noxfile.py")}
    name, first_line = files[tool]
    (project / name).write_text(block(first_line))
    command = {"tox": "tox -q -e keras-bump --", "nox": "nox -s keras_bump --"}[tool]
    links = " ".join(filter(None, [str(wheels), os.environ.get("PIP_FIND_LINKS")]))
    done = shell(project, f"{command} 3.5.0 3.6.0", PIP_FIND_LINKS=links)
    assert done.returncode == 1, done.stdout[-3000:] + done.stderr[-3000:]
    assert "1 of 2 compared tests moved" in done.stdout
