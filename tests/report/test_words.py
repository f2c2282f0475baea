"""One first drift, one telling flip, and the words of the model's kind, wherever they are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from outcomes_made import decoder, outcome, tensor

from pytest_keras_golden.compare.logits import LogitsMetrics, logits_metrics
from pytest_keras_golden.compare.verdict import judge
from pytest_keras_golden.outcomes import TensorOutcome, TestOutcome, first_drift, log_json
from pytest_keras_golden.records import GoldenHeader, Recording, TensorEntry, TensorRecord
from pytest_keras_golden.report import drawings, files, junit, summary, tokens
from pytest_keras_golden.report.closing import terminal_summary
from pytest_keras_golden.report.sentence import headline
from pytest_keras_golden.report.terminal import failure_page
from pytest_keras_golden.store.digest import digest
from pytest_keras_golden.store.files import save
from pytest_keras_golden.tolerance import default

VERDICTS = st.sampled_from(["identical", "within", "drift", "structure", "accumulated"])
made = st.builds(
    lambda order, verdict, judged: tensor(
        f"t{order}", order, k=9.0, verdict=verdict, judged=judged
    ),
    st.integers(0, 99),
    VERDICTS,
    st.booleans(),
)


@given(st.lists(made, max_size=6, unique_by=lambda t: t.order))
def test_the_first_drift_is_the_first_judged_one_in_execution_order(
    found: list[TensorOutcome],
) -> None:
    loud = sorted(t.order for t in found if t.judged and t.verdict not in ("identical", "within"))
    assert first_drift(found) == (f"t{loud[0]}" if loud else None)


@given(st.lists(made, min_size=1, max_size=6, unique_by=lambda t: t.order))
def test_every_page_names_the_same_first_drift(found: list[TensorOutcome]) -> None:
    name = first_drift(found)
    for known in (name, None):  # logs of other tools name none
        test = outcome(*found, outcome="failed", first_drift=known)
        first = summary.first_drift(test)
        assert (first.name if first else None) == name
        marked = [row.name for row in summary.rows(test) if row.first]
        assert marked == ([] if name is None else [name])
        if name is not None:
            assert f": first {name}" in terminal_summary([test])
            assert f"| `{name}` |" in files.rendered(log_json(1, {}, [test]), ".md")
    told = dict(junit.properties(outcome(*found, first_drift=name)))
    assert told.get("golden.first_drift") == name


def flipped(shape: tuple[int, ...], name: str = "logits") -> tuple[LogitsMetrics, TestOutcome]:
    """Logits of which two rows change: the first narrowly, the last one by far."""
    golden = np.zeros(shape, "float32")
    rows = golden.reshape(-1, shape[-1])
    rows[:, :2] = (2.0, 1.0)
    rows[0, 0], rows[-1, 0] = 1 + 119 * 2**-23, 1 + 146 * 2**-23
    actual = golden.copy()
    actual.reshape(-1, shape[-1])[[0, -1], 1] = 3.0
    entry = TensorEntry(
        *(name, 0, "logits", "float32", shape, "float32", True, "materialised"),
        digest=digest(golden), rms=1.0,
    )  # fmt: skip
    record = TensorRecord(name, actual, kind="logits")
    found = judge(record, 0, entry, lambda: golden, default("float32"))
    metrics = logits_metrics(actual, golden)
    assert metrics is not None
    return metrics, outcome(found, outcome="failed", first_drift=name)


@pytest.mark.parametrize(
    ("shape", "name", "place", "answers"),
    [
        ((1, 6, 8), "logits", "position 5", "tokens"),
        ((6, 8), "step_003/logits", "row 5", "tokens"),
        ((6, 8), "logits", "row 5", "predictions"),
        ((1, 2, 3, 8), "logits", "row [0, 1, 2]", "predictions"),
    ],
)
def test_headline_and_row_tell_the_same_flip_in_the_words_of_the_model(
    shape: tuple[int, ...], name: str, place: str, answers: str
) -> None:
    metrics, test = flipped(shape, name)
    note, sentence = str(test.tensors[0].note), headline(test)
    place = place.replace("row", "position") if answers == "tokens" else place
    spoken = place.replace("[", "(").replace("]", ")") if "[" in place else place
    value = "class " if answers == "predictions" else ""
    assert f"2 {answers} change, most clearly at {spoken}: {value}0 → 1" in note
    assert f"{place}: {value}0 → 1" in sentence
    assert sentence.count(f"{answers.capitalize()}: 2 of") == 1
    assert tokens.flipped(test) == f"{answers} change"
    assert [round(flip.margin_ulp) for flip in metrics.real_flips] == [146, 119]
    page = failure_page(test)
    other = "token" if answers == "predictions" else "prediction"
    assert other not in page.lower()


def test_a_decoder_speaks_of_tokens_and_positions() -> None:
    text = headline(decoder(2))
    assert "Tokens: 1 of 16 changes (position 12: 318 → 262, margin 41 ULP)." in text


def test_only_probabilities_are_attention_maps(tmp_path: Path) -> None:
    """A query (batch, position, head, feature) has heads too, and is no map of anything."""
    names = ["att:query", "att:key@2", "att:output", "att:probabilities@2"]
    arrays = {name: np.full((1, 2, 24, 24), 0.5, "float32") for name in names}
    found = [
        tensor(name, i, k=50.0 - i, shape=(1, 2, 24, 24), dtype="float32", precision="float32")
        for i, name in enumerate(names)
    ]
    paths = [tmp_path / "golden.safetensors", tmp_path / "run.safetensors"]
    for step, path in enumerate(paths):
        values = {name: array + np.float32(step) / 8 for name, array in arrays.items()}
        entries = tuple(
            TensorEntry(
                *(t.name, t.order, t.kind, t.dtype, t.shape, t.precision, True, "materialised"),
                digest=digest(values[t.name]), rms=1.0,
            )
            for t in found
        )  # fmt: skip
        header = GoldenHeader(stack={"keras": "3.5.0"}, mode="eager", tensors=entries)
        records = tuple(TensorRecord(name, array) for name, array in values.items())
        save(path, Recording(header, records), tmp_path / "locks")
    test = outcome(*found, golden=str(paths[0]), candidate=str(paths[1]))
    drawn = drawings.draw(test)
    assert drawn is not None
    assert drawn["attention"]["name"] == "att:probabilities@2"
    without = replace(test, tensors=tuple(found[:3]))
    assert (drawings.draw(without) or {})["attention"] == {}
    assert drawings._position_axis(found[0]) == drawings._position_axis(found[1]) == 1
    assert drawings._position_axis(found[3]) == -2
