"""What of Keras ran in a test and was not looked into is named, so that a pass is not misread."""

from __future__ import annotations

import json

import pytest
from backends import EVERY

pytestmark = pytest.mark.processes

SUITE = """
    import threading
    import keras
    import numpy as np
    import pytest

    X, Y = np.ones((4, 3), "float32"), np.ones((4, 2), "float32")

    def model():
        made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        made.compile("sgd", "mse", metrics=["mae"])
        return made

    trains = pytest.mark.skipif(keras.backend.backend() == "numpy", reason="numpy cannot train")

    @trains
    def test_fit():
        model().fit(X, Y, verbose=0)

    @trains
    def test_evaluate():
        model().evaluate(X, Y, verbose=0)

    def test_losses():
        keras.losses.MeanSquaredError()(Y, 2 * Y)

    def test_metrics():
        metric = keras.metrics.MeanAbsoluteError()
        metric.update_state(Y, 2 * Y)
        metric.result()

    @trains
    def test_optimizers():
        variable = keras.Variable(np.ones(3, "float32"))
        optimizer = keras.optimizers.SGD(0.1)
        optimizer.build([variable])
        optimizer.apply([variable + 1], [variable])

    def test_operations():
        keras.ops.softmax(keras.ops.convert_to_tensor(X))

    def test_threads():
        made = model()
        thread = threading.Thread(target=lambda: made(X))
        thread.start()
        thread.join()

    @pytest.fixture(scope="module")
    def shared():
        return model()(X)

    def test_shared(shared):
        assert shared.shape == (4, 2)

    def test_looked_into():
        made = model()
        if keras.backend.backend() != "numpy":
            made.train_on_batch(X, Y)
        made(keras.ops.convert_to_tensor(X))

    @pytest.mark.skipif(keras.backend.backend() != "jax", reason="jax compiles it")
    def test_traced():
        import jax

        jax.jit(model()).lower(X)

    @pytest.mark.skipif(keras.backend.backend() != "torch", reason="layers are its modules")
    def test_modules():
        import torch

        torch.nn.Linear(3, 2)(torch.tensor(X))

    def test_nothing():
        assert X.shape == (4, 3)

    def test_activations():
        keras.activations.relu(X)

    def test_random():
        keras.random.normal((2,), seed=1)

    def test_initializers():
        keras.initializers.GlorotUniform(seed=1)((2, 2))

    def test_regularizers():
        keras.regularizers.L2(0.1)(X)

    def test_loss_functions():
        keras.losses.mean_squared_error(Y, 2 * Y)

    def test_update_step():
        variable = keras.Variable(np.ones(3, "float32"))
        optimizer = keras.optimizers.Adam(0.1)
        optimizer.build([variable])
        optimizer.update_step(variable + 1, variable, optimizer.learning_rate)

    def test_adapt():
        keras.layers.Normalization().adapt(X)

    @pytest.fixture
    def late():
        yield
        model()(X)

    def test_teardown(late):
        pass

    def test_only_built():
        model().build((None, 3))
"""

EXPECTED = {
    "test_fit": [],
    "test_evaluate": [],
    "test_losses": ["losses"],
    "test_metrics": ["metrics"],
    "test_optimizers": [],
    "test_operations": ["keras.ops"],
    "test_threads": ["other threads"],
    "test_shared": ["shared fixtures"],
    "test_looked_into": [],
    "test_traced": ["traced calls"],
    "test_modules": [],
    "test_nothing": [],
    "test_activations": ["activations"],
    "test_random": ["keras.random"],
    "test_initializers": ["initializers"],
    "test_regularizers": ["regularizers"],
    "test_loss_functions": ["losses"],
    "test_update_step": ["optimizers"],
    "test_adapt": ["adapt"],
    "test_teardown": ["fixture teardown"],
    "test_only_built": [],
}


@pytest.mark.parametrize("backend", EVERY)
def test_every_kind_is_named(
    backend: str, suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    suite.makepyfile(SUITE)
    result = suite.runpytest_subprocess(
        "--golden-auto", "--update-goldens", "--golden-log=log.json", "-p", "no:cacheprovider"
    )
    assert result.ret == 0
    tests = json.loads((suite.path / "log.json").read_text())["tests"]
    found = {test["nodeid"].rpartition("::")[2]: test for test in tests}
    ran = {name: test["unseen"] for name, test in found.items() if test["outcome"] != "skipped"}
    assert len(ran) == {"numpy": 16, "tensorflow": 19}.get(backend, 20)
    assert ran == {name: EXPECTED[name] for name in ran}
    looked_into = {name for name, kinds in EXPECTED.items() if not kinds}
    looked_into -= {"test_modules", "test_nothing", "test_only_built"}
    assert all(found[name]["outcome"] == "recorded" for name in looked_into & ran.keys())


IMPORTING = """
import keras
import numpy as np

X = keras.ops.ones((2, 3))
BUILT = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
{at_import}

def test_of_what_the_module_made():
    assert X.shape == (2, 3)

def test_of_its_own():
    BUILT(X)
"""


@pytest.mark.parametrize(
    ("at_import", "kinds"),
    [
        ("Y = BUILT(X)", ["import of the test module"]),
        ("LOSS = keras.losses.MeanSquaredError()(X, 2 * X)", ["import of the test module"]),
        ("DRAWN = keras.random.normal((2,))", []),
    ],
)
def test_what_a_module_computes_as_it_is_imported_is_named(
    suite: pytest.Pytester, at_import: str, kinds: list[str]
) -> None:
    suite.makepyfile(IMPORTING.format(at_import=at_import))
    suite.makepyfile(test_another="def test_beside():\n    pass\n")
    suite.runpytest_subprocess("--golden-auto", "--update-goldens", "--golden-log=log.json")
    tests = json.loads((suite.path / "log.json").read_text())["tests"]
    found = {test["nodeid"].rpartition("::")[2]: test for test in tests}
    assert {name: test["unseen"] for name, test in found.items()} == {
        "test_beside": [],
        "test_of_its_own": kinds,
        "test_of_what_the_module_made": kinds,
    }
    assert found["test_of_its_own"]["outcome"] == "recorded"


@pytest.mark.tensorflow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_layers_in_a_data_pipeline_are_named(
    backend: str, suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    suite.makepyfile(
        """
        import keras
        import tensorflow as tf

        def test_pipeline():
            layer = keras.layers.Rescaling(2.0)
            assert len(list(tf.data.Dataset.range(3).map(layer))) == 3
        """
    )
    suite.runpytest_subprocess("--golden-auto", "--update-goldens", "--golden-log=log.json")
    (test,) = json.loads((suite.path / "log.json").read_text())["tests"]
    assert (test["outcome"], test["unseen"]) == ("passed", ["data pipelines"])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            "made.evaluate(x, x, verbose=0)",
            "only `evaluate` ran inside it, which is not looked into",
        ),
        ("made.get_config()", "nothing was called inside it"),
        ("made(x)", "what was called inside it has none"),
        ("with pytest.raises(ValueError): made(x[:, :2])", "every call of Keras inside it raised"),
    ],
)
def test_an_empty_capture_block_says_why(suite: pytest.Pytester, body: str, said: str) -> None:
    suite.makepyfile(
        f"""
        import keras
        import numpy as np
        import pytest

        def test_empty(golden_tensors):
            x = np.ones((4, 3), "float32")
            made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3), keras.layers.ReLU()])
            made.compile("sgd", "mse")
            with golden_tensors.capture(made, select="attention"):
                {body}
        """
    )
    result = suite.runpytest_inprocess("--update-goldens")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"*saw no tensor of the selection: {said}*"])


