"""Tolerances: parsing users' text, and which one holds for a tensor. Imports no numpy."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from .errors import ConfigError, did_you_mean
from .records import Tolerance, ToleranceRule

EPSILON: Mapping[str, float] = {
    "float64": 2.0**-52,
    "float32": 2.0**-23,
    "tensorfloat32": 2.0**-10,
    "float16": 2.0**-10,
    "bfloat16": 2.0**-7,
    "float8_e4m3fn": 2.0**-3,
    "float8_e5m2": 2.0**-2,
}
"""Distance from 1 to the next larger number, by precision name."""

INTEGER_DTYPES = frozenset(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
EXACT_DTYPES = INTEGER_DTYPES | {"bool"}
DTYPES = frozenset(EPSILON) | EXACT_DTYPES

DEFAULT_K: Mapping[str, float] = {
    "float64": 64.0,
    "float32": 64.0,
    "float8_e4m3fn": 2.0,
    "float8_e5m2": 1.5,
}
"""Units of ε by precision; low precision takes 5, but 8 bits would then let zeros pass.
Derivation: docs/tolerances.md."""
LOW_PRECISION_K = 5.0

BACKENDS_LOW_PRECISION_K = 10.0
"""As LOW_PRECISION_K, between two backends: two implementations of a layer round at other places.
They differ by up to 7.9 where they agree and from 12 where they do not; in float32 by up to 18 and
from 6,800, which the default parts as well (docs/backend-atlas.md)."""

KEYS = ("k", "rtol", "atol")
EXACT = "Did you mean 'rtol=0 atol=0'? It allows no difference. "

EXAMPLES = "Examples: 'bfloat16: k=5', 'logits*: rtol=1e-3 atol=1e-5', 'blocks/0/*: k=16'"


def parse(value: Tolerance | Mapping[str, Any] | str) -> Tolerance:
    """A tolerance from `{"k": 5}`, `"k=5"` or `"rtol=1e-3 atol=1e-5"`.

    Raises ConfigError on unknown keys, text that is no number, negative or non-finite numbers,
    an empty tolerance, or `k` mixed with rtol/atol.
    """
    if isinstance(value, Tolerance):
        value = value.to_json()
    pairs = _pairs(value) if isinstance(value, str) else value
    if not isinstance(pairs, Mapping):
        raise ConfigError(f"not a tolerance: {value!r}", EXAMPLES)
    unknown = [str(key) for key in pairs if key not in KEYS]
    if unknown or not pairs:
        hint = did_you_mean(unknown[0], KEYS) if unknown else ""
        raise ConfigError(f"tolerance {value!r}: expected k, or rtol and atol", hint + EXAMPLES)
    numbers = {key: _number(key, item) for key, item in pairs.items()}
    if "k" in numbers and len(numbers) > 1:
        raise ConfigError(f"tolerance {value!r} mixes k with rtol/atol: choose one", EXAMPLES)
    if "k" in numbers:
        return Tolerance(k=numbers["k"])
    return Tolerance(rtol=numbers.get("rtol", 0.0), atol=numbers.get("atol", 0.0))


def parse_rules(lines: Sequence[str]) -> tuple[ToleranceRule, ...]:
    """`golden_tolerances`: one `dtype-or-glob: tolerance` a line; # starts a comment."""
    rules = []
    for line in (raw.split("#", 1)[0].strip() for raw in lines):
        if not line:
            continue
        pattern, colon, text = line.rpartition(":")
        if not colon or not pattern.strip():
            raise ConfigError(f"golden_tolerances: {line!r} has no 'dtype-or-glob:'", EXAMPLES)
        try:
            rules.append(ToleranceRule(pattern.strip(), parse(text.strip())))
        except ConfigError as error:
            raise ConfigError(f"golden_tolerances: {line!r}: {error.problem}", error.fix) from None
    return tuple(rules)


def parse_marker(value: Any) -> tuple[ToleranceRule, ...]:
    """`tolerances=` of the marker: one tolerance for all, or a mapping pattern → tolerance."""
    if value is None:
        return ()
    # Numbers are of one tolerance, whatever they are called; of several, each is a mapping or text.
    several = isinstance(value, Mapping) and any(
        isinstance(item, (str, Mapping, Tolerance)) and key not in KEYS
        for key, item in value.items()
    )
    if not several:
        return (ToleranceRule("*", parse(value)),)
    return tuple(ToleranceRule(str(pattern), parse(item)) for pattern, item in value.items())


def resolve(
    name: str,
    precision: str,
    *,
    argument: Tolerance | None = None,
    marker: Sequence[ToleranceRule] = (),
    ini: Sequence[ToleranceRule] = (),
    between_backends: bool = False,
) -> Tolerance:
    """Most specific first: argument, marker, ini glob, ini dtype, default; the last line wins.

    between_backends: the golden is of another backend, on purpose.
    """
    if argument is not None:
        return argument
    for rules in (marker, ini):
        for wanted in (_globs, _dtypes):
            matching = [rule.tolerance for rule in rules if wanted(rule, name, precision)]
            if matching:
                return matching[-1]
    return default(precision, between_backends)


def unfitting_tolerances(rules: Iterable[ToleranceRule], names: Collection[str]) -> list[str]:
    """Lines of `golden_tolerances` whose glob fits none of these tensors."""
    return [
        f"golden_tolerances: {rule.pattern}"
        for rule in rules
        if rule.pattern not in DTYPES and not any(_globs(rule, name, "") for name in names)
    ]


def default(precision: str, between_backends: bool = False) -> Tolerance:
    if precision in EXACT_DTYPES:
        return Tolerance(rtol=0.0, atol=0.0)
    low = BACKENDS_LOW_PRECISION_K if between_backends else LOW_PRECISION_K
    return Tolerance(k=DEFAULT_K.get(precision, low))


def _globs(rule: ToleranceRule, name: str, precision: str) -> bool:
    return rule.pattern not in DTYPES and fnmatchcase(name, rule.pattern)


def _dtypes(rule: ToleranceRule, name: str, precision: str) -> bool:
    return rule.pattern == precision


def _pairs(text: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in text.replace(",", " ").split():
        key, equals, number = part.partition("=")
        if not equals or key in pairs:
            hint = EXACT if did_you_mean(text, ("exact",)) else ""
            raise ConfigError(f"not a tolerance: {text!r}", hint + EXAMPLES)
        pairs[key] = number
    return pairs


def _number(key: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number) or number < 0:
        raise ConfigError(
            f"tolerance {key}={value!r}: expected a non-negative finite number", EXAMPLES
        )
    return number
