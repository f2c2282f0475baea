"""Recording what isolation needs of a model's calls, and isolating other calls against it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field

from pytest_keras_golden.capture.record.eager import capture_calls
from pytest_keras_golden.capture.replay.isolate import isolate
from pytest_keras_golden.capture.replay.recorder import CallRecorder
from pytest_keras_golden.capture.tap.request import Request

ALL = Request(("all",))


@dataclass
class Recorded:
    """Of the outermost calls made: their tensors, layer calls and pool, as a golden has them."""

    tensors: dict = field(default_factory=dict)
    calls: list = field(default_factory=list)
    pool: dict = field(default_factory=dict)


@contextmanager
def recording(model, request=ALL):
    found = Recorded()

    def finished(ended):
        found.calls.extend(ended.layers)
        found.pool.update(ended.pool)

    recorder = CallRecorder(request.isolation_bytes)
    with capture_calls(model, request, recorder=recorder, finished=finished) as block:
        yield found
    found.tensors.update(block.tensors)


@contextmanager
def isolating(golden, model, request=ALL):
    """Yields what is measured of every call inside against `golden`."""
    measured = []
    calls = {call.name: (order, call) for order, call in enumerate(golden.calls)}

    def finished(ended):
        isolate(ended.made, calls, golden.pool, measured.append)

    with capture_calls(model, request, finished=finished):
        yield measured


def unchanged(golden, model, call) -> bool:
    """Whether isolation finds nothing where `call` is what was recorded; and finds something."""
    with isolating(golden, model) as measured:
        call()
    return bool(measured) and all(item.identical for item in measured)


class Recording:
    """Stands for a run that records a golden where there was none."""

    golden = None
    recording = True
    twins = True

    def begins(self, policy):
        """Whatever the policy is."""

    def moved(self, records):
        return False

    def beyond(self, records):
        return False

    def differs(self, call, prints):
        return None
