"""Two sets of tensors compared, and two calls that must agree."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass
from typing import Any

from ..errors import CaptureError, ConfigError, a_kind
from ..outcomes import TestOutcome
from ..records import TensorRecord, Tolerance
from ..tolerance import parse
from .tensors import Tensors, by_hand, described, tensors_of
from .watching import watched

RETURNED = "returned"
"""What `same` calls the result of a call, beside the layers inside it."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found; true where everything that was compared holds.

    outcome: as in the JSON of `--golden-log`, a tensor's figures in `outcome.tensors`.
    """

    outcome: TestOutcome

    @property
    def verdicts(self) -> Mapping[str, str]:
        """Name → verdict."""
        return {tensor.name: tensor.verdict for tensor in self.outcome.tensors}

    def __bool__(self) -> bool:
        return self.outcome.outcome == "passed"

    def __repr__(self) -> str:
        """A line, which `assert compare(...)` shows as it is: the verdict, where, how much."""
        from ..report.terminal import comparison_line

        return f"<Comparison: {comparison_line(self.outcome)}>"

    def __str__(self) -> str:
        """The page, as a failing test shows it."""
        from ..report.terminal import columns, comparison_page

        return comparison_page(self.outcome, columns())

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What IPython shows at a prompt: there is room for the page."""
        printer.text(str(self))

    def _repr_html_(self) -> str:
        from .tables import outcome_html

        return outcome_html(self.outcome)


def compare(
    a: Any, b: Any, *, tolerance: Tolerance | Mapping[str, float] | str | None = None
) -> Comparison:
    """`b` judged against `a`, tensor by tensor, as a test would judge it.

    a, b: what `load` or `capture` gave, the path of a golden, a mapping of arrays, any nest of
    tensors of any backend, or one array. tolerance: `{"k": 5}`, `"rtol=1e-3 atol=1e-5"`, and
    a bias inside it is allowed; else that of the golden, else the default of each tensor's
    precision.
    Raises CaptureError for what holds no tensor, StoreError for a path that is no golden,
    ConfigError for a tolerance that makes no sense.
    """
    __tracebackhide__ = True
    return _judged(tensors_of(a, "a"), tensors_of(b, "b"), tolerance)


def same(
    first: Callable[[], Any],
    second: Callable[[], Any],
    *,
    tolerance: Tolerance | Mapping[str, float] | str | None = None,
) -> Comparison:
    """Assert that two calls return the same numbers: `predict` and a plain call, a model and its
    port, with and without a cache.

    first, second: functions of no argument; each is called once. What they return is judged. Where
    it differs, the layers that have one name in both calls are listed before it, so that the page
    says where the difference begins. Raises AssertionError with that page; CaptureError where a
    call returns no tensor, ConfigError for what cannot be called.
    """
    __tracebackhide__ = True
    for value in (first, second):
        _demand_callable(value)
    old, new = _Call.of(first), _Call.of(second)
    results = _judged(old.tensors("first"), new.tensors("second"), tolerance)
    if results:
        return results
    both = old.names & new.names
    sides = old.tensors("first", both), new.tensors("second", both)
    raise AssertionError(str(_judged(*sides, tolerance)))


def _demand_callable(value: object) -> None:
    if not callable(value):
        raise ConfigError(
            f"same() got {a_kind(value)} where it needs a call",
            "Write same(lambda: model(x), lambda: other(x)); compare(a, b) takes values.",
        )


@dataclass(frozen=True, slots=True)
class _Call:
    """What a call returned, and what layers inside of it computed."""

    returned: tuple[TensorRecord, ...]
    inside: tuple[TensorRecord, ...]

    @staticmethod
    def of(call: Callable[[], Any]) -> _Call:
        __tracebackhide__ = True
        with watched(None, "all") as block:
            returned = call()
        named = returned if isinstance(returned, Mapping) else {RETURNED: returned}
        return _Call(tuple(by_hand(named)), tuple(block.records))

    @property
    def names(self) -> set[str]:
        return {record.name for record in self.inside} - {record.name for record in self.returned}

    def tensors(self, path: str, inside: Set[str] = frozenset()) -> Tensors:
        layers = [record for record in self.inside if record.name in inside]
        return described([*layers, *self.returned], path, {})


def _judged(a: Tensors, b: Tensors, tolerance: Any) -> Comparison:
    __tracebackhide__ = True
    from ..case.pair import compare as judge_pair
    from ..compare.numbers import says_something

    if not any(map(says_something, (*a.values(), *b.values()))):
        raise CaptureError(
            "every tensor is empty or all NaN: that compares nothing",
            "Give the calls inputs that they answer with numbers.",
        )
    if tolerance is None:
        return Comparison(judge_pair(a, b, None))
    # Whoever says how much is allowed allows it in one direction, too.
    return Comparison(judge_pair(a, b, parse(tolerance), systematic="off"))
