"""`keras-golden show`, for eyes and as git's textconv."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from golden_files import Run, Write


def test_stack_tensors_digests_and_first_values_are_shown(write: Write, golden_cli: Run) -> None:
    code, out, _ = golden_cli("show", write("3.5.0", reason="first numbers"))
    assert code == 0
    assert out.startswith("golden of Keras 3.5.0")
    assert "reason: first numbers" in out
    assert "stack: backend jax" in out
    assert "1 blocks/1 block bfloat16 2×8×16" in out


def test_the_text_does_not_depend_on_the_place(
    write: Write, golden_cli: Run, tmp_path: Path
) -> None:
    path = write("3.5.0")
    copy = tmp_path / "blob_a1b2"
    shutil.copy(path, copy)
    assert golden_cli("show", path) == golden_cli("show", copy)


def test_a_changed_tensor_changes_its_own_lines_only(write: Write, golden_cli: Run) -> None:
    _, old, _ = golden_cli("show", write("3.5.0"))
    _, new, _ = golden_cli("show", write("3.5.0", nodeid="other", drift=0.5))
    changed = [b for a, b in zip(old.splitlines(), new.splitlines(), strict=True) if a != b]
    assert len(changed) == 1
    assert "digest=" in changed[0]


def test_json_is_the_header(write: Write, golden_cli: Run) -> None:
    _, out, _ = golden_cli("show", write("3.5.0"), "--json", "-")
    header = json.loads(out)
    assert header["stack"]["keras"] == "3.5.0"
    assert [entry["name"] for entry in header["tensors"]] == ["blocks/0", "blocks/1", "logits"]


def test_what_is_no_golden_is_refused_with_the_fix(project: Path, golden_cli: Run) -> None:
    pointer = project / "pointer.safetensors"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    code, out, err = golden_cli("show", pointer)
    assert (code, out) == (2, "")
    assert "git lfs pull" in err
    code, _, err = golden_cli("show", project / "absent.safetensors")
    assert code == 2
    assert "absent.safetensors" in err


@pytest.mark.parametrize("command", ["show", "diff"])
@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_nobody_is_told_to_remove_what_is_no_golden(
    project: Path, golden_cli: Run, command: str, kind: str
) -> None:
    path = project / "it"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path = Path("/dev/null")
    code, _, err = golden_cli(command, *[path] * (1 + (command == "diff")))
    assert code == 2
    assert "no file, but a folder or device" in err
    assert not re.search(r"\b(rm|remove|delete)\b", err)


def test_git_diff_shows_tensors_with_the_documented_lines(project: Path, write: Write) -> None:
    command = f"{sys.executable} -m pytest_keras_golden.cli show --textconv"
    path = write("3.5.0")
    (project / ".gitattributes").write_text("*.safetensors diff=keras-golden\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    for step in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"]):
        subprocess.run([*git, *step], check=True)
    subprocess.run([*git, "config", "diff.keras-golden.textconv", command], check=True, cwd=project)
    write("3.5.0", drift=0.5)
    broken = project / "goldens" / "broken.safetensors"
    broken.write_bytes(b"\x00" * 4)
    subprocess.run([*git, "add", "-N", "."], check=True)
    shown = subprocess.run([*git, "diff"], capture_output=True, text=True, check=True).stdout
    assert path.name in shown
    changed = [line for line in shown.splitlines() if line[:1] in "+-" and "rms=" in line]
    assert len(changed) == 2
    assert "no golden: this file" in shown
