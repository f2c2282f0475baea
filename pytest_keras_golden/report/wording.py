"""Numbers, tolerances and names as short text. Every renderer speaks through here."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..records import SEVERITY, Tolerance
from ..release import KERAS_2
from .escape import named

STYLE: Mapping[str, str] = {
    "identical": "green",
    "within": "green",
    "accumulated": "yellow",
    "systematic": "magenta",
    "recorded": "cyan",
    "skipped": "dim",
    "xfailed": "dim",
}
"""Colour of a verdict; whatever is not listed is red."""


MEANINGS: Mapping[str, str] = {
    "within": "differs, by no more than its tolerance",
    "accumulated": "beyond its tolerance, though every layer alone changed by rounding only",
    "systematic": "inside its tolerance element by element, but biased: a changed constant",
    "incomparable": "weights or inputs differ from the golden's",
    "vacuous": "a tolerance that would pass zeros, the negated or a shuffled tensor",
    "unstable": "repeats under one stack differ by more than the tolerance",
    "detects": "the smallest relative drift that this check would have caught",
}
"""Of words that nobody outside knows, as a run explains each that it says, once."""


def explained(words: Iterable[str]) -> list[str]:
    """`  within: differs, by no more than its tolerance` for each of these words that has a
    meaning of ours."""
    return [f"  {word}: {MEANINGS[word]}" for word in dict.fromkeys(words) if word in MEANINGS]


def keras_named(version: object) -> str:
    """`Keras 3.15.1`; Keras 2 has its own name in its version."""
    return str(version) if str(version).startswith(KERAS_2) else f"Keras {version}"


def style(verdict: str) -> str:
    return STYLE.get(verdict, "red")


def worst(verdicts: Iterable[str]) -> str | None:
    """The most severe of some verdicts; None of none."""
    return max(verdicts, key=severity, default=None)


def severity(verdict: str) -> int:
    known: tuple[str, ...] = SEVERITY
    return known.index(verdict) if verdict in known else len(known)


def number(value: float | None) -> str:
    """Three significant digits at most: `12.3`, `4.1e-3`, `0`, `inf`, `-` for absent."""
    if value is None:
        return "-"
    if not math.isfinite(value):
        return "nan" if math.isnan(value) else ("inf" if value > 0 else "-inf")
    if value == 0:
        return "0"
    if 1e-2 <= abs(value) < 1e4:
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def plural(count: int, noun: str, many: str | None = None) -> str:
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def tolerance(value: Tolerance | None) -> str:
    if value is None:
        return "-"
    return " ".join(f"{key}={number(item)}" for key, item in value.to_json().items())


def setting(value: Any) -> str:
    """One value of a stack, as text; an absent one is said to be."""
    return "absent" if value is None else str(value)


def counted(counts: Mapping[str, int]) -> str:
    """`37 within, 2 drift`, harmless first."""
    return ", ".join(f"{counts[key]:,} {key}" for key in sorted(counts, key=severity))


def listed(names: Iterable[str], limit: int = 3) -> str:
    """`` `a`, `b`, `c` and 4 more``."""
    every = list(names)
    text = ", ".join(map(named, every[:limit]))
    return f"{text} and {len(every) - limit} more" if len(every) > limit else text


def families(names: Iterable[str]) -> dict[str, int]:
    """Structural names with their layer numbers replaced by `*`, counted, in order of appearance.

    64 blocks that drift alike are one family, so a report names `blocks/*/norm`, once. A family of
    one keeps its number.
    """
    members: dict[str, list[str]] = {}
    for name in names:
        members.setdefault(re.sub(r"(?<![A-Za-z0-9])\d+(?=/|$)", "*", name), []).append(name)
    return {family if len(group) > 1 else group[0]: len(group) for family, group in members.items()}


def family_list(names: Iterable[str], limit: int = 3) -> str:
    """`` `blocks/*/norm` (×64), `final_norm` ``."""
    grouped = families(names)
    parts = [named(name) + (f" (×{count})" if count > 1 else "") for name, count in grouped.items()]
    rest = sum(list(grouped.values())[limit:])
    return ", ".join(parts[:limit]) + (f" and {rest} more" if rest else "")
