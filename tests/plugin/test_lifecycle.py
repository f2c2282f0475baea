"""A golden test's life in a real pytest process: missing, recorded, identical, drift, updated."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

import pytest

SUITE = """
    import numpy as np

    VALUE = np.linspace(-1, 1, 64, dtype="float32").reshape(8, 8)

    def test_value(golden_tensors):
        golden_tensors.check("value", VALUE{change})
"""

Goldens = Callable[[], list[str]]


def write(suite: pytest.Pytester, change: str = "") -> None:
    suite.makepyfile(SUITE.format(change=change))


def run(suite: pytest.Pytester, *args: str) -> tuple[pytest.RunResult, dict[str, Any]]:
    result = suite.runpytest_inprocess("--golden-log=log.json", *args)
    log: dict[str, Any] = json.loads((suite.path / "log.json").read_text())
    return result, log


def only(log: dict[str, Any]) -> dict[str, Any]:
    (test,) = log["tests"]
    return dict(test)


def test_life(suite: pytest.Pytester, goldens: Goldens) -> None:
    write(suite)
    result, log = run(suite)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*no golden to compare with*", "*--update-goldens*"])
    assert goldens() == []
    assert only(log)["outcome"] == "failed"
    assert log["exitstatus"] == 1

    result, log = run(suite, "--update-goldens", "--golden-reason", "first")
    result.assert_outcomes(passed=1)
    (path,) = goldens()
    assert path.startswith("test_life/test_value/keras-")
    assert path.endswith(f"-{os.environ['KERAS_BACKEND']}-cpu-float32.safetensors")
    assert only(log)["outcome"] == "recorded"
    first = (suite.path / "goldens" / path).read_bytes()

    result, log = run(suite)
    result.assert_outcomes(passed=1)
    (tensor,) = only(log)["tensors"]
    assert (tensor["verdict"], tensor["dtype"], tensor["shape"]) == ("identical", "float32", [8, 8])

    write(suite, " * np.float32(1.0001)")
    result, log = run(suite)
    result.assert_outcomes(failed=1)
    assert only(log)["first_drift"] == "value"
    assert only(log)["tensors"][0]["verdict"] == "drift"
    result.stdout.fnmatch_lines(["*value*drift*", "*--update-goldens*"])
    assert (suite.path / "goldens" / path).read_bytes() == first

    result, log = run(suite, "--update-goldens")
    result.assert_outcomes(passed=1)
    assert only(log)["outcome"] == "recorded"
    assert (suite.path / "goldens" / path).read_bytes() != first
    run(suite)[0].assert_outcomes(passed=1)


def test_recording_again_writes_the_same_bytes(suite: pytest.Pytester, goldens: Goldens) -> None:
    write(suite)
    run(suite, "--update-goldens")
    (path,) = goldens()
    file = suite.path / "goldens" / path
    first, stamp = file.read_bytes(), file.stat().st_mtime_ns
    _, log = run(suite, "--update-goldens", "--update-goldens-mode", "all", "--golden-reason", "x")
    assert file.stat().st_mtime_ns == stamp
    assert only(log)["outcome"] == "passed"
    file.unlink()
    run(suite, "--update-goldens")
    assert file.read_bytes() == first


def test_drift_fails_in_the_call_phase_and_keeps_a_candidate(suite: pytest.Pytester) -> None:
    write(suite)
    run(suite, "--update-goldens")
    write(suite, " + 1")
    result, log = run(suite, "--golden-output", "changed")
    result.assert_outcomes(failed=1, errors=0)
    candidate = only(log)["candidate"]
    assert candidate is not None
    assert candidate.startswith(str(suite.path / "changed"))


def test_all_tensors_are_reported_not_just_the_first(suite: pytest.Pytester) -> None:
    body = """
        import numpy as np

        def test_many(golden_tensors):
            for name in ("a", "b", "c"):
                golden_tensors.check(name, np.arange(1, 9, dtype="float32") {change})
    """
    suite.makepyfile(body.format(change=""))
    run(suite, "--update-goldens")
    suite.makepyfile(body.format(change="* 2 if name != 'b' else np.arange(1, 9, dtype='float32')"))
    result, log = run(suite)
    result.assert_outcomes(failed=1)
    assert [t["verdict"] for t in only(log)["tensors"]] == ["drift", "identical", "drift"]


def test_structure_missing_new_and_renamed(suite: pytest.Pytester) -> None:
    body = """
        import numpy as np

        def test_names(golden_tensors):
            golden_tensors.check({{"kept": np.ones(4), "{name}": np.ones({size}, "{dtype}")}})
    """
    suite.makepyfile(body.format(name="block/old", size=4, dtype="float32"))
    run(suite, "--update-goldens")
    suite.makepyfile(body.format(name="block/odd", size=4, dtype="float32"))
    _, log = run(suite)
    verdicts = {t["name"]: t["verdict"] for t in only(log)["tensors"]}
    assert verdicts == {"kept": "identical", "block/odd": "structure", "block/old": "structure"}
    for size, dtype in ((5, "float32"), (4, "float16")):
        suite.makepyfile(body.format(name="block/old", size=size, dtype=dtype))
        result, log = run(suite)
        result.assert_outcomes(failed=1)
        assert only(log)["tensors"][1]["verdict"] == "structure"


def test_nonfinite(suite: pytest.Pytester) -> None:
    body = """
        import numpy as np

        def test_nan(golden_tensors):
            golden_tensors.check("x", np.array([1.0, 2.0, {last}], "float32"))
    """
    suite.makepyfile(body.format(last="3.0"))
    run(suite, "--update-goldens")
    suite.makepyfile(body.format(last="np.nan"))
    _, log = run(suite)
    assert only(log)["tensors"][0]["verdict"] == "nonfinite"


def test_comparing_nothing_fails(suite: pytest.Pytester, goldens: Goldens) -> None:
    suite.makepyfile("def test_nothing(golden_tensors): pass")
    result, _ = run(suite, "--update-goldens")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*compared nothing*"])
    assert goldens() == []


def test_a_name_used_twice_is_an_error(suite: pytest.Pytester, goldens: Goldens) -> None:
    suite.makepyfile(
        """
        def test_twice(golden_tensors):
            golden_tensors.check("x", 1.0)
            golden_tensors.check("x", 2.0)
        """
    )
    result, _ = run(suite, "--update-goldens")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*'x' is checked twice*"])
    assert goldens() == []


BOOLS_AND_BYTES = """
    import numpy as np

    def test_exact(golden_tensors):
        golden_tensors.check({
            "mask": np.array([True, False, True]), "flag": np.bool_(True),
            "bytes": np.array([3, 200, 7], "uint8"), "least": np.array([-128, 5], "int8"),
        })
