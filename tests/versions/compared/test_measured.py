"""A side's text names the folder of its run, wherever its path would lead."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pytest_keras_golden.versions.compared.measured import folder_name


@given(st.text(min_size=1, max_size=60))
def test_any_text_names_a_folder_inside(text: str) -> None:
    place = Path("/workspace/runs")
    made = place / folder_name(text)
    assert made.parent == place
    assert made.name not in ("", ".", "..")


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
def test_two_sides_have_two_folders(one: str, other: str) -> None:
    assert (folder_name(one) == folder_name(other)) == (one == other)


def test_versions_and_commits_keep_their_names() -> None:
    for name in ("3.5.0", "again", "1a2b3c4d", "probe 1, 5 of 6 changes"):
        assert folder_name(name) == name
    assert folder_name("/home/me/uv.lock").startswith("_home_me_uv_lock-")
