"""Whatever an outcome holds, every renderer says something of it, within its limits."""

from __future__ import annotations

from typing import get_args

from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_keras_golden.outcomes import LocalOutcome, TensorOutcome, TestOutcome, log_json
from pytest_keras_golden.records import Kind, Tolerance, Verdict
from pytest_keras_golden.report import closing, html, junit, markdown, terminal
from pytest_keras_golden.report.summary import Stretch, collapsed, compared, rows, verdict_of

names = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=90
)
numbers = st.none() | st.floats() | st.sampled_from([0.0, 1.0, 5.0, 1e-12, 1e12])
verdicts = st.sampled_from(get_args(Verdict))
flips = st.fixed_dictionaries(
    {
        "position": st.integers(0, 9) | st.lists(st.integers(0, 9), min_size=2, max_size=2),
        "golden": st.integers(0, 99),
        "actual": st.integers(0, 99),
        "margin_ulp": st.floats(0, allow_nan=False),
        "tie": st.booleans(),
    }
)
extras = st.just({}) | st.fixed_dictionaries(
    {
        "rows": st.integers(1, 99),
        "flips": st.lists(flips, max_size=3),
        "flips_real": st.integers(0, 3),
        "flips_tie": st.integers(0, 3),
        "reference": st.fixed_dictionaries({"accuracy": st.sampled_from(["better", "worse"])}),
    }
)
tensors = st.builds(
    TensorOutcome,
    name=names,
    order=st.integers(0, 99),
    kind=st.sampled_from(get_args(Kind)),
    dtype=st.just("bfloat16"),
    precision=st.sampled_from(["", "bfloat16", "float32", "int32"]),
    shape=st.lists(st.integers(0, 9), max_size=4).map(tuple),
    judged=st.booleans(),
    verdict=verdicts,
    tolerance=st.none() | st.builds(Tolerance, k=st.floats(0, 99)) | st.just(Tolerance(rtol=1e-3)),
    max_abs=numbers,
    k=numbers,
    rel_l2=numbers,
    bias=numbers,
    bias_t=numbers,
    detects=numbers,
    max_ulp=st.none() | st.integers(0, 2**63),
    index=st.none() | st.just((0, 1)),
    note=st.none() | names,
    extra=extras,
)
layers = st.builds(
    LocalOutcome,
    name=names,
    order=st.integers(0, 99),
    verdict=verdicts,
    precision=st.sampled_from(["", "bfloat16", "float32"]),
    k=numbers,
    rel_l2=numbers,
    bias=numbers,
    bias_t=numbers,
    note=st.none() | names,
)


@st.composite
def outcomes(draw: st.DrawFn) -> TestOutcome:
    seen = draw(st.lists(tensors, max_size=8, unique_by=lambda tensor: tensor.name))
    found = draw(st.lists(layers, max_size=8, unique_by=lambda layer: layer.name))
    every = [tensor.name for tensor in seen] or ["absent"]
    return TestOutcome(
        nodeid=draw(names),
        outcome=draw(st.sampled_from(["passed", "failed", "error", "recorded", "skipped"])),
        reason=draw(st.none() | names),
        baseline=draw(st.none() | st.just("3.5.0")),
        golden=draw(st.none() | st.just("/absent/golden")),
        candidate=draw(st.none() | st.just("/absent/candidate")),
        stack=draw(st.sampled_from([{}, {"keras": "3.6.0"}])),
        stack_changes=draw(st.sampled_from([{}, {"keras": ("3.5.0", None), "isa": (1, 2)}])),
        isolation=draw(st.sampled_from([None, "complete", "not needed", "unavailable: size"])),
        weights=draw(st.sampled_from(["equal", "differ", "unknown", "transplanted"])),
        first_drift=draw(st.none() | st.sampled_from(every)),
        local_drift=tuple(layer.name for layer in found if draw(st.booleans())),
        tensors=tuple(seen),
        locals=tuple(found),
        written=draw(st.booleans()),
        warnings=draw(st.sampled_from([(), ("odd",), ("accumulated: a",)])),
    )


@settings(max_examples=150, deadline=None)
@given(outcomes())
def test_terminal_pages_fit_and_name_the_test(outcome: TestOutcome) -> None:
    page = terminal.failure_page(outcome)
    assert outcome.nodeid in page.splitlines()[0]
    # What was loaded otherwise than its file says is nothing to accept.
    assert ("--update-goldens" in page) != ("no golden to accept" in page)
    assert terminal.summary_line(outcome).count("\n") == 0
    assert outcome.nodeid in terminal.update_page(outcome)
    text = closing.terminal_summary([outcome])
    assert ("1 golden test" if compared([outcome]) else "1 test called no Keras model") in text


@settings(max_examples=150, deadline=None)
@given(outcomes())
def test_collapsing_loses_no_tensor(outcome: TestOutcome) -> None:
    every = rows(outcome)
    judged = [tensor for tensor in outcome.tensors if tensor.judged]
    for limit in (1, 3, 28):
        shown = collapsed(every, limit)
        told = sum(
            sum(item.tensors.values()) if isinstance(item, Stretch) else item.tensor is not None
            for item in shown
        )
        assert told == len(judged)


@settings(max_examples=15, deadline=None)
@given(st.lists(outcomes(), max_size=4))
def test_documents_hold_every_test(tests: list[TestOutcome]) -> None:
    log = log_json(1, {}, tests)
    text = markdown.render(log)
    assert len(text.encode()) < markdown.LIMIT
    assert html.render(log).count('id="test-') == len(compared(tests))
    for outcome in tests:
        assert dict(junit.properties(outcome))["golden.verdict"] == verdict_of(outcome)
