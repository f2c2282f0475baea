"""The commands that a red gate and a search end with."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

from gates import ASKED, broke, gate_of, held, moved

from pytest_keras_golden.commands import bisect as bisect_command
from pytest_keras_golden.outcomes import LocalOutcome
from pytest_keras_golden.versions.bisect import BisectResult, Probe
from pytest_keras_golden.versions.gate import Side
from pytest_keras_golden.versions.inner.job import Pin
from pytest_keras_golden.versions.pages.gate_page import markdown, terminal
from pytest_keras_golden.versions.pages.next_lines import after_bisect, after_gate, for_test

ACCEPT = (
    "keras-golden accept-drift gate.json --layer blocks/0/norm --layer blocks/1/norm "
    '--layer final_norm --reason "why it is right"'
)


def test_a_red_gate_ends_with_look_search_and_accept() -> None:
    gate = gate_of(moved(), held())
    assert [command for _, command in after_gate(gate)] == [
        "keras-golden gate 3.5.0 3.6.0 --html gate.html --json gate.json -- tests/ -k gpt",
        "keras-golden bisect 3.5.0 3.6.0 -- tests/ -k gpt",
        ACCEPT,
    ]
    for text in (terminal(gate, 100), markdown(gate)):
        assert all(command in text for _, command in after_gate(gate))


def test_files_that_are_written_already_are_named_and_not_asked_for() -> None:
    gate = gate_of(moved(), asked=replace(ASKED, json="out dir/g.json", html=True))
    commands = [command for _, command in after_gate(gate)]
    assert len(commands) == 2
    assert shlex.split(commands[1])[2] == "out dir/g.json"


def test_options_and_strange_arguments_are_given_again_to_the_letter() -> None:
    behind = ("-k", "a or b", "it's", "$HOME")
    options = ("--package", "keras-hub", "--with", "jax==0.4.38")
    asked = replace(ASKED, options=options, arguments=behind)
    command = after_gate(gate_of(moved(), asked=asked))[1][1]
    assert shlex.split(command) == ["keras-golden", "bisect", "3.5.0", "3.6.0", *options, "--",
                                    *behind]  # fmt: skip


def test_paths_give_way_to_the_tests_that_moved(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_gpt.py").touch()
    (tmp_path / "gpt").touch()
    asked = replace(ASKED, folder=tmp_path, arguments=("tests/", "-k", "gpt", "-o", "a=b"))
    few = after_gate(gate_of(moved(), asked=asked))[1][1]
    assert few.endswith("-- tests/test_gpt.py::test_prefill -k gpt -o a=b")
    many = [moved(f"tests/test_gpt.py::test_{i}") for i in range(4)]
    assert after_gate(gate_of(*many, asked=asked))[1][1].endswith("-- tests/ -k gpt -o a=b")


def test_nothing_to_search_where_nothing_moved_or_much_changed() -> None:
    assert [why for why, _ in after_gate(gate_of(broke(), held()))] == ["look at every tensor"]
    jax = [Side((*side.pins, Pin("jax", v, Path()))) for side, v in
           zip((gate_of().old, gate_of().new), ("1", "2"), strict=True)]  # fmt: skip
    both = gate_of(moved(), old=jax[0], new=jax[1])
    assert "find the release that did it" not in [why for why, _ in after_gate(both)]
    assert after_gate(gate_of(held())) == []
    assert after_gate(gate_of(moved(), asked=None)) == []


def test_other_numbers_are_accepted_where_the_rest_was_compared() -> None:
    name = "random:keras.random.dropout"
    layer = LocalOutcome(name, 0, "incomparable", cause="random")
    row = replace(moved(local_drift=(name,), locals=(layer,)), status="incomparable")
    for drawn, proposed in (((), False), (("keras.random.dropout",), True)):
        lines = after_gate(gate_of(replace(row, drawn=drawn)))
        assert any(f"--layer {name}" in command for _, command in lines) == proposed


def test_each_test_that_moved_has_lines_of_its_own() -> None:
    gate = gate_of(moved(), moved("tests/test_other.py::test_x", local_drift=("blocks/1/norm",)))
    (*_, last) = for_test(gate, gate.rows[1])
    assert last[1].split(" --reason")[0].endswith("gate.json --layer blocks/1/norm")
    assert list(for_test(gate, held())) == []


def test_a_search_says_how_much_moved_and_goes_on() -> None:
    probe = Probe("3.6.0", "bad", "1 moved", (moved(),))
    found = BisectResult("keras", "3.3.3", "3.9.0", "3.6.0", "3.5.0", (), (probe,), 9, asked=ASKED)
    assert [command for _, command in after_bisect(found)] == [
        "keras-golden gate 3.5.0 3.6.0 --html gate.html --json gate.json -- tests/ -k gpt",
        "keras-golden bisect 3.5.0 3.6.0 --repo CLONE -- tests/ -k gpt",
    ]
    text = bisect_command.page(found)
    assert "how much: up to 0.9 %, 1.8× the limit" in text
    assert "layers with local drift: blocks/0/norm [1.7 %, 3.4× its limit] (1 test)" in text
    assert "keras-golden bisect 3.5.0 3.6.0 --repo CLONE" in text
    numbers = found.to_json()["numbers"]["tests/test_gpt.py::test_prefill"]["logits"]
    assert (numbers["k"], numbers["tolerance"], numbers["rel_l2"]) == (9.0, {"k": 5.0}, 0.009)
