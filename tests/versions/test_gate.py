"""The gate on real releases, end to end: exit codes, pages, JSON, refusals, kills."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from suites import NORM, PROGRAM, as_json, environment, keras_golden, suite

pytestmark = pytest.mark.overlay

PLAIN = Path(__file__).parent / "plain_suite"

MIXED = (
    NORM
    + """
import time


def test_fails_already():
    assert keras.layers.Dense(2)(X).shape == (0, 0)


def test_differs_from_itself():
    noise = np.random.default_rng(time.monotonic_ns()).normal(size=(4, 8)).astype("float32")
    keras.layers.Dense(4, name="dense", kernel_initializer="ones").call  # attribute only
    keras.layers.Rescaling(float(noise[0, 0]))(X)


def test_breaks():
    keras.layers.Dense(2)(X)
    assert keras.__version__ < "3.6"


def test_small_golden(golden_tensors):
    inputs = keras.Input((64,))
    norm = keras.layers.LayerNormalization(dtype="bfloat16", name="norm")
    model = keras.Model(inputs, keras.layers.Dense(4, name="head")(norm(inputs)))
    with golden_tensors.capture(model, select="all", isolate=False):
        model(X)


def test_calls_no_model():
    assert keras.layers.Dense(3).units == 3
"""
)
GONE = """
import keras
assert keras.__version__ < "3.6", "this module needs an older Keras"


def test_never_collected():
    pass
"""


def gated(folder: Path, *arguments: str, **env: str) -> Any:
    done = keras_golden(folder, "gate", "--json", "-", *arguments, env=env)
    assert done.returncode in (0, 1), done.stderr[-3000:]
    return {**as_json(done), "exit": done.returncode}


def by_name(result: Any) -> dict[str, str]:
    return {test["nodeid"].rpartition("::")[2]: test["status"] for test in result["tests"]}


def test_every_kind_of_test_is_told_apart(tmp_path: Path) -> None:
    folder = suite(tmp_path / "suite", test_mixed=MIXED, test_gone=GONE)
    pages = ("--markdown", "summary.md", "--html", "page.html")
    result = gated(folder, "3.5.0", "3.6.0", *pages)
    assert by_name(result) == {
        "test_norm": "moved",
        "test_dense": "holds",
        "test_fails_already": "failing before",
        "test_differs_from_itself": "unstable",
        "test_small_golden": "moved",
        "test_breaks": "broke",
        "test_calls_no_model": "no tensors",
        "test_gone.py": "broke",
    }
    assert (result["exit"], result["verdict"]) == (1, "drift")
    moved = [test for test in result["tests"] if test["status"] == "moved"]
    assert [test["local_drift"] for test in moved] == [["layer_normalization"], ["norm"]]
    assert {test["isolation"] for test in moved} == {"complete"}
    gone = next(test for test in result["tests"] if test["nodeid"] == "test_gone.py")
    assert "needs an older Keras" in gone["reason"]
    for page in ("summary.md", "page.html"):
        text = (folder / page).read_text(encoding="utf-8")
        assert "layer_normalization" in text
        assert "test_breaks" in text
    left = {path.name for path in folder.iterdir()} - {"__pycache__"}
    assert left == {"pytest.ini", "test_mixed.py", "test_gone.py", "summary.md", "page.html"}


@pytest.mark.slow
def test_the_plain_suite_moves_at_3_6_by_its_bfloat16_norm_alone() -> None:
    # It is more accurate there, which passes unless the suite asks otherwise.
    result = gated(PLAIN, "3.5.0", "3.6.0", "--", "-o", "golden_precision=fail")
    moved = [test for test in result["tests"] if test["status"] == "moved"]
    assert [test["nodeid"].rpartition("::")[2] for test in moved] == [
        "test_layer_normalization_in_bfloat16_has_unit_variance"
    ]
    assert set(by_name(result).values()) == {"moved", "holds", "no tensors"}


@pytest.mark.slow
def test_weights_that_3_15_draws_otherwise_are_carried_over_and_told() -> None:
    """Attention's kernels have three times the spread there."""
    result = gated(PLAIN, "3.14.1", "3.15.1")
    assert result["exit"] == 0
    by_weights = {name: set[str]() for name in ("transplanted", "equal", "unknown")}
    for test in result["tests"]:
        by_weights[test["weights"]].add(test["status"])
    assert by_weights == {
        "transplanted": {"holds"},
        "equal": {"holds"},
        "unknown": {"no tensors"},
    }
    carried = [test["nodeid"] for test in result["tests"] if test["weights"] == "transplanted"]
    assert len(carried) == 3
    assert all("::test_a_decoder_" in nodeid for nodeid in carried)


