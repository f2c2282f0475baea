"""The outermost calls of a test beside those of its golden."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...compare.calls import Difference, difference, differing, trains
from ...compare.depth import Shift, furthest
from ...outcomes import TensorOutcome
from .. import rules

if TYPE_CHECKING:
    from ...store.codec import Golden
    from ..collected import Case


class Calls:
    """What differs between a call and the golden's, and what depth can do."""

    def __init__(self, case: Case, golden: Golden) -> None:
        self._case = case
        self._golden = golden.header
        self._made = {record.name: record.call for record in case.records.values()}
        self._order = [call.name for call in case.outermost]
        self._recorded = {call.name for call in golden.header.outermost}
        self._known: dict[str, Difference | None] = {}

    def difference(self, call: str) -> Difference | None:
        if call not in self._known:
            settings = self._case.settings
            apart = settings.across_backends, settings.shared_draws
            self._known[call] = difference(self._golden, self._case, call, *apart)
        return self._known[call]

    def reason(self, tensor: TensorOutcome) -> str | None:
        """Why the tensor is not comparable; of one that the test made itself, any reason."""
        call = self._made.get(tensor.name, "")
        if call in self._recorded and call in self._order:
            differs = self.difference(call)
            if tensor.verdict == "within" and differs is not None and differs.kind == "redrawn":
                # Nothing of it was drawn: another draw is further away.
                return None
            return self._reason_of(call)
        whole = differing("weights", self._golden.weights, self._case.weights) or differing(
            "inputs", self._golden.inputs, self._case.inputs
        )
        reasons = (self._reason_of(name) for name in self._order)
        return next((why for why in reasons if why is not None), whole if call else None)

    def _reason_of(self, call: str) -> str | None:
        differs = self.difference(call)
        if differs is None or differs.kind == "batch":
            return None
        if differs.kind == "trained":
            return self._of_training(call)
        if differs.kind == "descended":
            return self._between(call) if self._inherited(call) is False else None
        return differs.sentence

    def _of_training(self, call: str) -> str | None:
        """Why the training that made a call's weights is not comparable, if it is not."""
        before = self._order[: self._order.index(call)]
        reasons = (self._reason_of(name) for name in before if trains(name))
        return next((why for why in reasons if why is not None), None)

    def _between(self, call: str) -> str:
        return (
            f"inputs differ between calls: those of {call} moved further than what was returned "
            "before it"
        )

    def _inherited(self, call: str) -> bool | None:
        """Whether a call's inputs moved no further than what earlier calls returned; None where
        nobody measured."""
        examined = self._case.examined
        if call not in examined:
            return None
        before = self._order[: self._order.index(call)]
        returned = [s for name in before if name in examined for s in examined[name].returned]
        given = examined[call].given
        if None in given or None in returned:
            return None
        return furthest(filter(None, given)).within(furthest(filter(None, returned)))

    def reach(self, tensor: TensorOutcome) -> Shift | None:
        """How far depth alone may move a tensor; None where isolation does not speak for it."""
        call = self._made.get(tensor.name, "")
        examined = self._case.examined.get(call)
        if examined is None or examined.isolation != "complete" or call not in self._recorded:
            return None
        if rules.local_drift(self._case.locals):
            return None
        differs = self.difference(call)
        if differs is not None and differs.kind != "descended":
            return None
        if examined.given and not self._inherited(call):
            return None
        return examined.reach.get(tensor.name, Shift())
