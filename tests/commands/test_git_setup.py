"""`git-setup` and the pre-commit hook in real repositories."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from pytest_keras_golden.cli import main
from pytest_keras_golden.commands.git_setup import ATTRIBUTE, PROGRAM, SETTING

yaml = pytest.importorskip("yaml")
ROOT = Path(__file__).parents[2]


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    return tmp_path


@pytest.mark.parametrize("before", [None, "", "*.png binary\n", "*.png binary", "\xff\n"])
def test_it_adds_what_is_missing_once(repository: Path, before: str | None) -> None:
    attributes = repository / ".gitattributes"
    if before is not None:
        attributes.write_bytes(before.encode("latin-1"))
    assert main(["git-setup", "--check"]) == 2
    for _ in range(2):
        assert main(["git-setup"]) == 0
    assert main(["git-setup", "--check"]) == 0
    lines = attributes.read_bytes().decode("latin-1").splitlines()
    assert lines == [*(before or "").splitlines(), ATTRIBUTE]
    assert git(repository, "config", SETTING) == PROGRAM


def test_outside_of_git_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert main(["git-setup"]) == 2
    assert "inside of a git repository" in capsys.readouterr().err
    assert not (tmp_path / ".gitattributes").exists()


def test_the_hook_refuses_a_damaged_golden(tmp_path: Path) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    program, *arguments = hook["entry"].split()
    assert program == "keras-golden"
    golden = next((ROOT / "goldens").rglob("*.safetensors"))
    assert re.search(hook["files"], golden.name)
    assert main([*arguments, str(golden)]) == 0
    damaged = tmp_path / golden.name
    content = bytearray(golden.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    assert main([*arguments, str(golden), str(damaged)]) == 1


def test_the_hook_leaves_ordinary_weights_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    _, *arguments = hook["entry"].split()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\ngoldens_dir = kept\n")
    (tmp_path / "kept").mkdir()
    weights = {"w": np.ones(3, "float32")}
    save_file(weights, tmp_path / "weights.safetensors")
    (tmp_path / "pointer.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert main([*arguments, "weights.safetensors", "pointer.safetensors"]) == 0
    assert "0 goldens checked, 0 bad; 2 files left alone: no goldens" in capsys.readouterr().out

    # The same below the goldens folder, or under a golden's name, is a finding.
    golden = "keras-3.15.1-jax-cpu-float32.safetensors"
    for name in ("kept/weights.safetensors", golden):
        save_file(weights, tmp_path / name)
        assert main([*arguments, "weights.safetensors", name]) == 1
        assert f"{name}: " in capsys.readouterr().out
    # So is the same file where somebody names it.
    assert main(["verify", "weights.safetensors"]) == 1
