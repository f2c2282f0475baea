"""Aliases of structural names: globs that put a layer's name in a run to its name in the golden."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase

Alias = tuple[str, str]
"""(old, new) over whole paths; `*` stands for the same text in both."""


def canonical(path: str, aliases: Iterable[Alias]) -> str:
    """`path` with the first alias whose old pattern matches it put to its new name."""
    for old, new in aliases:
        if fnmatchcase(path, old):
            return _renamed(path, old, new)
    return path


def _renamed(path: str, old: str, new: str) -> str:
    if "*" not in old:
        return new
    pattern = "(.*)".join(re.escape(part) for part in old.split("*"))
    match = re.fullmatch(pattern, path)
    stars = iter(match.groups() if match else ())
    return re.sub(r"\*", lambda _: next(stars, ""), new)


def unfitting_aliases(aliases: Mapping[str, str], names: Collection[str]) -> list[str]:
    """Lines of `golden_aliases` whose new name is that of none of these tensors, nor above one. The
    old name may be absent: another release has it."""
    return [
        f"golden_aliases: {old} -> {new}"
        for old, new in aliases.items()
        if not any(fnmatchcase(name, pattern) for pattern in (new, f"{new}/*") for name in names)
    ]


def suggested(renamed: Mapping[str, str], others: Iterable[str]) -> list[Alias]:
    """A few aliases that put every key of `renamed` to its value and leave `others` alone.

    One for all numbers of a name is tried first, then one for everything below a layer, then one
    for the layer alone. A name for which no alias can be written (it holds a `*`, `?` or `[`) is
    left out.
    """
    wanted = {**{path: path for path in others}, **renamed}
    chosen: list[Alias] = []
    for path, golden in renamed.items():
        if canonical(path, chosen) != golden:
            fitting = (alias for alias in _candidates(path, golden) if _fits(alias, wanted))
            chosen += [alias for alias in (next(fitting, None),) if alias is not None]
    return chosen


def _candidates(path: str, golden: str) -> Iterator[Alias]:
    old, new = _above(path, golden)
    if re.findall(r"\d+", old) == re.findall(r"\d+", new):
        yield _any_number(old), _any_number(new)
    if old != path:
        yield f"{old}/*", f"{new}/*"
    yield path, golden


def _any_number(path: str) -> str:
    return re.sub(r"\d+", "*", path)


def _above(path: str, golden: str) -> Alias:
    """Both without the components that they end in alike."""
    old, new = path.split("/"), golden.split("/")
    while len(old) > 1 and len(new) > 1 and old[-1] == new[-1]:
        old, new = old[:-1], new[:-1]
    return "/".join(old), "/".join(new)


def _fits(alias: Alias, wanted: Mapping[str, str]) -> bool:
    """Whether the alias changes names as wanted only; one with a `*`, more than one of them."""
    changed = [path for path in wanted if fnmatchcase(path, alias[0])]
    enough = 2 if "*" in alias[0] and not alias[0].endswith("/*") else 1
    return len(changed) >= enough and all(
        canonical(path, [alias]) == wanted[path] for path in changed
    )