"""


def test_bools_and_small_integers_are_recorded(suite: pytest.Pytester) -> None:
    suite.makepyfile(BOOLS_AND_BYTES)
    run(suite, "--update-goldens")[0].assert_outcomes(passed=1)
    run(suite)[0].assert_outcomes(passed=1)


def test_a_reference_beside_a_mapping_is_kept(suite: pytest.Pytester, goldens: Goldens) -> None:
    suite.makepyfile(
        """
        import numpy as np

        EXACT = np.linspace(1, 2, 32)

        def test_mapping(golden_tensors):
            golden_tensors.check({"x": EXACT.astype("float16")}, reference={"x": EXACT})
        """
    )
    run(suite, "--update-goldens")[0].assert_outcomes(passed=1)
    (golden,) = goldens()
    assert b"@reference/x" in (suite.path / "goldens" / golden).read_bytes()


@pytest.mark.parametrize(
    ("check", "complaint"),
    [
        ("{}", "*empty mapping*"),
        ("{'x': X}, reference=X", "*reference that is no mapping*"),
        ("{'x': X}, reference={'y': X}", "*reference that is no mapping*"),
        ("'x', X, reference=X[:2]", "*reference is of another form*(2,) for (3,)*"),
        ("'x', [X], reference=X", "*reference is of another form*"),
    ],
)
def test_a_check_that_would_ignore_something(
    suite: pytest.Pytester, goldens: Goldens, check: str, complaint: str
) -> None:
    suite.makepyfile(
        f"""
        import numpy as np

        X = np.arange(3.0)

        def test_it(golden_tensors):
            golden_tensors.check("other", X)
            golden_tensors.check({check})
        """
    )
    result, _ = run(suite, "--update-goldens")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([complaint])
    assert goldens() == []


def test_a_check_after_the_judgement_is_an_error(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        import pytest

        @pytest.fixture
        def late(golden_tensors):
            yield
            golden_tensors.check("late", 2.0)

        def test_late(golden_tensors, late):
            golden_tensors.check("x", 1.0)
        """
    )
    result, log = run(suite, "--update-goldens")
    result.assert_outcomes(passed=1, errors=1)
    assert only(log)["outcome"] == "error"


