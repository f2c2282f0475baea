"""A slice of benchmarks/detection.py: real injected changes through recording, judging, blaming."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks.injection import llama
from benchmarks.injection.change import Change, Subject
from benchmarks.injection.trial import Bench, Trial

pytestmark = pytest.mark.processes

POLICIES = ("float32", "bfloat16")
SLICES = {
    llama.SUBJECT: (
        "RoPE of neighbours, not halves",
        "key heads tiled, not repeated",
        "attention scale 1/sqrt(d+1)",
        "norm epsilon 1e-6 to 1e-2",
        "residual branch scaled by 0.9",
        "embedding scale rounded to bfloat16",
        "weights in float8",
        "nothing",
        "softmax divided after the values",
        "norm scale in float32",
        "silu in float32",
        "split-K products",
    ),
}


@pytest.fixture(scope="module", params=SLICES, ids=lambda subject: subject.name)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    made = Bench(request.param, tmp_path_factory.mktemp("goldens"), POLICIES)
    for policy in POLICIES:
        made.record(policy)
    return made


def chosen(subject: Subject) -> Iterator[Change]:
    named = {change.name: change for change in subject.changes}
    return (named[name] for name in SLICES[subject])


@pytest.fixture(scope="module")
def trials(bench: Bench) -> list[Trial]:
    return [trial for change in chosen(bench.subject) for trial in bench.try_out(change)]


def test_every_change_above_rounding_level_is_caught(trials: list[Trial]) -> None:
    wanted = [trial for trial in trials if trial.wanted]
    assert len(wanted) >= 6
    assert [told(trial) for trial in wanted if not trial.caught] == []


def test_nothing_harmless_fails(trials: list[Trial]) -> None:
    harmless = [trial for trial in trials if trial.change.harmless]
    assert len(harmless) >= 4
    # Some of them do change bits: else this would hold for nothing.
    assert any(tensor.verdict == "within" for trial in harmless for tensor in trial.outcome.tensors)
    assert [told(trial) for trial in trials if trial.alarm] == []


def test_exactly_the_layers_that_changed_are_blamed(trials: list[Trial]) -> None:
    caught = [trial for trial in trials if trial.wanted and trial.caught]
    assert [told(trial) for trial in caught if not trial.right_layer] == []


def test_a_change_leaves_the_code_as_it_was(bench: Bench) -> None:
    for policy in POLICIES:
        outcome, _ = bench.check(policy, Change("nothing", ()))
        assert {tensor.verdict for tensor in outcome.tensors} == {"identical"}


def told(trial: Trial) -> str:
    name = f"{trial.subject} {trial.policy} {trial.change.name} ({trial.size:.3g} ε)"
    return f"{name}: {trial.outcome.reason}, blamed {trial.outcome.local_drift}"
