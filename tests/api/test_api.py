"""The package by hand: what scripts, notebooks and single tests call."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import pytest_keras_golden as kg
from pytest_keras_golden.errors import CaptureError, ConfigError, StoreError

X = np.random.default_rng(0).normal(size=(4, 8)).astype("float32")


def network(scale: float = 1.0) -> Any:
    inputs = keras.Input((8,))
    hidden = keras.layers.Dense(8, activation="tanh", name="hidden")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(3, name="logits")(hidden))
    kg.GoldenTensors.fill_weights(model)
    hidden_layer = model.get_layer("hidden")
    hidden_layer.kernel.assign(hidden_layer.kernel * scale)
    return model


def test_captured_tensors_are_a_mapping_with_their_stack() -> None:
    model = network()
    with kg.capture(model, select="all") as tensors:
        out = model(X)
        assert set(tensors) == {"hidden", "logits", "<model>"}
    np.testing.assert_array_equal(tensors["logits"], keras.ops.convert_to_numpy(out))
    assert tensors.dtypes == {"hidden": "float32", "logits": "float32", "<model>": "float32"}
    assert tensors.stack["keras"] == keras.__version__
    assert "hidden  float32  4×8" in repr(tensors)


def test_a_block_that_saw_nothing_is_an_error() -> None:
    with pytest.raises(CaptureError, match="recorded nothing"), kg.capture(network()):
        pass


def test_a_golden_is_loaded_with_what_made_it(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]")
    pytester.makepyfile(
        """
        import numpy as np
        def test_a(golden_tensors):
            golden_tensors.check("a", np.arange(1.0, 7.0, dtype="float32").reshape(2, 3),
                                 reference=np.arange(1.0, 7.0).reshape(2, 3))
        """
    )
    assert pytester.runpytest("--update-goldens", "--golden-reason=first").ret == 0
    path = next(pytester.path.rglob("*.safetensors"))
    golden = kg.load(path)
    np.testing.assert_array_equal(golden["a"], np.arange(1.0, 7.0, dtype="float32").reshape(2, 3))
    assert golden.reason == "first"
    assert golden.precisions == {"a": "float32"}
    reference = golden.reference("a")
    assert reference is not None
    assert reference.dtype == np.float64
    assert kg.compare(path, golden).verdicts == {"a": "identical"}
    assert not kg.compare(golden, {"a": golden["a"] * np.float32(1.01)})


@pytest.mark.parametrize("content", [b"", b"no golden", b"\xff" * 100])
def test_what_is_no_golden_is_an_error_that_names_it(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"x\.safetensors"):
        kg.load(path)


def test_anything_is_compared_with_anything() -> None:
    a = np.linspace(1, 2, 64, dtype="float32")
    near, far = np.nextafter(a, np.float32(3)), a * np.float32(1.001)
    assert kg.compare(a, near).verdicts == {"tensor": "within"}
    assert not kg.compare(a, far)
    assert kg.compare(a, far, tolerance="rtol=1e-2")
    assert kg.compare({"x": [a, a]}, {"x": [a, near]})
    moved = kg.compare({"x": a, "y": a}, {"x": far, "y": a})
    assert (moved.outcome.first_drift, moved.verdicts["y"]) == ("x", "identical")
    assert kg.compare({"x": a}, {"y": a}).verdicts == {"x": "structure", "y": "structure"}
    assert kg.compare(keras.ops.convert_to_tensor(a), a)


def test_nothing_is_said_of_a_stack_that_nobody_knows() -> None:
    model = network()
    with kg.capture(model) as tensors:
        model(X)
    by_hand = {name: array * np.float32(1.2) for name, array in tensors.items()}
    for sides in ((tensors, by_hand), (by_hand, tensors)):
        page = str(kg.compare(*sides))
        assert page.startswith("DRIFT")
        assert not any(word in page for word in ("absent", "ardware", "Keras", "stack"))


@pytest.mark.parametrize("nothing", [{}, [], ()])
def test_nothing_is_never_the_same(nothing: Any) -> None:
    with pytest.raises(CaptureError):
        kg.compare(nothing, nothing)
    with pytest.raises(CaptureError):
        kg.same(lambda: nothing, lambda: nothing)


@pytest.mark.parametrize("path", [b"x", 3, None, ["a"]])
def test_what_is_no_path_is_said_to_be_none(path: Any) -> None:
    with pytest.raises(ConfigError, match=r"load\(\) got (an? \w+): ") as error:
        kg.load(path)
    assert "Pass the path" in error.value.fix


@pytest.mark.parametrize("sides", [(X, lambda: X), (lambda: X, X), (lambda: X, None)])
def test_values_are_no_calls(sides: Any) -> None:
    with pytest.raises(ConfigError, match="where it needs a call"):
        kg.same(*sides)


@pytest.mark.parametrize("wrong", [{"select": 3}, {"select": [3]}, {"rows": 0}, {"rows": "x"}])
def test_arguments_of_a_capture_are_checked_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(CaptureError, match=next(iter(wrong))), kg.capture(network(), **wrong):
        pytest.fail("the block must not begin")


def test_what_has_no_weights_is_not_filled() -> None:
    with pytest.raises(CaptureError, match=r"fill_weights\(\) got an int: '3'"):
        kg.GoldenTensors.fill_weights(3)


def test_a_comparison_is_a_line_where_it_is_asserted_and_a_page_where_it_is_printed() -> None:
    moved = kg.compare({"a": X, "b": X}, {"a": X * np.float32(1.2), "b": X})
    line = repr(moved)
    assert line.startswith("<Comparison: DRIFT in a (20 %), ")
    assert line.endswith("; 2 tensors: 1 identical, 1 drift>")
    assert len(line) < 200
    assert "\n" not in line
    assert str(moved).splitlines()[0].startswith("DRIFT in a (20 %)")
    assert repr(kg.compare(X, X)) == "<Comparison: IDENTICAL; 1 tensor: 1 identical>"
    long = "x" * 500
    assert len(repr(kg.compare({long: X}, {long: X + 1}))) < 200


def test_a_public_name_that_is_none_is_told_the_nearest() -> None:
    with pytest.raises(AttributeError, match=r"no attribute 'lod'\. Did you mean 'load'\?"):
        kg.lod  # noqa: B018
    with pytest.raises(AttributeError, match=r"no attribute 'zzz'$"):
        kg.zzz  # noqa: B018
    assert not hasattr(kg, "__path_of_nobody__")


def test_dir_lists_what_there_is() -> None:
    assert {*kg.__all__, "__doc__"} <= set(dir(kg))


def test_a_tolerance_that_makes_no_sense_is_an_error() -> None:
    with pytest.raises(ConfigError):
        kg.compare(X, X, tolerance="k=-1")


def test_predict_and_call_are_the_same() -> None:
    model = network()
    comparison = kg.same(lambda: model(X), lambda: model.predict(X, verbose=0))
    assert comparison
    assert set(comparison.verdicts) == {"returned"}


def test_calls_that_differ_say_where_it_begins() -> None:
    calls = []
    first, second = network(), network(scale=1.01)

    def counted(model: Any) -> Any:
        calls.append(model)
        return {"answer": model(X)}

    with pytest.raises(AssertionError) as failed:
        kg.same(lambda: counted(first), lambda: counted(second))
    assert calls == [first, second]
    text = str(failed.value)
    assert "first `functional/hidden`" in text
    assert "answer" in text
    assert kg.same(lambda: first(X), lambda: second(X), tolerance={"rtol": 0.5, "atol": 0.5})


class _Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_notebooks_show_tables_and_names_are_never_tags() -> None:
    name = "<img src=x onerror=alert(1)>\x1b[31m"
    comparison = kg.compare({name: X}, {name: X + 1})
    model = network()
    with kg.capture(model, select="all") as tensors:
        model(X)
    for page in (_Tags(comparison._repr_html_()), _Tags(tensors._repr_html_())):
        assert page.tags == {"p", "table", "tr", "th", "td"}
    assert any(
        "<img src=x onerror=alert(1)>" in text for text in _Tags(comparison._repr_html_()).texts
    )
    assert "\x1b" not in comparison._repr_html_() + repr(comparison)


def test_a_table_begins_with_the_share_that_changed() -> None:
    texts = _Tags(kg.compare({"a": X}, {"a": X * np.float32(1.2)})._repr_html_()).texts
    start = texts.index("tensor")
    assert texts[start : start + 5] == ["tensor", "verdict", "relative L2", "k", "max |Δ|"]
    assert texts[start + 5 : start + 8] == ["a", "drift", "20 %"]


def test_a_long_table_counts_what_it_leaves_out() -> None:
    many = {f"t{i}": np.float32(i + 1) for i in range(100)}
    assert "… and 40 more" in kg.compare(many, many)._repr_html_()


@pytest.mark.parametrize("first", ["capture.block", "compare.verdict", "api.tensors"])
def test_functions_stay_functions_whatever_was_imported(first: str) -> None:
    """Two of them have names of folders."""
    code = (
        f"import pytest_keras_golden.{first}, pytest_keras_golden as kg\n"
        "import pytest_keras_golden.compare.metrics, pytest_keras_golden.capture.block\n"
        "assert callable(kg.capture) and callable(kg.compare)\n"
        "from pytest_keras_golden import capture, compare, load, same\n"
        "assert compare is kg.compare and capture is kg.capture\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_importing_it_imports_nothing_heavy() -> None:
    code = (
        "import sys, pytest_keras_golden as kg; kg.same, kg.load, kg.compare\n"
        "assert not {'keras', 'jax', 'torch', 'rich'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("value", [X[:0], np.full(3, np.nan, "float32"), {"a": X[:0], "b": X[:0]}])
def test_nothing_but_empty_tensors_is_no_agreement(value: Any) -> None:
    for asked in (lambda: kg.compare(value, value), lambda: kg.same(lambda: value, lambda: value)):
        with pytest.raises(CaptureError, match="compares nothing"):
            asked()
    assert not kg.compare(value, X)