def test_a_block_left_by_an_exception_is_no_pass(suite: pytest.Pytester, goldens: Goldens) -> None:
    suite.makepyfile(
        """
        import keras, numpy as np, pytest

        def test_left(golden_tensors):
            golden_tensors.check("x", 1.0)
            layer = keras.layers.Dense(2)
            with pytest.raises(ZeroDivisionError):
                with golden_tensors.capture(layer):
                    layer(np.ones((1, 3), "float32"))
                    1 / 0
        """
    )
    result, _ = run(suite, "--update-goldens")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*capture block was left by ZeroDivisionError*"])
    assert goldens() == []


ASKED_FOR_BY_NAME = """
    import random
    import pytest

    @pytest.fixture
    def golden(request):
        return request.getfixturevalue("golden_tensors")

    def test_by_fixture(golden):
        golden.check("x", random.random() + {change})

    def test_in_body(request):
        request.getfixturevalue("golden_tensors").check("x", 1.0)
"""


def test_the_fixture_by_name(suite: pytest.Pytester, goldens: Goldens) -> None:
    """No signature shows it: judged all the same from a fixture, refused inside a body."""
    suite.makepyfile(ASKED_FOR_BY_NAME.format(change=0))
    result, log = run(suite, "--update-goldens")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*asked for inside the test body*"])
    assert len(goldens()) == 1
    assert sorted(test["outcome"] for test in log["tests"]) == ["failed", "recorded"]
    result, log = run(suite)
    assert sorted(test["outcome"] for test in log["tests"]) == ["failed", "passed"]
    suite.makepyfile(ASKED_FOR_BY_NAME.format(change=1))
    run(suite)[0].assert_outcomes(failed=2)


