"""What the atlases of benchmarks/ call a change, between recordings that are made up here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
KEY = ("float32", "optimizer: Adam")
STEPS = {"step 1": np.arange(1, 65, dtype=np.float32), "slots": np.ones(8, np.float32)}


@pytest.fixture(scope="module")
def atlas() -> Iterator[ModuleType]:
    """Scripts there find each other by the folder that they are in."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        import history.along
        import history.changes
        import history.page
        import history.recordings

        yield history


def recorded(
    atlas: Any, arrays: Mapping[str, Any] | None, why: str = "", key: tuple[str, str] = KEY
) -> Any:
    made = {} if arrays is None else {key: arrays}
    failed = {} if arrays is not None else {key: why}
    return atlas.recordings.Recorded("3.9", made, failed)


def found(atlas: Any, old: Any, new: Any) -> list[Any]:
    return list(atlas.changes.changes(old, new, "torch"))


def test_the_worst_array_is_named(atlas: Any) -> None:
    moved = {"step 1": STEPS["step 1"] * np.float32(1.5), "slots": STEPS["slots"]}
    (change,) = found(atlas, recorded(atlas, STEPS), recorded(atlas, moved))
    assert (change.kind, change.local.name) == ("semantic", "step 1")


def test_a_bit_is_rounding(atlas: Any) -> None:
    moved = {**STEPS, "step 1": np.nextafter(STEPS["step 1"], np.float32(1e9))}
    (change,) = found(atlas, recorded(atlas, STEPS), recorded(atlas, moved))
    assert change.kind in ("rounding", "systematic")
    assert change.local.k < 1


def test_no_bit_is_no_change(atlas: Any) -> None:
    assert not found(atlas, recorded(atlas, STEPS), recorded(atlas, dict(STEPS)))


def test_other_names_are_structure(atlas: Any) -> None:
    renamed = {"step 1": STEPS["step 1"], "slot": STEPS["slots"]}
    (change,) = found(atlas, recorded(atlas, STEPS), recorded(atlas, renamed))
    assert change.kind == "structure"
    assert change.local.note == "slot new, slots gone"


@pytest.mark.parametrize(
    ("why", "kinds"),
    [
        ("AttributeError: module 'keras.optimizers' has no attribute 'Muon'", []),
        ("ValueError: Argument(s) not recognized: {'gradient_accumulation_steps': 2}", []),
        ("RuntimeError: shapes do not match", ["repaired"]),
    ],
)
def test_what_a_release_lacks_is_not_repaired(atlas: Any, why: str, kinds: list[str]) -> None:
    changes = found(atlas, recorded(atlas, None, why), recorded(atlas, STEPS))
    assert [change.kind for change in changes] == kinds


def test_what_raises_is_broken_with_its_reason(atlas: Any) -> None:
    changes = found(atlas, recorded(atlas, STEPS), recorded(atlas, None, "ValueError: no"))
    assert [(change.kind, change.note) for change in changes] == [("broken", "ValueError: no")]


def test_mixed_precision_is_judged_as_what_it_computes_in(atlas: Any) -> None:
    """Weights are float32 there, and round as bfloat16 does."""
    key = ("mixed_bfloat16", "fit: Adam")
    moved = {**STEPS, "step 1": STEPS["step 1"] * np.float32(1 + 2.0**-9)}
    both = (recorded(atlas, arrays, key=key) for arrays in (STEPS, moved))
    (change,) = found(atlas, *both)
    assert change.kind in ("rounding", "systematic")
    assert change.local.k < 1


def test_series_share_their_ends(atlas: Any) -> None:
    releases = ["3.0.0", "3.0.1", "3.0.2", "3.1.0", "3.1.1", "3.2.0"]
    assert list(map(list, atlas.along.serial(releases))) == [
        ["3.0.0", "3.0.1", "3.0.2"],
        ["3.0.2", "3.1.0", "3.1.1"],
        ["3.1.1", "3.2.0"],
    ]
