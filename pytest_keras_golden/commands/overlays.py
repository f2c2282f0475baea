"""`keras-golden overlays list|prune|releases`."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..report.output import add_json, emit, say
from .examples import examples

if TYPE_CHECKING:
    from ..stacks.overlay.folder import Overlay


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "overlays",
        help="the cached package versions that gate, matrix and bisect run under",
        description="Overlays are made when they are needed, and shared between suites.",
        **examples(
            "overlays list",
            "overlays prune --days 7",
        ),
    )
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="what is there, how large, when last used")
    add_json(listing)
    listing.set_defaults(handler=run_list)
    pruning = actions.add_parser("prune", help="remove what was not used for a while")
    pruning.add_argument("--days", type=float, default=30, metavar="N", help="default: 30")
    pruning.add_argument("--all", action="store_true", help="remove every one")
    pruning.set_defaults(handler=run_prune)
    known = actions.add_parser("releases", help="which versions a range means")
    known.add_argument("specs", nargs="+", metavar="RANGE", help="3.3.3..3.6, '>=3.9', latest")
    known.add_argument("--package", default="keras", metavar="NAME")
    known.add_argument("--pre", action="store_true", help="pre-releases count")
    known.add_argument("--refresh", action="store_true", help="ask the index anew")
    add_json(known)
    known.set_defaults(handler=run_releases)


def run_list(arguments: argparse.Namespace) -> int:
    from ..stacks.overlay.folder import list_overlays

    overlays = list_overlays()
    document = [
        {
            "package": overlay.package,
            "version": overlay.version,
            "extra": list(overlay.extra),
            "path": str(overlay.path),
            "bytes": overlay.size,
            "used": overlay.used,
        }
        for overlay in overlays
    ]
    emit(arguments.json, document, lambda: "\n".join(map(_line, overlays)) or "no overlays")
    return 0


def _line(overlay: Overlay) -> str:
    days = (time.time() - overlay.used) / 86400
    used = "today" if days < 1 else f"{days:.0f} d ago"
    extra = f" with {', '.join(overlay.extra)}" if overlay.extra else ""
    name = f"{overlay.package} {overlay.version}{extra}"
    return f"{name:32} {overlay.size / 2**20:7.1f} MiB   used {used:9} {overlay.path}"


def run_prune(arguments: argparse.Namespace) -> int:
    from ..stacks.overlay.folder import prune_overlays

    seconds = 0.0 if arguments.all else arguments.days * 86400
    gone: list[Path] = prune_overlays(seconds)
    say("\n".join([*(f"removed {path}" for path in gone), f"{len(gone)} removed"]))
    return 0


def run_releases(arguments: argparse.Namespace) -> int:
    from ..stacks.overlay.releases import resolve

    releases_meant = resolve(
        arguments.specs, arguments.package, pre=arguments.pre, refresh=arguments.refresh
    )
    emit(arguments.json, releases_meant, lambda: "\n".join(releases_meant))
    return 0
