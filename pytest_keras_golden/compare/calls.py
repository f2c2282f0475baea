"""What calls ran with, a run's beside the golden's: weights, random draws, inputs.

Numbers that were computed from other weights, draws or inputs say nothing about Keras. But an input
may be the output of an earlier call, and then it moves as that one did.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from ..records import OutermostCall


class Ran(Protocol):
    """One side: the header of a golden, or the fingerprints of a run."""

    @property
    def weights(self) -> Mapping[str, str]: ...

    @property
    def inputs(self) -> Mapping[str, str]: ...

    @property
    def outermost(self) -> Sequence[OutermostCall]: ...


DifferenceKind = Literal[
    "weights",
    "random",
    "redrawn",
    "rewritten",
    "inputs",
    "flags",
    "descended",
    "batch",
    "trained",
]


@dataclass(frozen=True, slots=True)
class Difference:
    """Why a call's numbers are not comparable with the golden's, in a sentence.

    kind: `descended` is no reason by itself: an input differs, and an earlier call returned
    something else already, from which it may have been computed. Nor are `batch` and `trained`:
    the numbers are meant to be the same, and only those of layers are not comparable. Weights are
    `trained` where both sides recorded the training that made them. redrawn: the states of
    generators are equal, and other numbers are made of them: layers that draw none are the same.
    rewritten: weights were the same before, and between two calls others were made of them, maybe
    by rounding alone (merged, quantized): what comes out inside its tolerance is the same.
    """

    kind: DifferenceKind
    sentence: str


def difference(
    golden: Ran,
    run: Ran,
    call: str,
    another_backend: bool = False,
    shared_draws: bool = False,
) -> Difference | None:
    """The first difference in what the call of that name ran with; None where there is none, or
    where either side has no such call. another_backend: the golden is of one, on purpose;
    shared_draws: and both drew from one stream."""
    places = _index(golden, call), _index(run, call)
    if None in places:
        return None
    old, new = golden.outermost[places[0]], run.outermost[places[1]]  # type: ignore[index]
    weights = _weights(golden, run, old, new)
    trained = weights is not None and weights.kind == "trained"
    return (
        (None if trained else weights)
        or _draws(old, new, another_backend, shared_draws)
        or _flags(old, new)
        or weights
        or _inputs(golden, run, old, new)
        or _batch(old, new)
    )


def _index(side: Ran, name: str) -> int | None:
    return next((at for at, call in enumerate(side.outermost) if call.name == name), None)


def _before(side: Ran, call: OutermostCall) -> Iterator[OutermostCall]:
    for earlier in side.outermost:
        if earlier is call:
            return
        yield earlier


# -- weights --------------------------------------------------------------------------------


def _weights(golden: Ran, run: Ran, old: OutermostCall, new: OutermostCall) -> Difference | None:
    first = differing("weights", _below(golden.weights, old), _below(run.weights, new))
    if first is not None and not _are_of_another(golden, run, old, new):
        return Difference("weights", first)
    if first is not None:
        said = f"weights of {new.name} moved, as those of the model that was trained before it did"
        return Difference("trained", said)
    before, now = _state(golden, old), _state(run, new)
    changed = [name for name in before if now.get(name, before[name]) != before[name]]
    if not changed:
        return None
    more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
    if _trained_otherwise(golden, run, old, new):
        said = f"weights of {new.name} moved, as the training before it did: {changed[0]}{more}"
        return Difference("trained", said)
    return Difference(
        "rewritten", f"weights differ between calls: {changed[0]}{more}, before {new.name}"
    )


APPLIED = "optimizer.apply"
"""Name of the calls that stand for the steps of a loop that a test wrote by hand."""

_TRAINING = re.compile(rf"(.*/)?(fit|train_on_batch|{re.escape(APPLIED)})(@\d+)?")


def trains(call: str) -> bool:
    """Whether a call of that name makes weights."""
    return _TRAINING.fullmatch(call) is not None


def _trained_otherwise(golden: Ran, run: Ran, old: OutermostCall, new: OutermostCall) -> bool:
    """Whether a training before the call, which both sides recorded, made something else."""
    known = {earlier.name: earlier.outputs for earlier in _before(golden, old)}
    return any(
        known[earlier.name] != earlier.outputs
        for earlier in _before(run, new)
        if earlier.name in known and trains(earlier.name)
    )


def _are_of_another(golden: Ran, run: Ran, old: OutermostCall, new: OutermostCall) -> bool:
    """Whether the model that is called for the first time has each weight that differs from another
    one on both sides, which was trained before: by sharing its layers, or as a copy."""
    before, now = _below(golden.weights, old), _below(run.weights, new)
    if before.keys() != now.keys() or not _trained_otherwise(golden, run, old, new):
        return False
    held = _elsewhere(golden, old), _elsewhere(run, new)
    differ = (name for name in before if before[name] != now[name])
    return all(held[0].get(before[name], set()) & held[1].get(now[name], set()) for name in differ)


def _elsewhere(side: Ran, call: OutermostCall) -> dict[str, set[str]]:
    """Digest of a weight → names of it in what other models held when the call began."""
    own, held = _below(side.weights, call), dict(side.weights)
    for earlier in (*_before(side, call), call):
        held |= earlier.updates
    found: dict[str, set[str]] = {}
    for name, key in held.items():
        if name not in own:
            found.setdefault(key, set()).add(name)
    return found


def _below(weights: Mapping[str, str], call: OutermostCall) -> dict[str, str]:
    """The weights of the layer that was called."""
    if not call.path or call.path.endswith("/"):
        return {name: key for name, key in weights.items() if name.startswith(call.path)}
    return {name: key for name, key in weights.items() if name.startswith(f"{call.path}/")}


def _state(side: Ran, call: OutermostCall) -> dict[str, str]:
    """Digests of the layer's weights as they were when it was called."""
    now = dict(side.weights)
    for earlier in _before(side, call):
        now |= earlier.updates
    return _below({**now, **call.updates}, call)


