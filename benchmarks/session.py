"""What a long session costs beside its tests: the controller of pytest-xdist, and the page.

    python benchmarks/session.py [TESTS=2000] [--pages 1000]

TESTS golden tests of one small tensor each are recorded and checked by two workers, and the same
tests run without the plugin. Of the controller, which collects what workers report, its processor
time in milliseconds a test beyond the plain session's. Then PAGES failing tests with ten tensors
each, and how long the page of them takes to write, in seconds. Exits 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

A_TEST, A_PAGE = 1.0, 2.0
"""Goals: milliseconds of the controller a test, seconds of a page of a thousand."""

CONFTEST = """
import json, time
import pytest

@pytest.fixture
def golden_or_not(request):
    name = "golden_tensors"
    known = request.config.pluginmanager.hasplugin("keras_golden")
    return request.getfixturevalue(name) if known else None

@pytest.hookimpl(wrapper=True)
def pytest_terminal_summary():
    begun = time.process_time()
    yield
    with open("summary.json", "w") as file:
        json.dump(time.process_time() - begun, file)

@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    if not hasattr(config, "workerinput"):
        with open("took.json", "w") as file:
            json.dump(time.process_time(), file)
"""
SUITE = """
import numpy as np
import pytest

@pytest.mark.parametrize("case", range({tests}))
def test_small(golden_or_not, case):
    value = np.arange(8, dtype="float32") + case + 1
    if golden_or_not is not None:
        golden_or_not.check("value", value)
    else:
        assert value.any()
"""
FAILING = """
import os
import numpy as np
import pytest

FACTOR = np.float32(os.environ.get("FACTOR", 1))

@pytest.mark.parametrize("case", range({tests}))
def test_ten(golden_tensors, case):
    value = np.arange(64, dtype="float32") + case + 1
    for at in range(10):
        golden_tensors.check(f"layer{{at}}", value * FACTOR)
"""


def session(folder: Path, *options: str) -> float:
    """Seconds of processor time that the controller took."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", *options]
    environment = {**os.environ, "KERAS_BACKEND": os.environ.get("KERAS_BACKEND", "jax")}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(done.stdout.decode() + done.stderr.decode())
    return float(json.loads((folder / "took.json").read_text()))


def controller(folder: Path, tests: int) -> dict[str, float]:
    (folder / "test_small.py").write_text(SUITE.format(tests=tests))
    workers = ("-n", "2", "test_small.py")
    plain = session(folder, "-p", "no:keras_golden", *workers)
    recorded = session(folder, "--update-goldens", "--update-goldens-in-ci", *workers)
    checked = session(folder, *workers)
    return {
        "plain": 1000 * plain / tests,
        "recording": 1000 * (recorded - plain) / tests,
        "checking": 1000 * (checked - plain) / tests,
    }


def page(folder: Path, tests: int) -> float:
    """Seconds that the end of a session takes with a page beyond one without."""
    (folder / "test_ten.py").write_text(FAILING.format(tests=tests))
    session(folder, "--update-goldens", "--update-goldens-in-ci", "test_ten.py")
    os.environ["FACTOR"] = "1.5"
    took = []
    for options in ((), ("--golden-report=page.html",)):
        session(folder, "test_ten.py", "--tb=no", *options)
        took.append(float(json.loads((folder / "summary.json").read_text())))
    size = (folder / "page.html").stat().st_size
    print(f"page of {tests} failing tests: {took[1] - took[0]:.2f} s, {size / 2**20:.1f} MiB")
    return took[1] - took[0]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("tests", nargs="?", type=int, default=2000)
    parser.add_argument("--pages", type=int, default=1000, metavar="TESTS")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "conftest.py").write_text(CONFTEST)
        (folder / "pytest.ini").write_text("[pytest]\ngoldens_dir = goldens\n")
        costs = controller(folder, options.tests)
        for kind, cost in costs.items():
            print(f"controller, {kind}: {cost:.2f} ms a test")
        written = page(folder, options.pages)
    beyond = max(costs["recording"], costs["checking"])
    return 0 if beyond <= A_TEST and written <= A_PAGE * options.pages / 1000 else 1


if __name__ == "__main__":
    sys.exit(main())
