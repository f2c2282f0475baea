"""Suites that were not written for this plugin, with nothing but `--golden-auto` switched on."""

from __future__ import annotations

import json

import pytest

SPARSE = """
    import keras
    import numpy as np
    import pytest
    from jax.experimental.sparse import BCOO

    {mark}
    def test_sparse():
        dense = np.eye(3, dtype="float32")
        total = keras.layers.Add()([BCOO.fromdense(dense), BCOO.fromdense(dense)])
        assert total.todense()[1, 1] == 2
        keras.layers.Rescaling(2.0)(dense)
"""


def recorded(suite: pytest.Pytester) -> list[dict[str, object]]:
    """Outcomes of a run that records, and of one that compares; both must pass."""
    for step in (["--update-goldens"], []):
        result = suite.runpytest_inprocess(
            "--golden-auto", "--golden-log=log.json", "-p", "no:randomly", *step
        )
        assert result.ret == 0
    return list(json.loads((suite.path / "log.json").read_text())["tests"])


def test_what_cannot_be_captured_is_told_and_the_rest_is_compared(suite: pytest.Pytester) -> None:
    suite.makepyfile(SPARSE.format(mark=""))
    (test,) = recorded(suite)
    assert test["outcome"] == "passed"
    assert test["warnings"] == ["not captured: add: a sparse jax array cannot be captured"]
    assert [tensor["name"] for tensor in test["tensors"]] == ["rescaling"]
    result = suite.runpytest_inprocess("--golden-auto")
    result.stdout.fnmatch_lines(["1 call that automatic capture left alone:", "*sparse jax array*"])


def test_a_marked_test_fails_on_what_cannot_be_captured(suite: pytest.Pytester) -> None:
    suite.makepyfile(SPARSE.format(mark="@pytest.mark.keras_versions"))
    result = suite.runpytest_inprocess("--update-goldens")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*a sparse jax array cannot be captured*"])


def test_a_test_of_nothing_but_uncapturable_calls_passes(suite: pytest.Pytester) -> None:
    suite.makepyfile(SPARSE.format(mark="").replace("keras.layers.Rescaling(2.0)(dense)", ""))
    (test,) = recorded(suite)
    assert (test["outcome"], test["tensors"]) == ("passed", [])
    assert test["warnings"]


SPARSE_BATCHES = """
    import keras
    import numpy as np
    import pytest
    from jax.experimental.sparse import BCOO

    def batches():
        while True:
            yield BCOO.fromdense(np.eye(6, 4, dtype="float32")), np.ones((6, 2), "float32")

    {mark}
    @pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
    @pytest.mark.parametrize("options", [{{}}, {{"jit_compile": False}}, {{"run_eagerly": True}}])
    def test_sparse(method, options):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        model.compile("sgd", "mse", **options)
        asked = {{"steps_per_epoch": 3, "shuffle": False}} if method == "fit" else {{"steps": 3}}
        returned = getattr(model, method)(batches(), verbose=0, **asked)
        assert method != "predict" or returned.shape == (18, 2)
"""


def test_batches_that_cannot_be_read_leave_the_models_method_alone(suite: pytest.Pytester) -> None:
    """Its steps are the test's own and read them while it runs."""
    suite.makepyfile(SPARSE_BATCHES.format(mark=""))
    tests = recorded(suite)
    assert {test["outcome"] for test in tests} == {"passed"}
    said = [warning for test in tests for warning in test["warnings"]]
    sparse = "a sparse jax array cannot be captured"
    expected = [f"not captured: {method}: {sparse}" for method in ("fit", "evaluate", "predict")]
    assert sorted(said) == sorted(expected * 3)
    result = suite.runpytest_inprocess("--golden-auto")
    assert "called no Keras model" not in result.stdout.str()


def test_marked_tests_fail_on_batches_that_cannot_be_read(suite: pytest.Pytester) -> None:
    suite.makepyfile(SPARSE_BATCHES.format(mark="@pytest.mark.keras_versions"))
    result = suite.runpytest_inprocess("--update-goldens")
    result.assert_outcomes(failed=9)
    result.stdout.fnmatch_lines(["*: a sparse jax array cannot be captured"] * 9)


