"""Compiled steps that are the golden's own are not watched again, and all others are."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from pytest_keras_golden.capture.backends import program_of, shapes_of
from pytest_keras_golden.capture.record.identity import Taken, told
from pytest_keras_golden.store.codec import Golden

SUITE = """
    import os
    import keras
    import numpy as np

    VARIED = os.environ.get("VARIED", "")

    class Traced(keras.Sequential):
        def train_step(self, *args):
            tell("train")
            return super().train_step(*args)

        def predict_step(self, *args):
            tell("predict")
            return super().predict_step(*args)

    def tell(what):
        with open("traced", "a") as file:
            file.write(what + "\\n")

    class Called(keras.layers.Layer):
        def call(self, x):
            import jax
            jax.debug.callback(lambda: None)
            return x

    class Swapped(keras.layers.Dense):
        def call(self, x):
            scale = 1.0 + 1e-3 if VARIED == "program" else 1.0
            return super().call(x) * scale

    def model_of():
        keras.utils.set_random_seed(1)
        name = "other" if VARIED == "name" else "head"
        layers = [keras.layers.Dense(2, name=name), keras.layers.Dropout(0.3), Swapped(2)]
        if VARIED == "callback" or os.environ.get("CALLS"):
            layers.append(Called())
        model = Traced([keras.Input((4,)), *layers])
        model.compile(keras.optimizers.Adam(), "mse", metrics=["mae"])
        if VARIED == "weights":
            model.layers[0].bias.assign([1e-3, 0.0])
        if VARIED == "slots":
            model.optimizer.build(model.trainable_variables)
            model.optimizer.variables[2].assign(model.optimizer.variables[2] + 1e-3)
        return model

    def data():
        rng = np.random.default_rng(0)
        x = rng.normal(size=(20, 4)).astype("float32")
        if VARIED == "data":
            x *= 1 + 1e-4
        return x, np.ones((20, 2), "float32")

    def test_fit():
        x, y = data()
        model_of().fit(x, y, batch_size=8, verbose=0, validation_data=(x[:4], y[:4]))

    def test_predict():
        model, (x, _) = model_of(), data()
        model.predict(x, batch_size=8, verbose=0)
        model.predict_on_batch(x[:3])
"""
BATCHES = (
    SUITE
    + """
    def test_batches():
        model, (x, y) = model_of(), data()
        said = [model.train_on_batch(x, y), model.test_on_batch(x, y)]
        said += [model.train_on_batch(x[at : at + 4], y[:4]) for at in range(4)]
        model.fit(x, y, batch_size=10, verbose=0)
        said.append(model.test_on_batch(x, y))
        left = [weight.tobytes().hex() for weight in model.get_weights()]
        with open("left", "a") as file:
            file.write(repr((said, left, int(model.optimizer.iterations.value))) + "\\n")
"""
)
OWN = """
    import keras
    import numpy as np

    def test_fit(golden_tensors):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")])
        golden_tensors.fill_weights(model)
        model.compile("adam", "mse")
        x, y = np.ones((8, 4), "float32"), np.zeros((8, 2), "float32")
        with golden_tensors.capture(model, select=("training",)) as tensors:
            model.fit(x, y, batch_size=4, verbose=0)
        np.save("gradient.npy", tensors["step_001/gradients/head/kernel"])
"""
Run = Callable[..., dict[str, dict[str, Any]]]

pytestmark = pytest.mark.skipif(keras.backend.backend() != "jax", reason="a matter of jax alone")


@pytest.fixture
def run(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the suite with these arguments and variables: test → its outcome."""
    suite.makepyfile(SUITE)

    def run(*arguments: str, **variables: str) -> dict[str, dict[str, Any]]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        (suite.path / "traced").unlink(missing_ok=True)
        options = ("-p", "no:randomly", "--golden-auto", "--golden-log=log.json")
        suite.runpytest_inprocess(*options, *arguments)
        tests = json.loads((suite.path / "log.json").read_text())["tests"]
        return {test["nodeid"].rpartition("::")[2]: test for test in tests}

    return run


def _traced(suite: pytest.Pytester, what: str) -> int:
    return (suite.path / "traced").read_text().split().count(what)


def test_the_same_steps_are_traced_for_the_test_alone(suite: pytest.Pytester, run: Run) -> None:
    suite.runpytest_inprocess("-p", "no:keras_golden")
    plain = {what: _traced(suite, what) for what in ("train", "predict")}
    recorded = run("--update-goldens")
    assert {test["outcome"] for test in recorded.values()} == {"recorded"}
    assert _traced(suite, "train") > plain["train"]
    checked = run()
    assert {what: _traced(suite, what) for what in ("train", "predict")} == plain
    for name, test in checked.items():
        assert test["outcome"] == "passed"
        assert test["unwatched"] > 0
        assert test["mode"] == recorded[name]["mode"]
        assert test["observer"] == recorded[name]["observer"] == "identical"
        with Golden.open(suite.path / test["golden"]) as golden:
            names = {tensor.name for tensor in golden.header.tensors}
        assert {tensor["name"] for tensor in test["tensors"]} == names
        assert {tensor["verdict"] for tensor in test["tensors"]} == {"identical"}


