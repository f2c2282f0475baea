"""Harmless circumstances instead of changed code: another batch, a compiled run, one thread."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pytest_keras_golden.capture.backends import to_numpy
from pytest_keras_golden.case.collected import Case
from pytest_keras_golden.case.finish import finish
from pytest_keras_golden.config import Settings
from pytest_keras_golden.outcomes import TestOutcome
from pytest_keras_golden.records import TensorRecord

from .change import harmless
from .trial import Bench, Tensor, Trial, numpy_fails, torch_fails

ON_ONE_THREAD = """
import os, sys
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
from importlib import import_module
import numpy as np
from pytest_keras_golden.capture.backends import to_numpy
name, policy, place = sys.argv[1:]
model, arguments = import_module(f"injection.{name}").SUBJECT.build(policy)
np.save(place, to_numpy(model(*arguments)).astype("float32"))
"""


def situations(bench: Bench, only: str = "") -> Iterator[Trial]:
    """`check`s of the final logits alone: there is nothing to isolate between two circumstances.

    only: text that a situation's name has to hold.
    """
    for policy in bench.policies:
        usual = to_numpy(bench.model(policy)[0](*bench.model(policy)[1]))
        for name, run in SITUATIONS.items():
            if only in name and (name != "compiled" or _compiles(policy)):
                yield _trial(bench, policy, name, usual, run(bench, policy).astype(usual.dtype))


def _compiles(policy: str) -> bool:
    """Fusion leaves out low precision's roundings by design: modes are not compared there. What
    torch compiles, no test captures."""
    return policy == "float32" and keras.backend.backend() in ("jax", "tensorflow")


def _trial(bench: Bench, policy: str, name: str, golden: Tensor, actual: Tensor) -> Trial:
    test = f"{bench.subject.name}_{policy}_{name.replace(' ', '_')}"
    # Of a GPU it may be another than the policy's.
    precision = bench.precision(policy)
    for update, value in ((True, golden), (False, actual)):
        outcome = _checked(bench.folder, test, value, precision, update)
    said = numpy_fails(actual, golden), torch_fails(actual, golden)
    return Trial(bench.subject.name, policy, harmless(name), outcome, 0.0, 0.0, *said)


def _checked(folder: Path, test: str, value: Any, precision: str, update: bool) -> TestOutcome:
    session = Case(f"tests/test_logits.py::test_{test}", Settings(folder / "goldens", update))
    session.add(TensorRecord("logits", value, kind="logits", precision=precision))
    return finish(session, folder / "cache")


def _in_larger_batch(bench: Bench, policy: str) -> Tensor:
    """More rows behind the usual ones."""
    model, arguments = bench.model(policy)
    count = arguments[0].shape[0]
    more = [np.concatenate([part, part[::-1], part]) for part in arguments]
    return to_numpy(model(*more))[:count]


def _compiled(bench: Bench, policy: str) -> Tensor:
    model, arguments = bench.model(policy)
    if keras.backend.backend() == "tensorflow":
        import tensorflow

        return to_numpy(tensorflow.function(model)(*arguments))
    import jax

    return to_numpy(jax.jit(model)(*arguments))


def _on_one_thread(bench: Bench, policy: str) -> Tensor:
    place = bench.folder / f"{bench.subject.name}-{policy}.npy"
    path = os.pathsep.join([str(Path(__file__).resolve().parents[1]), *sys.path])
    subprocess.run(
        [sys.executable, "-c", ON_ONE_THREAD, bench.subject.name, policy, str(place)],
        env={**os.environ, "PYTHONPATH": path},
        check=True,
    )
    return np.load(place)


SITUATIONS: dict[str, Callable[[Bench, str], Tensor]] = {
    "larger batch": _in_larger_batch,
    "compiled": _compiled,
    "one thread": _on_one_thread,
}