def test_a_recorded_test_that_calls_no_model_any_more_fails(suite: pytest.Pytester) -> None:
    source = """
        import keras
        import numpy as np

        def test_calls():
            if {calls}:
                keras.layers.Rescaling(2.0)(np.ones(3, "float32"))

        def test_plain():
            pass
    """
    suite.makepyfile(source.format(calls=True))
    result = suite.runpytest_inprocess("--golden-auto", "--update-goldens")
    result.stdout.fnmatch_lines(
        ["1 golden test: 1 recorded", "1 other test called no Keras model", "1 golden written"]
    )
    suite.makepyfile(source.format(calls=False))
    result = suite.runpytest_inprocess("--golden-auto")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["*it calls no Keras model any more*", "*: rm */test_calls/keras-*.safetensors"]
    )


SHARED = """
    import keras
    import numpy as np
    import pytest

    def dense(name):
        return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name=name)])

    MODEL = dense("imported")
    INPUTS = np.random.rand(2, 4).astype("float32")

    @pytest.fixture(scope="module")
    def model():
        return dense("shared")

    @pytest.fixture(scope="session")
    def batch():
        return np.random.normal(size=(2, 4)).astype("float32")

    def test_imported():
        MODEL(INPUTS)

    def test_shared(model, batch):
        model(batch)

    def test_two_models_differ(model, batch):
        assert not np.allclose(MODEL(batch), model(batch))

    def test_unseeded(batch):
        MODEL(np.random.rand(2, 4).astype("float32"))
        MODEL(keras.random.normal((2, 4)))
"""


@pytest.mark.processes
def test_what_tests_share_is_the_same_whichever_comes_first(suite: pytest.Pytester) -> None:
    suite.makepyfile(SHARED)
    options = ("--golden-auto", "--golden-log=log.json")
    suite.runpytest_subprocess(*options, "--update-goldens").assert_outcomes(passed=4)
    for part in ("imported", "two_models", "unseeded"):
        assert suite.runpytest_subprocess(*options, "-k", part).ret == 0
        (test,) = json.loads((suite.path / "log.json").read_text())["tests"]
        assert {tensor["verdict"] for tensor in test["tensors"]} == {"identical"}


def test_calls_that_raise_as_the_test_expects_leave_a_whole_golden(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        import keras
        import numpy as np
        import pytest

        def test_errors():
            join = keras.layers.Concatenate()
            assert join([np.ones((1, 2)), np.ones((1, 3))]).shape == (1, 5)
            with pytest.raises(ValueError, match="matching shapes"):
                keras.layers.Concatenate()([np.ones((1, 2, 3)), np.ones((4, 5, 6))])
        """
    )
    (test,) = recorded(suite)
    assert [tensor["verdict"] for tensor in test["tensors"]] == ["identical"]


def test_an_error_of_the_model_itself_is_the_tests_own(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        import keras
        import numpy as np
        import pytest

        class Refusing(keras.layers.Layer):
            calls = 0

            def call(self, x):
                Refusing.calls += 1
                raise RuntimeError("not today")

        def test_refused():
            with pytest.raises(RuntimeError, match="not today"):
                Refusing()(np.ones(2))
            assert Refusing.calls == 1
        """
    )
    (test,) = recorded(suite)
    assert test["outcome"] == "passed"


