"""JSON of strangers, parsed strictly; and what is wrong with it, in bounded words."""

from __future__ import annotations

import json
import math
from reprlib import Repr
from typing import Any

_LONGEST = 300


class FieldError(ValueError):
    """What is wrong where, in one bounded sentence whatever the input holds.

    problem: `is 'x': expected a number`. at: `tests[3].tensors[0].k`, or nothing.
    """

    def __init__(self, problem: str, at: str = "") -> None:
        super().__init__(problem, at)
        self.problem = problem
        self.at = at

    def __str__(self) -> str:
        return cut(f"{self.at.lstrip('.')} {self.problem}".lstrip())

    def within(self, step: str) -> FieldError:
        """The same, seen from one level further out."""
        return FieldError(self.problem, cut(step + self.at))


def cut(text: str, longest: int = _LONGEST) -> str:
    """Text of at most that many characters; of a longer one the beginning and the end."""
    if len(text) <= longest:
        return text
    end = longest // 4
    return f"{text[: longest - end - 1]}…{text[-end:]}"


def shown(value: object) -> str:
    """A value for a message: quoted, escaped, at most some 60 characters."""
    return _REPR.repr(value)


_REPR = Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 60
_REPR.maxlevel, _REPR.maxdict, _REPR.maxlist = 2, 2, 3


def parse_object(text: str | bytes) -> dict[str, Any]:
    """A JSON object; no repeated keys, no NaN, no number beyond float64. Raises FieldError."""
    try:
        value = json.loads(
            text if isinstance(text, str) else text.decode(),
            object_pairs_hook=_unrepeated,
            parse_constant=_no_constant,
            parse_float=_finite,
        )
    except RecursionError:
        raise FieldError("is nested too deeply") from None
    except FieldError:
        raise
    except ValueError as error:
        raise FieldError(f"is no JSON ({cut(str(error), 120)})") from None
    if not isinstance(value, dict):
        raise FieldError(f"is no JSON object, but {shown(value)}")
    return value


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise FieldError(f"repeats a key: {shown(key)}")
            seen.add(key)
    return document


def _no_constant(text: str) -> None:
    raise FieldError(f"contains {text}, which is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise FieldError(f"contains {shown(text)}, which is beyond any number")
    return value
