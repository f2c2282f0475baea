"""Sessions of a test from recording to judgement, in this process, on real models and goldens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
from keras import layers

from pytest_keras_golden.capture.backends import to_numpy
from pytest_keras_golden.capture.block import capture_block
from pytest_keras_golden.capture.record.host import HostSink
from pytest_keras_golden.capture.state.weights import fill_weights
from pytest_keras_golden.capture.tap.request import Request
from pytest_keras_golden.case.against import CaseGolden
from pytest_keras_golden.case.collected import Case
from pytest_keras_golden.case.finish import finish
from pytest_keras_golden.config import Settings
from pytest_keras_golden.outcomes import TestOutcome
from pytest_keras_golden.records import TensorRecord
from pytest_keras_golden.tolerance import parse

Tensor = npt.NDArray[Any]
EPSILON = 2.0**-23


@pytest.fixture
def session(tmp_path: Path) -> Callable[..., Case]:
    """A session of one and the same test, with the settings given."""

    def made(**settings: Any) -> Case:
        return Case("tests/test_it.py::test_it", Settings(tmp_path / "goldens", **settings))

    return made


@pytest.fixture
def judged(session: Callable[..., Case], tmp_path: Path) -> Callable[..., TestOutcome]:
    """The outcome of checking one tensor, `x` unless it is a record."""

    def finished(value: Any, **settings: Any) -> TestOutcome:
        one = session(**settings)
        one.add(value if isinstance(value, TensorRecord) else TensorRecord("x", value))
        return finish(one, tmp_path / "cache")

    return finished


@pytest.fixture
def run(session: Callable[..., Case], tmp_path: Path) -> Callable[..., TestOutcome]:
    """The outcome of capturing a model."""

    def finished(model: Any, *inputs: Any, select: Any = ("all",), **settings: Any) -> TestOutcome:
        one = session(**settings)
        request = Request(select, isolation_bytes=one.settings.max_size)
        with capture_block(model, request, CaseGolden(one)) as block:
            model(*inputs)
        one.add_block(block)
        return finish(one, tmp_path / "cache")

    return finished


def normal(*shape: int, seed: int = 0) -> Tensor:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def moved(value: Tensor, k: float, seed: int = 1) -> Tensor:
    """`value` with unbiased errors of k ε each."""
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], value.shape)
    error = k * EPSILON * signs * (np.abs(value) + 1.0)
    return (value.astype(np.float64) + error).astype(np.float32)


def verdict(outcome: TestOutcome) -> str:
    (tensor,) = outcome.tensors
    return tensor.verdict


VALUE = normal(64, 64)


class TestSystematic:
    """A changed constant far inside the elementwise tolerance."""

    CHANGED = (VALUE.astype(np.float64) * (1 + 4 * EPSILON)).astype(np.float32)

    @pytest.mark.parametrize(
        ("choice", "outcome", "said", "warned"),
        [("fail", "failed", "systematic", 0), ("warn", "passed", "systematic", 1),
         ("off", "passed", "within", 0)],
    )  # fmt: skip
    def test_fails_warns_or_is_off(
        self, judged: Callable[..., TestOutcome], choice: str, outcome: str, said: str, warned: int
    ) -> None:
        judged(VALUE, update=True)
        found = judged(self.CHANGED, systematic=choice)
        assert (found.outcome, verdict(found)) == (outcome, said)
        assert len(found.warnings) == warned
        assert (found.first_drift is None) == (choice == "off")

    def test_rounding_of_the_same_size_passes(self, judged: Callable[..., TestOutcome]) -> None:
        judged(VALUE, update=True)
        found = judged(moved(VALUE, 4.0))
        assert (found.outcome, verdict(found)) == ("passed", "within")


class TestVacuous:
    @pytest.mark.parametrize("tolerance", ["rtol=1", "atol=10", "k=1e8"])
    def test_nothing_is_recorded_that_could_not_fail(
        self, judged: Callable[..., TestOutcome], tmp_path: Path, tolerance: str
    ) -> None:
        found = judged(TensorRecord("x", VALUE, tolerance=parse(tolerance)), update=True)
        assert (found.outcome, verdict(found)) == ("failed", "vacuous")
        assert not list(tmp_path.rglob("*.safetensors"))

    def test_a_tolerance_that_became_vacuous_fails_whatever_the_numbers(
        self, judged: Callable[..., TestOutcome]
    ) -> None:
        judged(VALUE, update=True)
        same = judged(TensorRecord("x", VALUE, tolerance=parse("atol=10")))
        assert (same.outcome, verdict(same)) == ("failed", "vacuous")

    def test_what_a_changed_tolerance_detects_is_worked_out_again(
        self, judged: Callable[..., TestOutcome]
    ) -> None:
        judged(VALUE, update=True)
        before = judged(moved(VALUE, 1.0)).tensors[0].detects
        after = judged(TensorRecord("x", moved(VALUE, 1.0), tolerance=parse("rtol=0.01")))
        assert before == pytest.approx(64 * EPSILON, rel=0.5)
        assert after.tensors[0].detects == pytest.approx(0.01, rel=0.02)


class TestReference:
    """Three-way: run and baseline against the same numbers in higher precision."""

    GOLDEN = moved(VALUE, 50.0, seed=2)
    RUN = moved(VALUE, 50.0, seed=3)

    def test_errors_of_one_size_pass_where_the_distance_does_not(
        self, judged: Callable[..., TestOutcome]
    ) -> None:
        judged(self.GOLDEN, update=True)
        assert verdict(judged(self.RUN)) == "drift"
        judged(TensorRecord("x", self.GOLDEN, reference=VALUE), update=True, update_mode="all")
        found = judged(self.RUN)
        assert (found.outcome, verdict(found)) == ("passed", "within")
        assert found.tensors[0].extra["reference"]["accuracy"] == "equal"

    def test_a_larger_error_fails_and_a_smaller_one_is_told(
        self, judged: Callable[..., TestOutcome]
    ) -> None:
        judged(TensorRecord("x", self.GOLDEN, reference=VALUE), update=True)
        worse = judged(moved(VALUE, 200.0, seed=4))
        assert (worse.outcome, verdict(worse)) == ("failed", "drift")
        assert worse.tensors[0].extra["reference"]["ratio"] == pytest.approx(4, rel=0.1)
        better = judged(VALUE)
        assert better.outcome == "passed"
        assert better.tensors[0].extra["reference"]["accuracy"] == "better"

    def test_accuracy_never_excuses_a_constant(self, judged: Callable[..., TestOutcome]) -> None:
        judged(TensorRecord("x", self.GOLDEN, reference=VALUE), update=True)
        scaled = (VALUE.astype(np.float64) * (1 + 60 * EPSILON)).astype(np.float32)
        assert judged(scaled).outcome == "failed"

    def test_references_of_low_precision_are_computed_when_recording(
        self, run: Callable[..., TestOutcome], session: Callable[..., Case]
    ) -> None:
        inputs = keras.Input((16,))
        model = keras.Model(inputs, layers.Dense(16, dtype="bfloat16", name="only")(inputs))
        x = normal(8, 16)
        model(x)
        fill_weights(model)
        run(model, x, update=True)
        one = session()
        golden = one.goldens.baseline()
        assert golden is not None
        exact = golden.reference("only")
        assert exact is not None
        kernel, bias = (to_numpy(weight).astype(np.float64) for weight in model.weights)
        assert np.abs(exact - (x.astype(np.float64) @ kernel + bias)).max() < 1e-5
        assert np.abs(golden.array("only").astype(np.float64) - exact).max() > 1e-3


class TestNoise:
    """`--golden-noise`: repeats of the body under one stack."""

    def recorded(self, session: Callable[..., Case], cache: Path, noise: float) -> None:
        one = session(update=True, noise=3)
        one.add(TensorRecord("x", VALUE))
        for seed in (5, 6):
            with one.repeating():
                one.add(TensorRecord("x", moved(VALUE, noise, seed)))
        assert finish(one, cache).outcome == "recorded"

    def test_nothing_is_called_drift_below_its_floor(
        self, session: Callable[..., Case], judged: Callable[..., TestOutcome], tmp_path: Path
    ) -> None:
        tight = TensorRecord("x", moved(VALUE, 30.0), tolerance=parse("k=20"))
        self.recorded(session, tmp_path / "cache", noise=40.0)
        assert verdict(judged(tight)) == "unstable"
        assert verdict(judged(replace(tight, tolerance=None))) == "within"
        for golden in tmp_path.rglob("*.safetensors"):
            golden.unlink()
        self.recorded(session, tmp_path / "cache", noise=10.0)
        assert verdict(judged(tight)) == "drift"

    def test_a_tensor_noisier_than_its_tolerance_is_unstable(
        self, session: Callable[..., Case], judged: Callable[..., TestOutcome], tmp_path: Path
    ) -> None:
        self.recorded(session, tmp_path / "cache", noise=100.0)
        found = judged(moved(VALUE, 90.0))
        assert (found.outcome, verdict(found)) == ("failed", "unstable")
        assert "one stack" in str(found.tensors[0].note)
        assert verdict(judged(moved(VALUE, 1000.0))) == "drift"
        assert verdict(judged(VALUE)) == "identical"

    def test_option_repeats_the_body(self, suite: pytest.Pytester) -> None:
        suite.makepyfile(
            """
            import itertools
            import numpy as np

            runs = itertools.count()
            VALUE = np.random.default_rng(0).standard_normal((8, 8)).astype("float32")

            def test_noise(golden_tensors):
                golden_tensors.check("x", VALUE * np.float32(1 + next(runs) * 2.0**-22))
            """
        )
        suite.runpytest_inprocess("--update-goldens", "--golden-noise", "4").assert_outcomes(
            passed=1
        )
        from pytest_keras_golden.store.codec import Golden

        (path,) = suite.path.rglob("*.safetensors")
        with Golden.open(path) as golden:
            noise = golden.header.tensors[0].noise
        # The last repeat is 3·2⁻²² = 6 ε larger, against ε·(|x| + rms).
        assert noise is not None
        assert 2.0 < noise < 6.0

    @pytest.mark.parametrize("asked", ["automatic", "marked", "fixture"])
    def test_a_body_behind_fixtures_that_draw_and_call_is_repeated_exactly(
        self, suite: pytest.Pytester, asked: str
    ) -> None:
        suite.makepyfile(
            f"""
            import keras
            import numpy as np
            import pytest
            from contextlib import nullcontext

            @pytest.fixture
            def model():
                made = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
                made(np.random.normal(size=(2, 4)).astype("float32"))
                return made

            {"@pytest.mark.keras_versions" if asked == "marked" else ""}
            def test_noise(model{", golden_tensors" if asked == "fixture" else ""}):
                x = np.random.normal(size=(2, 4)).astype("float32")
                with {"golden_tensors.capture(model)" if asked == "fixture" else "nullcontext()"}:
                    model(x + keras.random.normal((2, 4)))
                    model(x)
            """
        )
        automatic = ["--golden-auto"] if asked == "automatic" else []
        result = suite.runpytest_inprocess("--update-goldens", "--golden-noise=3", *automatic)
        result.assert_outcomes(passed=1)
        from pytest_keras_golden.store.codec import Golden

        (path,) = suite.path.rglob("*.safetensors")
        with Golden.open(path) as golden:
            noise = [entry.noise for entry in golden.header.tensors]
        # Fixtures are not run again: what they called has no repeats. Of a call, automatic capture
        # takes what each layer and the model return.
        assert noise == ([0.0] * 2 if asked == "fixture" else [None] * 2 + [0.0] * 4)


class TestCreep:
    """Steps that each pass, under one release after the other."""

    @pytest.fixture
    def under(
        self, judged: Callable[..., TestOutcome], monkeypatch: pytest.MonkeyPatch
    ) -> Callable[..., TestOutcome]:
        def release(version: str, k: float, **settings: Any) -> TestOutcome:
            monkeypatch.setattr(keras, "__version__", version)
            return judged(moved(VALUE, k), **settings)

        return release

    def test_many_small_steps_fail_at_the_one_that_crosses_the_limit(
        self, under: Callable[..., TestOutcome]
    ) -> None:
        under("3.1.0", 0.0, update=True)
        for minor in range(2, 7):
            step = under(f"3.{minor}.0", 50.0 * (minor - 1))
            assert (step.outcome, verdict(step)) == ("passed", "within")
            assert step.baseline == f"3.{minor - 1}.0"
            under(f"3.{minor}.0", 50.0 * (minor - 1), update=True)
        far = under("3.7.0", 300.0)
        assert (far.outcome, verdict(far)) == ("failed", "drift")
        assert "creep" in str(far.tensors[0].note)
        assert far.tensors[0].extra["anchor"]["version"] == "3.1.0"
        assert under("3.7.0", 300.0, anchor_factor=8.0).outcome == "passed"

    def test_a_step_that_was_accepted_is_told_and_does_not_fail_for_ever(
        self, under: Callable[..., TestOutcome]
    ) -> None:
        under("3.1.0", 0.0, update=True)
        assert under("3.2.0", 5000.0).outcome == "failed"
        under("3.2.0", 5000.0, update=True)
        for found in (under("3.2.0", 5000.0), under("3.3.0", 5010.0)):
            assert found.outcome == "passed"
            anchor = found.tensors[0].extra["anchor"]
            assert (anchor["version"], anchor["beyond"]) == ("3.1.0", False)
            assert anchor["k"] > 1000


class Logistic(layers.Layer):
    """A chaotic map of (0, 1): doubles errors, without any of its own but rounding."""

    rate = 3.9

    def call(self, x: Any) -> Any:
        return self.rate * x * (1.0 - x)


def reassociated(self: Any, x: Any) -> Any:
    return self.rate * (x * (1.0 - x))


class Deep(keras.Model):
    def __init__(self, depth: int, words: int = 0) -> None:
        super().__init__()
        self.maps = [Logistic() for _ in range(depth)]
        self.head = layers.Dense(words) if words else None

    def call(self, x: Any) -> Any:
        for each in self.maps:
            x = each(x)
        return x if self.head is None else self.head(x)


UNIT = np.random.default_rng(8).uniform(0.1, 0.9, (16, 32)).astype("float32")


class TestDepth:
    """Rounding that a deep model amplifies, against a change of one layer."""

    def test_drift_by_depth_alone_is_accumulated(
        self, run: Callable[..., TestOutcome], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = Deep(24)
        run(model, UNIT, update=True)
        monkeypatch.setattr(Logistic, "call", reassociated)
        found = run(model, UNIT)
        assert (found.outcome, found.isolation, found.local_drift) == ("passed", "complete", ())
        assert found.tensors[0].verdict == "within"
        assert found.tensors[-1].verdict == "accumulated"
        assert (found.tensors[-1].k or 0) > 64
        assert "accumulated" in found.warnings[0]
        depth = found.tensors[-1].extra["depth"]
        assert (found.tensors[-1].k or 0) <= depth["factor"] * depth["k"]
        assert f"reaches k {depth['k']:.3g}" in str(found.tensors[-1].note)
        assert run(model, UNIT, accumulated="fail").outcome == "failed"

    def test_without_isolation_nothing_is_excused(
        self, run: Callable[..., TestOutcome], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = Deep(24)
        run(model, UNIT, update=True, max_size=1000)
        monkeypatch.setattr(Logistic, "call", reassociated)
        found = run(model, UNIT)
        assert (found.outcome, found.isolation) == ("failed", "unavailable: size")

    def test_depth_is_no_excuse_for_more_than_it_can_do(
        self, run: Callable[..., TestOutcome], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Every layer alone changes by rounding only, and something else moves what they make."""
        model = Deep(3)
        run(model, UNIT, update=True)
        monkeypatch.setattr(Logistic, "call", reassociated)
        original = HostSink._value

        def elsewhere(self: HostSink, name: str, tap: Any) -> Any:
            value = original(self, name, tap)
            return value * np.float32(1 + 1e-3) if name == "<model>" else value

        monkeypatch.setattr(HostSink, "_value", elsewhere)
        found = run(model, UNIT)
        whole = found.tensors[-1]
        assert (found.outcome, found.isolation, found.local_drift) == ("failed", "complete", ())
        assert (whole.name, whole.verdict) == ("<model>", "drift")
        assert "depth did not do this" in str(whole.note)

    def test_another_token_is_never_excused(
        self, run: Callable[..., TestOutcome], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        model = Deep(60, words=40)
        model(UNIT)
        fill_weights(model)
        run(model, UNIT, update=True)
        monkeypatch.setattr(Logistic, "call", reassociated)
        found = run(model, UNIT)
        logits = next(tensor for tensor in found.tensors if tensor.kind == "logits")
        assert found.local_drift == ()
        assert logits.extra["flips_real"] > 0
        assert (found.outcome, logits.verdict) == ("failed", "drift")

    def test_a_changed_layer_is_blamed_and_alone(self, run: Callable[..., TestOutcome]) -> None:
        model = Deep(24)
        run(model, UNIT, update=True)
        model.maps[5].rate = 3.9001
        found = run(model, UNIT)
        assert found.outcome == "failed"
        assert found.first_drift == "maps/5"
        assert found.local_drift == ("maps/5",)


class TestIncomparable:
    @pytest.fixture
    def model(self, run: Callable[..., TestOutcome]) -> Any:
        model = keras.Sequential([layers.Dense(4, name="first"), layers.Dense(3, name="second")])
        model(normal(2, 4))
        fill_weights(model)
        run(model, normal(2, 4), update=True)
        return model

    def test_other_weights(self, run: Callable[..., TestOutcome], model: Any) -> None:
        bias = model.layers[1].bias
        bias.assign(bias + 1.0)
        found = run(model, normal(2, 4))
        assert (found.outcome, found.weights) == ("failed", "differ")
        second = next(tensor for tensor in found.tensors if tensor.name == "second")
        assert second.verdict == "incomparable"
        assert "weights differ, first at second/bias" in str(second.note)
        assert found.tensors[0].verdict == "identical"

    def test_other_inputs(self, run: Callable[..., TestOutcome], model: Any) -> None:
        found = run(model, normal(2, 4, seed=9))
        assert (found.outcome, found.weights) == ("failed", "equal")
        assert {tensor.verdict for tensor in found.tensors} == {"incomparable"}
        assert "inputs differ" in str(found.tensors[0].note)

    def test_the_same_again(self, run: Callable[..., TestOutcome], model: Any) -> None:
        found = run(model, normal(2, 4))
        assert (found.outcome, found.weights, found.isolation) == ("passed", "equal", "not needed")
