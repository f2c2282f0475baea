"""One change through the real path: golden recorded without it, judged and isolated with it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from pytest_keras_golden.capture.block import CaptureBlock, capture_block
from pytest_keras_golden.capture.record.eager import Ended, capture_calls
from pytest_keras_golden.capture.replay.isolate import LocalMeasurement, isolate
from pytest_keras_golden.capture.tap.request import Request
from pytest_keras_golden.case.against import CaseGolden
from pytest_keras_golden.case.collected import Case
from pytest_keras_golden.case.finish import finish
from pytest_keras_golden.compare.floats import epsilon
from pytest_keras_golden.config import Settings
from pytest_keras_golden.outcomes import TestOutcome
from pytest_keras_golden.records import ToleranceRule

from .change import Change, Subject

Tensor = npt.NDArray[Any]
ROUNDING = 1.35
"""Relative L2 in units of ε that rounding-level changes of real releases reach on one layer."""

MEANT = 2.0
"""Relative L2 in units of float32's ε from which a change of meaning has to be found in every
precision."""


@dataclass(frozen=True)
class Trial:
    """One change of one model at one precision.

    size: of the change itself, in units of that precision's ε; meant: in units of float32's, in a
    float32 model. numpy, torch: whether their assertions at their defaults fail on the final
    logits; torch is None where it is not installed.
    """

    subject: str
    policy: str
    change: Change
    outcome: TestOutcome
    size: float
    meant: float
    numpy: bool
    torch: bool | None

    @property
    def caught(self) -> bool:
        return self.outcome.outcome == "failed"

    @property
    def wanted(self) -> bool:
        """A change that no rounding explains; what lies below is neither wanted nor an alarm."""
        if self.change.harmless or self.unseen:
            return False
        means = self.change.cause == "meaning" and self.meant > MEANT
        return means or self.size > ROUNDING

    @property
    def unseen(self) -> bool:
        """No bit of any tensor changed: nothing is looked into."""
        judged = [tensor for tensor in self.outcome.tensors if tensor.judged]
        return all(tensor.verdict == "identical" for tensor in judged)

    @property
    def alarm(self) -> bool:
        """A harmless change, or one that changes no bit, that fails."""
        return self.caught and (self.change.harmless or self.size == 0.0)

    @property
    def right_layer(self) -> bool:
        """Something is blamed, and nothing but what the change touched."""
        local = self.outcome.local_drift
        return bool(local) and all(map(self.change.blames, local))

    @property
    def right_cause(self) -> bool | None:
        """Whether every blamed layer has the cause of the change; None where twins told none."""
        blamed = set(self.outcome.local_drift)
        causes = [layer.cause for layer in self.outcome.locals if layer.name in blamed]
        told = [cause for cause in causes if cause in ("meaning", "precision", "rounding")]
        return all(cause == self.change.cause for cause in told) if told else None


class Bench:
    """A model under each policy, its goldens, and changes tried on it. folder: for the goldens.

    share: which part of a golden's tensors is kept, as samples, 1 for all. isolates: whether layers
    are looked at alone."""

    def __init__(
        self,
        subject: Subject,
        folder: Path,
        policies: tuple[str, ...],
        tolerances: tuple[ToleranceRule, ...] = (),
        share: float = 1.0,
        isolates: bool = True,
    ) -> None:
        self.share, self.isolates = share, isolates
        self.subject = subject
        self.policies = policies
        self.folder = folder
        self.tolerances = tolerances
        self._models = {policy: subject.build(policy) for policy in policies}
        self._blocks: dict[str, CaptureBlock] = {}

    def record(self, policy: str) -> None:
        if policy not in self._blocks and self.share != 1.0:
            # How large it is, only a recording tells.
            share, self.share = self.share, 1.0
            self.record(policy)
            self.share = share
        outcome, block = self._run(policy, nullcontext(), update=True)
        if outcome.outcome not in ("recorded", "passed"):
            raise RuntimeError(f"{self.subject.name} {policy}: {outcome.reason}")
        self._blocks[policy] = block

    def redraw(self, seed: int) -> None:
        """Other inputs, and other weights where they are drawn; goldens are recorded anew."""
        for policy, (model, _) in self._models.items():
            self._models[policy] = model, self.subject.draw(model, seed)
            self.record(policy)

    def model(self, policy: str) -> tuple[Any, tuple[Any, ...]]:
        """The model, and what it is called with."""
        return self._models[policy]

    def logits(self, policy: str) -> Tensor:
        return _logits(self._blocks[policy])

    def precision(self, policy: str) -> str:
        """The coarsest arithmetic behind the logits."""
        return self._blocks[policy].records[-1].precision or policy

    def check(self, policy: str, change: Change) -> tuple[TestOutcome, CaptureBlock]:
        return self._run(policy, change.applied(), update=False)

    def _run(
        self, policy: str, applied: AbstractContextManager[None], update: bool
    ) -> tuple[TestOutcome, CaptureBlock]:
        model, arguments = self._models[policy]
        session = Case(
            f"tests/test_{self.subject.name}.py::test_{policy}",
            Settings(
                self.folder / "goldens",
                update=update,
                max_size=self._room(policy),
                tolerances=self.tolerances,
            ),
        )
        with applied:
            size = session.settings.max_size
            request = Request(isolation_bytes=size, isolate=self.isolates)
            with capture_block(model, request, CaseGolden(session)) as block:
                model(*arguments)
            session.add_block(block)
        return finish(session, self.folder / "cache"), block

    def _room(self, policy: str) -> int:
        """Bytes that a golden's tensors may have."""
        if self.share == 1.0:
            return 64 << 20
        whole = sum(record.value.nbytes for record in self._blocks[policy].records)
        return int(self.share * whole)

    def try_out(self, change: Change) -> Iterator[Trial]:
        """float32 first: there the change's size is seen free of bfloat16's rounding."""
        exact = math.inf
        for policy in self._models:
            outcome, block = self.check(policy, change)
            own = self._size(policy, change)
            exact = own if policy == "float32" else exact
            size = min(own, exact)
            actual, golden = _logits(block), self.logits(policy)
            yield Trial(
                self.subject.name,
                policy,
                change,
                outcome,
                size / epsilon(policy),
                exact / epsilon("float32"),
                numpy_fails(actual, golden),
                torch_fails(actual, golden),
            )

    def _size(self, policy: str, change: Change) -> float:
        """Largest relative L2 of a blamed layer's own change on golden inputs."""
        golden = self._blocks[policy]
        calls = {call.name: (order, call) for order, call in enumerate(golden.calls)}
        sizes = [0.0]

        def measure(found: LocalMeasurement) -> None:
            if not found.identical and change.blames(found.name):
                sizes.append(relative(found.actual, found.golden))

        def finished(ended: Ended) -> None:
            assert ended.made is not None
            isolate(ended.made, calls, golden.pool, measure)

        if not change.harmless:
            model, arguments = self._models[policy]
            with change.applied(), capture_calls(model, Request(), finished=finished):
                model(*arguments)
        return max(sizes)


