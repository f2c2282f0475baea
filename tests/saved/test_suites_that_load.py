"""Tests that load files themselves: what they get is judged by the file."""

from __future__ import annotations

import pytest
from saved.models_made import dense_model, saved_dense

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

QUIET = ("-p", "no:randomly", "-p", "no:cacheprovider")

SUITE = """
import numpy as np
import pytest
from keras.saving import load_model
from saved.models_made import dense_model

INPUTS = [np.ones((1, 4), "float32"), np.ones((1, 5), "int32")]

def test_whole(golden_tensors):
    golden_tensors.check("y", load_model("churn.keras")(INPUTS))

@pytest.mark.keras_versions()
def test_weights():
    model = dense_model(1)
    model.load_weights("churn.weights.h5")
    model(INPUTS)

def test_legacy(golden_tensors):
    golden_tensors.check("y", load_model("churn.h5")(INPUTS))
"""

FAULTY = """
from keras.src.layers import Dense

_load = Dense.load_own_variables

def load_own_variables(self, store):
    _load(self, store)
    if self.name == "head":
        self.kernel.assign(self.kernel * 0)

def pytest_runtest_call(item):
    if item.config.getoption("reason") == "faulty":
        Dense.load_own_variables = load_own_variables

def pytest_runtest_teardown(item):
    Dense.load_own_variables = _load

def pytest_addoption(parser):
    parser.addoption("--reason", default="")
"""


@pytest.fixture
def loading(suite: pytest.Pytester) -> pytest.Pytester:
    saved_dense(suite.path / "churn.keras")
    saved_dense(suite.path / "churn.h5")
    dense_model(2).save_weights(suite.path / "churn.weights.h5")
    suite.makepyfile(SUITE)
    suite.makeconftest(FAULTY)
    return suite


def test_files_that_are_loaded_as_they_are_raise_no_alarm(loading: pytest.Pytester) -> None:
    loading.runpytest_inprocess(*QUIET, "--update-goldens").assert_outcomes(passed=3)
    loading.runpytest_inprocess(*QUIET).assert_outcomes(passed=3)


def test_a_loader_that_loses_a_weight_fails_the_test(loading: pytest.Pytester) -> None:
    recorded = loading.runpytest_inprocess(*QUIET, "--update-goldens", "--reason=faulty")
    recorded.assert_outcomes(failed=2, passed=1)
    recorded.stdout.fnmatch_lines(["*churn.keras:head/kernel*", "*churn.weights.h5:head/kernel*"])
    loading.runpytest_inprocess(*QUIET, "--update-goldens").assert_outcomes(passed=3)
    checked = loading.runpytest_inprocess(*QUIET, "--reason=faulty")
    checked.assert_outcomes(failed=2, passed=1)
    checked.stdout.fnmatch_lines(["*churn.keras:head/kernel` reset: holds 0*"])


def test_weights_are_no_optimizer(suite: pytest.Pytester) -> None:
    """A checkpoint of training has its slots, which a model that is compiled anew has not yet."""
    trained = dense_model(2)
    trained.compile("adam", "mse")
    trained.optimizer.build(trained.trainable_variables)
    trained.save_weights(suite.path / "churn.weights.h5")
    suite.makepyfile(
        """
        from saved.models_made import dense_model

        def test_evaluated(golden_tensors):
            model = dense_model()
            model.compile("adam", "mse")
            model.load_weights("churn.weights.h5")
            golden_tensors.check("kernel", model.get_layer("head").kernel)
        """
    )
    run = suite.runpytest_inprocess(*QUIET, "-Wignore", "--update-goldens")
    run.assert_outcomes(passed=1)


def test_what_a_test_does_to_a_model_afterwards_is_its_own_affair(suite: pytest.Pytester) -> None:
    saved_dense(suite.path / "churn.keras")
    suite.makepyfile(
        """
        from keras.saving import load_model

        def test_assigned(golden_tensors):
            model = load_model("churn.keras")
            model.get_layer("head").kernel.assign(model.get_layer("head").kernel * 2)
            golden_tensors.check("kernel", model.get_layer("head").kernel)
        """
    )
    suite.runpytest_inprocess(*QUIET, "--update-goldens").assert_outcomes(passed=1)