def test_outside_the_markers_versions_is_a_clean_skip(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        import pytest

        @pytest.mark.keras_versions("<3")
        def test_other(golden_tensors):
            golden_tensors.check("x", 1.0)
        """
    )
    result, log = run(suite)
    result.assert_outcomes(skipped=1)
    assert result.ret == 0
    assert only(log)["outcome"] == "skipped"
    assert "wants <3, this is Keras" in only(log)["reason"]


FAILING_BODIES = {
    "function": """
        import pytest
        def test_body(golden_tensors):
            golden_tensors.check("x", 1.0)
            assert False
    """,
    "skip": """
        import pytest
        def test_body(golden_tensors):
            golden_tensors.check("x", 1.0)
            pytest.skip("later")
    """,
    "xfail": """
        import pytest
        @pytest.mark.xfail
        def test_body(golden_tensors):
            golden_tensors.check("x", 1.0)
            assert False
    """,
    "testcase": """
        import unittest, pytest
        class TestBody(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def ask(self, golden_tensors):
                self.golden = golden_tensors
            def test_body(self):
                self.golden.check("x", 1.0)
                self.assertTrue(False)
    """,
    "subtest": """
        import unittest, pytest
        class TestBody(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def ask(self, golden_tensors):
                self.golden = golden_tensors
            def test_body(self):
                self.golden.check("x", 1.0)
                with self.subTest("inner"):
                    self.assertTrue(False)
    """,
    "testcase skip": """
        import unittest, pytest
        class TestBody(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def ask(self, golden_tensors):
                self.golden = golden_tensors
            def test_body(self):
                self.golden.check("x", 1.0)
                self.skipTest("later")
    """,
    "expected failure": """
        import unittest, pytest
        class TestBody(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def ask(self, golden_tensors):
                self.golden = golden_tensors
            @unittest.expectedFailure
            def test_body(self):
                self.golden.check("x", 1.0)
                self.assertTrue(False)
    """,
    "async testcase": """
        import unittest, pytest
        class TestBody(unittest.IsolatedAsyncioTestCase):
            @pytest.fixture(autouse=True)
            def ask(self, golden_tensors):
                self.golden = golden_tensors
            async def test_body(self):
                self.golden.check("x", 1.0)
                self.assertTrue(False)
    """,
    "subtests fixture": """
        def test_body(golden_tensors, subtests):
            golden_tensors.check("x", 1.0)
            with subtests.test("inner"):
                assert False
    """,
}


@pytest.mark.parametrize("body", FAILING_BODIES.values(), ids=FAILING_BODIES.keys())
def test_a_failing_body_writes_nothing(suite: pytest.Pytester, goldens: Goldens, body: str) -> None:
    suite.makepyfile(body)
    _, log = run(suite, "--update-goldens")
    assert goldens() == []
    # pytest counts a unittest case with a failing subTest as passed beside its failed subtest.
    assert {test["outcome"] for test in log["tests"]} <= {"failed", "skipped", "xfailed"}


PASSING_BODIES = {
    "class": """
        class TestBody:
            def test_body(self, golden_tensors):
                golden_tensors.check("x", SCALE)
    """,
    "testcase": """
        import unittest, pytest
        class TestBody(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def ask(self, golden_tensors):
                self.golden = golden_tensors
            def test_body(self):
                self.golden.check("x", SCALE)
    """,
    "async testcase": """
        import unittest, pytest
        class TestBody(unittest.IsolatedAsyncioTestCase):
            @pytest.fixture(autouse=True)
            def ask(self, golden_tensors):
                self.golden = golden_tensors
            async def test_body(self):
                self.golden.check("x", SCALE)
    """,
    "parametrised": """
        import pytest
        @pytest.mark.parametrize("size", ["a/b", "..", "con", "ü"])
        def test_body(golden_tensors, size):
            golden_tensors.check("x", SCALE)
    """,
}


@pytest.mark.parametrize("body", PASSING_BODIES.values(), ids=PASSING_BODIES.keys())
def test_every_form_of_test_is_recorded_checked_and_failed(
    suite: pytest.Pytester, goldens: Goldens, body: str
) -> None:
    (suite.path / "scale.py").write_text("SCALE = 1.0\n")
    suite.makeini("[pytest]\npythonpath = .\n")
    suite.makepyfile("from scale import SCALE\n" + __import__("textwrap").dedent(body))
    run(suite, "--update-goldens")
    recorded = goldens()
    assert recorded
    result, log = run(suite)
    result.assert_outcomes(passed=len(recorded))
    (suite.path / "scale.py").write_text("SCALE = 3.0\n")
    result, log = run(suite)
    result.assert_outcomes(failed=len(recorded))
    assert {test["outcome"] for test in log["tests"]} == {"failed"}


def test_seeds_are_set_before_fixtures_unless_switched_off(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        import random
        import keras, numpy as np, pytest

        @pytest.fixture
        def drawn():
            return [random.random(), np.random.rand(), float(keras.random.normal(()))]

        def test_drawn(golden_tensors, drawn):
            golden_tensors.check("drawn", np.asarray(drawn))
        """
    )
    run(suite, "--update-goldens")
    run(suite)[0].assert_outcomes(passed=1)
    run(suite, "-o", "golden_seed=none")[0].assert_outcomes(failed=1)
    run(suite, "-o", "golden_seed=5")[0].assert_outcomes(failed=1)


def test_update_modes(suite: pytest.Pytester, goldens: Goldens) -> None:
    body = """
        import numpy as np

        def test_kept(golden_tensors):
            golden_tensors.check("x", np.ones(8, "float32") * {scale})

        def test_added(golden_tensors):
            golden_tensors.check("x", np.ones(8, "float32"))
    """
    suite.makepyfile(body.format(scale=1))
    run(suite, "--update-goldens", "-k", "kept")
    assert len(goldens()) == 1
    suite.makepyfile(body.format(scale=2))
    result, _ = run(suite, "--update-goldens", "--update-goldens-mode", "missing")
    result.assert_outcomes(passed=1, failed=1)
    assert len(goldens()) == 2
    result, _ = run(suite, "--update-goldens")
    result.assert_outcomes(passed=2)
    run(suite)[0].assert_outcomes(passed=2)


def test_updating_one_test_leaves_the_others_alone(
    suite: pytest.Pytester, goldens: Goldens
) -> None:
    body = """
        def test_a(golden_tensors):
            golden_tensors.check("x", {scale})

        def test_b(golden_tensors):
            golden_tensors.check("x", {scale})
    """
    suite.makepyfile(body.format(scale=1.0))
    run(suite, "--update-goldens")
    before = {path: (suite.path / "goldens" / path).read_bytes() for path in goldens()}
    suite.makepyfile(body.format(scale=2.0))
    run(suite, "--update-goldens", "-k", "test_a")
    changed = [p for p, raw in before.items() if (suite.path / "goldens" / p).read_bytes() != raw]
    assert ["test_a" in path for path in changed] == [True]


def test_the_option_before_a_path_does_not_swallow_it(suite: pytest.Pytester) -> None:
    folder = suite.mkdir("suite")
    (folder / "test_it.py").write_text("def test_a(golden_tensors): golden_tensors.check('x', 1.)")
    result = suite.runpytest_inprocess("--update-goldens", "suite")
    result.assert_outcomes(passed=1)


def test_verbose_line_and_summary(suite: pytest.Pytester) -> None:
    write(suite)
    run(suite, "--update-goldens")
    result, _ = run(suite, "-v")
    result.stdout.fnmatch_lines(["*golden tensors*", "*1 identical*"])
    result.stdout.fnmatch_lines(["*1 golden test*"])


def test_missing_mode_keeps_the_golden_there_is(suite: pytest.Pytester, goldens: Goldens) -> None:
    write(suite)
    run(suite, "--update-goldens")
    (path,) = goldens()
    first = (suite.path / "goldens" / path).read_bytes()
    write(suite, change=" + 1")
    asked = ("--golden-baseline", "3.0.9", "--update-goldens", "--update-goldens-mode", "missing")
    result, _ = run(suite, *asked)
    result.assert_outcomes(failed=1)
    assert (suite.path / "goldens" / path).read_bytes() == first


def test_without_the_cache_plugin_nothing_is_left_in_the_project(
    suite: pytest.Pytester,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    write(suite)
    # pytester takes the project for the user's home, where the user's cache lies.
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    before = {path.name for path in suite.path.iterdir()}
    result, _ = run(suite, "-p", "no:cacheprovider", "--update-goldens")
    result.assert_outcomes(passed=1)
    made = {path.name for path in suite.path.iterdir()} - before
    assert made <= {"goldens", "log.json", "__pycache__"}


def test_what_is_no_model_is_refused(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        def test_text(golden_tensors):
            with golden_tensors.capture("model"):
                pass
        """
    )
    result, _ = run(suite, "--update-goldens")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*capture() got a str: 'model'*", "*Pass a Keras model or layer*"])


def test_aliases_of_one_block_are_told(suite: pytest.Pytester) -> None:
    source = """
        import keras, numpy as np

        class Model(keras.Model):
            def __init__(self):
                super().__init__()
                self.LAYER = keras.layers.Dense(3, kernel_initializer="ones")

            def call(self, x):
                return self.LAYER(x)

        def test_model(golden_tensors):
            model = Model()
            with golden_tensors.capture(model, select="all"ALIASES):
                model(np.ones((2, 4), "float32"))
    """
    suite.makepyfile(source.replace("LAYER", "head").replace("ALIASES", ""))
    run(suite, "--update-goldens")[0].assert_outcomes(passed=1)
    suite.makepyfile(source.replace("LAYER", "top").replace("ALIASES", ""))
    run(suite)[0].assert_outcomes(failed=1)
    suite.makepyfile(source.replace("LAYER", "top").replace("ALIASES", ", aliases={'top': 'head'}"))
    result, log = run(suite)
    result.assert_outcomes(passed=1)
    assert only(log)["warnings"] == ["aliases: top is compared as head"]


def test_rows_are_sampled_by_argument_and_setting(suite: pytest.Pytester) -> None:
    source = """
        import keras, numpy as np, pytest

        def test_model(golden_tensors):
            model = keras.Sequential([keras.layers.Dense(3, kernel_initializer="ones")])
            with golden_tensors.capture(model, select="all"ROWS):
                model(np.ones((2, 9, 4), "float32"))
    """
    for rows, ini, shape in (
        (", rows=2", "", [2, 4, 3]),
        ("", "golden_rows = 3", [2, 6, 3]),
        (", rows=1", "golden_rows = 3", [2, 2, 3]),
        ("", "golden_rows = 5", [2, 9, 3]),
    ):
        suite.makepyfile(source.replace("ROWS", rows))
        suite.makeini(f"[pytest]\n{ini}\n")
        run(suite, "--update-goldens", "--update-goldens-mode=all")[0].assert_outcomes(passed=1)
        result, log = run(suite)
        result.assert_outcomes(passed=1)
        assert {tuple(tensor["shape"]) for tensor in only(log)["tensors"]} == {tuple(shape)}
    suite.makepyfile(source.replace("ROWS", ", rows=0"))
    result, _ = run(suite)
    result.stdout.fnmatch_lines(["*capture(rows=0)*"])
