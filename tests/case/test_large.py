"""Large tensors that the golden has bit for bit are hashed and not copied."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pytest_keras_golden.case.collected import LARGE
from pytest_keras_golden.commands.accept import _detected
from pytest_keras_golden.store.codec import Golden

SUITE = f"""
    import os
    import numpy as np

    def values(seed):
        return np.random.default_rng(seed).standard_normal({LARGE // 4}, np.float32)

    def test_large(golden_tensors):
        large = values(0)
        golden_tensors.check("large", large)
        large[:] = 0
        golden_tensors.check("moved", values(1) * float(os.environ.get("MOVED", 1)))
"""
SLOTS = f"""
    import os
    import keras
    import numpy as np

    def test_slots(golden_tensors):
        golden_tensors.check("large", np.arange({LARGE // 4}, dtype="float32"))
        inputs = keras.Input((4,))
        model = keras.Model(inputs, keras.layers.Dense(3)(inputs))
        model.dtype_policy = keras.dtype_policies.get("bfloat16")
        golden_tensors.fill_weights(model)
        with golden_tensors.capture(model):
            model(np.ones((2, 4), "float32"))
"""
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the suite with these arguments; the log of its one test."""

    def run(*arguments: str, **environment: str) -> dict[str, Any]:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        suite.runpytest_inprocess("--golden-log=log.json", "-p", "no:randomly", *arguments)
        (test,) = json.loads((suite.path / "log.json").read_text())["tests"]
        return dict(test)

    return run


def verdicts(test: dict[str, Any]) -> dict[str, str]:
    return {tensor["name"]: tensor["verdict"] for tensor in test["tensors"]}


def test_what_is_written_into_it_later_changes_nothing(suite: pytest.Pytester, run: Run) -> None:
    suite.makepyfile(SUITE)
    run("--update-goldens")
    assert verdicts(run()) == {"large": "identical", "moved": "identical"}
    moved = run(MOVED="1.5")
    assert verdicts(moved) == {"large": "identical", "moved": "drift"}
    with Golden.open(moved["candidate"]) as candidate, Golden.open(moved["golden"]) as golden:
        np.testing.assert_array_equal(candidate.array("large"), golden.array("large"))
        np.testing.assert_array_equal(
            candidate.array("moved"), golden.array("moved") * np.float32(1.5)
        )


def test_a_candidate_is_told_what_it_detects_when_it_is_accepted(
    suite: pytest.Pytester, run: Run
) -> None:
    suite.makepyfile(SUITE)
    recorded = run("--update-goldens")["golden"]
    candidate = run(MOVED="1.000001")["candidate"]
    with Golden.open(recorded) as golden, Golden.open(candidate) as kept:
        assert {entry.detects for entry in kept.header.tensors} == {None}
        detected = _detected(kept)
        # Of the sample that is kept, where the golden's is of the whole.
        assert detected["large"] == pytest.approx(golden.header.tensors[0].detects, rel=0.1)
        assert detected["moved"] == pytest.approx(golden.header.tensors[1].detects, rel=0.1)


def test_damage_of_what_was_not_read_reaches_no_candidate(suite: pytest.Pytester, run: Run) -> None:
    suite.makepyfile(SUITE)
    path = suite.path / str(run("--update-goldens")["golden"])
    with Golden.open(path) as golden:
        place = path.read_bytes().index(golden.array("large")[100:108].tobytes())
    with path.open("r+b") as file:
        file.seek(place)
        file.write(b"\0")
    moved = run(MOVED="1.5")
    assert verdicts(moved) == {"large": "identical", "moved": "drift"}
    assert moved["candidate"] is None
    assert any("no candidate kept" in said for said in moved["warnings"])


def test_the_golden_is_that_of_a_model_captured_later(suite: pytest.Pytester, run: Run) -> None:
    suite.makepyfile(SLOTS)
    assert "bfloat16" in run("--update-goldens")["golden"]
    assert set(verdicts(run()).values()) == {"identical"}


def test_it_costs_no_memory(suite: pytest.Pytester, run: Run) -> None:
    suite.makepyfile(
        """
        import numpy as np
        import tracemalloc

        VALUES = np.arange(1 << 22, dtype="float32")

        def test_large(golden_tensors):
            tracemalloc.start()
            golden_tensors.check("large", VALUES)
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            with open("peak", "w") as file:
                file.write(str(peak))
        """
    )
    run("--update-goldens")
    assert int((suite.path / "peak").read_text()) >= 1 << 24
    run()
    assert int((suite.path / "peak").read_text()) < 1 << 22
    assert not tracemalloc.is_tracing()


def test_a_check_that_failed_leaves_no_digest_behind(suite: pytest.Pytester, run: Run) -> None:
    """Of another tensor of the same name, which then has to be compared by itself."""
    suite.makepyfile(
        f"""
        import os
        import numpy as np
        import pytest

        def test_second(golden_tensors):
            large = np.arange({LARGE // 4}, dtype="float32")
            with pytest.raises(Exception, match="reference"):
                golden_tensors.check("large", large, reference=np.ones(3))
            golden_tensors.check("large", large * np.float32(os.environ.get("MOVED", 1)))
        """
    )
    run("--update-goldens")
    assert verdicts(run()) == {"large": "identical"}
    assert verdicts(run(MOVED="1.5")) == {"large": "drift"}
