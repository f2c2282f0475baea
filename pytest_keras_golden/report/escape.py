"""Text of strangers, made harmless for each medium that it is shown in.

Node ids, layer and file names, reasons, versions and messages come from suites, logs and goldens
that others wrote. Every renderer passes them through here, so that nothing in them is obeyed: no
control character by a terminal, no markup by rich, no HTML, link or mention by Markdown or a
browser, no metacharacter by a shell.
"""

from __future__ import annotations

import html
import re
import shlex
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

Value = TypeVar("Value")


def visible(text: str) -> str:
    r"""Text on one line in which whatever is obeyed rather than seen is written as Python's `repr`
    would: `\n`, `\x1b`, `\u202e`; bidirectional controls and lone surrogates included."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def one_line(text: str) -> str:
    """Prose, such as a reason, as one visible line: white space of any kind is a single space."""
    return visible(" ".join(text.split()))


def lines(text: str) -> str:
    """Visible text that keeps its line breaks."""
    return "\n".join(visible(line.expandtabs()) for line in text.split("\n"))


def first_line(text: str) -> str:
    """The first line that says something, visible."""
    return one_line(next((line for line in text.splitlines() if line.strip()), ""))


def named(text: str) -> str:
    r"""A name in backquotes for a sentence of ours; a backquote in it becomes `\x60`."""
    return f"`{unquoted(text)}`"


def unquoted(text: str) -> str:
    r"""A name for a sentence that has backquotes of its own: one in it becomes `\x60`."""
    return visible(text).replace("`", "\\x60")


def shown(value: Value) -> Value:
    """A dataclass, mapping or sequence in which every text is visible, on one line; the same object
    where all are."""
    return cast(Value, _shown(value))


_PLAIN = frozenset({float, int, bool, type(None)})


def _shown(value: Any) -> Any:
    if type(value) in _PLAIN:
        # Nearly all of a large report: checked first, for speed.
        return value
    if isinstance(value, str):
        return value if value.isprintable() else visible(re.sub(r"\s*\n\s*", " ", value))
    if hasattr(value, "__dataclass_fields__"):
        old = {field.name: getattr(value, field.name) for field in fields(value)}
        new = {name: _shown(item) for name, item in old.items()}
        changed = {name: item for name, item in new.items() if item is not old[name]}
        return replace(value, **changed) if changed else value
    if isinstance(value, Mapping):
        pairs = [(_shown(key), _shown(item)) for key, item in value.items()]
        same = all(a is c and b is d for (a, b), (c, d) in zip(pairs, value.items(), strict=True))
        return value if same else dict(pairs)
    if isinstance(value, (tuple, list)):
        made = [_shown(item) for item in value]
        same = all(new is old for new, old in zip(made, value, strict=True))
        return value if same else type(value)(made)
    return value


# -- terminals ------------------------------------------------------------------------------


def text(content: str, style: str = "") -> Text:
    """A cell of a rich table: never markup, never a control character."""
    from rich.text import Text

    return Text(visible(content), style=style)


def console(**options: Any) -> Console:
    """A rich console that takes no text for markup, an emoji's name or something to colour."""
    from rich.console import Console

    return Console(markup=False, emoji=False, highlight=False, **options)


# -- Markdown -------------------------------------------------------------------------------

LONGEST = 160
"""Characters of a name in a table; the log has the rest."""


def shortened(content: str, limit: int) -> str:
    return content if len(content) <= limit else f"{content[: limit - 1]}…"


def code(content: str, limit: int = LONGEST) -> str:
    """Text as an inline code span, in which Markdown, and the filters of forges behind it, find no
    link, mention or HTML."""
    flat = shortened(visible(content), limit)
    # Parsers disagree about a backslash before a `|` inside a table: they never meet.
    return "&#124;".join(map(_span, re.split(r"(?<=\\)\|", flat)))


