"""`keras-golden stats`: how many goldens there are, of what, and where the bytes go."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config import parse_size
from ..report.output import add_json, emit_plain
from ..report.wording import plural
from .examples import examples
from .place import add_goldens_dir, goldens_dir
from .selection import add_patterns, by_test, bytes_text, chosen, name_of, selected

LARGEST = 5


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "stats",
        help="counts and sizes of the goldens",
        description="Counts and sizes of the goldens, the largest, and what prune could remove.",
        **examples(
            "stats",
            "stats --keep 2 --oversized 5MiB",
        ),
    )
    add_patterns(parser)
    parser.add_argument(
        "--keep", type=int, default=2, metavar="N", help="versions a test keeps (default: 2)"
    )
    parser.add_argument(
        "--oversized", default="5MiB", metavar="SIZE", help="what counts as large (default: 5MiB)"
    )
    add_goldens_dir(parser)
    add_json(parser)
    parser.set_defaults(handler=run)


def run(arguments: argparse.Namespace) -> int:
    limit = parse_size(arguments.oversized, "--oversized")
    root = goldens_dir(arguments.goldens_dir)
    totals = counted(root, arguments.patterns, arguments.keep, limit)
    emit_plain(arguments.json, totals, lambda: text(totals))
    return 0


def counted(root: Path, patterns: Sequence[str], keep: int, limit: int) -> Mapping[str, Any]:
    """Builtin values only: counts, bytes, and the paths of what is large or superseded."""
    from ..release import order
    from ..store.inventory import list_goldens, superseded

    goldens = chosen(list_goldens(root), patterns, root)
    largest = sorted(goldens, key=lambda golden: -golden.size)
    old = selected(superseded(root, keep), patterns)
    versions = Counter(golden.slot.keras for golden in goldens)
    return {
        "goldens": len(goldens),
        "tests": len(by_test(goldens)),
        "bytes": sum(golden.size for golden in goldens),
        "by_keras": {version: versions[version] for version in sorted(versions, key=order)},
        "by_backend": dict(Counter(golden.slot.backend for golden in goldens)),
        "by_dtype_policy": dict(Counter(golden.slot.policy for golden in goldens)),
        "largest": [{"path": name_of(g), "bytes": g.size} for g in largest[:LARGEST]],
        "oversized": [name_of(golden) for golden in largest if golden.size > limit],
        "superseded": [name_of(golden) for golden in old],
        "superseded_bytes": sum(golden.size for golden in old),
    }


def text(totals: Mapping[str, Any]) -> str:
    lines = [
        f"{plural(totals['goldens'], 'golden')} of {plural(totals['tests'], 'test')}, "
        f"{bytes_text(totals['bytes'])}"
    ]
    for key, title in (
        ("by_keras", "Keras"),
        ("by_backend", "backend"),
        ("by_dtype_policy", "policy"),
    ):
        parts = [f"{value} ({count})" for value, count in totals[key].items()]
        lines.append(f"{title}: {', '.join(parts) or 'none'}")
    lines += [f"large: {item['path']}  {bytes_text(item['bytes'])}" for item in totals["largest"]]
    lines.append(f"oversized: {len(totals['oversized'])}")
    freed = bytes_text(totals["superseded_bytes"])
    lines.append(f"superseded: {len(totals['superseded'])}, {freed} (keras-golden prune --keep=N)")
    return "\n".join(lines)
