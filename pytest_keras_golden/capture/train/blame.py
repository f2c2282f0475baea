"""Which component of a training step is the first to give other numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from ...compare.training import BEHIND_LAYERS, ORDER, StepEvidence, inherited, part_of, unchanged
from ...outcomes import QUIET, LocalOutcome, TensorOutcome
from ...records import TensorRecord
from ..state.slots import innermost, optimizers_of, trainer_of
from ..watch.structure import joined
from .left import clips

Judge = Callable[[TensorRecord], "TensorOutcome | None"]

TOTAL = "total"
"""What weighs losses, and adds regularisation and what layers add to them."""

_NAME = re.compile(r"(?:.*/)?(test_)?step_(\d+)/(?P<part>\w+)(?:/(?P<rest>.*))?", re.DOTALL)


@dataclass(frozen=True)
class Components:
    """What a step is made of, by the names of its classes. loss: of one output and no name of its
    own parts, the class; metrics likewise are told by their names. scale: the optimizer that scales
    losses around it. constrained: weight → class of its constraint. constraint: the one that is to
    blame, of what updates leave. others: further optimizers of a model, by attribute; trainers:
    weight → the one that trains it."""

    optimizer: str = ""
    scale: str = ""
    clips: bool = False
    accumulation: int | None = None
    schedule: str = ""
    loss: str = ""
    custom: Sequence[str] = field(default=())
    constrained: Mapping[str, str] = field(default_factory=dict)
    constraint: str = ""
    others: Mapping[str, Components] = field(default_factory=dict)
    trainers: Mapping[str, str] = field(default_factory=dict)

    def behind(self, part: str, rest: str) -> Components:
        """With the optimizer that a tensor of a step comes from."""
        by = self.trainers.get(rest.partition("@")[0], "")
        if part in ("slots", "learning_rate", "optimizer"):
            by = rest.partition("@")[0].partition("/")[0]
        one = self.others.get(by)
        if one is None:
            return self
        return replace(one, loss=self.loss, custom=self.custom, constraint=self.constraint)


def components_of(
    model: Any, weights: Mapping[str, Any] = MappingProxyType({}), by_hand: Any = None
) -> Components:
    """Of a compiled model; what its class overrides is the class's own.

    weights: by name. by_hand: the optimizer of a loop of the test's own, which makes steps of its
    own losses.
    """
    constrained = {
        name: type(weight.constraint).__name__
        for name, weight in weights.items()
        if getattr(weight, "constraint", None) is not None
    }
    if by_hand is not None:
        return replace(_of_optimizer(by_hand), loss="loss", constrained=constrained)
    optimizers = optimizers_of(model)
    made_of = replace(
        _of_optimizer(optimizers.get("")),
        constrained=constrained,
        others={name: _of_optimizer(one, name) for name, one in optimizers.items() if name},
        trainers={name: trainer_of(weight, optimizers) for name, weight in weights.items()},
    )
    loss = getattr(model, "loss", None)
    named = loss if isinstance(loss, str) else _called(loss)
    return replace(made_of, loss=named, custom=tuple(_overridden(type(model))))


def _of_optimizer(outer: Any, attribute: str = "") -> Components:
    optimizer = innermost(outer)
    kind = type(optimizer).__name__ if optimizer is not None else ""
    rate = getattr(optimizer, "_learning_rate", None)
    is_schedule = hasattr(rate, "get_config") and callable(rate)
    return Components(
        optimizer=joined(kind, attribute) if attribute else kind,
        scale=type(outer).__name__ if outer is not optimizer else "",
        clips=clips(optimizer),
        accumulation=getattr(optimizer, "gradient_accumulation_steps", None),
        schedule=type(rate).__name__ if is_schedule else "",
    )


def _called(loss: Any) -> str:
    return str(getattr(loss, "__name__", "") or type(loss).__name__) if loss is not None else ""


def _overridden(kind: type) -> Iterable[str]:
    for name in ("train_step", "compute_loss"):
        owner = next((base for base in kind.__mro__ if name in vars(base)), None)
        if owner is not None and not owner.__module__.startswith(("keras.", "keras_hub.")):
            yield f"{owner.__name__}.{name}"


@dataclass(frozen=True)
class _Found:
    """tests: whether it is of a step that evaluates."""

    step: int
    part: str
    rest: str
    outcome: TensorOutcome
    tests: bool


def blamed(
    records: Sequence[TensorRecord],
    judge: Judge,
    components: Components,
    layers: bool,
    alone: Collection[LocalOutcome] = (),
    evidence: StepEvidence | None = None,
) -> LocalOutcome | None:
    """The component that the first tensor beyond its tolerance comes from; None where no step has
    one. layers: on golden inputs a layer of the forward pass has changed by itself, so that the
    loss and the gradients are not to blame. alone: what was run by itself."""
    found = [item for item in map(_parsed(judge), records) if item is not None]
    excused = inherited((item.outcome for item in found), alone, evidence)
    judged = (item for item in found if item.outcome.judged and not _is_quiet(item))
    beyond = [item for item in judged if item.outcome.name not in excused]
    if _ends_otherwise(records, judge) and not all(item.tests for item in found):
        # A validation runs with weights of steps that nobody looked at.
        beyond = [item for item in beyond if not item.tests]
    if not beyond:
        return None
    first = min(beyond, key=lambda item: (item.step, ORDER.index(item.part)))
    same = [item for item in beyond if (item.step, item.part) == (first.step, first.part)]
    before = [item for item in found if item.step <= first.step and _moved(item)]
    trained = {item.rest for item in found if item.part == "gradients"}
    parts = [item for item in found if _is_part(item, first)]
    if (first.part, first.rest) == ("loss", "") and parts and all(map(_is_quiet, parts)):
        components = replace(components, loss=TOTAL)
    if first.part == "updates":
        here = (item for item in found if (item.step, item.part) == (first.step, first.part))
        updated = [item for item in here if item.rest in trained]
        behind = components.behind(first.part, first.rest)
        exonerated = f"optimizer:{behind.optimizer}" in unchanged(alone)
        constraint = _constraint(same, updated, components, exonerated)
        components = replace(components, constraint=constraint)
    name, said = _component(first, same, before, components, trained)
    if layers and name.partition(":")[0] in ("loss", "backward", "metric"):
        return None
    last = same[-1] if first.part == "gradients" else first
    return LocalOutcome(
        name=name,
        order=BEHIND_LAYERS,
        verdict=last.outcome.verdict,
        precision=last.outcome.precision,
        k=last.outcome.k,
        rel_l2=last.outcome.rel_l2,
        note=f"step {first.step}: {said}",
    )


def _constraint(
    same: Sequence[_Found], updated: Sequence[_Found], made_of: Components, exonerated: bool
) -> str:
    """The constraint of all weights that moved, where the optimizer is not to blame: it is what it
    was by itself, or left weights without a constraint where they were."""
    kinds = {made_of.constrained.get(item.rest, "") for item in same}
    free = (_is_quiet(item) for item in updated if item.rest not in made_of.constrained)
    return kinds.pop() if len(kinds) == 1 and (exonerated or any(free)) else ""


def is_before_losses(found: LocalOutcome) -> bool:
    """Whether the component that moved first is one that losses have no part in."""
    return found.name.partition(":")[0] in ("data", "random")


def _parsed(judge: Judge) -> Callable[[TensorRecord], _Found | None]:
    def parsed(record: TensorRecord) -> _Found | None:
        match = _NAME.fullmatch(record.name)
        outcome = judge(record) if match else None
        if match is None or outcome is None or match["part"] not in ORDER:
            return None
        tests = match[1] is not None
        return _Found(int(match[2]), match["part"], match["rest"] or "", outcome, tests)

    return parsed


def _ends_otherwise(records: Sequence[TensorRecord], judge: Judge) -> bool:
    """Whether a training has left other weights."""
    outcomes = (judge(record) for record in records if part_of(record.name) == "weights")
    return any(one is not None and one.judged and one.verdict not in QUIET for one in outcomes)


def _is_part(item: _Found, whole: _Found) -> bool:
    """Whether it is one of the losses that the loss of that step is made of."""
    return item.part == "loss" and item.rest != "" and item.step == whole.step


def _is_quiet(item: _Found) -> bool:
    return item.outcome.verdict in QUIET


def _moved(item: _Found) -> bool:
    return item.part in ("data", "random") and item.outcome.verdict != "identical"


def _component(
    first: _Found,
    same: Sequence[_Found],
    before: Sequence[_Found],
    made_of: Components,
    trained: Collection[str],
) -> tuple[str, str]:
    """Its name, and what was equal before it and is not any more."""
    for item in before:
        if item.part == "data":
            return "data", f"other batches ({item.rest} of step {item.step})"
    for item in before:
        if item.step < first.step or first.part == "loss":
            return f"random:{item.rest}", f"{item.rest} was advanced otherwise in step {item.step}"
    if first.part == "updates" and trained and first.rest not in trained:
        return _statistics(first)
    return _OF_PART[first.part](first, same, made_of.behind(first.part, first.rest))


def _statistics(first: _Found) -> tuple[str, str]:
    layer = first.rest.rpartition("/")[0] or first.rest
    said = f"loss, gradients and slots equal, what {layer} keeps of the batch differs"
    return f"statistics:{layer}", said


def _loss(first: _Found, _: Sequence[_Found], made_of: Components) -> tuple[str, str]:
    said = "batch and random state equal, the loss differs"
    if made_of.loss == TOTAL:
        said = "every loss equal, what is made of them and of what is added differs"
    name = next(iter(n for n in made_of.custom if n.endswith("compute_loss")), None)
    return f"loss:{name or first.rest or made_of.loss}", f"{said} ({first.outcome.name})"


def _gradient(first: _Found, same: Sequence[_Found], _: Components) -> tuple[str, str]:
    # Gradients flow from the last layer to the first: the last one beyond was reached first.
    layer = same[-1].rest.rpartition("/")[0] or same[-1].rest
    return f"backward:{layer}", f"loss equal, gradients differ, from {layer} backwards"


_OF_THE_SCALE = ("dynamic_scale", "step_counter")
"""Slots of a loss scale, and not of the optimizer that it stands around."""


def component_of(part: str, made_of: Components, name: str = "") -> str:
    """The component behind a part of an optimizer's step. name: of a slot."""
    if made_of.scale and part == "slots" and name.rpartition("/")[2] in _OF_THE_SCALE:
        return f"optimizer:{made_of.scale}"
    if part == "applied":
        if made_of.scale and not made_of.accumulation and not made_of.clips:
            return f"optimizer:{made_of.scale}"
        return f"{'accumulation' if made_of.accumulation else 'clipping'}:{made_of.optimizer}"
    if part == "learning_rate":
        return f"schedule:{made_of.schedule or made_of.optimizer}"
    return f"optimizer:{made_of.optimizer}"


