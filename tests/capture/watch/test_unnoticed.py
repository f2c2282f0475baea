"""What the plugin runs again is heard nowhere and counted nowhere a second time."""

from __future__ import annotations

import pytest
from backends import EVERY
from preloaded import runpytest

TELLING = """
    import warnings
    import keras
    import numpy as np
    import pytest

    X, Y = np.ones((4, 3), "float32"), np.ones((4, 2), "float32")

    class Telling(keras.layers.Dense):
        def call(self, inputs):
            warnings.warn("told once")
            return super().call(inputs)

    def model():
        made = keras.Sequential([keras.Input((3,)), Telling(2)])
        made.compile("sgd", "mse", run_eagerly=False)
        return made

    CALLS = {
        "call": lambda made: made(X),
        "predict": lambda made: made.predict(X, verbose=0),
        "train": lambda made: made.train_on_batch(X, Y),
        "fit": lambda made: made.fit(X, Y, batch_size=4, epochs=1, verbose=0),
    }

    @pytest.mark.parametrize("call", CALLS)
    def test_told(call, golden_tensors, request, tmp_path_factory):
        if keras.backend.backend() == "numpy" and call in ("train", "fit"):
            pytest.skip("numpy cannot train")
        made = model()
        with golden_tensors.capture(made), warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            CALLS[call](made)
        watched = sum("told once" in str(one.message) for one in told)
        made = model()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            CALLS[call](made)
        assert watched == sum("told once" in str(one.message) for one in told)
"""


COUNTING = """
    import collections
    import logging
    from unittest import mock
    import keras
    import numpy as np
    import pytest

    X, Y = np.ones((4, 3), "float32"), np.ones((4, 2), "float32")
    TOTAL, SEEN, NUMBER, KINDS = 0, [], np.zeros(1), collections.Counter()
    SPY = mock.Mock()

    def helper():
        KINDS["helper"] += 1

    class Telling(keras.layers.Layer):
        def __init__(self, **options):
            super().__init__(**options)
            self.calls, self.shapes = 0, []
            self.dense = keras.layers.Dense(2)

        def call(self, inputs):
            global TOTAL
            TOTAL += 1
            self.calls += 1
            self.shapes.append(tuple(inputs.shape))
            SEEN.append(1)
            NUMBER[0] += 1
            helper()
            SPY(1)
            print("told")
            logging.getLogger("telling").warning("told")
            return self.dense(inputs)

    def counts(layer, output, records):
        return (
            layer.calls, len(layer.shapes), TOTAL, len(SEEN), int(NUMBER[0]), KINDS["helper"],
            SPY.call_count, len(SPY.mock_calls), output.readouterr().out.count("told"),
            sum(one.name == "telling" for one in records),
        )

    def model(activation=None, loss="mse"):
        layer = Telling()
        layers = [keras.Input((3,)), layer, keras.layers.Activation(activation or "linear")]
        made = keras.Sequential(layers)
        made.compile("sgd", loss, run_eagerly=False)
        return made, layer

    CALLS = {
        "call": lambda made: made(X),
        "predict": lambda made: made.predict(X, verbose=0),
        "train": lambda made: made.train_on_batch(X, Y),
        "fit": lambda made: made.fit(X, Y, batch_size=2, epochs=2, verbose=0),
    }

    def counted(call, capsys, caplog):
        global TOTAL
        made, layer = model()
        layer.calls, TOTAL = 0, 0
        for held in (layer.shapes, SEEN, KINDS):
            held.clear()
        NUMBER[0] = 0
        SPY.reset_mock()
        caplog.clear()
        capsys.readouterr()
        yield made
        yield counts(layer, capsys, caplog.records)

    @pytest.mark.parametrize("call", CALLS)
    def test_counted(call, golden_tensors, capsys, caplog):
        if keras.backend.backend() == "numpy" and call in ("train", "fit"):
            pytest.skip("numpy cannot train")
        once = counted(call, capsys, caplog)
        made = next(once)
        with golden_tensors.capture(made):
            CALLS[call](made)
        watched = next(once)
        once = counted(call, capsys, caplog)
        CALLS[call](next(once))
        plain = next(once)
        assert plain[0] and watched == plain

    def test_nonlocal(golden_tensors):
        def both(count, watch):
            def doubled(x):
                nonlocal count
                count += 1
                return 2 * x

            def error(y, p):
                nonlocal count
                count += 1
                return keras.ops.mean((y - p) ** 2, -1)

            made, _ = model(doubled, error)
            count = 0
            block = golden_tensors.capture(made, name=watch, select="all") if watch else None
            with block or mock.MagicMock():
                made(X)
                if keras.backend.backend() != "numpy":
                    made.fit(X, Y, batch_size=2, verbose=0)
                made.predict(X, verbose=0)
            return count

        assert both(0, "watched") == both(0, "")
"""


@pytest.mark.processes
@pytest.mark.parametrize(
    ("source", "tests"), [(TELLING, 4), (COUNTING, 5)], ids=["told", "counted"]
)
@pytest.mark.parametrize("backend", EVERY)
def test_it_is_as_often_as_without(
    backend: str, source: str, tests: int, suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    suite.makepyfile(source)
    skipped = 2 if backend == "numpy" else 0
    for options in (["--update-goldens"], []):
        result = runpytest(suite, "-p", "no:randomly", *options)
        result.assert_outcomes(passed=tests - skipped, skipped=skipped)
