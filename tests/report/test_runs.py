"""The sentence on top of a report: only what was compared holds."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import pytest
from outcomes_made import outcome, tensor

from pytest_keras_golden.outcomes import LEFT_OUT, TestOutcome, log_json
from pytest_keras_golden.report import files
from pytest_keras_golden.report.asides import asides, named, unseen
from pytest_keras_golden.report.closing import terminal_summary
from pytest_keras_golden.report.runs import conclusion, read
from pytest_keras_golden.report.terminal import failure_page

PROGRAM = (sys.executable, "-m", "pytest_keras_golden.cli")
HELD = outcome(tensor("a", 0))
MOVED = outcome(tensor("a", 0, k=9.0))
SKIPPED = TestOutcome("t_skipped", "skipped", reason="wants a GPU")
RECORDED = outcome(tensor("a", 0), outcome="recorded", baseline=None)
LOST = TestOutcome("t_lost", "error", reason="lost: worker 'gw0' crashed while running 't_lost'")
PLAIN = TestOutcome("t_plain", "passed")
TRAINS = TestOutcome("t_trains", "passed", unseen=("fit", "evaluate"))
LEFT = TestOutcome("t_left", "passed", warnings=(f"{LEFT_OUT}it has no name",))
MAPS = TestOutcome("t_maps", "passed", unseen=("layer in tf.data.map",))


def concluded(*tests: TestOutcome, code: int = 0, errors: tuple[str, ...] = ()) -> str:
    return conclusion(read(log_json(code, {}, tests, errors)))


@pytest.mark.parametrize(
    ("tests", "sentence"),
    [
        ([HELD], "the test holds between Keras 3.5.0 and 3.6.0"),
        ([HELD, HELD], "all 2 tests hold between Keras 3.5.0 and 3.6.0"),
        ([HELD, SKIPPED, RECORDED], "the test holds between Keras 3.5.0 and 3.6.0 "
         "(1 skipped, 1 recorded)"),
        ([HELD, PLAIN, TRAINS], "the test holds between Keras 3.5.0 and 3.6.0"),
        ([], "no golden test ran"),
        ([PLAIN], "no golden test ran"),
        ([SKIPPED], "nothing was compared (1 skipped)"),
        ([RECORDED, SKIPPED], "nothing was compared (1 recorded, 1 skipped)"),
        ([TRAINS, MAPS], "nothing was compared (2 not looked at)"),
        ([LEFT, PLAIN], "nothing was compared (1 not looked at)"),
        ([SKIPPED, TRAINS], "nothing was compared (1 skipped, 1 not looked at)"),
        ([MOVED, HELD], "1 of 2 tests moved between Keras 3.5.0 and 3.6.0 (1 drift)"),
        ([HELD, HELD, LOST], "1 of 3 tests ended before anything was compared"),
        ([MOVED, HELD, LOST], "1 of 3 tests moved between Keras 3.5.0 and 3.6.0 (1 drift), "
         "1 ended before anything was compared"),
    ],
)  # fmt: skip
def test_the_sentence_on_top(tests: list[TestOutcome], sentence: str) -> None:
    assert concluded(*tests) == sentence
    for suffix in (".md", ".html"):
        assert sentence.split(" (")[0] in files.rendered(log_json(0, {}, tests), suffix)


def test_what_was_not_collected_or_run_is_in_the_sentence() -> None:
    assert concluded(errors=("a.py",)) == "nothing was compared: collection failed"
    missing = concluded(HELD, errors=("a.py", "b.py"), code=2)
    assert missing.endswith("3.6.0; 2 modules could not be collected")
    stopped = concluded(HELD, code=2)
    assert stopped.endswith("; the run ended early, with pytest's code 2")
    assert "ended early" not in concluded(HELD, code=1)
    broke = concluded(SKIPPED, errors=("a.py",), code=2)
    assert broke == "nothing was compared (1 skipped); 1 module could not be collected"


def test_several_logs_have_several_codes() -> None:
    logs = [log_json(code, {}, [HELD]) for code in (0, 3)]
    assert conclusion(read(logs)).endswith("the run ended early, with pytest's code 3")


ASIDES = [
    ([HELD], []),
    ([HELD, PLAIN], ["1 other test called no Keras model"]),
    ([PLAIN, PLAIN], ["2 tests called no Keras model"]),
    ([TRAINS], ["1 test trains or evaluates only: not looked at (fit 1, evaluate 1)"]),
    ([HELD, *[TRAINS] * 3, PLAIN], [
        "1 other test called no Keras model",
        "3 tests train or evaluate only: not looked at (fit 3, evaluate 3)",
    ]),
    ([MAPS, TRAINS], ["2 tests use Keras in other ways only: not looked at "
                      "(layer in tf.data.map 1, fit 1, evaluate 1)"]),
    ([replace(HELD, unseen=("fit",)), HELD], [
        "1 compared test also made calls that are not looked at (fit 1)"]),
    ([replace(TRAINS, outcome="failed")], [
        "1 compared test also made calls that are not looked at (fit 1, evaluate 1)"]),
]  # fmt: skip


@pytest.mark.parametrize(("tests", "lines"), ASIDES)
def test_what_was_not_looked_at_is_counted_everywhere(
    tests: list[TestOutcome], lines: list[str]
) -> None:
    assert sorted(asides(tests)) == sorted(lines)
    log = log_json(0, {}, tests)
    for line in lines:
        assert line in terminal_summary(tests)
        assert line.replace("_", "\\_") in files.rendered(log, ".md")
        assert line in files.rendered(log, ".html")


def test_what_was_not_looked_at_is_named() -> None:
    many = [replace(TRAINS, nodeid=f"t.py::test_{i}") for i in range(30)]
    assert named(unseen(many))[0] == "t.py::test_0: fit, evaluate"
    assert named(unseen(many))[-1] == "and 27 more"
    assert "  t.py::test_0: fit, evaluate\n" in terminal_summary(many)
    log = log_json(0, {}, many)
    markdown = files.rendered(log, ".md")
    assert "  - `t.py::test_9:` fit, evaluate\n  - and 20 more\n" in markdown
    assert '["t.py::test_29","fit, evaluate"]' in files.rendered(log, ".html")


def test_a_session_of_one_skipped_test_compared_nothing(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        """
        import pytest

        @pytest.mark.skip(reason="not here")
        def test_it(golden_tensors):
            golden_tensors.check("x", 1.0)
        """
    )
    suite.runpytest_inprocess("--golden-log=s.json", "--golden-report=s.md")
    told = suite.run(*PROGRAM, "report", "s.json").stdout.str()
    for text in (told, (suite.path / "s.md").read_text(encoding="utf-8")):
        assert "### Golden tensors: nothing was compared (1 skipped)" in text
        assert "holds" not in text


def test_a_test_that_was_compared_says_what_of_it_was_not(capsys: Any) -> None:
    page = failure_page(replace(MOVED, unseen=("fit", "losses")))
    assert "note: not looked at: fit, losses" in page


def test_a_call_that_was_left_alone_is_told_with_its_reason() -> None:
    log = log_json(0, {}, (HELD, LEFT))
    for page in (files.rendered(log, ".md"), files.rendered(log, ".html")):
        assert "calls that could not be captured 1" in page
        assert "not captured: it has no name" in page
        assert "called no Keras model" not in page
    told = terminal_summary((HELD, LEFT)).splitlines()
    assert told.index("1 call that automatic capture left alone:") + 1 == told.index(
        "  t_left: it has no name"
    )
