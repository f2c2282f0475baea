"""Saved models as tests: collected, recorded, compared."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from zipfile import ZipFile

import pytest
from saved.models_made import saved_dense

from pytest_keras_golden.outcomes import test_from_json
from pytest_keras_golden.versions.compared.verdicts import row_of
from pytest_keras_golden.versions.pages.sections import row_detail

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

NO_PLUGINS = ("-p", "no:randomly", "-p", "no:cacheprovider")


def test_a_named_model_is_recorded_and_then_compared(
    suite: pytest.Pytester, goldens: Callable[[], list[str]]
) -> None:
    saved_dense(suite.path / "models/churn.keras")
    named = (*NO_PLUGINS, "models/churn.keras")
    missing = suite.runpytest_inprocess(*named)
    missing.assert_outcomes(failed=1)
    missing.stdout.fnmatch_lines(["*no golden to compare with: models/churn.keras::model*"])
    suite.runpytest_inprocess(*named, "--update-goldens").assert_outcomes(passed=1)
    assert len(goldens()) == 1
    assert goldens()[0].startswith("models/churn.keras/model~")
    again = suite.runpytest_inprocess(*named, "-v")
    again.assert_outcomes(passed=1)
    again.stdout.fnmatch_lines(["models/churn.keras::model: * identical"])


def test_other_weights_in_the_file_are_a_change(suite: pytest.Pytester) -> None:
    saved_dense(suite.path / "churn.keras")
    suite.runpytest_inprocess(*NO_PLUGINS, "churn.keras", "--update-goldens")
    saved_dense(suite.path / "churn.keras", seed=1)
    changed = suite.runpytest_inprocess(*NO_PLUGINS, "churn.keras")
    changed.assert_outcomes(failed=1)
    changed.stdout.fnmatch_lines(["*weights differ*"])


@pytest.mark.parametrize(
    ("version", "fix"),
    [
        (None, "If it needs classes of yours: golden_custom_objects = package.module."),
        ("3.0.0", "If it needs classes of yours: golden_custom_objects = package.module."),
        ("99.1.0", "Keras 99.1.0 saved it: load it with that or a newer one, or save it with this "
                   "one."),
    ],
)  # fmt: skip
def test_a_model_that_does_not_load_has_its_fix_in_its_reason(
    suite: pytest.Pytester, version: str | None, fix: str
) -> None:
    saved_dense(suite.path / "churn.keras")
    with ZipFile(suite.path / "churn.keras") as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    with ZipFile(suite.path / "churn.keras", "w") as other:
        for name, part in parts.items():
            broken = part.replace(b'"units"', b'"many"')
            told = f'"keras_version": "{version}"'.encode()
            other.writestr(name, re.sub(rb'"keras_version": "[^"]+"', told, broken))
    run = suite.runpytest_inprocess(*NO_PLUGINS, "churn.keras", "--golden-log=log.json")
    run.assert_outcomes(failed=1)
    (test,) = json.loads((suite.path / "log.json").read_text())["tests"]
    row = row_of(test_from_json(test), None)
    for reason in (test["reason"], row.reason, row_detail(row)):
        assert re.fullmatch(
            rf"churn.keras does not load under Keras [^ ]+: \w+Error: .+\. {re.escape(fix)}",
            reason,
        ), reason


def test_globs_collect_models_with_the_suite(suite: pytest.Pytester) -> None:
    suite.makeini("[pytest]\ngolden_models =\n    # ours\n    models/*.keras\n")
    saved_dense(suite.path / "models/churn.keras")
    saved_dense(suite.path / "models/other.h5")
    suite.makepyfile("def test_plain(): pass")
    collected = suite.runpytest_inprocess(*NO_PLUGINS, "--collect-only", "-q")
    collected.stdout.fnmatch_lines(["models/churn.keras::model"])
    collected.stdout.no_fnmatch_line("*other.h5*")


def test_without_globs_no_model_is_collected(suite: pytest.Pytester) -> None:
    saved_dense(suite.path / "models/churn.keras")
    suite.makepyfile("def test_plain(): pass")
    suite.runpytest_inprocess(*NO_PLUGINS).assert_outcomes(passed=1)


def test_legacy_files_are_models_too(suite: pytest.Pytester) -> None:
    saved_dense(suite.path / "churn.h5")
    recorded = suite.runpytest_inprocess(*NO_PLUGINS, "churn.h5", "--update-goldens")
    recorded.assert_outcomes(passed=1)
    suite.runpytest_inprocess(*NO_PLUGINS, "churn.h5").assert_outcomes(passed=1)


def test_weights_alone_go_into_the_model_that_a_function_builds(suite: pytest.Pytester) -> None:
    suite.makeini("[pytest]\ngolden_models = *.weights.h5: making:build\n")
    suite.makepyfile(making="from saved.models_made import dense_model\nbuild = dense_model\n")
    saved_dense(suite.path / "churn.keras")
    from saved.models_made import dense_model

    dense_model(3).save_weights(suite.path / "churn.weights.h5")
    recorded = suite.runpytest_inprocess(*NO_PLUGINS, "churn.weights.h5", "--update-goldens")
    recorded.assert_outcomes(passed=1)
    suite.runpytest_inprocess(*NO_PLUGINS, "churn.weights.h5").assert_outcomes(passed=1)


def test_weights_without_a_builder_say_what_to_write(suite: pytest.Pytester) -> None:
    from saved.models_made import dense_model

    dense_model().save_weights(suite.path / "churn.weights.h5")
    run = suite.runpytest_inprocess(*NO_PLUGINS, "churn.weights.h5")
    run.assert_outcomes(failed=1)
    run.stdout.fnmatch_lines(["*golden_models =*", "*churn.weights.h5: package.module:build*"])