def _applied(first: _Found, _: Sequence[_Found], made_of: Components) -> tuple[str, str]:
    options = {
        "accumulation": made_of.accumulation,
        "clipping": made_of.clips,
        "scale": made_of.scale,
    }
    how = " or ".join(name for name, is_used in options.items() if is_used)
    said = f"gradients equal, what {made_of.optimizer} applies of them differs ({how})"
    return component_of("applied", made_of), said


def _rate(first: _Found, _: Sequence[_Found], made_of: Components) -> tuple[str, str]:
    name = component_of("learning_rate", made_of)
    return name, f"gradients equal, the learning rate of {name.partition(':')[2]} differs"


def _update(first: _Found, same: Sequence[_Found], made_of: Components) -> tuple[str, str]:
    if made_of.constraint:
        said = "gradients and slots equal, what the constraint leaves of the update differs"
        return f"constraint:{made_of.constraint}", f"{said} ({first.outcome.name})"
    with_it = f", with gradients of {made_of.accumulation} steps accumulated"
    accumulating = with_it if made_of.accumulation else ""
    said = f"gradients equal, the update of {made_of.optimizer} differs{accumulating}"
    return component_of(first.part, made_of, first.rest), f"{said} ({first.outcome.name})"


def _metric(first: _Found, _: Sequence[_Found], __: Components) -> tuple[str, str]:
    name = first.rest.partition("/")[0]
    return f"metric:{name}", f"loss and update equal, the metric {name} differs"


_OF_PART: dict[str, Callable[[_Found, Sequence[_Found], Components], tuple[str, str]]] = {
    "loss": _loss,
    "gradients": _gradient,
    "applied": _applied,
    "learning_rate": _rate,
    "slots": _update,
    "updates": _update,
    "metrics": _metric,
}