OTHER_DRAWS = "random numbers differ: "
"""How the sentence begins about calls that drew other numbers."""

SHUFFLED = "@batches"
"""Name of the draw behind the order in which `fit` takes arrays, between backends alone: each
shuffles in its own way. Between releases the batches themselves are compared."""

SHUFFLES = "shuffles its batches as its backend does: with shuffle=False they can be compared"


OWN_DRAWS = "@own {}"
"""Name of the draw behind a function that draws by its own where the stream is shared."""


def _draws(
    old: OutermostCall, new: OutermostCall, another_backend: bool, shared: bool
) -> Difference | None:
    drawn = {**old.draws, **new.draws}
    apart = [name for name in drawn if not shared or _is_own(name)] if another_backend else []
    if apart:
        return Difference("random", f"{OTHER_DRAWS}{new.name} {_without_counterpart(apart)}")
    for name in drawn:
        state = not _is_own(name) and not name.startswith(FUNCTION)
        if state and old.draws.get(name) != new.draws.get(name):
            return Difference("random", f"{OTHER_DRAWS}{_drawn(old, new, name)}")
    # Behind the states: of another one every function draws other numbers.
    names = [name for name in drawn if name.startswith(FUNCTION) and _is_redrawn(old, new, name)]
    return Difference("redrawn", f"{OTHER_DRAWS}{_said_of(names)}") if names else None


def draws_any(side: Ran) -> bool:
    """Whether a call draws from the stream that backends share."""
    return any(not _is_own(name) for call in side.outermost for name in call.draws)


def _is_own(name: str) -> bool:
    """Whether each backend draws it by itself even where they share a stream."""
    return name == SHUFFLED or name.startswith(OWN_DRAWS.format(""))


def _without_counterpart(drawn: Iterable[str]) -> str:
    seed = next((name for name in drawn if name != SHUFFLED), None)
    if seed is None:
        return SHUFFLES
    seed = seed.removeprefix(OWN_DRAWS.format(""))
    return f"draws from {seed}, of which each backend makes its own numbers"


FUNCTION = "keras.random."
"""How the name of a draw begins that stands for a function, and what it draws of one seed."""

VALUES = "/"
"""Between the digest of which numbers a function drew and that of which values it made of them."""


def _is_redrawn(old: OutermostCall, new: OutermostCall, name: str) -> bool:
    """Whether a function draws otherwise, and makes of it what it did. Older goldens know of no
    functions, and calls may take another one for the same."""
    if name not in old.draws or name not in new.draws:
        return False
    before, now = (side.draws[name].partition(VALUES) for side in (old, new))
    return before[0] != now[0] and before[2] == now[2]


def _said_of(functions: Sequence[str]) -> str:
    verb = "makes" if len(functions) == 1 else "make"
    return f"{', '.join(functions)} {verb} other numbers of one seed"


