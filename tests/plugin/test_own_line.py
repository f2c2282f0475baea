"""A mistake in using the package ends at the user's own line: no frame of ours is shown."""

from __future__ import annotations

import json
from importlib import import_module

import pytest

SUITE = """
import unittest
import keras
import numpy as np
import pytest
import pytest_keras_golden as kg

X = np.linspace(1, 2, 32, dtype="float32").reshape(4, 8)


def model():
    inputs = keras.Input((8,))
    return keras.Model(inputs, keras.layers.Dense(3, name="logits")(inputs))


def test_same():
    kg.same(lambda: X, lambda: X * 1.01)  # mine


def test_value():
    kg.same(lambda: X, X)  # mine


def test_tolerance():
    kg.compare(X, X, tolerance={"rtoll": 3})  # mine


def test_nested():
    kg.compare(object(), X)  # mine


def test_missing():
    kg.load("nowhere.safetensors")  # mine


def test_name():
    kg.lod  # mine


def test_select():
    made = model()
    with kg.capture(made, select="logit"):  # mine
        made(X)


def test_callback():
    def broken():
        raise ValueError("my own")  # mine
    kg.same(broken, broken)


def test_fill(golden_tensors):
    golden_tensors.fill_weights(3)  # mine


def test_reference(golden_tensors):
    golden_tensors.check("a", X, reference=np.zeros(3))  # mine


def test_class(golden_tensors):
    with golden_tensors.capture(keras.layers.Dense):  # mine
        model()(X)


def test_method(golden_tensors):
    golden_tensors.chek("a", X)  # mine


@pytest.fixture
def prepared():
    kg.load("nowhere.safetensors")  # mine


def test_fixture(prepared):
    pass


class TestUnit(unittest.TestCase):
    def test_unit(self):
        kg.load("nowhere.safetensors")  # mine
"""

TESTS = 14


def output(pytester: pytest.Pytester, *arguments: str) -> list[str]:
    pytester.makeini("[pytest]")
    return pytester.runpytest("-p", "no:cacheprovider", *arguments).outlines


def test_a_mistake_ends_at_the_line_that_made_it(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SUITE)
    pages: list[list[str]] = []
    for line in output(pytester):
        if line.startswith(("____", "====")):
            pages.append([])
        pages[-1].append(line)
    told = [page for page in pages if page[0].startswith("____")]
    assert len(told) == TESTS
    for page in told:
        marked = [line for line in page if line.startswith(">")]
        assert any(line.endswith("# mine") for line in marked), page
        assert not [line for line in page if "pytest_keras_golden/" in line], page
        assert not [line for line in page if "contextlib" in line], page


@pytest.fixture(autouse=True)
def loaded() -> None:
    """pytester forgets what its runs import, and numpy can be loaded once in a process."""
    import_module("keras")


@pytest.mark.parametrize("auto", [(), ("--golden-auto",)])
def test_a_mistake_while_a_module_is_imported_ends_there(
    pytester: pytest.Pytester, auto: tuple[str, ...]
) -> None:
    pytester.makepyfile("import pytest_keras_golden as kg\nGOLDEN = kg.load('nowhere')  # mine\n")
    result = pytester.runpytest_subprocess("-p", "no:randomly", *auto)
    assert result.ret == 2
    said = result.stdout.str()
    assert "# mine" in said
    assert "nowhere: No such file or directory" in said
    assert "codec.py" not in said


@pytest.mark.parametrize("early", [False, True])
def test_where_no_line_of_the_test_is_to_blame_none_is_shown(
    pytester: pytest.Pytester, early: bool
) -> None:
    """Neither of pytest's, nor the message a second time."""
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.keras_versions
        def test_it():
            pass
        """
    )
    if early:
        pytester.makeconftest("import os\nos.environ['KERAS_BACKEND'] = 'nope'\n")
    said = "is no Keras backend" if early else "no Keras model or layer was called in it"
    run = pytester.runpytest_subprocess("--golden-log=log.json", "-p", "no:cacheprovider")
    (test,) = json.loads((pytester.path / "log.json").read_text())["tests"]
    assert said in test["reason"]
    page = run.stdout.str().partition("FAILURES" if not early else "ERRORS")[2]
    page = page.partition("golden tensors ====")[0]
    assert page.count(said) == 1
    assert "pluggy" not in page
    assert "The above exception" not in page


def test_everything_is_shown_where_it_is_asked_for(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SUITE)
    lines = output(pytester, "-k", "test_missing", "--full-trace")
    assert any("api/tensors.py" in line for line in lines)


def test_a_failing_comparison_says_what_moved(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import numpy as np
        import pytest_keras_golden as kg
        X = np.linspace(1, 2, 32, dtype="float32")
        def test_a():
            assert kg.compare(X, X * np.float32(1.2))
        """
    )
    (line,) = (line for line in output(pytester) if "assert <" in line)
    assert "assert <Comparison: DRIFT in tensor (20 %), " in line
    assert line.endswith("1 tensor: 1 drift>")


def test_a_misspelt_method_names_the_nearest(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SUITE)
    lines = output(pytester, "-k", "test_method")
    wanted = "AttributeError: 'GoldenTensors' object has no attribute 'chek'. Did you mean"
    assert any(f"{wanted} 'check'?" in line for line in lines), lines


AROUND = """
import keras
import pytest


@pytest.fixture(scope="session")
def shared():
    raise OSError("the user's own")


@pytest.fixture
def own():
    raise OSError("the user's own")


@pytest.fixture
def leaving():
    yield keras.layers.Dense(3)
    raise OSError("the user's own")
"""

TESTS_OF_IT = """
import numpy as np


def test_shared(shared):
    pass


def test_shared_again(shared):
    pass


def test_own(own):
    pass


def test_leaving(leaving):
    leaving(np.ones((2, 4), "float32"))
"""


@pytest.mark.parametrize("auto", [(), ("--golden-auto", "--update-goldens")])
def test_the_user_s_own_error_around_a_test_shows_no_frame_of_ours(
    pytester: pytest.Pytester, auto: tuple[str, ...]
) -> None:
    """pytest cuts a traceback at the test's own file, which these errors need not come from."""
    pytester.makeconftest(AROUND)
    pytester.makepyfile(TESTS_OF_IT)
    result = pytester.runpytest_subprocess("-p", "no:randomly", *auto)
    result.assert_outcomes(passed=1, errors=4)
    assert not [line for line in result.outlines if "pytest_keras_golden/" in line]


def test_pytest_says_nothing_of_hidden_frames(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither where a golden is missing or damaged, nor where a number or the set-up fails."""
    suite.makepyfile(
        """
        import os
        import numpy as np
        import pytest

        @pytest.fixture
        def late(golden_tensors):
            yield
            golden_tensors.check("late", np.ones(3))

        def test_a(golden_tensors):
            golden_tensors.check("a", np.full(3, float(os.environ.get("SCALE", "1"))))

        def test_nothing(golden_tensors):
            pass

        def test_late(late):
            pass
        """
    )
    run = suite.runpytest_inprocess
    pages = [run(), run("--update-goldens")]
    monkeypatch.setenv("SCALE", "2")
    pages += [run(), run("--golden-baseline=3.0.0")]
    for path in (suite.path / "goldens").rglob("*.safetensors"):
        path.write_bytes(b"")
    pages.append(run())
    for page in pages:
        assert page.parseoutcomes().get("failed", 0) + page.parseoutcomes().get("errors", 0)
        assert "entries are hidden" not in page.stdout.str()