@pytest.mark.slow
def test_keras_hub_is_an_axis_too(tmp_path: Path) -> None:
    pytest.importorskip("keras_hub")
    text = """
import keras_hub
import numpy as np


def test_layer():
    layer = keras_hub.layers.TransformerEncoder(16, 2)
    layer(np.ones((1, 4, 8), "float32"))
"""
    folder = suite(tmp_path / "suite", test_hub=text)
    result = gated(folder, "0.18.1", "0.20.0", "--package", "keras-hub")
    assert (result["old"], result["new"]) == ({"keras-hub": "0.18.1"}, {"keras-hub": "0.20.0"})
    assert by_name(result) == {"test_layer": "holds"}


@pytest.mark.slow
def test_xdist_is_fine(tmp_path: Path) -> None:
    pytest.importorskip("xdist")
    folder = suite(tmp_path / "suite", test_norm=NORM)
    result = gated(folder, "3.5.0", "3.6.0", "--", "-n", "2")
    assert by_name(result) == {"test_norm": "moved", "test_dense": "holds"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def test_a(): assert False\n", "Every test fails under keras 3.5.0 already"),
        ("def test_a(): pass\n", "no test calls a Keras model (1 passed)"),
        ("import nonsense_that_is_not_there\n", "ModuleNotFoundError: No module named 'nonsense"),
        ("x = 1\n", "no test calls a Keras model (no tests ran"),
    ],
)
@pytest.mark.slow
def test_without_a_measure_it_is_code_2(tmp_path: Path, text: str, said: str) -> None:
    done = keras_golden(suite(tmp_path / "suite", test_a=text), "gate", "3.5.0", "3.6.0")
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_suite_that_the_new_version_skips_or_empties_does_not_hold(tmp_path: Path) -> None:
    text = """
import keras
import numpy as np
import pytest

new = keras.__version__ >= "3.6"


@pytest.mark.skipif(new, reason="wants 3.5")
def test_skipped():
    keras.layers.Dense(8)(np.ones((4, 8), "float32"))


def test_emptied():
    if not new:
        keras.layers.Dense(8)(np.ones((4, 8), "float32"))
"""
    folder = suite(tmp_path / "suite", test_a=text)
    skipped = keras_golden(folder, "gate", "3.5.0", "3.6.0", "--", "-k", "skipped")
    assert (skipped.returncode, "NOTHING COMPARED (1 skipped)" in skipped.stdout) == (2, True)
    result = gated(folder, "3.5.0", "3.6.0")
    assert by_name(result) == {"test_skipped": "skipped", "test_emptied": "broke"}
    assert result["exit"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["3.5.0", "nonsense"], "'nonsense' is no part of a side"),
        (["3.5.0", "3.99.0"], "offers no keras==3.99.0"),
        (["3.5.0", ">=3.5,<3.7"], "'>=3.5' is no part of a side"),
        (["3.5.0", "3.6.0", "--with", "jax"], "Write NAME==VERSION"),
        (["3.5.0", "3.6.0", "--jobs", "x"], "expected a whole number"),
        (["3.5.0", "3.6.0", "--timeout", "x"], "expected a positive number"),
        (["3.5.0", "3.6.0", "--json", "nowhere/gate.json"], "cannot write nowhere/gate.json"),
        (["3.5.0", "3.6.0", "--", "--update-goldens"], "would write where numbers are to be"),
        (["3.5.0", "3.6.0", "--executor", "ray://x"], "Write dask://host:port"),
    ],
)
def test_bad_input_is_code_2_before_anything_runs(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = keras_golden(suite(tmp_path / "suite", test_a="x = 1\n"), "gate", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_shadowed_keras_is_refused(tmp_path: Path) -> None:
    folder = suite(tmp_path / "suite", test_norm=NORM)
    (folder / "lib" / "keras").mkdir(parents=True)
    (folder / "lib" / "keras" / "__init__.py").write_text("__version__ = '3.5.0'\n")
    (folder / "pytest.ini").write_text("[pytest]\npythonpath = lib\n")
    done = keras_golden(folder, "gate", "3.5.0", "3.6.0")
    assert done.returncode == 2
    assert "shadows the version under test" in done.stderr


@pytest.mark.slow
def test_a_hanging_new_side_is_ended_and_broke(tmp_path: Path) -> None:
    hangs = NORM + "\n\ndef test_hangs():\n    import time\n"
    hangs += "    time.sleep(600 * (keras.__version__ > '3.5.9'))\n"
    folder = suite(tmp_path / "suite", test_norm=hangs)
    result = gated(folder, "3.5.0", "3.6.0", "--timeout", "120", "--jobs", "1")
    assert by_name(result) == {"the whole run": "broke"}
    assert "time-out" in result["tests"][0]["reason"]


SIDES = {
    "releases": ("3.5.0", "3.6.0"),
    "packages and switches": (
        "keras==3.5.0,optree==0.14.0,namex==0.0.8,jit=on",
        "keras==3.7.0,optree==0.15.0,namex==0.1.0,jit=off",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", SIDES)
def test_kills_at_random_moments_leave_nothing_to_trip_over(tmp_path: Path, kind: str) -> None:
    folder = suite(tmp_path / "suite", test_norm=NORM)
    cache = str(tmp_path / "cache")
    moments = random.Random(1)
    for _ in range(4 if kind == "releases" else 8):
        process = subprocess.Popen(
            [*PROGRAM, "gate", *SIDES[kind]],
            cwd=folder,
            env=environment(KERAS_GOLDEN_CACHE=cache),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(moments.uniform(0.5, 25 if kind == "releases" else 45))
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not left_running(str(tmp_path))
    result = gated(folder, *SIDES[kind], KERAS_GOLDEN_CACHE=cache)
    assert by_name(result) == {"test_norm": "moved", "test_dense": "holds"}
    assert result["culprit"] in (None, [{"name": "keras", "old": "3.5.0", "new": "3.7.0"}])
    assert not list(Path(cache).rglob(".partial-*"))
    assert {path.name for path in folder.iterdir()} <= {"pytest.ini", "test_norm.py", "__pycache__"}


@pytest.mark.slow
def test_two_equal_gates_at_once_find_the_same(tmp_path: Path) -> None:
    folder = suite(tmp_path / "suite", test_norm=NORM)
    command = [*PROGRAM, "gate", *SIDES["packages and switches"], "--json", "-"]
    where = environment(KERAS_GOLDEN_CACHE=str(tmp_path / "cache"))
    running = [
        subprocess.Popen(command, cwd=folder, env=where, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    found = [json.loads(process.communicate()[0]) for process in running]
    for result in found:
        assert by_name(result) == {"test_norm": "moved", "test_dense": "holds"}
        assert result["culprit_search"]["since"]["first_bad"] == "3.6.0"


def left_running(mark: str, within: float = 120.0) -> list[str]:
    """Command lines of processes that name `mark`, once they had time to end."""
    deadline = time.monotonic() + within
    while True:
        found = [line for line in map(command_line, Path("/proc").iterdir()) if mark in line]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def command_line(process: Path) -> str:
    try:
        return (process / "cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""