def redrawn_in(note: str) -> tuple[str, ...]:
    """The functions of which a note says that they make other numbers of one seed."""
    text = note.removeprefix(OTHER_DRAWS)
    names = text.rpartition(" make")[0].split(", ") if text.startswith(FUNCTION) else []
    return tuple(name for name in names if name)


def _drawn(old: OutermostCall, new: OutermostCall, name: str) -> str:
    if name not in new.draws:
        return f"{new.name} draws nothing from {name} any more"
    if name not in old.draws:
        return f"{new.name} draws from {name}, which it did not before"
    return f"{name} is in another state before {new.name}"


# -- inputs ---------------------------------------------------------------------------------


def _inputs(golden: Ran, run: Ran, old: OutermostCall, new: OutermostCall) -> Difference | None:
    before, now = _given(golden, old), _given(run, new)
    for place in {**before, **now}:
        if before.get(place) == now.get(place):
            continue
        sources = _sources(golden, old, before.get(place)) & _sources(run, new, now.get(place))
        if sources:
            continue
        given_before = _given_before(golden, old, before.get(place))
        if _moved_before(golden, run, old, new) and not given_before:
            return Difference(
                "descended", f"inputs of {new.name} moved, as what was returned before it did"
            )
        return Difference("inputs", _said(golden, old, place, before, now))
    return None


def _flags(old: OutermostCall, new: OutermostCall) -> Difference | None:
    """Older goldens do not tell."""
    if old.flags is None or new.flags is None:
        return None
    said = flags_differ(new.name, old.flags, new.flags)
    return None if said is None else Difference("flags", said)


def flags_differ(name: str, golden: Mapping[str, str], running: Mapping[str, str]) -> str | None:
    """The first flag of a call that differs, in a sentence. One that is not passed is none, as one
    that is False: parameters come and go with releases."""
    for place in {**golden, **running}:
        old, new = golden.get(place, "None"), running.get(place, "None")
        if old != new and {old, new} != {"None", "False"}:
            return f"{name} is called with {place}={new}, in the golden with {place}={old}"
    return None


def _batch(old: OutermostCall, new: OutermostCall) -> Difference | None:
    if old.batch is None or new.batch is None or old.batch == new.batch:
        return None
    said = f"{new.name} takes batches of {new.batch}, in the golden of {old.batch}"
    return Difference("batch", said)


def _given(side: Ran, call: OutermostCall) -> dict[str, str]:
    start = f"{call.name}["
    return {name: key for name, key in side.inputs.items() if name.startswith(start)}


def _sources(side: Ran, call: OutermostCall, key: str | None) -> set[str]:
    """Which outputs of earlier calls an input is, bit for bit."""
    return {
        f"{earlier.name}{place}"
        for earlier in _before(side, call)
        for place, output in earlier.outputs.items()
        if key is not None and output == key
    }


def _given_before(side: Ran, call: OutermostCall, key: str | None) -> bool:
    """Whether an earlier call had the same input: then it was there before anything returned."""
    if key is None:
        return False
    return any(key in _given(side, earlier).values() for earlier in _before(side, call))


def _moved_before(golden: Ran, run: Ran, old: OutermostCall, new: OutermostCall) -> bool:
    known = {call.name: call.outputs for call in _before(golden, old)}
    return any(known.get(call.name, call.outputs) != call.outputs for call in _before(run, new))


def _said(
    golden: Ran,
    old: OutermostCall,
    place: str,
    before: Mapping[str, str],
    now: Mapping[str, str],
) -> str:
    if place not in now:
        return f"inputs differ: {place} is in the golden, not in this run"
    if place not in before:
        return f"inputs differ: {place} is new in this run"
    earlier = next(_before(golden, old), None)
    if earlier is None:
        return f"inputs differ, first at {place}"
    return f"inputs differ between calls: {place}, and nothing that a call returned before it does"


def differing(kind: str, golden: Mapping[str, str], running: Mapping[str, str]) -> str | None:
    """The first of some names whose digest differs, in a sentence; None where all agree, or where
    one side has none."""
    if not golden or not running:
        return None
    for name in [*golden, *(name for name in running if name not in golden)]:
        if name not in running:
            return f"{kind} differ: {name} is in the golden, not in this run"
        if name not in golden:
            return f"{kind} differ: {name} is new in this run"
        if golden[name] != running[name]:
            return f"{kind} differ, first at {name}"
    return None
