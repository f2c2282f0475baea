"""Text for streams without Unicode: signs of ours as ASCII, of other characters the number.

One handler of encoding errors serves everything that is printed: our own commands set it on their
streams, and what pytest prints for us goes through `encodable`.
"""

from __future__ import annotations

import codecs

PLAIN = "keras-golden-plain"
"""The name of the handler, as `str.encode` and streams take it."""

_SIGNS = {
    "…": "...",
    "→": "->",
    "×": "x",
    "Δ": "d",
    "·": "/",
    "⋮": ":",
    "≤": "<=",
    "ε": "eps",
    "−": "-",
}
_LINES, _WALLS, _CORNERS = "─━═╌╴╶╸╺", "│┃║", range(0x2500, 0x2580)
_MARK = ">"
"""An arrow that begins a line stands in a column of one character."""


def encodable(text: str, encoding: str | None) -> str:
    """The text as a stream of this encoding can show it."""
    known = encoding or "utf-8"
    try:
        text.encode(known)
    except UnicodeEncodeError:
        return text.encode(known, PLAIN).decode(known)
    except LookupError:  # of a stream with an encoding of its own
        return text
    return text


def _instead(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = range(error.start, error.end)
    return "".join(_sign(error.object, at) for at in lost), error.end


def _sign(text: str, at: int) -> str:
    sign = text[at]
    if sign in _LINES:
        return "-"
    if sign in _WALLS:
        return "|"
    if ord(sign) in _CORNERS:
        return "+"
    if sign == "→" and not text[:at].rpartition("\n")[2].strip():
        return _MARK
    return _SIGNS.get(sign) or sign.encode("ascii", "backslashreplace").decode()


codecs.register_error(PLAIN, _instead)
