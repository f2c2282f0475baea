"""What a reader of a CI log finds on the failure page, for shallow and deep models."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from outcomes_made import decoder, outcome, tensor

from pytest_keras_golden.outcomes import LEFT_OUT, LocalOutcome, TestOutcome, to_json
from pytest_keras_golden.outcomes import test_from_json as from_json
from pytest_keras_golden.records import Tolerance
from pytest_keras_golden.report.amount import percent
from pytest_keras_golden.report.closing import terminal_summary, update_pages
from pytest_keras_golden.report.terminal import (
    columns,
    failure_page,
    fitted,
    missing_page,
    summary_line,
    update_page,
    within,
)
from pytest_keras_golden.report.wording import explained


def test_first_lines_say_what_moved_where_how_much_since_when_and_tokens() -> None:
    top = " ".join(failure_page(decoder(4)).splitlines()[:6])
    made = decoder(4)
    first = next(layer for layer in made.locals if layer.name == made.local_drift[0])
    title = failure_page(made).splitlines()[0]
    size = percent(first.rel_l2)
    assert title == f"DRIFT in blocks/0/norm ({size}) and 4 more  {made.nodeid}"
    assert "1 of 5 tensors drifted between Keras 3.5.0 and 3.6.0, first `logits`" in top
    assert "1.8× its bfloat16 tolerance k=5" in top
    assert "`blocks/*/norm` (×4), `final_norm`" in top
    assert "1 of 16 changes (position 12: 318 → 262, margin 41 ULP)" in top


@pytest.mark.parametrize("blocks", [1, 4, 12, 64, 300])
def test_a_page_fits_a_screen_and_100_columns_whatever_the_depth(blocks: int) -> None:
    page = failure_page(decoder(blocks))
    lines = page.splitlines()
    commands = [line for line in lines if line.startswith("  pytest ")]
    assert max(len(line) for line in lines if line not in commands) <= 100
    assert len(lines) < 60
    assert "\x1b" not in page


@pytest.mark.parametrize("blocks", [1, 4, 12, 64, 300])
def test_verdicts_of_all_tensors_can_be_added_up_from_the_table(blocks: int) -> None:
    made = decoder(blocks)
    layer_lines = [layer.name for layer in made.locals]
    counted: dict[str, int] = {}
    for line in _table(failure_page(made)):
        if line.startswith(" ⋮"):
            found = re.findall(r"([\d,]+) (identical|within|drift)\b", line)
        else:
            name, verdict = re.findall(r"\S+", line.lstrip(" →*"))[:2]
            found = [("1", verdict)] if name not in layer_lines or name == "logits" else []
        for number, verdict in found:
            counted[verdict] = counted.get(verdict, 0) + int(number)
    truth: dict[str, int] = {}
    for item in made.tensors:
        truth[item.verdict] = truth.get(item.verdict, 0) + 1
    assert counted == truth


def _table(page: str) -> list[str]:
    lines = page.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(" ──"))
    end = lines.index("", start)
    return [line for line in lines[start + 1 : end] if not line.startswith("  ")] + [
        line for line in lines[start + 1 : end] if re.match(r" {4,}\S+ +(within|drift|ident)", line)
    ]


def test_the_table_is_in_execution_order_with_layers_between_their_tensors() -> None:
    page = failure_page(decoder(3))
    wanted = ["blocks/0/norm", "blocks/0/attention/", "blocks/1/norm", "final_norm", " logits "]
    places = [page.index(name, page.index("k inherited")) for name in wanted]
    assert places == sorted(places)


def test_the_share_that_changed_comes_before_the_units_that_need_explaining() -> None:
    page = failure_page(decoder(3))
    (heading,) = (line for line in page.splitlines() if "+local / tol." in line)
    assert heading.index("L2") < heading.index("+local") < heading.index("max |Δ|")
    (row,) = (line for line in page.splitlines() if line.startswith(" →   logits"))
    assert row.index("0.9 %") < row.index("9 / 5")


@pytest.mark.parametrize(
    ("said", "width"), [("60", 80), ("80", 80), ("110", 110), ("400", 120), (None, 100)]
)
def test_a_page_has_the_columns_of_the_terminal(
    monkeypatch: pytest.MonkeyPatch, said: str | None, width: int
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(sys, "__stdout__", None)
    if said is not None:
        monkeypatch.setenv("COLUMNS", said)
    assert columns() == width


def test_a_message_is_fitted_and_its_commands_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    words, command = "word " * 30, f"See: keras-golden show {'x ' * 50}"
    lines = f"ERROR: {fitted(f'{words}{chr(10)}{command}', 'ERROR: ')}".split("\n")
    assert max(map(len, lines[:-1])) <= 80
    assert lines[-1] == command
    assert " ".join(lines[:-1]).split() == ["ERROR:", *words.split()]
    assert fitted("") == ""


def test_the_first_drifting_tensor_is_marked_once() -> None:
    marked = [line for line in failure_page(decoder(64)).splitlines() if line.startswith(" →")]
    assert [line.split()[1] for line in marked] == ["blocks/4/attention/probabilities"]


def test_the_accepting_command_is_one_line_and_survives_a_shell() -> None:
    nodeid = "tests/test_x.py::test_a[$HOME `b` \"c\" 'd']"
    page = failure_page(outcome(tensor("a", 0, k=9.0), nodeid=nodeid))
    command = next(line for line in page.splitlines() if line.startswith("  pytest "))
    words = subprocess.run(
        ["bash", "-c", command.replace("pytest", "printf '%s\\n'", 1)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    reason = "--golden-reason=Keras 3.6.0: why this is right"
    assert words == [nodeid, "--update-goldens", reason]


def test_hardware_differences_lead_to_the_gate_before_keras_is_blamed() -> None:
    changes = {"keras": ("3.5.0", "3.6.0"), "isa": ("x86-64-v4", "x86-64-v3")}
    page = failure_page(outcome(tensor("a", 0, k=9.0), stack_changes=changes))
    assert "Hardware differs (isa x86-64-v4 → x86-64-v3): not attributable to Keras." in _flat(page)
    steps = [line for line in page.splitlines() if line.startswith("  keras-golden")]
    assert steps[0].startswith("  keras-golden gate 3.5.0 3.6.0 -- ")


def test_another_changed_package_is_named() -> None:
    changes = {"keras": ("3.5.0", "3.6.0"), "backend_version": ("0.4.38", "0.10.2")}
    page = _flat(failure_page(outcome(tensor("a", 0, k=9.0), stack_changes=changes)))
    assert "Not only Keras changed: backend_version 0.4.38 → 0.10.2." in page


def _flat(page: str) -> str:
    return re.sub(r"\s+", " ", page)


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("structure", "1 tensor changed structure between Keras 3.5.0 and 3.6.0: `b` (odd)"),
        ("nonfinite", "changed where it is NaN or Inf"),
        ("vacuous", "the tolerance would pass a wrong tensor"),
        ("unstable", "differs from itself under one and the same stack"),
        ("systematic", "changed systematically"),
        ("accumulated", "by depth alone"),
        ("incomparable", "so nothing is said about Keras: odd."),
    ],
)
def test_each_verdict_has_its_own_sentence(verdict: str, words: str) -> None:
    moved = tensor("b", 1, k=0.5, verdict=verdict, note="odd", bias=0.5, bias_t=30.0)
    page = failure_page(outcome(tensor("a", 0), moved, outcome="failed"))
    assert page.startswith(verdict.upper())
    assert words in _flat(page)


def test_a_systematic_layer_under_quiet_tensors_is_the_failure() -> None:
    layer = LocalOutcome("norm", 0, "systematic", "bfloat16", k=1.1, bias=0.66, bias_t=80.0)
    made = outcome(tensor("a", 0, k=1.0), outcome="failed", locals=(layer,), local_drift=("norm",))
    page = _flat(failure_page(made))
    assert page.startswith("SYSTEMATIC")
    assert "1 layer changed systematically" in page
    assert "slope 0.66 ε, t = 80" in page


def test_unavailable_isolation_is_said_and_points_to_the_gate() -> None:
    page = failure_page(outcome(tensor("a", 0, k=9.0), isolation="unavailable: size"))
    assert "isolation unavailable: size" in page
    assert "keras-golden gate 3.5.0 3.6.0 -- " in page


def test_absolute_tolerances_and_infinite_errors_are_shown() -> None:
    moved = tensor("a", 0, k=9.0, max_abs=float("inf"), tolerance=Tolerance(rtol=1e-3, atol=0.0))
    page = failure_page(outcome(moved))
    assert "9 / rtol=1.0e-3 atol=0" in page
    assert "max |Δ| inf" in _flat(page)


def test_colour_changes_no_character() -> None:
    plain, coloured = failure_page(decoder(4)), failure_page(decoder(4), color=True)
    assert "\x1b[" in coloured
    bare = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in bare.splitlines()] == plain.splitlines()


def test_a_page_from_the_json_log_is_the_page_of_the_run() -> None:
    made = decoder(4)
    assert failure_page(from_json(to_json(made))) == failure_page(made)


def test_parameter_ids_that_look_like_markup_stay() -> None:
    assert "[red]x[/red]" in failure_page(outcome(tensor("[red]x[/red]", 0, k=9.0)))


def test_summary_line() -> None:
    line = summary_line(outcome(tensor("a", 0), tensor("b", 1, k=2.0)))
    assert line == (
        "tests/test_gpt.py::test_prefill[bfloat16]: "
        "1 identical, 1 within (at most 0.4× tolerance) between Keras 3.5.0 and 3.6.0"
    )


def test_terminal_summary_counts_tests_tensors_and_unused_goldens() -> None:
    made = [
        decoder(4),
        outcome(tensor("a", 0)),
        outcome(tensor("a", 0), nodeid="new", outcome="recorded", written=True, baseline=None),
    ]
    text = terminal_summary(made, unused=["goldens/old.safetensors"])
    assert "3 golden tests: 1 identical, 1 drift, 1 recorded" in text
    assert "1 golden written" in text
    moved = next(line for line in text.splitlines() if "test_prefill[bfloat16]: first" in line)
    assert re.search(
        r"first logits \([\d.e-]+ %, 1\.8× tolerance\), by `blocks/\*/norm` \(×4\), `final_norm`",
        moved,
    )
    assert "goldens/old.safetensors" in text
    assert "keras-golden prune" in text


def test_update_page_says_what_changed_per_tensor() -> None:
    changed = outcome(tensor("a", 0), tensor("b", 1, k=9.0), outcome="recorded", written=True)
    page = update_page(changed)
    assert "1 of 2 tensors changed between Keras 3.5.0 and 3.6.0" in page
    assert re.search(r"b +drift +0.9 % +9 / 5", page)
    quiet = outcome(tensor("a", 0), written=False)
    assert "nothing written" in update_page(quiet)
    first = outcome(tensor("a", 0), baseline=None, written=True, outcome="recorded")
    assert "the first golden of this test" in update_page(first)


def test_a_first_recording_of_many_tests_stays_short() -> None:
    first = outcome(tensor("a", 0), baseline=None, written=True, outcome="recorded")
    changed = outcome(tensor("b", 0, k=9.0), outcome="recorded", written=True)
    pages = update_pages([first] * 500 + [changed] * 2)
    assert len(pages) == 6
    assert pages[-1] == "and 497 other first goldens"
    assert "since" not in pages[0]
    assert "1 of 1 tensor changed" in pages[4]


def test_tests_without_calls_are_counted_apart() -> None:
    plain = outcome(outcome="passed", baseline=None)
    text = terminal_summary([outcome(tensor("a", 0)), *[plain] * 40])
    assert text.splitlines() == [
        "1 golden test: 1 identical",
        "40 other tests called no Keras model",
        "1 tensor: 1 identical",
    ]
    assert "0 golden tests: none\n40 tests called no Keras model" in terminal_summary([plain] * 40)


def test_missing_page_lists_what_exists_and_the_fix() -> None:
    asked = TestOutcome("t.py::test_a", "failed")
    page = missing_page(asked, "keras-3.6.0-jax-cpu-float32", ["keras-3.5.0-torch-cpu-x"])
    assert "wanted: keras-3.6.0-jax-cpu-float32" in page
    assert "keras-3.5.0-torch-cpu-x" in page
    assert page.splitlines()[-1] == '  pytest "t.py::test_a" --update-goldens'
    assert "never recorded" in missing_page(asked, "slot")


def test_of_tests_that_did_not_ask_a_missing_golden_is_one_line() -> None:
    """One command at the end records them all."""
    page = missing_page(TestOutcome("t.py::test_a", "failed", asked=False), "slot")
    assert page == "no golden to compare with: t.py::test_a was never recorded"


def test_commands_repeat_what_finds_the_golden() -> None:
    options = ("--golden-auto", "--goldens-dir=my goldens")
    asked = TestOutcome("t.py::test_a", "failed", options=options)
    command = "pytest --golden-auto '--goldens-dir=my goldens' \"t.py::test_a\" --update-goldens"
    assert command in missing_page(asked, "slot")
    page = failure_page(outcome(tensor("a", 0, k=9.0), options=options))
    assert f"{command.replace('t.py::test_a', outcome().nodeid)} --golden-reason=" in page


def test_a_test_that_moved_on_one_stack_is_compared_with_itself() -> None:
    same = {"baseline": "3.6.0", "stack": {"keras": "3.6.0"}, "stack_changes": {}}
    options = ("--golden-auto", "--goldens-dir=kept")
    page = failure_page(outcome(tensor("a", 0, k=9.0), options=options, **same))
    again = f'pytest --golden-auto --goldens-dir=once "{outcome().nodeid}"'
    assert f"  {again} --update-goldens\n  {again}\n" in page
    assert "Keras 3.6.0: why" not in page


@pytest.mark.parametrize("width", [80, 120])
def test_what_is_longer_than_the_terminal_goes_on_indented(width: int) -> None:
    words = " ".join(["word"] * 60)
    command = f"  pytest {words}"
    lines = within(f"{words}\n  {words}\n{command}", width)
    assert command in lines
    assert all(len(line) <= width for line in lines if line != command)
    assert " ".join(line.strip() for line in lines) == f"{words} {words} {command.strip()}"


def test_words_of_ours_are_explained_where_they_are_said_and_no_others() -> None:
    tensors = [tensor("a", 0, verdict="within", k=0.5), tensor("b", 1, verdict="systematic", k=0.1)]
    said = terminal_summary([outcome(*tensors)])
    assert said.count("within: differs, by no more than its tolerance") == 1
    assert said.count("systematic: inside its tolerance element by element") == 1
    assert "vacuous" not in said
    assert ":" not in "".join(explained(["identical", "drift"]))


def test_importing_the_renderer_leaves_rich_and_numpy_out() -> None:
    code = (
        "import sys, pytest_keras_golden.report.terminal;"
        "sys.exit(bool({'rich', 'numpy', 'keras'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_summary_of_thousands_stays_short_and_says_where_the_rest_is() -> None:
    moved = [outcome(tensor("a", 0, k=9.0), nodeid=f"t{i}") for i in range(5000)]
    lines = terminal_summary(moved).splitlines()
    assert len(lines) < 60
    assert lines[-1] == "  … and 4,960 more tests: pytest --golden-report=report.md lists them"
    assert terminal_summary(moved, file=Path("log.json")).endswith("4,960 more tests: log.json")
    assert "more test" not in terminal_summary(moved[:40])


def test_thousands_of_changed_goldens_are_counted() -> None:
    changed = outcome(tensor("b", 0, k=9.0), outcome="recorded", written=True)
    pages = update_pages([changed] * 5000)
    assert len(pages) == 41
    assert pages[-1] == "and 4,960 other changed goldens"


def test_calls_that_are_left_alone_for_one_reason_are_one_line() -> None:
    why = [f"{LEFT_OUT}fit: what follows step {step}, where ValueError ended it" for step in (0, 1)]
    told = {"a": [why[0]], "b": [why[0]], "c": [why[1]], "d": [why[0], "something else"]}
    made = [outcome(nodeid=f"t.py::{name}", warnings=tuple(texts)) for name, texts in told.items()]
    _, head, *lines = terminal_summary(made).splitlines()
    assert head == "4 calls that automatic capture left alone:"
    assert lines == [
        "  3 calls, the first in t.py::a: fit: what follows step 0, where ValueError ended it",
        "  t.py::c: fit: what follows step 1, where ValueError ended it",
    ]
