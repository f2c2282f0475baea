"""Loops by hand are looked into: bit for bit what they are without, and the component blamed."""

from __future__ import annotations

from pathlib import Path

import preloaded
import pytest
from backends import TRAINING
from trainings import outcomes

pytestmark = pytest.mark.processes

CASE = Path(__file__).with_name("byhand_case.py")

BLAMED = {
    "test_optimizer": ["schedule:Adam"],
    "test_loss": ["loss:mean_squared_error"],
    "test_regularized": ["loss:regularization/sequential/head/kernel"],
    "test_activity": ["loss:add_loss/sequential/head"],
    "test_same": [],
    "test_schedule": [],
    "test_variables": ["schedule:SGD"],
    "test_compiled[gradient]": ["schedule:Adam"],
    "test_compiled[step]": ["schedule:Adam"],
    "test_torch_optim": ["schedule:AdamW"],
    "test_torch_closure[placed]": ["optimizer:SGD"],
    "test_torch_closure[named]": ["optimizer:SGD"],
    "test_batches": [],
}
"""Test of `byhand_case` → the component that `CHANGE` changed; none behind the recorded steps."""

NOT_READ = "test_function"
"""A function of TensorFlow that holds a whole step: told as not looked at."""


@pytest.mark.parametrize("backend", TRAINING)
def test_what_changed_in_a_loop_is_blamed(
    backend: str, suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    suite.makepyfile(test_loops=CASE.read_text())
    recorded = outcomes(suite, "--update-goldens")
    not_read = recorded.pop(NOT_READ, None)
    assert (not_read is None) == (backend != "tensorflow")
    assert not_read is None or "optimizers" in not_read["unseen"]  # type: ignore[operator]
    assert {test["outcome"] for test in recorded.values()} == {"recorded"}
    for name, test in recorded.items():
        # Layers of a program that runs more than once cannot be captured; its training is.
        assert test["unseen"] == (["traced calls"] if "compiled" in name else []), name
    again = outcomes(suite)
    again.pop(NOT_READ, None)
    assert {name: names(test) for name, test in again.items() if "loss" in name} == {
        "test_loss": EXPECTED_NAMES
    }
    verdicts = {tensor["verdict"] for test in again.values() for tensor in test["tensors"]}
    assert verdicts == {"identical"}
    monkeypatch.setenv("CHANGE", "1")
    changed = outcomes(suite)
    changed.pop(NOT_READ, None)
    assert {name: test["local_drift"] for name, test in changed.items()} == {
        name: BLAMED[name] for name in changed
    }
    failed = {name for name, test in changed.items() if test["outcome"] == "failed"}
    assert failed == set(changed) - {"test_same"}
    assert not any(
        tensor["verdict"] == "incomparable"
        for test in changed.values()
        for tensor in test["tensors"]
    )


def names(test: dict[str, object]) -> set[str]:
    """Of the second step's tensors."""
    tensors: list[dict[str, str]] = test["tensors"]  # type: ignore[assignment]
    return {tensor["name"] for tensor in tensors if tensor["name"].startswith("step_001/")}


WEIGHTS = [
    f"sequential/{layer}/{kind}" for layer in ("hidden", "head") for kind in ("kernel", "bias")
]
EXPECTED_NAMES = {
    "step_001/loss/mean_squared_error",
    "step_001/learning_rate",
    "step_001/slots/iterations",
    *(f"step_001/{part}/{name}" for part in ("gradients", "updates") for name in WEIGHTS),
    *(f"step_001/slots/{name}/{slot}" for name in WEIGHTS for slot in ("momentums", "velocities")),
}

UNDISTURBED = """
import sys
sys.path.insert(0, sys.argv[1])
import byhand_case as case
import keras
import numpy as np
from pytest_keras_golden.capture.block import capture_block
from pytest_keras_golden.capture.tap.request import Request

def ways():
    yield "plain", lambda made, chosen: case.trained(made, chosen, case.loss_of())
    if case.BACKEND == "jax":
        import jax
        for whole in (False, True):
            yield f"compiled {whole}", lambda made, chosen: case.on_jax(
                made, chosen, case.loss_of(), jax.jit, whole
            )

def ran(way, kind, policy, watched):
    keras.backend.clear_session()
    keras.config.set_dtype_policy(policy)
    made, chosen = case.model(), kind(0.01)
    if watched:
        with capture_block(None, Request(isolate=False, select=("training",))) as block:
            losses = way(made, chosen)
        names = [record.name for record in block.records]
        assert any(name.startswith("step_002/updates/") for name in names), names
        assert not any(name.startswith("step_003/") for name in names), names
        assert any(name.startswith("weights/") for name in names) or "compiled True" in how
    else:
        losses = way(made, chosen)
    return losses, [keras.ops.convert_to_numpy(v) for v in [*made.variables, *chosen.variables]]

for how, way in ways():
    for kind in (keras.optimizers.SGD, keras.optimizers.Adam):
        for policy in ("float32", "mixed_bfloat16"):
            plain, watched = ran(way, kind, policy, False), ran(way, kind, policy, True)
            assert plain[0] == watched[0], (how, kind, policy)
            same = [np.array_equal(a, b) for a, b in zip(plain[1], watched[1], strict=True)]
            assert all(same), (how, kind, policy, same)
            print("identical", how, kind.__name__, policy)
"""


@pytest.mark.parametrize("backend", TRAINING)
def test_watching_a_loop_changes_no_bit(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    done = preloaded.run(UNDISTURBED, str(CASE.parent))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("identical") == (12 if backend == "jax" else 4)
