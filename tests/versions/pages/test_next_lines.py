"""The commands that a red gate and a search end with."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from gates import ASKED, broke, gate_of, held, moved

from pytest_keras_golden.commands import bisect as bisect_command
from pytest_keras_golden.outcomes import LocalOutcome
from pytest_keras_golden.stacks.clone import Commit
from pytest_keras_golden.versions.bisect import BisectResult, Probe
from pytest_keras_golden.versions.changes import Change, Culprit, Since
from pytest_keras_golden.versions.gate import Asked, Side
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
    options = ("--pre", "--with", "jax==0.4.38")
    asked = replace(ASKED, options=options, arguments=behind, accepted="my drift.toml")
    look, search, accept = (
        shlex.split(line) for _, line in after_gate(gate_of(moved(), asked=asked))
    )
    assert search == ["keras-golden", "bisect", "3.5.0", "3.6.0", *options, "--", *behind]
    assert look[4 : 4 + len(options) + 2] == [*options, "--accepted", "my drift.toml"]
    assert accept[3:5] == ["--accepted", "my drift.toml"]


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


def searched(asked: Asked, culprit: Culprit) -> str | None:
    """The search that a red gate proposes."""
    gate = gate_of(moved(), asked=replace(asked, arguments=("t.py",)), culprit=culprit)
    return next((line for _, line in after_gate(gate) if " bisect " in line), None)


KERAS, JIT = Change("keras", "3.4.1", "3.10.0"), Change("jit", "on", "off")
JAX, JAXLIB = Change("jax", "0.8.1", "0.10.2"), Change("jaxlib", "0.8.1", "0.10.2")
SINCE = Since("keras", "3.6.0", "3.5.0", 3, 9)
COMMIT = Commit("85e36818774c664a478181c5aea0bb1f2e251d25", "2024-09-13", "Fix it")


@pytest.mark.parametrize(
    ("old", "culprit", "line"),
    [
        ("old.txt", Culprit((KERAS,), 3, 2), "old.txt 3.10.0"),
        ("3.4.1,policy=bfloat16", Culprit((KERAS,), 2, 2), "3.4.1,policy=bfloat16 3.10.0"),
        ("old.txt", Culprit((KERAS, JIT), 5, 3), "old.txt,jit=off 3.10.0"),
        ("old.txt,jit=on", Culprit((KERAS, JIT), 5, 3), "old.txt,jit=off 3.10.0"),
        ("old.txt", Culprit((KERAS,), 5, 3, since=SINCE), "old.txt,3.5.0 3.6.0 --repo CLONE"),
        ("3.4.1,jit=on", Culprit((KERAS, JIT), 5, 3, since=SINCE),
         "3.5.0,jit=off 3.6.0 --repo CLONE"),
        ("old.txt", Culprit((JAX, JAXLIB), 5, 3, tied=frozenset({"jaxlib"})),
         "old.txt 0.10.2 --package jax"),
        ("3.5.0,jax==0.8.1,jaxlib==0.8.1", Culprit((JAX, JAXLIB), 2, 1, tied=frozenset({"jaxlib"})),
         "keras==3.5.0,jax==0.8.1 0.10.2 --package jax"),
    ],
)  # fmt: skip
def test_a_search_goes_on_with_all_that_the_old_side_is(
    old: str, culprit: Culprit, line: str
) -> None:
    proposed = searched(replace(ASKED, old=old, new="new.txt"), culprit)
    assert proposed is not None
    words = ["keras-golden", "bisect", *line.split(), "--", "t.py"]
    assert shlex.split(proposed) == words


def test_no_search_is_proposed_that_could_not_be_made() -> None:
    asked = replace(ASKED, old="old.txt", new="new.txt")
    for culprit in (
        Culprit((KERAS,), 5, 3, since=replace(SINCE, commit=COMMIT)),
        Culprit((JIT,), 5, 3),
        Culprit((Change("keras", "3.4.1", "/clone:abc"),), 1, 0),
        Culprit((Change("keras", "3.10.0", "3.4.1"),), 1, 0),
    ):
        assert searched(asked, culprit) is None


def test_the_step_that_a_search_found_is_looked_at_on_the_stack_it_was_found_on() -> None:
    asked = replace(ASKED, old="uv.lock,policy=bfloat16", new="3.9.0")
    probe = Probe("3.6.0", "bad", "1 moved", (moved(),))
    found = BisectResult("keras", "3.3.3", "3.9.0", "3.6.0", "3.5.0", (), (probe,), 9, asked=asked)
    (_, look), (_, search) = after_bisect(found)
    sides = ["uv.lock,policy=bfloat16,3.5.0", "uv.lock,policy=bfloat16,3.6.0"]
    assert shlex.split(look)[2:4] == shlex.split(search)[2:4] == sides
