"""What a finished run had nothing to do with: real packages on disk, real pytest runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from suites import suite

from pytest_keras_golden.io.ownership import claim
from pytest_keras_golden.stacks.pin import Pin
from pytest_keras_golden.stacks.side import Side
from pytest_keras_golden.versions.inner.job import Job
from pytest_keras_golden.versions.inner.run import run_inner
from pytest_keras_golden.versions.untouched import untouched

pytestmark = pytest.mark.processes

Install = Callable[..., Pin]


@pytest.fixture
def install(tmp_path: Path) -> Install:
    """A package `tool` as an installer leaves it, in a folder of its own."""

    def installed(version: str, pure: bool = True, **files: str) -> Pin:
        folder = tmp_path / f"tool-{version}"
        info = f"tool-{version}.dist-info"
        every = {f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tool\nVersion: {version}\n"}
        every |= {f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: {str(pure).lower()}\n"}
        every |= {"tool/__init__.py": f"VERSION = {version!r}\n", "tool/data.txt": version}
        every |= {path.replace("INFO", info): text for path, text in files.items()}
        every[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in every)
        for path, text in every.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        return Pin("tool", version, folder)

    return installed


def judged(
    tmp_path: Path, code: str, old: Pin, new: Pin, told: dict[str, str] | None = None
) -> bool:
    folder = suite(tmp_path / "suite", test_it=code)
    run = run_inner(
        Job(
            (old,),
            ("-p", "no:keras_golden_auto"),
            (),
            folder,
            claim(tmp_path / "run"),
            resumes=True,
        )
    )
    assert run.exitstatus == 0, run.output
    extra = {"told": {**Side((new,)).parts, **told}} if told else {}
    return untouched(run, Side((old,)), Side((new,), **extra))


NOTHING = "def test_it():\n    pass\n"


def test_what_nobody_reads_is_untouched(tmp_path: Path, install: Install) -> None:
    assert judged(tmp_path, NOTHING, install("1.0"), install("2.0"))


@pytest.mark.parametrize(
    "code",
    [
        "import tool\ndef test_it():\n    pass\n",
        "import importlib.util\nfrom pathlib import Path\ndef test_it():\n"
        "    place = importlib.util.find_spec('tool').origin\n"
        "    assert Path(place).with_name('data.txt').read_text()\n",
        "from importlib.metadata import version\ndef test_it():\n    assert version('tool')\n",
        "import subprocess, sys\ndef test_it():\n"
        "    subprocess.run([sys.executable, '-c', 'import tool'], check=True)\n",
    ],
    ids=["imported", "data", "version", "another process"],
)
def test_what_is_read_in_any_way_is_touched(tmp_path: Path, install: Install, code: str) -> None:
    assert not judged(tmp_path, code, install("1.0"), install("2.0"))


def test_what_the_new_version_adds_is_not_ruled_out(tmp_path: Path, install: Install) -> None:
    old = install("1.0")
    plugin = {"INFO/entry_points.txt": "[pytest11]\ntool = tool.plugin\n", "tool/plugin.py": ""}
    assert not judged(tmp_path, NOTHING, old, install("2.0", **plugin))
    assert not judged(tmp_path, NOTHING, old, install("3.0", **{"json5.py": ""}))


def test_what_another_library_may_load_is_not_ruled_out(
    tmp_path: Path, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = install("1.0", pure=False), install("2.0", pure=False)
    assert judged(tmp_path, NOTHING, *compiled)
    other = tmp_path / "other"
    (other / "other-1.0.dist-info").mkdir(parents=True)
    metadata = "Metadata-Version: 2.1\nName: other\nVersion: 1.0\nRequires-Dist: Tool>=1\n"
    (other / "other-1.0.dist-info" / "METADATA").write_text(metadata)
    monkeypatch.syspath_prepend(str(other))
    assert not judged(tmp_path, NOTHING, *compiled)
    assert judged(tmp_path, NOTHING, install("3.0"), install("4.0"))


def test_a_switch_and_a_package_of_one_side_are_not_ruled_out(
    tmp_path: Path, install: Install
) -> None:
    old, new = install("1.0"), install("2.0")
    assert not judged(tmp_path, NOTHING, old, new, told={"jit": "off"})
    assert not judged(tmp_path, NOTHING, old, new, told={"other": "1.0"})