def test_methods_for_one_batch_and_what_follows_them(suite: pytest.Pytester, run: Run) -> None:
    """Steps that nobody watched count among those of their optimizer."""
    suite.makepyfile(BATCHES)
    only = ("-k", "test_batches")
    suite.runpytest_inprocess("-p", "no:keras_golden", *only)
    plain = _traced(suite, "train")
    run("--update-goldens", *only)
    test = run(*only)["test_batches"]
    assert _traced(suite, "train") == plain
    judged = [tensor for tensor in test["tensors"] if tensor["judged"]]
    assert {tensor["verdict"] for tensor in judged} == {"identical"}
    assert test["unwatched"] > len(judged) / 2
    assert len(set((suite.path / "left").read_text().splitlines())) == 1


def test_the_report_says_how_much_was_not_computed_again(suite: pytest.Pytester, run: Run) -> None:
    run("--update-goldens", "-k", "test_predict")
    options = ("--golden-auto", "--golden-report=report.md", "-k", "test_predict")
    result = suite.runpytest_inprocess(*options)
    said = "*tensors inside compiled steps were not computed again: each of these steps is the*"
    result.stdout.fnmatch_lines([said])
    assert "not computed again" in (suite.path / "report.md").read_text()


def test_what_is_not_the_golden_s_is_watched(run: Run) -> None:
    run("--update-goldens")
    for varied in ("program", "weights", "slots", "data", "name", "callback"):
        checked = run(VARIED=varied)
        assert checked["test_fit"]["unwatched"] == 0, varied
        # What an optimizer keeps is no part of a prediction.
        assert (checked["test_predict"]["unwatched"] == 0) == (varied != "slots"), varied


def test_what_is_recorded_or_judged_otherwise_is_watched(suite: pytest.Pytester, run: Run) -> None:
    run("--update-goldens")
    for option in (
        "golden_tolerances = float32: k=32",
        "golden_steps = 2",
        "golden_select = logits",
        "golden_aliases = head -> top",
    ):
        suite.makeini(f"[pytest]\n{option}\n")
        for test in run().values():
            assert test["unwatched"] == 0, option


def test_a_program_that_calls_back_is_always_watched(run: Run) -> None:
    run("--update-goldens", "-k", "test_predict", CALLS="1")
    (test,) = run("-k", "test_predict", CALLS="1").values()
    assert (test["outcome"], test["unwatched"]) == ("passed", 0)


