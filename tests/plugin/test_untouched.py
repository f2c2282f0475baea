"""Tests that nobody asked to be captured see what they see without the plugin: each call once."""

from __future__ import annotations

import pytest

SUITE = """
    import warnings
    from unittest import mock

    import keras
    import numpy as np
    from keras import layers

    X = np.ones((2, 3), "float32")

    class Told(layers.Layer):
        calls = 0

        def call(self, x):
            self.calls += 1
            self.last = x
            print("called")
            warnings.warn("called", stacklevel=1)
            return x * 2

    def test_calls_prints_warnings_and_what_is_kept(capsys):
        told = Told()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = keras.Sequential([keras.Input((3,)), layers.Dense(3), told, layers.Dense(2)])
            told.calls = 0
            capsys.readouterr()
            caught.clear()
            model(X)
        assert told.calls == 1
        assert capsys.readouterr().out == "called\\n"
        assert [str(item.message) for item in caught].count("called") == 1
        assert str(told.last.dtype) == "float32"

    def test_mocks():
        dense = layers.Dense(3)
        dense(X)
        with mock.patch.object(dense, "call", wraps=dense.call) as called:
            dense(X)
        assert called.call_count == 1

    def test_numbers_of_its_own():
        class Noisy(layers.Layer):
            def __init__(self):
                super().__init__()
                self.source = np.random.default_rng(1)

            def call(self, x):
                return x + float(self.source.normal())

        noisy, source = Noisy(), np.random.default_rng(1)
        for _ in range(2):
            expected = 1 + source.normal()
            np.testing.assert_allclose(np.asarray(noisy(X))[0, 0], expected, rtol=1e-6)

    def test_recurrent_states():
        made = keras.Sequential(
            [keras.Input((5, 3), batch_size=2), layers.LSTM(4, stateful=True), layers.Dense(2)]
        )
        x = np.random.default_rng(2).normal(size=(2, 5, 3)).astype("float32")
        whole = keras.Sequential([keras.Input((10, 3), batch_size=2), *[layers.LSTM(4)]])
        whole.layers[0].set_weights(made.layers[0].get_weights())
        made(x)
        np.testing.assert_allclose(
            np.asarray(made.layers[0](x)), np.asarray(whole(np.tile(x, (1, 2, 1)))), rtol=1e-5
        )
"""


@pytest.mark.parametrize(
    "options", [(), ("--golden-auto", "--update-goldens"), ("--golden-auto", "--goldens-dir=none")]
)
def test_a_call_is_made_once(suite: pytest.Pytester, options: tuple[str, ...]) -> None:
    suite.makepyfile(SUITE)
    result = suite.runpytest_inprocess("-p", "no:randomly", *options)
    if options[-1:] == ("--goldens-dir=none",):
        # Without a golden they fail as golden tests, never by their own assertions.
        result.assert_outcomes(failed=4)
        assert "AssertionError" not in result.stdout.str()
    else:
        result.assert_outcomes(passed=4)


def test_what_was_recorded_is_found_again(suite: pytest.Pytester) -> None:
    suite.makepyfile(SUITE)
    suite.runpytest_inprocess("-p", "no:randomly", "--golden-auto", "--update-goldens")
    suite.runpytest_inprocess("-p", "no:randomly", "--golden-auto").assert_outcomes(passed=4)


@pytest.mark.parametrize(
    "options", [("--update-goldens",), ("--update-goldens", "--golden-transplant=save:carried")]
)
def test_a_session_leaves_keras_as_it_was(suite: pytest.Pytester, options: tuple[str, ...]) -> None:
    import keras

    kinds = (keras.layers.Layer, keras.layers.Dense, keras.losses.Loss, keras.Variable)
    before = [dict(vars(kind)) for kind in (*kinds, keras.random)]
    suite.makepyfile(SUITE)
    suite.runpytest_inprocess("-p", "no:randomly", "--golden-auto", *options)
    assert [dict(vars(kind)) for kind in (*kinds, keras.random)] == before