RAISING = """
    import keras
    import numpy as np
    import pytest

    X, WRONG = np.ones((4, 3), "float32"), np.ones((4, 5), "float32")

    def model():
        made = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        made.compile("sgd", "mse")
        return made

    def test_call():
        with pytest.raises(Exception):
            model()(WRONG)

    def test_predict():
        with pytest.raises(Exception):
            model().predict(WRONG, verbose=0)

    def test_train_on_batch():
        with pytest.raises(Exception):
            model().train_on_batch(WRONG, X)

    def test_loss():
        with pytest.raises(Exception):
            keras.losses.CategoricalCrossentropy()(X, np.ones((5,), "float32"))

    def test_optimizer():
        optimizer = keras.optimizers.SGD()
        with pytest.raises(Exception):
            optimizer.apply([X])

    def test_beside():
        model()(X)
        with pytest.raises(Exception):
            model()(WRONG)
"""


@pytest.mark.parametrize("backend", EVERY)
def test_calls_that_raised_are_no_missing_calls(
    backend: str, suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    suite.makepyfile(RAISING)
    options = ("--golden-auto", "--update-goldens", "--golden-log=log.json", "-p", "no:randomly")
    result = suite.runpytest_subprocess(*options)
    assert not [line for line in result.outlines if "called no Keras model" in line]
    tests = json.loads((suite.path / "log.json").read_text())["tests"]
    unseen = {test["nodeid"].partition("::test_")[2]: test["unseen"] for test in tests}
    assert unseen.pop("beside") == []
    assert len(unseen) == 5
    assert {name for name, kinds in unseen.items() if "calls that raised" not in kinds} == set()


def test_a_marked_test_whose_calls_all_raise_says_so(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        RAISING.replace("def test_call", "@pytest.mark.keras_versions\n    def test_call")
    )
    result = suite.runpytest_inprocess("--update-goldens", "-k", "test_call")
    result.assert_outcomes(failed=1, deselected=5)
    result.stdout.fnmatch_lines(["*its body gave no tensor: every call of Keras inside it raised*"])


def test_a_recorded_test_whose_call_raises_now_says_so(suite: pytest.Pytester) -> None:
    source = """
        import keras
        import numpy as np

        def test_swallows():
            try:
                keras.layers.Dense(2)(np.ones({shape}, "float32"))
            except ValueError:
                pass
    """
    suite.makepyfile(source.format(shape=(2, 3)))
    suite.runpytest_inprocess("--golden-auto", "--update-goldens").assert_outcomes(passed=1)
    suite.makepyfile(source.format(shape=()))
    result = suite.runpytest_inprocess("--golden-auto")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*now it uses Keras only in ways * (calls that raised)*"])


TRANSFORMED = """
    import jax
    import keras
    import numpy as np

    X = np.ones((4, 3), "float32")


    def net():
        return keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])


    def one(model):
        return lambda x: model(x[None])[0]


    def test_vmap():
        jax.vmap(one(net()))(X)


    def test_compiled_vmap():
        jax.jit(jax.vmap(one(net())))(X)


    def test_gradient_of_given_weights():
        model = net()
        weights = [variable.value for variable in model.variables]
        jax.jit(jax.grad(lambda weights: model.stateless_call(weights, [], X)[0].sum()))(weights)
"""


def test_what_is_given_to_one_example_of_many_is_told(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what computes with weights that are handed to a program, of which nothing comes out."""
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    suite.makepyfile(test_transformed=TRANSFORMED)
    suite.runpytest_subprocess("--golden-auto", "--golden-log=log.json")
    log = json.loads((suite.path / "log.json").read_text())
    assert {test["nodeid"]: test["unseen"] for test in log["tests"]} == {
        f"test_transformed.py::test_{name}": ["traced calls"]
        for name in ("vmap", "compiled_vmap", "gradient_of_given_weights")
    }
