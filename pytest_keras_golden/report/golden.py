"""A golden's metadata as text: one fact a line, so that line-based diffs of two goldens read well.

No columns are aligned: a longer name elsewhere must not change a line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from ..records import GoldenHeader, TensorEntry
from .escape import visible
from .wording import explained, number, plural, tolerance

FirstValues = Callable[[str], Sequence[str]]
"""Tensor name → its first values as text."""


def render(header: GoldenHeader, first: FirstValues) -> str:
    """The same text for the same golden, wherever its file lies."""
    lines = [*_facts(header), "", *_tensors(header, first)]
    if any(entry.detects is not None for entry in header.tensors):
        lines += explained(["detects"])
    return "\n".join(map(visible, lines))


def _facts(header: GoldenHeader) -> Iterator[str]:
    yield f"golden of Keras {header.stack.get('keras')}, schema {header.schema}"
    if header.reason:
        yield f"reason: {header.reason}"
    yield from (f"stack: {key} {header.stack[key]}" for key in sorted(header.stack))
    yield f"mode: {header.mode}"
    if header.observer is not None:
        yield f"observer: {header.observer}"
    yield f"isolation: {header.isolation}, {plural(len(header.calls), 'call')}"
    yield from _fingerprints("weight", header.weights)
    yield from _fingerprints("input", header.inputs)


def _fingerprints(kind: str, digests: Mapping[str, str]) -> Iterator[str]:
    yield f"{kind}s: {len(digests)}"
    yield from (f"{kind}: {name} {digests[name]}" for name in sorted(digests))


def _tensors(header: GoldenHeader, first: FirstValues) -> Iterator[str]:
    yield plural(len(header.tensors), "tensor")
    for entry in sorted(header.tensors, key=lambda entry: entry.order):
        yield f"{entry.order} {entry.name} {_described(entry)}"
        values = " ".join(first(entry.name))
        yield f"  rms={entry.rms:.6g} digest={entry.digest}" + (f" [{values}]" if values else "")


def _described(entry: TensorEntry) -> str:
    shape = "×".join(map(str, entry.shape)) or "scalar"
    parts = [f"{entry.kind} {entry.dtype} {shape}"]
    if entry.precision not in ("", entry.dtype):
        parts.append(f"precision={entry.precision}")
    if entry.source != "materialised":
        parts.append(entry.source)
    if entry.sample is not None:
        parts.append(f"a sample of {'×'.join(map(str, entry.sample.kept))} is kept")
    if not entry.judged:
        parts.append("not judged")
    if entry.tolerance is not None:
        parts.append(f"tolerance {tolerance(entry.tolerance)}")
    if entry.detects is not None:
        parts.append(f"detects={number(entry.detects)}")
    if entry.noise is not None:
        parts.append(f"noise={number(entry.noise)}")
    return ", ".join(parts)
