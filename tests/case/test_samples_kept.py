"""Tests whose tensors are more than a golden may have: samples are kept, compared, and told."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import pytest_keras_golden as kg
from pytest_keras_golden.cli import main
from pytest_keras_golden.outcomes import test_from_json as outcome_of
from pytest_keras_golden.report.drawings import draw

SUITE = """
    import os
    import numpy as np

    rng = np.random.default_rng(0)
    HIDDEN = rng.normal(size=(2, 64, 96)).astype("float32")
    LOGITS = rng.normal(size=(1, 64, 512)).astype("float32")
    if os.environ.get("ROWS"):
        HIDDEN[:, int(os.environ["ROWS"])] *= 1.01
    if os.environ.get("TOKEN"):
        LOGITS[0, 63, 7] = 100

    def test_large(golden_tensors):
        golden_tensors.check("hidden", HIDDEN)
        golden_tensors.check("logits", LOGITS)
        golden_tensors.check("few", np.arange(4.0))
"""
WHOLE = 2 * 64 * 96 * 4 + 64 * 512 * 4


@pytest.fixture
def large(suite: pytest.Pytester) -> pytest.Pytester:
    suite.makepyfile(SUITE)
    suite.makeini("[pytest]\ngoldens_dir = goldens\ngolden_max_size = 32KiB\n")
    return suite


def ran(suite: pytest.Pytester, *arguments: str) -> dict[str, Any]:
    suite.runpytest_inprocess("--golden-log=log.json", "-p", "no:randomly", *arguments)
    (test,) = json.loads((suite.path / "log.json").read_text())["tests"]
    return dict(test)


def verdicts(test: dict[str, Any]) -> list[str]:
    return [tensor["verdict"] for tensor in test["tensors"]]


def test_a_golden_is_as_small_as_it_may_be(large: pytest.Pytester) -> None:
    golden = large.path / ran(large, "--update-goldens")["golden"]
    assert golden.stat().st_size < (32 << 10) + 8192
    assert verdicts(ran(large)) == ["identical"] * 3
    tensors = kg.load(golden)
    assert set(tensors.samples) == {"hidden", "logits"}
    assert tensors["few"].tolist() == [0.0, 1.0, 2.0, 3.0]
    assert tensors["logits"].shape[-1] == 512
    assert kg.compare(golden, tensors).outcome.outcome == "passed"


@pytest.mark.parametrize("options", [("-o", "golden_rows=all"), ("-o", "golden_max_size=1GiB")])
def test_everything_is_kept_where_it_is_asked_for(
    large: pytest.Pytester, options: tuple[str, ...]
) -> None:
    golden = large.path / ran(large, "--update-goldens", *options)["golden"]
    assert golden.stat().st_size > WHOLE
    assert verdicts(ran(large)) == ["identical"] * 3


def test_a_row_that_is_not_kept_fails(
    large: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    golden = large.path / ran(large, "--update-goldens")["golden"]
    monkeypatch.setenv("ROWS", "0")
    moved = ran(large)
    assert verdicts(moved) == ["drift", "identical", "identical"]
    assert "outside of the elements that are kept" in moved["tensors"][0]["note"]
    # What was accepted is what is compared from then on.
    assert main(["accept", str(large.path / "log.json"), "--all", "--reason", "more"]) == 0
    assert verdicts(ran(large)) == ["identical"] * 3
    assert golden.exists()


def test_a_token_is_told_and_drawn_at_its_place(
    large: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(large, "--update-goldens")
    monkeypatch.setenv("TOKEN", "yes")
    moved = ran(large)
    assert verdicts(moved) == ["identical", "drift", "identical"]
    (flip,) = moved["tensors"][1]["extra"]["flips"]
    assert flip["position"] == 63
    drawn = draw(outcome_of(moved))
    assert drawn is not None
    (token,) = drawn["tokens"]
    assert token[1].endswith(" 63")
    assert token[3][0] == [7, 100]


def test_a_golden_of_before_is_compared_as_a_whole(
    large: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran(large, "--update-goldens", "-o", "golden_rows=all")
    monkeypatch.setenv("ROWS", "0")
    moved = ran(large)
    assert moved["tensors"][0]["index"][1] == 0
    assert draw(outcome_of(moved)) is not None
    with np.errstate(all="raise"):
        compared = kg.compare(large.path / moved["golden"], large.path / moved["candidate"])
    assert compared.outcome.outcome == "failed"