def test_under_another_stack_everything_is_watched(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("--update-goldens", "-k", "test_predict")
    monkeypatch.setattr("pytest_keras_golden.stack._threads", lambda: 3)
    for test in run("-k", "test_predict").values():
        assert (test["outcome"], test["unwatched"]) == ("passed", 0)
        assert "threads" in test["stack_changes"]


def test_a_result_that_is_not_repeated_is_watched(suite: pytest.Pytester, run: Run) -> None:
    """The same program on the same inputs, as on a machine that does not add up in order."""
    suite.makeconftest(
        """
        import os
        import keras

        original = keras.Model.make_train_function

        def make(self, *args, **kwargs):
            original(self, *args, **kwargs)
            made = self.train_function
            if os.environ.get("NOISE") and not hasattr(made, "noisy"):
                def noisy(state, data):
                    logs, (first, *rest) = made(state, data)
                    return logs, ([first[0] * (1 + 1e-6), *first[1:]], *rest)
                noisy.noisy = True
                self.train_function = noisy

        keras.Model.make_train_function = make
        """
    )
    run("--update-goldens", "-k", "test_fit")
    known = run("-k", "test_fit")["test_fit"]["unwatched"]
    assert run("-k", "test_fit", NOISE="1")["test_fit"]["unwatched"] < known


def test_after_an_update_of_something_else_programs_stay(suite: pytest.Pytester, run: Run) -> None:
    """A candidate of steps that were not watched holds what the golden holds of them."""
    run("--update-goldens", "-k", "test_predict")
    changed = SUITE.replace("model.predict_on_batch(x[:3])", "model.predict_on_batch(x[:3] * 2)")
    suite.makepyfile(changed)
    moved = run("-k", "test_predict")["test_predict"]
    assert moved["outcome"] == "failed"
    assert moved["unwatched"] > 0
    with Golden.open(suite.path / moved["candidate"]) as golden:
        assert golden.verify() == []
        kept = [program.name for program in golden.header.programs]
    assert kept == ["predict", "predict_on_batch"]
    run("--update-goldens", "-k", "test_predict")
    assert run("-k", "test_predict")["test_predict"]["unwatched"] > moved["unwatched"]


LATER = """
    import os
    import keras
    import numpy as np

    def test_later():
        keras.utils.set_random_seed(1)
        layers = [keras.layers.Dense(3, name="one"), keras.layers.Dense(2, name="two")]
        model = keras.Sequential([keras.Input((4,)), *layers])
        model.compile(keras.optimizers.SGD(0.01), "mse")
        x = np.random.default_rng(0).normal(size=(12, 4)).astype("float32")

        def change(epoch, logs):
            if epoch == 2:
                model.optimizer.learning_rate = 0.01 * float(os.environ.get("LATE", "1"))

        late = keras.callbacks.LambdaCallback(on_epoch_begin=change)
        model.fit(x, np.ones((12, 2)), batch_size=4, epochs=3, verbose=0, callbacks=[late])
"""


def test_what_moved_behind_known_steps_has_the_tolerances_that_it_had(
    suite: pytest.Pytester, run: Run
) -> None:
    """What the terms of a gradient cancel counts for the weights at the end, too."""
    suite.makepyfile(LATER)
    only = ("-k", "test_later")
    recorded = suite.path / run("--update-goldens", *only)["test_later"]["golden"]
    moved = run(*only, LATE="2")["test_later"]
    assert (moved["outcome"], moved["unwatched"] > 0) == ("failed", True)
    assert not any("by themselves" in warning for warning in moved["warnings"])
    with Golden.open(recorded) as one, Golden.open(suite.path / moved["candidate"]) as other:
        tolerances = [{t.name: t.tolerance for t in g.header.tensors} for g in (one, other)]
    assert tolerances[0] == tolerances[1]


def test_the_block_of_a_test_has_the_tensors(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.makepyfile(OWN)
    suite.runpytest_inprocess("--update-goldens")
    recorded = np.load(suite.path / "gradient.npy")
    (suite.path / "gradient.npy").unlink()
    suite.runpytest_inprocess("--golden-log=log.json")
    (test,) = json.loads((suite.path / "log.json").read_text())["tests"]
    assert test["unwatched"] > 0
    assert np.load(suite.path / "gradient.npy").tobytes() == recorded.tobytes()


def test_a_damaged_golden_is_told(suite: pytest.Pytester, run: Run) -> None:
    golden = suite.path / run("--update-goldens", "-k", "test_fit")["test_fit"]["golden"]
    whole = golden.read_bytes()
    with Golden.open(golden) as opened:
        place = opened._contents.places["step_000/gradients/traced/head/kernel"]
        body = len(whole) - len(opened._body)
    damaged = bytearray(whole)
    damaged[body + place.start] ^= 1
    golden.write_bytes(bytes(damaged))
    result = suite.runpytest_inprocess("--golden-auto", "-k", "test_fit")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*digest on record*"])


def test_the_same_numbers_are_not_written_anew(suite: pytest.Pytester, run: Run) -> None:
    golden = suite.path / run("--update-goldens", "-k", "test_fit")["test_fit"]["golden"]
    kept = golden.read_bytes()
    with Golden.open(golden) as opened:
        assert opened.header.programs
    again = run("--update-goldens", "-k", "test_fit")
    assert not again["test_fit"]["written"]
    assert golden.read_bytes() == kept


def test_a_trace_stays_what_jax_has_at_hand() -> None:
    import jax

    traced = []

    def function(state: Any, batch: Any) -> Any:
        traced.append(1)
        return [part + batch for part in state], state

    compiled = jax.jit(function, donate_argnums=0)
    state, batch = [jax.numpy.ones(3), jax.numpy.asarray(2.0)], np.ones(3, "float32")
    shapes = shapes_of(state)
    compiled(state, batch)
    assert "func.func" in program_of(compiled, (shapes, batch))
    assert len(traced) == 1
    assert program_of(function, (shapes, batch)) == ""


def test_places_dtypes_and_shapes_are_told_apart() -> None:
    ones = np.ones(4, "float32")
    nests = [
        [ones],
        {"0": ones, "1": ones},
        [ones.reshape(2, 2)],
        [ones.astype("float16")],
        [ones * 2],
        [1.0],
        [True],
        ones,
    ]
    assert len({told(nest) for nest in nests}) == len(nests)


def test_what_was_donated_is_not_told() -> None:
    import jax

    gone = jax.numpy.ones(2)
    gone.delete()
    assert told([np.ones(2), gone]) == ""


def test_a_batch_as_it_is_is_no_iterator() -> None:
    assert Taken.of((np.ones(2),)) is None
    taken = Taken.of(iter([1, 2, 3]))
    assert taken is not None
    assert [next(taken), next(taken)] == taken.taken == [1, 2]
