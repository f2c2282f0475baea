"""`keras-golden list`: the goldens of every test, by version."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..report.output import add_json, emit_plain
from ..report.wording import plural
from .examples import examples
from .place import add_goldens_dir, goldens_dir
from .selection import add_patterns, by_test, bytes_text, chosen, name_of

if TYPE_CHECKING:
    from ..store.inventory import GoldenFile


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "list",
        help="the goldens of every test",
        description="The goldens of every test.",
        **examples("list", "list test_gpt --json -"),
    )
    add_patterns(parser)
    add_goldens_dir(parser)
    add_json(parser)
    parser.set_defaults(handler=run)


def run(arguments: argparse.Namespace) -> int:
    from ..store.inventory import list_goldens

    root = goldens_dir(arguments.goldens_dir)
    goldens = chosen(list_goldens(root), arguments.patterns, root)
    emit_plain(arguments.json, [fields(golden) for golden in goldens], lambda: listing(goldens))
    return 0


def fields(golden: GoldenFile) -> Mapping[str, Any]:
    """A golden as JSON: `path` is below the goldens folder."""
    slot = golden.slot
    return {
        "path": name_of(golden),
        "test": golden.folder.as_posix(),
        "keras": slot.keras,
        "backend": slot.backend,
        "device": slot.device,
        "dtype_policy": slot.policy,
        "bytes": golden.size,
    }


def listing(goldens: Sequence[GoldenFile]) -> str:
    """Tests as headings, a line per golden below."""
    lines = []
    for test, group in by_test(goldens).items():
        lines.append(test)
        lines += [f"  {golden.path.name}  {bytes_text(golden.size)}" for golden in group]
    total = bytes_text(sum(golden.size for golden in goldens))
    count = len(by_test(goldens))
    return "\n".join(
        [*lines, f"{plural(len(goldens), 'golden')} of {plural(count, 'test')}, {total}"]
    )
