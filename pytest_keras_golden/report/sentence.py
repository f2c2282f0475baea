"""The one sentence on top of a failure, decided from an outcome alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ..outcomes import QUIET, LocalOutcome, TensorOutcome, TestOutcome, is_component
from . import tokens
from .amount import own_size, own_strain, percent
from .attribution import attribution, same_stack
from .causes import cause_sentences
from .escape import named, one_line
from .summary import blamed, changed, first_drift, strain, tensor_counts, verdict_of
from .wording import counted, family_list, keras_named, listed, number, plural, tolerance


def headline(outcome: TestOutcome) -> str:
    """What moved, where first, how much, since which baseline, and whether an answer changes."""
    told = _SENTENCES.get(verdict_of(outcome))
    if told is None:
        return _plain(outcome)
    if told is _loading:
        # Whatever the stack, the file is the measure; numbers behind other weights say nothing.
        return told(outcome)
    parts = [same_stack(outcome), told(outcome), _tokens(outcome), attribution(outcome)]
    return " ".join(part for part in parts if part)


def _plain(outcome: TestOutcome) -> str:
    counts = tensor_counts([outcome])
    if outcome.reason:
        return one_line(outcome.reason)
    return f"{plural(counts.total(), 'tensor')}: {counted(counts)}{since(outcome)}."


def since(outcome: TestOutcome) -> str:
    """` between Keras 3.5.0 and 3.6.0`; empty without a baseline, and where nothing of the stack
    changed: then the golden's release says nothing about the cause."""
    if outcome.baseline is None or same_stack(outcome):
        return ""
    running = outcome.stack.get("keras")
    if running is None or str(running) == outcome.baseline:
        return f" against the golden of {keras_named(outcome.baseline)}"
    return f" between {keras_named(outcome.baseline)} and {running}"


def _drift(outcome: TestOutcome) -> str:
    counts = tensor_counts([outcome])
    moved = counts["drift"]
    if not moved:
        return f"{_hidden(outcome)}{_others(outcome, 'drift')}{_causes(outcome)}"
    start = f"{moved:,} of {plural(counts.total(), 'tensor')} drifted{since(outcome)}"
    first = first_drift(outcome)
    where = f", first {named(first.name)}: {how_much(first)}" if first else ""
    return f"{start}{where}.{_others(outcome, 'drift')}{_blame(outcome)}"


def _hidden(outcome: TestOutcome) -> str:
    """Layers drift where no tensor does: what they changed is small in what comes behind them."""
    guilty = blamed(outcome)
    if not guilty:
        return f"No tensor is beyond its tolerance{since(outcome)}, but not every layer is within."
    most = own_size(max(guilty, key=own_strain))
    size = f" ({'up to ' if len(guilty) > 1 else ''}{most})" if most else ""
    names = family_list(layer.name for layer in guilty)
    itself, gives = ("itself", "gives") if len(guilty) == 1 else ("themselves", "give")
    many = plural(len(guilty), _kind(guilty))
    return (
        f"{many} changed by {itself}{since(outcome)}: on the same inputs, "
        f"{names} {gives} other numbers{size}. In this test that stays hidden, {_held(outcome)}; "
        "in another model it may not."
    )


def _held(outcome: TestOutcome) -> str:
    excused = any(strain(tensor) > 1 for tensor in outcome.tensors if tensor.judged)
    told = "every compared tensor is inside its tolerance"
    return f"{told}, or beyond it and no less accurate than before" if excused else told


def how_much(tensor: TensorOutcome) -> str:
    """`0.4 % (relative L2), k 12.3, 2.5× its bfloat16 tolerance k=5 (max |Δ| 0.03 at [0, 4])`."""
    used = strain(tensor)
    limit = f"{number(used)}× its" if used > 1 else "its"
    parts = [f"{percent(tensor.rel_l2)} (relative L2)"] if tensor.rel_l2 is not None else []
    parts += [f"k {number(tensor.k)}"] if tensor.k is not None else []
    parts.append(f"{limit} {tensor.precision} tolerance {tolerance(tensor.tolerance)}")
    if used <= 1:
        parts[-1] = f"tolerance {tolerance(tensor.tolerance)}"
    return f"{', '.join(parts)} ({_sizes(tensor)})"


def _sizes(tensor: TensorOutcome) -> str:
    at = "" if tensor.index is None else f" at {list(tensor.index)}"
    return f"max |Δ| {number(tensor.max_abs)}{at}"


def _blame(outcome: TestOutcome) -> str:
    guilty = blamed(outcome)
    if guilty:
        return (
            f" Local drift in {plural(len(guilty), _kind(guilty))}: "
            f"{family_list(layer.name for layer in guilty)}; the rest is inherited."
            f"{_causes(outcome)}"
        )
    if outcome.isolation == "complete":
        return f" No layer drifts by itself: {_rounding(outcome)}."
    return ""


def _kind(guilty: Iterable[LocalOutcome]) -> str:
    """`layer`, or `component` where a part of a training step that is none is among them."""
    return "component" if any(is_component(item.name) for item in guilty) else "layer"


def _causes(outcome: TestOutcome) -> str:
    told = cause_sentences(outcome)
    return f" {told}" if told else ""