def relative(actual: Tensor, golden: Tensor) -> float:
    """Relative L2, infinite where dtype, shape or the pattern of NaN changed."""
    if actual.shape != golden.shape or actual.dtype != golden.dtype:
        return math.inf
    a, g = actual.astype(np.float64), golden.astype(np.float64)
    finite = np.isfinite(g)
    if not np.array_equal(np.isfinite(a), finite):
        return math.inf
    norm = float(np.linalg.norm(g[finite]))
    error = float(np.linalg.norm((a - g)[finite]))
    return error / norm if norm else math.inf if error else 0.0


def _logits(block: CaptureBlock) -> Tensor:
    return np.asarray(block.records[-1].value)


def numpy_fails(actual: Tensor, golden: Tensor) -> bool:
    try:
        np.testing.assert_allclose(actual.astype(np.float32), golden.astype(np.float32))
    except AssertionError:
        return True
    return False


def torch_fails(actual: Tensor, golden: Tensor) -> bool | None:
    try:
        import torch
    except ImportError:
        return None
    try:
        torch.testing.assert_close(_as_torch(torch, actual), _as_torch(torch, golden))
    except AssertionError:
        return True
    return False


def _as_torch(torch: Any, array: Tensor) -> Any:
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.astype(np.float32)).to(torch.bfloat16)
    return torch.from_numpy(np.array(array))
