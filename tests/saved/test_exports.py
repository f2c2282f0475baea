"""Exports as sides, through the real command: what holds, what is blamed, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from saved.models_made import saved_dense
from suites import as_json, keras_golden, suite

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

INI = "[pytest]\ngolden_models = *.keras\n"

ELU = """
import keras
import onnx

EXPORT = keras.Model.export


def export(self, filepath, format, **rest):
    EXPORT(self, filepath, format=format, **rest)
    model = onnx.load(filepath)
    for node in model.graph.node:
        if node.op_type == "Relu":
            node.op_type = "Elu"
    onnx.save(model, filepath)


keras.Model.export = export
"""


@pytest.fixture
def models(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text(INI)
    saved_dense(tmp_path / "churn.keras")
    return tmp_path


def gated(folder: Path, *sides: str, backend: str = "tensorflow", path: str = "churn.keras") -> Any:
    done = keras_golden(
        folder, "gate", *sides, "--json", "-", "--", path, env={"KERAS_BACKEND": backend}
    )
    return as_json(done)


@pytest.mark.processes
@pytest.mark.any_backend
class TestRefused:
    def test_a_test_file(self, tmp_path: Path) -> None:
        suite(tmp_path, test_plain="def test_plain(): pass")
        done = keras_golden(tmp_path, "gate", "run=keras", "run=onnx", "--", "test_plain.py")
        assert done.returncode == 2
        assert "run= is for saved models: a test suite runs Keras by itself." in done.stderr
        assert "keras-golden gate run=keras run=onnx -- model.keras" in done.stderr

    def test_a_folder_that_holds_tests(self, models: Path) -> None:
        suite(models, test_plain="def test_plain(): pass")
        (models / "pytest.ini").write_text(INI)
        done = keras_golden(models, "gate", "run=keras", "run=onnx", "--", ".")
        assert done.returncode == 2
        said = "run= is for saved models, and test_plain.py::test_plain is none."
        assert said in done.stderr

    def test_a_backend_that_exports_no_such_format(self, models: Path) -> None:
        done = keras_golden(models, "gate", "run=keras", "run=litert", "--", "churn.keras")
        assert done.returncode == 2
        assert "exports no LiteRT on jax." in done.stderr
        assert "backend=tensorflow,run=litert" in done.stderr

    def test_sides_that_are_equal(self, models: Path) -> None:
        done = keras_golden(models, "gate", "run=keras", "run=keras", "--", "churn.keras")
        assert done.returncode == 2
        assert "are equal" in done.stderr


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("runtime", "module"),
    [
        ("savedmodel", "tensorflow"),
        ("onnx", "onnxruntime"),
        ("litert", "ai_edge_litert"),
        ("openvino", "openvino"),
    ],
)
def test_an_export_holds(models: Path, runtime: str, module: str) -> None:
    pytest.importorskip(module, exc_type=ImportError)
    result = gated(models, "run=keras", f"run={runtime}")
    assert result["verdict"] == "holds"
    assert result["changes"] == [{"name": "run", "old": "keras", "new": runtime}]
    (test,) = result["tests"]
    outputs = {name for name in test["tensors"] if name.endswith("/output")}
    assert outputs == {"ordinary/output", "padded/output", "extremes/output"}
    assert all(0 <= test["numbers"][name]["k"] < 64 for name in outputs)


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_fault_of_the_exporter_is_blamed_on_its_layer(models: Path) -> None:
    pytest.importorskip("onnxruntime")
    (models / "conftest.py").write_text(ELU)
    result = gated(models, "run=keras", "run=onnx")
    assert result["verdict"] == "drift"
    (test,) = result["tests"]
    assert test["status"] == "moved"
    assert test["isolation"] == "complete"
    assert test["local_drift"] == ["ordinary/dense#0"]


@pytest.mark.slow
@pytest.mark.torch
def test_another_backend_exports_what_this_one_computes(models: Path) -> None:
    pytest.importorskip("onnxruntime")
    result = gated(models, "run=keras", "backend=torch,run=onnx", backend="jax")
    assert result["verdict"] == "holds"
    assert {change["name"] for change in result["changes"]} == {"backend", "run"}
