"""Which small changes of the code no test notices: mutmut over the modules that decide.

    python benchmarks/mutants.py [AREA…] [--jobs N] [--show]

An area is a module or folder of the package, with the tests that are to hold it (see AREAS; all by
default), or a module of such a folder. Each is copied aside, every function in it changed in all of
mutmut's ways, one at a time, and the tests that reach the function are run; a change that they let
pass has survived. What lives without being a fault (texts of progress bars, another way to say the
same) is for a reader to tell: `--show` prints the survivors. The last line is JSON; exit code 1
where less than 90 % were killed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PACKAGE = "pytest_keras_golden"
COPIED = (PACKAGE, "tests", "docs", "conftest.py", "pyproject.toml", "README.md", "CHANGELOG.md")
# Texts of parsers are held by the reference that is generated from them.
REFERENCE = "tests/docs/test_docs_reference.py"
AREAS = {
    "store/baseline.py": ["tests/store/test_baseline.py"],
    "commands/accept.py": ["tests/commands/test_accept.py", REFERENCE],
    "compare": ["tests/compare"],
    "case/rules.py": ["tests/case/test_rules.py"],
    "versions/compared/verdicts.py": ["tests/versions/compared/test_verdicts.py"],
}
# A child process would run the mutant without telling mutmut which tests reach it.
DESELECTED = ("tests/commands/test_accept.py::test_a_terminal_is_asked_test_by_test",)
KILLED = ("killed", "timeout", "suspicious", "segfault", "caught by type check")
ENOUGH = 0.9


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("areas", nargs="*", metavar="AREA", help=", ".join(AREAS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--show", action="store_true", help="print what survived")
    options = parser.parse_args()
    counts = {}
    for area in options.areas or AREAS:
        if not tests_of(area):
            parser.error(f"{area} is none of {', '.join(AREAS)}")
        with tempfile.TemporaryDirectory() as folder:
            counts[area] = mutated(area, Path(folder), options.jobs, options.show)
        print(area, counts[area], file=sys.stderr)
    print(json.dumps(counts))
    return int(any(found["share_killed"] < ENOUGH for found in counts.values()))


def tests_of(area: str) -> list[str]:
    """Those of the area, or of the folder that it lies in."""
    return AREAS.get(area) or AREAS.get(area.partition("/")[0], [])


def mutated(area: str, folder: Path, jobs: int, show: bool) -> dict[str, float]:
    """How many mutants of an area there were, and what became of them."""
    copy_into(folder)
    # A folder of sys.path that is not there when Python starts is never looked into.
    (folder / "mutants").mkdir()
    with (folder / "pyproject.toml").open("a", encoding="utf-8") as file:
        file.write(configuration(area))
    mutmut(folder, "run", "--max-children", str(jobs))
    found = dict(statuses(mutmut(folder, "results", "--all", "true")))
    if not found:
        raise SystemExit(f"{area}: no mutant was made, so nothing was tested")
    lived = [name for name, status in found.items() if status not in KILLED]
    for name in lived if show else ():
        print(mutmut(folder, "show", name), file=sys.stderr)
    share = 1 - len(lived) / len(found)
    return {**Counter(found.values()), "mutants": len(found), "share_killed": round(share, 3)}


def copy_into(folder: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "-co", "--exclude-standard", *COPIED],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((REPOSITORY / name).read_bytes())


def configuration(area: str) -> str:
    """mutmut reads nothing but the project's own file."""
    settings = {
        "source_paths": [f"{PACKAGE}/{area}"],
        "also_copy": list(COPIED),
        "pytest_add_cli_args": [
            *("-p", "no:cacheprovider"),
            *(f"--deselect={test}" for test in DESELECTED),
        ],
        "pytest_add_cli_args_test_selection": tests_of(area),
    }
    lines = (f"{key} = {json.dumps(value)}" for key, value in settings.items())
    return "\n".join(["", "[tool.mutmut]", *lines, ""])


def mutmut(folder: Path, *arguments: str) -> str:
    """Run it in the copy, whose mutated package comes before the one that is installed."""
    done = subprocess.run(
        [sys.executable, "-m", "mutmut", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder / "mutants"), "KERAS_BACKEND": "numpy"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(done.stdout[-9000:], done.stderr, file=sys.stderr)
        raise SystemExit(f"mutmut {arguments[0]} failed: nothing was tested")
    return done.stdout


def statuses(text: str) -> Iterator[tuple[str, str]]:
    """`    package.module.x_function__mutmut_3: survived`, line by line."""
    for line in text.splitlines():
        name, found, status = line.strip().partition(": ")
        if found and "__mutmut_" in name:
            yield name, status


if __name__ == "__main__":
    raise SystemExit(main())