def test_predict_that_cannot_be_run_again_is_left_alone(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        import keras
        import numpy as np

        class Once(keras.layers.Layer):
            traced = 0

            def call(self, x):
                self.traced += 1
                assert self.traced < 3, "a second program"
                return x

        def test_predict():
            model = keras.Sequential([keras.Input((2,)), Once()])
            x = np.ones((1, 2), dtype="float32")
            first = model.predict(x, verbose=0)
            keras.layers.Rescaling(1.0)(x)
            np.testing.assert_allclose(first, model.predict(x, verbose=0), rtol=1e-6)
        """
    )
    (test,) = recorded(suite)
    assert test["outcome"] == "passed"
    assert "predict, run again to be captured: AssertionError" in str(test["warnings"])
    assert test["tensors"]


REPEATED = """
    import keras
    import numpy as np
    import pytest

    X = np.ones((6, 4), "float32")
    OPTIONS = [{}, {"jit_compile": False}, {"run_eagerly": True}]

    def model(**options):
        inputs = keras.Input((4,))
        made = keras.Model(inputs, keras.layers.Dense(3)(inputs))
        made.compile("sgd", "mse", **options)
        return made

    @pytest.mark.parametrize("options", OPTIONS, ids=str)
    @pytest.mark.parametrize("passed", ["list", "callback list", "by position"])
    def test_callbacks_hear_of_each_batch_once(options, passed):
        heard = []
        each = keras.callbacks.LambdaCallback()
        each.on_predict_batch_end = lambda batch, logs=None: heard.append(batch)
        made = model(**options)
        if passed == "by position":
            made.predict(X, 2, 0, None, [each])
        else:
            several = keras.callbacks.CallbackList([each], model=made)
            given = [each] if passed == "list" else several
            made.predict(X, batch_size=2, verbose=0, callbacks=given)
            assert several.callbacks == [each]
        assert heard == [0, 1, 2]

    @pytest.mark.parametrize("options", OPTIONS, ids=str)
    def test_one_progress_line(options, capsys):
        model(**options).predict(X, batch_size=6, verbose=2)
        assert capsys.readouterr().out.count("1/1") == 1

    @pytest.mark.parametrize("options", OPTIONS, ids=str)
    def test_data_are_read_once(options):
        class Data(keras.utils.PyDataset):
            reads = 0

            def __len__(self):
                return 2

            def __getitem__(self, index):
                self.reads += 1
                return X

        data = Data()
        assert model(**options).predict(data, verbose=0).shape == (12, 3)
        assert data.reads == 2

    def test_python_code_of_an_eager_model_runs_once():
        class Counting(keras.layers.Layer):
            calls = 0

            def call(self, x):
                self.calls += 1
                return x + 1

        layer = Counting()
        made = keras.Sequential([keras.Input((4,)), layer])
        made.compile("sgd", "mse", run_eagerly=True)
        built = layer.calls
        made.predict(X, batch_size=3, verbose=0)
        assert layer.calls == built + 2
"""


@pytest.mark.processes
def test_a_suite_that_counts_does_not_notice(suite: pytest.Pytester) -> None:
    suite.makepyfile(REPEATED)
    tests = recorded(suite)
    assert {test["outcome"] for test in tests} == {"passed"}
    assert all(test["tensors"] for test in tests)
    assert {test["isolation"] for test in tests} == {"not needed"}


def test_models_of_finished_tests_are_let_go(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        import gc
        import weakref
        import keras
        import numpy as np

        seen = []

        def test_one():
            layer = keras.layers.Rescaling(2.0)
            layer(np.ones(2))
            seen.append(weakref.ref(layer))

        def test_two():
            gc.collect()
            assert seen[0]() is None
        """
    )
    recorded(suite)


def test_models_are_let_go_within_the_test_that_deletes_them(suite: pytest.Pytester) -> None:
    """As a test of leaks does: built models, nested ones, and calls that raised."""
    suite.makepyfile(
        """
        import gc
        import weakref
        import keras
        import numpy as np
        import pytest

        class Nested(keras.Model):
            def __init__(self):
                super().__init__()
                self.inner = keras.layers.Dense(3)
                self.hidden = {keras.layers.Rescaling(2.0)}

            def call(self, x):
                for layer in self.hidden:
                    x = layer(x)
                return self.inner(x)

        def functional():
            inputs = keras.Input((4,))
            return keras.Model(inputs, keras.layers.Dense(3)(inputs))

        def called(model, x):
            return model(x)

        def predicted(model, x):
            return model.predict(x, verbose=0)

        def trained(model, x):
            model.compile("sgd", "mse")
            return model.fit(x, np.ones((2, 3), "float32"), verbose=0)

        @pytest.mark.parametrize("make", [functional, Nested])
        @pytest.mark.parametrize("run", [called, predicted, trained])
        @pytest.mark.parametrize("fails", [False, True])
        def test_it_is_gone(make, run, fails):
            model = make()
            run(model, np.ones((2, 4), "float32"))
            if fails:
                with pytest.raises(Exception):
                    run(model, np.ones((2, 5), "float32"))
            gone = weakref.ref(model)
            del model
            keras.backend.clear_session()
            gc.collect()
            assert gone() is None
        """
    )
    recorded(suite)
    suite.runpytest_inprocess("--golden-auto").assert_outcomes(passed=12)


