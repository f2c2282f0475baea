"""Training looked into: bit for bit what it is without, and the component that changed blamed."""

from __future__ import annotations

from pathlib import Path

import preloaded
import pytest
from backends import TRAINING
from trainings import outcomes

pytestmark = pytest.mark.processes

CASE = Path(__file__).with_name("training_case.py")

BLAMED = {
    "test_optimizer": ["optimizer:Adam"],
    "test_clipping": ["clipping:SGD"],
    "test_schedule": ["schedule:CosineDecay"],
    "test_loss": ["loss:mean_squared_error"],
    "test_regularisation": ["loss:regularization/sequential/dense#0/kernel"],
    "test_activity": ["loss:add_loss/sequential/a"],
    "test_added": ["loss:add_loss/sequential/encoder#0@1"],
    "test_constraint": ["constraint:MaxNorm"],
    "test_metric_of_several": ["metric:area"],
    "test_metric": ["metric:mae"],
    "test_order": ["data"],
    "test_statistics": ["statistics:sequential/norm"],
    "test_forward": ["sequential/leak"],
    "test_forward_behind_a_division": ["sequential/leak"],
    "test_own_step": ["apart/leak"],
    "test_custom": ["loss:Custom.compute_loss"],
    "test_evaluate": ["loss:mean_squared_error"],
    "test_later": [],
    "test_unchanged[sgd]": [],
    "test_unchanged[adam]": [],
}
"""Test of `training_case` → the component that `CHANGE` changed."""

TWO = {
    "test_two_optimizers[learning_rate]": ["schedule:SGD/making"],
    "test_two_optimizers[momentum]": ["optimizer:SGD/making"],
}
"""Where a model's own step may have several optimizers."""


@pytest.mark.parametrize("backend", TRAINING)
def test_what_changed_in_a_step_is_blamed(
    backend: str, suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    suite.makepyfile(test_steps=CASE.read_text())
    recorded = outcomes(suite, "--update-goldens")
    assert {test["outcome"] for test in recorded.values()} == {"recorded"}
    assert {tuple(test["unseen"]) for test in recorded.values()} == {()}
    again = outcomes(suite)
    verdicts = {tensor["verdict"] for test in again.values() for tensor in test["tensors"]}
    assert verdicts == {"identical"}
    monkeypatch.setenv("CHANGE", "1")
    changed = outcomes(suite)
    blamed = BLAMED | ({} if backend == "jax" else TWO)
    assert {name: test["local_drift"] for name, test in changed.items()} == blamed
    failed = {name for name, test in changed.items() if test["outcome"] == "failed"}
    assert failed == {name for name in blamed if not name.startswith("test_unchanged")}


UNDISTURBED = """
import sys
import keras
import numpy as np
from pytest_keras_golden.capture.block import capture_block
from pytest_keras_golden.capture.tap.request import Request

rng = np.random.default_rng(0)
X = rng.normal(size=(20, 6, 6, 3)).astype("float32")
Y = rng.normal(size=(20, 1)).astype("float32")
OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.01, momentum=0.9, clipnorm=1.0),
    "adam": lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=2),
    "scaled": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.01)),
}
heard = []

class Counts(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        heard.append(batch)

def batches():
    for at in (0, 8, 16):
        heard.append("drawn")
        yield X[at : at + 8], Y[at : at + 8]

def trained(policy, optimizer, watched):
    keras.backend.clear_session()
    keras.utils.set_random_seed(1)
    keras.config.set_dtype_policy(policy)
    model = keras.Sequential([
        keras.Input((6, 6, 3)), keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization(),
        keras.layers.Dropout(0.2), keras.layers.Flatten(),
        keras.layers.Dense(1, kernel_regularizer="l2", dtype="float32"),
    ])
    model.compile(OPTIMIZERS[optimizer](), "mse", metrics=["mae"])
    heard.clear()
    def run():
        first = model.fit(X, Y, batch_size=8, epochs=2, verbose=0, callbacks=[Counts()])
        second = model.fit(batches(), verbose=0)
        return [first.history, second.history, model.evaluate(X, Y, verbose=0)]
    if watched:
        with capture_block(None, Request(isolate=False)) as block:
            said = run()
        assert block.records, "nothing recorded"
    else:
        said = run()
    held = [keras.ops.convert_to_numpy(v) for v in [*model.variables, *model.optimizer.variables]]
    return said, list(heard), held

for policy, optimizer in zip(["float32", "mixed_bfloat16", "float32"], OPTIMIZERS):
    plain, watched = trained(policy, optimizer, False), trained(policy, optimizer, True)
    assert plain[:2] == watched[:2], (policy, optimizer)
    same = [np.array_equal(a, b) for a, b in zip(plain[2], watched[2], strict=True)]
    assert all(same), (policy, optimizer, same)
    print("identical", policy, optimizer)
"""


@pytest.mark.parametrize("backend", TRAINING)
def test_watching_changes_no_bit_and_runs_nothing_twice(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    done = preloaded.run(UNDISTURBED)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("identical") == 3
