"""The goldens folder of a command line is the one that pytest would use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from golden_files import Run, Write

CONTENTS = {
    "pytest.ini": "[pytest]\ngoldens_dir = kept\n",
    "pyproject.toml": '[tool.pytest.ini_options]\ngoldens_dir = "kept"\n',
    "tox.ini": "[pytest]\ngoldens_dir = kept\n",
    "setup.cfg": "[tool:pytest]\ngoldens_dir = kept\n",
}


@pytest.mark.parametrize("name", CONTENTS)
def test_goldens_dir_of_every_ini_file(
    write: Write, golden_cli: Run, project: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (project / "pytest.ini").unlink()
    (project / name).write_text(CONTENTS[name], encoding="utf-8")
    write("3.5.0", root=project / "kept")
    (project / "deep" / "er").mkdir(parents=True)
    monkeypatch.chdir(project / "deep" / "er")
    assert len(json.loads(golden_cli("list", "--json", "-")[1])) == 1


def test_the_option_is_relative_to_the_working_folder(
    write: Write, golden_cli: Run, project: Path
) -> None:
    write("3.5.0", root=project / "elsewhere")
    found = golden_cli("list", "--goldens-dir", "elsewhere", "--json", "-")[1]
    assert len(json.loads(found)) == 1


def test_a_file_without_a_pytest_section_is_passed_over(
    write: Write, golden_cli: Run, project: Path
) -> None:
    (project / "pytest.ini").unlink()
    (project / "pyproject.toml").write_text("[project]\nname = 'x'\n", encoding="utf-8")
    (project / "tox.ini").write_text("[pytest]\n", encoding="utf-8")
    write("3.5.0")
    assert "1 golden of 1 test" in golden_cli("list")[1]


def test_a_broken_ini_file_and_a_missing_folder_say_so(golden_cli: Run, project: Path) -> None:
    (project / "pytest.ini").write_text("[pytest\n", encoding="utf-8")
    code, _, err = golden_cli("list")
    assert code == 2
    assert "pytest.ini" in err
    code, _, err = golden_cli("list", "--goldens-dir", "absent")
    assert code == 2
    assert "--goldens-dir=DIR" in err