MASKED = """
    import keras
    import numpy as np

    def test_masked():
        tokens = np.array([[1, 2, 0], [3, 0, 0]])
        embedded = keras.layers.Embedding(4, 8, mask_zero=True)(tokens)
        attention = keras.layers.MultiHeadAttention(2, 4)
        first = attention(embedded, embedded)
        assert first._keras_mask is not None
        np.testing.assert_array_equal(np.asarray(first._keras_mask), tokens != 0)

    def test_two_layers():
        x = np.ones((1, 3), dtype="float32")
        one, two = keras.layers.Dense(3), keras.layers.Dense(3)
        assert not np.allclose(one(x), two(x))
"""


@pytest.mark.parametrize("mode", ["save", "load"])
def test_carrying_weights_over_changes_nothing_that_tests_see(
    suite: pytest.Pytester, mode: str
) -> None:
    suite.makepyfile(MASKED)
    recorded(suite)
    for step in ("save", mode):
        transplant = f"--golden-transplant={step}:weights"
        result = suite.runpytest_inprocess("--golden-auto", transplant, "-p", "no:randomly")
        result.assert_outcomes(passed=2)
        result.stdout.fnmatch_lines(["2 golden tests: 2 identical"])


def test_a_masked_attention_is_measured_with_its_mask(suite: pytest.Pytester) -> None:
    """Keras takes the masks off the inputs of attention: the isolating pass puts them back."""
    suite.makepyfile(MASKED)
    recorded(suite)
    suite.makepyfile(
        MASKED.replace("first = ", "keras.layers.Rescaling(SCALE)(np.ones(2)); first = ")
    )
    path = next(suite.path.glob("test_*.py"))
    text = path.read_text()
    path.write_text(text.replace("SCALE", "1.0"))
    options = ("--golden-auto", "--golden-log=log.json", "-p", "no:randomly", "-k", "masked")
    suite.runpytest_inprocess(*options, "--update-goldens")
    path.write_text(text.replace("SCALE", "2.0"))
    assert suite.runpytest_inprocess(*options).ret == 1
    tests = json.loads((suite.path / "log.json").read_text())["tests"]
    assert [test["local_drift"] for test in tests if test["local_drift"]] == [["rescaling"]]


def test_training_after_a_call_is_not_blamed_on_its_layer(suite: pytest.Pytester) -> None:
    """The isolating pass runs when the test has ended, with the weights that each call had."""
    trained = """
        import keras
        import numpy as np

        def test_trained():
            x = np.ones((4, 3), dtype="float32")
            layer = keras.layers.Dense(2)
            layer(x)
            model = keras.Sequential([keras.Input((3,)), layer])
            model.compile("sgd", "mse")
            model.fit(x, np.zeros((4, 2)), verbose=0)
            fitted = layer.get_weights()
            keras.layers.Rescaling(SCALE)(x)
            np.testing.assert_array_equal(layer.get_weights()[0], fitted[0])
    """
    suite.makepyfile(trained.replace("SCALE", "1.0"))
    recorded(suite)
    suite.makepyfile(trained.replace("SCALE", "2.0"))
    options = ("--golden-auto", "--golden-log=log.json", "-p", "no:randomly")
    assert suite.runpytest_inprocess(*options).ret == 1
    (test,) = json.loads((suite.path / "log.json").read_text())["tests"]
    assert test["local_drift"] == ["rescaling"]


VACUOUS = """
    import keras
    import numpy as np
    import pytest

    {mark}
    def test_cancels():
        x = np.full((2, 64), 1.0, dtype="float32")
        x[0, 0] += 1e-7
        keras.layers.Rescaling(1.0)(x)
"""


def test_a_vacuous_tensor_fails_a_marked_test_and_is_told_of_any_other(
    suite: pytest.Pytester,
) -> None:
    suite.makepyfile(VACUOUS.format(mark="@pytest.mark.keras_versions"))
    suite.runpytest_inprocess("--update-goldens").stdout.fnmatch_lines(["VACUOUS*"])
    suite.makepyfile(VACUOUS.format(mark=""))
    options = ("--golden-auto", "--golden-log=log.json", "--update-goldens")
    assert suite.runpytest_inprocess(*options).ret == 0
    (test,) = json.loads((suite.path / "log.json").read_text())["tests"]
    assert test["warnings"][0].startswith("vacuous: rescaling")
    assert suite.runpytest_inprocess("--golden-auto").ret == 0
