"""Why layers, and components of a training step, gave other numbers, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..outcomes import LocalOutcome, TestOutcome, is_component
from .escape import named, one_line
from .summary import blamed
from .wording import family_list, number, plural


def own_change(layer: LocalOutcome | None) -> str:
    """`0.39 meaning`: a layer's own k, and the cause where one is known."""
    if layer is None:
        return ""
    return " ".join(filter(None, (number(layer.k), layer.cause)))


def cause_sentences(outcome: TestOutcome) -> str:
    """What the layers to blame changed, by cause, and why of some there is none to tell."""
    layers = blamed(outcome)
    told = []
    for cause, say in (("meaning", _meaning), ("precision", _precision), ("random", _random)):
        those = [layer for layer in layers if layer.cause == cause]
        if those:
            told.append(say(those))
    told += [_component(layer) for layer in layers if is_component(layer.name) and layer.note]
    return " ".join((*told, *_untold(layers)))


def _untold(layers: Sequence[LocalOutcome]) -> Iterator[str]:
    """Which of them have no cause, reason by reason."""
    for reason in dict.fromkeys(layer.no_cause for layer in layers if layer.no_cause):
        those = [layer for layer in layers if layer.no_cause == reason]
        yield f"No cause is told of {_names(those)}: {one_line(reason)}."


def _component(component: LocalOutcome) -> str:
    """`Step 0: gradients equal, the update of Adam differs: optimizer:Adam.`"""
    note = one_line(component.note or "")
    return f"{note[:1].upper()}{note[1:]}: {named(component.name)}."


def _names(layers: Sequence[LocalOutcome]) -> str:
    return family_list(layer.name for layer in layers)


def _meaning(layers: Sequence[LocalOutcome]) -> str:
    most = max(layers, key=lambda layer: layer.twin.k if layer.twin else 0.0)
    figures = most.twin
    assert figures is not None
    verb = "computes" if len(layers) == 1 else "compute"
    return (
        f"{_names(layers)} {verb} something else (meaning): in {figures.precision}, on the same "
        f"inputs and weights, by up to {number(figures.k)} roundings of float32."
    )


def _precision(layers: Sequence[LocalOutcome]) -> str:
    most = max(layers, key=lambda layer: layer.twin.ratio if layer.twin else 0.0)
    assert most.twin is not None
    return (
        f"{_names(layers)} changed precision handling in {plural(len(layers), 'place')}: error "
        f"against {most.twin.precision} is {number(most.twin.ratio)} times what it was."
    )


def _random(layers: Sequence[LocalOutcome]) -> str:
    verb = "draws" if len(layers) == 1 else "draw"
    return f"{_names(layers)} {verb} other random numbers from the same seed."
