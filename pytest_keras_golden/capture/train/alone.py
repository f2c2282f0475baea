"""Losses, metrics and the optimizer of a step by themselves, against what a golden has of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ...compare.isolation import judge_local
from ...compare.training import BEHIND_LAYERS
from ...outcomes import LocalOutcome, Twin, is_blamed
from ...records import TensorRecord
from ..replay.losses import GRADIENT, METRICS, ToldPart, by_itself, given_in, uncounted
from .blame import Components, component_of

if TYPE_CHECKING:
    from ...records import Array
    from ...store.codec import Golden

_OPTIMIZER = "step_000/optimizer/"


@dataclass(frozen=True)
class Alone:
    """replayed: losses and metrics that can be run by themselves, by name. due: whether the
    optimizer was to be run so, which it is once. across_backends: whether the golden is of another
    backend, which computes parts of an optimizer in other precisions. unmeasured: components that
    the golden has, and that could not be run by themselves here."""

    golden: Golden
    replayed: Mapping[str, Any]
    made_of: Components
    due: bool = True
    across_backends: bool = False
    unmeasured: set[str] = field(default_factory=set)

    def judged(self, records: Sequence[TensorRecord]) -> Iterator[LocalOutcome]:
        """Every component of these steps, changed or not. Raises CorruptGoldenError."""
        yield from self._losses(records)
        if not self.across_backends:
            yield from self._optimizers(records)

    # -- losses and metrics -----------------------------------------------------------------

    def _losses(self, records: Sequence[TensorRecord]) -> Iterator[LocalOutcome]:
        """The first change of each, of the golden's predictions and targets. Not of steps that are
        the golden's own."""
        found: dict[str, LocalOutcome] = {}
        own = given_in(record.name for record in records if not record.known)
        for told, given in given_in(t.name for t in self.golden.header.tensors).items():
            for local in self._made(told, given) if told in own else ():
                known = found.get(local.name, local)
                found[local.name] = known if is_blamed(known) else local
        yield from found.values()

    def _made(self, told: ToldPart, given: Mapping[str, str]) -> Iterator[LocalOutcome]:
        places = {what: told.alone(what) for what in ("", GRADIENT)}
        golden = {w: self.golden.array(p) for w, p in places.items() if self.golden.has(p)}
        size = golden[GRADIENT].size if GRADIENT in golden else 1
        arrays = {argument: self.golden.array(full) for argument, full in given.items()}
        of = self.replayed.get(told.name)
        made = {} if of is None else by_itself(of, arrays, size)
        if golden.keys() - made.keys():
            self.unmeasured.add(_called(told.name))
        for what, value in made.items():
            if what in golden:
                yield _loss(told, what, value, golden[what])

    # -- the optimizer ----------------------------------------------------------------------

    def _optimizers(self, records: Sequence[TensorRecord]) -> Iterator[LocalOutcome]:
        """Parts of each follow from each other: the first that changed, else the worst of all."""
        found: dict[str, list[LocalOutcome]] = {}
        for rest, value, golden in self._exercised(records):
            whole = component_of("updates", self.made_of.behind("optimizer", rest))
            found.setdefault(whole, []).append(self._part(rest, value, golden))
        if self.due:
            self.unmeasured.update(self._recorded() - found.keys())
        for whole, parts in found.items():
            changed = next((local for local in parts if is_blamed(local)), None)
            worst = max(parts, key=lambda local: local.k or 0.0)
            yield changed or replace(worst, name=whole)

    def _recorded(self) -> set[str]:
        """Optimizers that the golden has by themselves."""
        rests = (tensor.name.partition(_OPTIMIZER)[2] for tensor in self.golden.header.tensors)
        behind = (self.made_of.behind("optimizer", rest) for rest in rests if rest)
        return {component_of("updates", one) for one in behind}

    def _exercised(self, records: Sequence[TensorRecord]) -> Iterator[tuple[str, Array, Array]]:
        for record in records:
            _, found, rest = record.name.partition(_OPTIMIZER)
            if found and self.golden.has(record.name):
                yield rest, record.value, self.golden.array(record.name)

    def _part(self, rest: str, value: Array, golden: Array) -> LocalOutcome:
        rest, _ = uncounted(rest)
        behind = self.made_of.behind("optimizer", rest)
        part = rest if behind is self.made_of else rest.partition("/")[2]
        kind, _, slot = part.partition("/")
        name = component_of(kind, behind, slot)
        local = judge_local(name, BEHIND_LAYERS, [value], [golden], "float32")
        if not is_blamed(local):
            return local
        said = f"by itself, on gradients and weights of its own, {rest} differs"
        if local.k is None:
            return replace(local, note=said)
        return replace(
            local, note=said, cause="meaning", twin=Twin("float64", local.k, 1.0, "equal")
        )


def _called(name: str) -> str:
    kind = "metric" if name.startswith(METRICS) else "loss"
    return f"{kind}:{name.removeprefix(METRICS)}"


def _loss(told: ToldPart, what: str, value: Array, golden: Array) -> LocalOutcome:
    local = judge_local(_called(told.name), BEHIND_LAYERS, [value], [golden])
    if local.verdict == "identical":
        return local
    number = int(told.step.rpartition("_")[2])
    said = f"step {number}: of the golden's predictions and targets it makes"
    if what:
        return replace(local, note=f"{said} another gradient")
    if value.size > 1:
        return replace(local, note=f"{said} other values")
    return replace(local, note=f"{said} {value.ravel()[0]:.6g}, and made {golden.ravel()[0]:.6g}")
