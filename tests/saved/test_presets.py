"""Presets of keras-hub, a folder each: as tests, and loaded by tests."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.hub,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

QUIET = ("-p", "no:randomly", "-p", "no:cacheprovider", "-Wignore")
NORM = "embeddings_layer_norm"

SUITE = """
import numpy as np
from keras_hub.models import Backbone

def test_encoder(golden_tensors):
    backbone = Backbone.from_preset("presets/tiny")
    ids = np.ones((1, 4), "int32")
    inputs = {"token_ids": ids, "segment_ids": ids * 0, "padding_mask": ids}
    golden_tensors.check("pooled", backbone(inputs)["pooled_output"])
"""

FAULTY = f"""
from keras.layers import LayerNormalization

_load = LayerNormalization.load_own_variables

def load_own_variables(self, store):
    _load(self, store)
    if self.name == "{NORM}":
        self.gamma.assign(self.gamma * 0)

def pytest_configure(config):
    LayerNormalization.load_own_variables = load_own_variables

def pytest_unconfigure(config):
    LayerNormalization.load_own_variables = _load
"""


def write(folder: Path, seed: int = 0) -> None:
    """A BERT of one layer, filled by the seed."""
    from keras_hub.models import BertBackbone

    from pytest_keras_golden.capture.state.weights import fill_weights

    sizes: dict[str, Any] = {"hidden_dim": 4, "intermediate_dim": 6, "max_sequence_length": 8}
    backbone = BertBackbone(vocabulary_size=11, num_layers=1, num_heads=2, **sizes)
    fill_weights(backbone, seed)
    folder.mkdir(parents=True, exist_ok=True)
    backbone.save_to_preset(str(folder))


@pytest.fixture
def presets(keras_imported: None, request: pytest.FixtureRequest) -> pytest.Pytester:
    """A suite with a preset. TensorFlow cannot be imported twice, so pytester has to keep it."""
    importlib.import_module("keras_hub")
    suite: pytest.Pytester = request.getfixturevalue("suite")
    write(suite.path / "presets/tiny")
    return suite


def test_a_preset_is_recorded_and_then_compared(presets: pytest.Pytester) -> None:
    named = (*QUIET, "presets/tiny")
    presets.runpytest_inprocess(*named, "--update-goldens").assert_outcomes(passed=1)
    again = presets.runpytest_inprocess(*named, "-v")
    again.assert_outcomes(passed=1)
    again.stdout.fnmatch_lines(["presets/tiny::model: * identical*"])
    write(presets.path / "presets/tiny", seed=1)
    other = presets.runpytest_inprocess(*named)
    other.assert_outcomes(failed=1)
    other.stdout.fnmatch_lines(["*weights differ*"])


def test_globs_collect_presets_with_the_suite(presets: pytest.Pytester) -> None:
    presets.makeini("[pytest]\ngolden_models = presets/*\n")
    collected = presets.runpytest_inprocess(*QUIET, "--collect-only", "-q")
    collected.stdout.fnmatch_lines(["presets/tiny::model"])


def test_a_preset_that_is_loaded_otherwise_fails(presets: pytest.Pytester) -> None:
    presets.makeconftest(FAULTY)
    run = presets.runpytest_inprocess(*QUIET, "presets/tiny", "--update-goldens")
    run.assert_outcomes(failed=1)
    run.stdout.fnmatch_lines([f"*{NORM}/gamma` reset: holds 0 throughout*"])


def test_what_a_test_gets_from_a_preset_is_judged_by_its_file(presets: pytest.Pytester) -> None:
    presets.makepyfile(SUITE)
    presets.runpytest_inprocess(*QUIET, "--update-goldens").assert_outcomes(passed=1)
    presets.runpytest_inprocess(*QUIET).assert_outcomes(passed=1)
    presets.makeconftest(FAULTY)
    spoilt = presets.runpytest_inprocess(*QUIET)
    spoilt.assert_outcomes(failed=1)
    spoilt.stdout.fnmatch_lines([f"*{NORM}/gamma` reset: holds 0 throughout*"])


def test_what_comes_from_a_preset_is_never_carried_over(presets: pytest.Pytester) -> None:
    """A gate hands the old side's initial weights to the new one; a file each side reads itself."""
    presets.makepyfile(SUITE)
    saving = ("--update-goldens", "--golden-transplant=save:carried")
    presets.runpytest_inprocess(*QUIET, *saving).assert_outcomes(passed=1)
    loading = "--golden-transplant=load:carried"
    presets.runpytest_inprocess(*QUIET, loading).assert_outcomes(passed=1)
    write(presets.path / "presets/tiny", seed=1)
    presets.runpytest_inprocess(*QUIET, loading).assert_outcomes(failed=1)