def _span(flat: str) -> str:
    if not flat:
        return ""
    fence = "`" * (1 + max((len(run) for run in re.findall(r"`+", flat)), default=0))
    padded = "`" in flat or (flat[0] == flat[-1] == " " and flat.strip() != "")
    padding = " " if padded else ""
    return f"{fence}{padding}{flat}{padding}{fence}"


def prose(content: str, limit: int = 10 * LONGEST) -> str:
    """A sentence without any meaning to Markdown, on one line.

    Punctuation is escaped. A word that a forge would turn into a link, a mention, an emoji or a
    formula after Markdown is done becomes code, as does a first word that would begin a block.
    """
    first, _, rest = shortened(one_line(content), limit).partition(" ")
    begun = _word(first) if _BEGINS_NOTHING.match(first) else code(first, limit)
    return f"{begun} {_words(rest)}" if rest else begun


_BEGINS_NOTHING = re.compile(r"(?!\d{1,9}[.)]$)[(\"']?[^\W_]")
_LINKED = re.compile(
    r"[@#$`]|[:/]{2}|:[\w+-]+:|\bwww\.|\bGH-\d|[!%&~^]\w|\b[0-9a-f]{7,40}\b", re.IGNORECASE
)
"""What GitHub and GitLab link, in text and in HTML alike: only code is left alone."""
_SPECIAL = re.compile(r"[\\*_{}\[\]<>~^]")


def _words(content: str) -> str:
    return " ".join(map(_word, content.split(" ")))


def _word(word: str) -> str:
    if _LINKED.search(word):
        return code(word, limit=len(word))
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", word.replace("&", "&amp;"))


def sentence(content: str, limit: int = 10 * LONGEST) -> str:
    """A sentence of ours with names in backquotes: these as code, the rest as prose."""
    flat = shortened(one_line(content), limit)
    first, *others = re.split(r"`([^`]*)`", flat)
    made = [code(piece) if place % 2 == 0 else _words(piece) for place, piece in enumerate(others)]
    # Two code spans side by side would be read as one.
    return re.sub("`\0+`", "` `", "\0".join([_begun(first), *made])).replace("\0", "")


def _begun(first: str) -> str:
    """`prose` that keeps the space before the code that follows."""
    return prose(first) + (" " if first.endswith(" ") else "") if first.strip() else first


def row(*cells: str) -> str:
    """A row of a Markdown table from cells of finished Markdown."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def summary(content: str) -> str:
    """The `<summary>` of a `<details>` element, which Markdown takes for HTML."""
    return f"<summary><code>{html.escape(shortened(visible(content), 400))}</code></summary>"


# -- HTML and shells ------------------------------------------------------------------------


def finalize(value: Any) -> Any:
    """jinja2's hook for what is filled into a template, before it escapes it."""
    return visible(value) if type(value) is str else value


def quoted(argument: str) -> str:
    """An argument as bash and zsh take it, to the letter and without a control character: in double
    quotes where that is enough. What begins with a dash is a path here, never an option."""
    given = f"./{argument}" if argument.startswith("-") else argument
    if not given.isprintable() or re.search(r"[\"$`\\!]", given):
        return passed(given)
    return f'"{given}"'


def passed(argument: str) -> str:
    """An argument that a user gave, as it has to be given again: options too, bare where that is
    enough."""
    if not argument.isprintable():
        return f"$'{''.join(map(_ansi_c, argument))}'"
    return shlex.quote(argument)


def _ansi_c(character: str) -> str:
    """One character between `$'` and `'`."""
    if character in "\\'":
        return f"\\{character}"
    number = ord(character)
    if character.isprintable():
        return character
    if number < 0x80 or 0xDC80 <= number <= 0xDCFF:
        # A byte: ASCII, or what a name in another encoding was read as.
        return f"\\x{number & 0xFF:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def word(argument: str) -> str:
    """As `quoted`, bare where the shell needs no quotes: versions and the like."""
    return argument if re.fullmatch(r"[\w.+][\w.+-]*", argument, re.ASCII) else quoted(argument)
