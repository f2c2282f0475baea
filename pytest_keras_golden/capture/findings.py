"""What one capture block recorded, call by call, and what was found out about those that moved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ..errors import CaptureError
from ..records import LayerCall, OutermostCall, ProgramRun, TensorRecord
from .examine import Against, Examined, Pooled, Returned, examine
from .record.eager import Ended, recorded_again, with_twins
from .record.identity import Identified
from .record.methods import TRAINING
from .reference import may_run_again, references
from .replay.outermost import Outermost
from .replay.twins import backwards, twins
from .state.fingerprints import Fingerprints
from .tap.request import Request
from .tap.training import TrainingSelection

if TYPE_CHECKING:
    from ..records import Array


@dataclass
class Findings:
    """Records, layers and findings of a block; every name in it is given once.

    against: the golden that the block is compared with while it runs; without one, everything is
    recorded and nothing examined. ahead: layers are recorded as they are called, and not when a
    call moved. isolation: `complete`, or why an isolating pass against this recording is not
    possible. taken: names by kind (call, tensor, layer).
    """

    request: Request
    against: Against | None
    prints: Fingerprints
    ahead: bool
    records: list[TensorRecord] = field(default_factory=list)
    layers: list[LayerCall] = field(default_factory=list)
    pools: list[Mapping[str, Array]] = field(default_factory=list)
    examined: dict[str, Examined] = field(default_factory=dict)
    isolation: str = "complete"
    programs: list[ProgramRun] = field(default_factory=list)
    taken: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _reference_bytes: int = 0

    def take(
        self, entry: OutermostCall, seen: Mapping[str, TensorRecord]
    ) -> tuple[list[TensorRecord], dict[str, str]]:
        """Its tensors under names that no other of the block has."""
        named = {
            name: self._kept(name) if record.known else self.name("tensor", name)
            for name, record in seen.items()
        }
        records = [
            replace(record, name=named[name], call=entry.name, tolerance=self.request.tolerance)
            for name, record in seen.items()
        ]
        self.records += records
        return records, named

    def _kept(self, name: str) -> str:
        """Of what the golden has, under the name that it has there."""
        self.taken["tensor"].add(name)
        return name

    def ran(self, programs: Iterable[Identified], named: Mapping[str, str]) -> None:
        """Runs that need not be watched again, and what `take` called what was recorded of them."""
        for ran in programs:
            names = [named[name] for name in ran.tensors if name in named]
            if names:
                name = self.request.prefix + ran.name
                self.programs.append(ProgramRun(name, ran.digest, names[0], names[-1]))

    def unchanged(self, name: str, digest: str) -> Sequence[TensorRecord] | None:
        """What the golden has of a run that is its own; None of any other."""
        if self.against is None:
            return None
        request = self.request
        return self.against.unchanged(request.prefix + name, digest, request.tolerance)

    def name(self, kind: str, name: str) -> str:
        """A name used before, by a method of the model and by a call of it, is counted on."""
        wanted, count = self.request.prefix + name, 0
        unused = wanted
        while unused in self.taken[kind]:
            count += 1
            unused = f"{wanted}@{count}"
        self.taken[kind].add(unused)
        return unused

    def may_differ(self, records: Sequence[TensorRecord]) -> bool:
        """Whether to look into what these came from: what is bit for bit the golden's needs no
        looking into."""
        against = self.against
        if against is None or against.recording:
            return True
        return self.request.asked if against.golden is None else against.moved(records)

    def is_wanted(self, entry: OutermostCall, records: Sequence[TensorRecord]) -> bool:
        """Whether to look into a call; of one that is the golden's, a candidate golden has its
        layers from there."""
        if self.may_differ(records):
            return True
        against = self.against
        if against is None or against.golden is None:
            return False
        header = against.golden.header
        same = [layer for layer in header.calls if layer.call == entry.name]
        self.taken["layer"] |= {layer.name for layer in same}
        self.layers += same
        if header.isolation != "complete":
            self._unavailable(header.isolation)
        elif against.golden.isolated and self.isolation == "complete":
            self.pools.append(Pooled(against.golden, same))
        return False

    def examine(
        self,
        ended: Ended,
        entry: OutermostCall,
        records: Sequence[TensorRecord],
        named: Mapping[str, str],
    ) -> None:
        whole = self._with_layers(ended, entry)
        if whole is None:
            return
        if self.against is not None and self.against.twins:
            whole = self._with_twins(whole, self._trains(entry))
        layers = self._take_layers(whole, entry)
        if self.against is None:
            return
        if self.against.recording or self.against.golden is not None:
            self._add_references(ended, records, named)
        if self.against.golden is not None and self.against.moved(records):
            made = ended.made
            assert made is not None
            call = Returned(made, entry, records, whole.records, named, layers, whole.pool)
            self.examined[entry.name] = examine(call, self.request, self.against, self.prints)

    def _with_layers(self, ended: Ended, entry: OutermostCall) -> Ended | None:
        """With what every layer was given and returned, for which a check makes the call again;
        None where that fails, and so would an isolating pass."""
        if self.ahead:
            return ended
        try:
            return recorded_again(ended, self.request)
        except CaptureError as error:
            self.give_up(entry, error.problem)
            return None

    def _with_twins(self, ended: Ended, backward: bool) -> Ended:
        """With what every layer makes of its inputs in higher precision, where it may run again;
        backward: and of a cotangent, in its own precision too."""
        made = ended.made
        if made is None or ended.unavailable or not self._may_run_again(made):
            return ended
        calls = {layer.name: (order, layer) for order, layer in enumerate(ended.layers)}
        try:
            lifting = twins(made, calls, ended.pool, backward)
            sent_back = backwards(made, calls, ended.pool) if backward else {}
        except CaptureError:  # today's judgement is what such a model keeps
            return ended
        return with_twins(ended, lifting, sent_back)

    def _trains(self, entry: OutermostCall) -> bool:
        """Whether a call is a model's own training, and the block asks for that."""
        method = entry.name.removeprefix(self.request.prefix).partition("@")[0]
        return method in TRAINING and TrainingSelection(self.request.select).asks

    def _may_run_again(self, made: Outermost) -> bool:
        return may_run_again(made.target, self.request.asked)

    def _take_layers(self, ended: Ended, entry: OutermostCall) -> dict[str, LayerCall]:
        layers = {
            layer.name: replace(layer, name=self.name("layer", layer.name), call=entry.name)
            for layer in ended.layers
        }
        self.layers += layers.values()
        if self.isolation == "complete":
            self.pools.append(ended.pool)
        if ended.unavailable:
            self._unavailable(f"unavailable: {ended.unavailable}")
        return layers

    def give_up(self, entry: OutermostCall, reason: str) -> None:
        """Nothing can be said of this call's layers, now or against this recording."""
        self._unavailable(f"unavailable: {reason}")
        self.examined[entry.name] = Examined(entry.name, self.isolation)

    def _unavailable(self, why: str) -> None:
        self.isolation = why
        self.pools.clear()

    def _add_references(
        self, ended: Ended, records: Sequence[TensorRecord], named: Mapping[str, str]
    ) -> None:
        """Recompute tensors in higher precision, for the three-way rule, while there is room."""
        made, limit = ended.made, self.request.isolation_bytes
        if made is None or not self._may_run_again(made):
            return
        seen = {name: record.name for name, record in zip(named, records, strict=True)}
        exact = references(made, records, seen, self.request)
        self._reference_bytes += sum(array.nbytes for array in exact.values())
        if limit is None or self._reference_bytes <= limit:
            self.records = [
                replace(record, reference=exact.get(record.name, record.reference))
                for record in self.records
            ]