ROUND_TRIP = """
import numpy as np
import pytest
from keras.saving import load_model
from saved.models_made import dense_model

@pytest.mark.parametrize("name", ["m.keras", "m.h5", "m.weights.h5"])
def test_round_trip(golden_tensors, tmp_path, name):
    model = dense_model(1)
    if "weights" in name:
        model.save_weights(tmp_path / name)
        model.load_weights(tmp_path / name)
    else:
        model.save(tmp_path / name)
        model = load_model(tmp_path / name)
    golden_tensors.check("y", model([np.ones((1, 4), "float32"), np.ones((1, 5), "int32")]))
"""

SAVES_OTHERWISE = """
import numpy as np
from keras.src.layers import Dense

_save = Dense.save_own_variables

def save_own_variables(self, store):
    kernel = np.array(self.kernel)
    if self.name == "head":
        self.kernel.assign(np.zeros_like(kernel))
    _save(self, store)
    self.kernel.assign(kernel)

def pytest_configure(config):
    Dense.save_own_variables = save_own_variables

def pytest_unconfigure(config):
    Dense.save_own_variables = _save
"""


def test_a_round_trip_is_judged_on_both_its_ways(suite: pytest.Pytester) -> None:
    suite.makepyfile(ROUND_TRIP)
    suite.runpytest_inprocess(*QUIET, "--update-goldens").assert_outcomes(passed=3)
    suite.makeconftest(SAVES_OTHERWISE)
    # What is loaded is what the file holds; the file is not what the model was.
    run = suite.runpytest_inprocess(*QUIET, "--update-goldens")
    run.assert_outcomes(failed=2, passed=1)
    run.stdout.fnmatch_lines(
        ["*m.keras as saved:head/kernel*", "*m.weights.h5 as saved:head/kernel*"]
    )


def test_adapters_that_are_saved_within_the_kernel_are_no_fault(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        import numpy as np
        from keras.saving import load_model
        from saved.models_made import dense_model

        def test_adapted(golden_tensors, tmp_path):
            model = dense_model()
            head = model.get_layer("head")
            head.enable_lora(1)
            head.lora_kernel_b.assign(np.ones(head.lora_kernel_b.shape, "float32"))
            model.save(tmp_path / "m.keras")
            head = load_model(tmp_path / "m.keras").get_layer("head")
            golden_tensors.check("kernel", head.kernel)
        """
    )
    suite.runpytest_inprocess(*QUIET, "--update-goldens").assert_outcomes(passed=1)


SAVES_ITSELF = """
import keras
import numpy as np
from keras.saving import load_model, register_keras_serializable

@register_keras_serializable("golden")
class Counted(keras.layers.Dense):
    KEPT = True

    def build(self, shape):
        super().build(shape)
        self.seen = np.arange(10.0)

    def save_own_variables(self, store):
        store["seen"] = self.seen

    def load_own_variables(self, store):
        self.seen = np.array(store["seen"]) if self.KEPT else np.zeros(10)

@register_keras_serializable("golden")
class Silent(keras.layers.Dense):
    def save_own_variables(self, store):
        pass

    def load_own_variables(self, store):
        pass

def test_own(golden_tensors, tmp_path):
    model = keras.Sequential([keras.Input((3,)), Counted(2), Silent(2)])
    model.layers[0].seen += 1
    model.save(tmp_path / "m.keras")
    golden_tensors.check("seen", load_model(tmp_path / "m.keras").layers[0].seen)
"""


def test_what_a_layer_saves_by_itself_is_told_by_what_it_would_save_again(
    suite: pytest.Pytester,
) -> None:
    suite.makepyfile(test_saving=SAVES_ITSELF)
    for options in (("--update-goldens",), ()):
        suite.runpytest_inprocess(*QUIET, *options).assert_outcomes(passed=1)
    suite.makepyfile(test_saving=SAVES_ITSELF.replace("KEPT = True", "KEPT = False"))
    run = suite.runpytest_inprocess(*QUIET)
    run.assert_outcomes(failed=1)
    run.stdout.fnmatch_lines(["*m.keras:layers/counted/vars/seen*"])
