"""docs/git.md in a repository that holds a golden."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from docs_pages import ROOT, blocks

GOLDEN = "goldens/tests/test_gpt/test_prefill/keras-3.15.1-jax-cpu-float32.safetensors"
RECORDED = ROOT / "goldens/examples/gpt/test_gpt/test_prompt[float32]"


def test_its_lines_let_git_show_what_changed_in_a_golden(tmp_path: Path) -> None:
    attributes, configure, compare, _hook = [block.text for block in blocks("docs/git.md")]
    golden = tmp_path / GOLDEN
    golden.parent.mkdir(parents=True)
    shutil.copy(RECORDED / "keras-3.6.0-jax-cpu-float32.safetensors", golden)
    (tmp_path / ".gitattributes").write_text(attributes)
    commit = "git -c user.name=a -c user.email=a@b commit -q -m recorded"
    run(tmp_path, f"git init -q -b main && git add -A && {commit}\n{configure}")
    run(tmp_path, compare.replace("/tmp/", f"{tmp_path}/"))
    shutil.copy(RECORDED / "keras-3.7.0-jax-cpu-float32.safetensors", golden)
    lines = run(tmp_path, "git diff").splitlines()
    assert any(line.startswith("-") and "3.6.0" in line for line in lines)
    assert any(line.startswith("+") and "3.7.0" in line for line in lines)
    assert any(line.startswith("+  rms=") for line in lines)


def run(folder: Path, script: str) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path, "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(
        ["bash", "-e", "-c", script], cwd=folder, env=env, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