def _rounding(outcome: TestOutcome) -> str:
    """Which layers moved at all on golden inputs, where none of them drifts."""
    moved = changed(outcome)
    if not moved:
        return "on golden inputs every layer gives the golden's bits"
    most = number(max((layer.k or 0.0 for layer in moved), default=0.0))
    names = family_list(layer.name for layer in moved)
    return (
        f"on golden inputs {plural(len(moved), 'layer')} moved, by rounding (k ≤ {most}): {names}"
    )


def _others(outcome: TestOutcome, told: str) -> str:
    counts = tensor_counts([outcome])
    rest = {key: n for key, n in counts.items() if key not in QUIET and key != told}
    return f" Also {counted(rest)}." if rest else ""


def _named(outcome: TestOutcome, verdict: str) -> list[TensorOutcome]:
    judged = sorted((t for t in outcome.tensors if t.judged), key=lambda t: t.order)
    return [tensor for tensor in judged if tensor.verdict == verdict]


def _noted(outcome: TestOutcome, verdict: str, problem: str) -> str:
    """`2 tensors changed structure …: `a`, `b` (dtype float32, was bfloat16).`"""
    moved: list[TensorOutcome] | list[LocalOutcome] = _named(outcome, verdict)
    moved = moved or [layer for layer in blamed(outcome) if layer.verdict == verdict]
    note = next((f" ({one_line(item.note)})" for item in moved if item.note), "")
    names = listed(item.name for item in moved)
    what = plural(len(moved), "tensor" if _named(outcome, verdict) else "layer")
    return f"{what} {problem}{since(outcome)}: {names}{note}.{_others(outcome, verdict)}"


def _structure(outcome: TestOutcome) -> str:
    return _noted(outcome, "structure", "changed structure")


def _nonfinite(outcome: TestOutcome) -> str:
    return _noted(outcome, "nonfinite", "changed where it is NaN or Inf") + _blame(outcome)


def _vacuous(outcome: TestOutcome) -> str:
    return _noted(outcome, "vacuous", "checked nothing: the tolerance would pass a wrong tensor")


def _unstable(outcome: TestOutcome) -> str:
    return _noted(outcome, "unstable", "differs from itself under one and the same stack")


def _incomparable(outcome: TestOutcome) -> str:
    told = (t.note for t in _named(outcome, "incomparable") if t.note)
    unknown = "weights differ" if outcome.weights == "differ" else "inputs differ"
    why = next(told, None) or outcome.reason or unknown
    about = "" if same_stack(outcome) else f"{since(outcome)}, so nothing is said about Keras"
    return f"Not comparable{about}: {one_line(why).rstrip('.')}."


def _loading(outcome: TestOutcome) -> str:
    faults = _named(outcome, "loading")
    first = next((fault for fault in faults if fault.note), None)
    why = f" {named(first.name)} {one_line(first.note)}." if first and first.note else ""
    count = f"{len(faults)} of its parts differ" if len(faults) > 1 else "one part differs"
    running = outcome.stack.get("keras")
    under = f" under {keras_named(running)}" if running else ""
    return f"The model does not hold what its file does{under}: {count}.{why}"


def _systematic(outcome: TestOutcome) -> str:
    tensors = _named(outcome, "systematic")
    guilty = [layer for layer in blamed(outcome) if layer.verdict == "systematic"]
    if guilty:
        names = family_list(layer.name for layer in guilty)
        start = f"{plural(len(guilty), 'layer')} changed systematically{since(outcome)}: {names}"
    else:
        names = listed(t.name for t in tensors)
        start = f"{plural(len(tensors), 'tensor')} changed systematically{since(outcome)}: {names}"
    bias = _slope([*guilty, *tensors])
    return f"{start}{bias}; every element is inside its tolerance.{_causes(outcome)}"


def _slope(moved: list[LocalOutcome | TensorOutcome]) -> str:
    biased = [item for item in moved if item.bias is not None]
    if not biased:
        return ""
    item = max(biased, key=lambda x: abs(x.bias or 0.0))
    note = f"{one_line(item.note).rstrip('.')}; " if item.note else ""
    return f" ({note}slope {number(item.bias)} ε, t = {number(item.bias_t)})"


def _accumulated(outcome: TestOutcome) -> str:
    tensors = _named(outcome, "accumulated")
    first = tensors[0] if tensors else None
    where = f", first {named(first.name)}: {how_much(first)}" if first else ""
    return (
        f"{plural(len(tensors), 'tensor')} beyond tolerance{since(outcome)}{where}; by depth "
        f"alone: {_rounding(outcome)}."
    )


def _tokens(outcome: TestOutcome) -> str:
    text = tokens.phrase(outcome)
    return f"{tokens.words_of(outcome).answers.capitalize()}: {text}." if text else ""


_SENTENCES: Mapping[str, Callable[[TestOutcome], str]] = {
    "accumulated": _accumulated,
    "systematic": _systematic,
    "drift": _drift,
    "unstable": _unstable,
    "vacuous": _vacuous,
    "nonfinite": _nonfinite,
    "structure": _structure,
    "incomparable": _incomparable,
    "loading": _loading,
}

_TOLD = ("accumulated:", "hardware differs")
"""How warnings begin that the headline tells already."""


def further_warnings(outcome: TestOutcome) -> list[str]:
    """The outcome's warnings, without those that its headline tells."""
    return [text for text in outcome.warnings if not text.startswith(_TOLD)]
