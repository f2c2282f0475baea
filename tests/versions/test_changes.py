"""What differs between two sides, which of it did it, and since when, in words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_keras_golden.stacks.clone import Commit
from pytest_keras_golden.versions.changes import Change, Culprit, Since

KERAS = Change("keras", "3.4.1", "3.10.0")
JAX, JAXLIB = Change("jax", "0.8.1", "0.10.2"), Change("jaxlib", "0.8.1", "0.10.2")
JIT = Change("jit", "on", "off")
SINCE = Since("keras", "3.6.0", "3.5.0", 3, 9)
COMMIT = Commit("85e36818774c664a478181c5aea0bb1f2e251d25", "2024-09-13", "Fix it")


@pytest.mark.parametrize(
    ("members", "varied"),
    [
        ((KERAS,), KERAS),
        ((KERAS, JIT), KERAS),
        ((JAX, JAXLIB), JAX),
        ((JIT,), None),
        ((Change("keras", "3.10.0", "3.4.1"),), None),
        ((Change("keras", None, "3.4.1"),), None),
        ((Change("keras", "3.4.1", "/clone:abc"),), None),
    ],
)
def test_which_package_has_releases_to_search(
    members: tuple[Change, ...], varied: Change | None
) -> None:
    culprit = Culprit(members, 5, 3, tied=frozenset({"jaxlib"}))
    assert culprit.varied == varied


def test_since_when_is_said_with_what_could_not_be_run() -> None:
    assert SINCE.sentence == (
        "They move since keras 3.6.0, and not under 3.5.0 (3 probes of 9 releases)."
    )
    unsure = replace(SINCE, first_bad="3.7.0", between=("3.6.0",), no_commit="no clone")
    assert unsure.sentence.endswith(
        "3.6.0 could not be run and may be the first instead. No commit: no clone"
    )
    found = replace(SINCE, commit=COMMIT, commit_probes=8, commits=134, commit_between=("f" * 40,))
    assert found.sentence.endswith(
        "The commit is 85e3681877 (2024-09-13) Fix it (8 probes of 134 commits). "
        "ffffffffff could not be run and may be the culprit instead."
    )
    told = found.to_json()
    assert (told["commit"]["sha"], told["commit_between"]) == (COMMIT.sha, ["f" * 40])


def test_one_change_alone_needs_no_sentence_but_its_release_does() -> None:
    alone = Culprit((KERAS,), 1, 0)
    assert alone.lines == []
    assert replace(alone, since=SINCE).lines == [SINCE.sentence]
    assert len(Culprit((KERAS,), 3, 2, since=SINCE).lines) == 2
    assert replace(alone, since=replace(SINCE, probes=0, releases=2)).lines == []
