"""The drift atlas' changes, found from a file alone: how many, and blamed on which layer?

For every change of meaning, structure or bias in docs/drift-atlas.md, and every layer that broke, a
model with that layer is saved under the older release and gated from it to the newer one, as users
do: `keras-golden gate OLD NEW -- FILE…`. Inputs are made from the file. Layers in which the atlas
saw at most rounding there are gated along: nothing may be found in them.

    python benchmarks/saved_drift.py [--only OLD,…] [--work .saved-drift]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from history.layers import CASES

from pytest_keras_golden.stacks.overlay.folder import overlay_environment
from pytest_keras_golden.stacks.overlay.neighbours import ensure_runnable

HERE = Path(__file__).resolve().parent
ATLAS = HERE.parent / "docs" / "drift-atlas.md"
KINDS = ("meaning", "semantic", "nonfinite", "structure", "systematic", "broken")
GUILTY = ("drift", "systematic", "structure", "nonfinite")
LAYER = "subject"
EVERY = 12
"""One in so many of the layers that did not change is gated along."""
FOUND_AT_LEAST = 0.95


@dataclass(frozen=True)
class Change:
    """A line of the atlas on one backend at one precision. kind: its cause there, None of what did
    not change."""

    old: str
    new: str
    backend: str
    case: str
    policy: str
    kind: str | None


@dataclass(frozen=True)
class Gated:
    """What the gate says of one file. unsaved: why there is none."""

    change: Change
    unsaved: str | None
    row: Mapping[str, Any]

    @property
    def compared(self) -> bool:
        return self.unsaved is None and self.row.get("status") != "failing before"

    @property
    def alarmed(self) -> bool:
        return self.row.get("status") in ("moved", "broke", "incomparable")

    @property
    def found(self) -> bool:
        """Also where the gate lets it pass, told with its cause: a release that is more exact."""
        return self.alarmed or bool(self._guilty)

    @property
    def blamed(self) -> bool:
        """On this layer, or one within it, before any other; what broke names it."""
        if self.change.kind == "broken":
            return self.change.case.partition(",")[0] in str(self.row.get("reason"))
        return self._guilty[:1] == [LAYER]

    @property
    def _guilty(self) -> list[str]:
        """The layers that differ by themselves, in the order of their calls."""
        told = (local for local in self.row.get("locals") or () if local["verdict"] in GUILTY)
        # By case of inputs: `ordinary/subject`.
        return [local["name"].split("/")[1] for local in told]


# -- what is gated --------------------------------------------------------------------------


def changes(atlas: str) -> Iterator[Change]:
    for section in atlas.split("\n## ")[1:]:
        title, *lines = section.splitlines()
        old, _, new = title.partition(" → ")
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if "|" in line]
        found = [
            Change(old, new, backend, case, policy, kind)
            for case, kind, where, *_ in rows[2:]
            if kind in KINDS
            for policy, backend in _places(where)
        ]
        touched = {case for case, kind, *_ in rows[2:] if not kind.startswith("rounding")}
        yield from found
        for backend in sorted({change.backend for change in found}):
            still = [case for case in CASES if case not in touched][::EVERY]
            for case, policy in itertools.product(still, ("float32", "bfloat16")):
                yield Change(old, new, backend, case, policy, None)


def _places(where: str) -> Iterator[tuple[str, str]]:
    """(precision, backend) of `float32: jax+torch; bfloat16: torch`."""
    for part in where.split("; "):
        policy, _, backends = part.partition(": ")
        yield from ((policy, backend) for backend in backends.split("+"))


# -- saving and gating ----------------------------------------------------------------------


def gated(group: Sequence[Change], folder: Path) -> list[Gated]:
    """All files of a pair of releases on one backend, in one gate."""
    first, told = group[0], folder / "gate.json"
    names = saved(first, list(dict.fromkeys(change.case for change in group)), folder)
    files = [names[change.case, change.policy] for change in group]
    if not told.is_file():
        asked = [file for file, why in files if why is None]
        command = [sys.executable, "-m", "pytest_keras_golden.cli", "gate", first.old, first.new]
        command += ["--no-culprit", "--jobs", "1", "--json", told.name, "--", *asked]
        subprocess.run(command, cwd=folder, env=_environment(first.backend), check=False)
    rows = {row["nodeid"]: row for row in json.loads(told.read_text())["tests"]}
    return [
        Gated(change, why, rows.get(f"{file}::model", {}))
        for change, (file, why) in zip(group, files, strict=True)
    ]


def saved(
    first: Change, cases: Sequence[str], folder: Path
) -> dict[tuple[str, str], tuple[str, str | None]]:
    """(case, precision) → its file, and why it is not saved under the older release."""
    log = folder / "saved.jsonl"
    if not log.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        environment = _environment(first.backend, ensure_runnable("keras", first.old))
        command = [sys.executable, str(HERE / "saved" / "layer.py"), str(folder), *cases]
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
        log.write_bytes(done.stdout)
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("[")]
    return {(case, policy): (file, why) for file, case, policy, why in lines}


def _environment(backend: str, *overlays: Path) -> dict[str, str]:
    path = [str(HERE.parent), os.environ.get("PYTHONPATH", "")]
    own = overlay_environment(list(overlays)).get("PYTHONPATH") if overlays else None
    joined = os.pathsep.join(part for part in (own, *path) if part)
    return {**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": joined}


# -- what is printed ------------------------------------------------------------------------


def _line(entry: Gated) -> str:
    change, row = entry.change, entry.row
    said = row.get("reason") or ", ".join(row.get("local_drift", ())) or ""
    word = "is not saved" if entry.unsaved else row.get("status", "no row")
    place = f"{change.old} → {change.new} {change.backend} {change.policy}"
    kind = change.kind or "unchanged"
    text = " ".join(str(entry.unsaved or said).split())[:90]
    return f"{place:32} {change.case:32} {kind:10} {word:14} {text}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="older releases, with commas")
    parser.add_argument("--work", type=Path, default=Path(".saved-drift"))
    asked = parser.parse_args()
    groups: dict[tuple[str, str, str], list[Change]] = {}
    for change in changes(ATLAS.read_text(encoding="utf-8")):
        if not asked.only or change.old in asked.only.split(","):
            groups.setdefault((change.old, change.new, change.backend), []).append(change)
    entries = []
    for place, group in groups.items():
        entries += gated(group, asked.work.resolve() / "-".join(place))
    for entry in entries:
        if entry.change.kind is not None or entry.alarmed or not entry.compared:
            print(_line(entry))
    changed = [entry for entry in entries if entry.change.kind and entry.compared]
    still = [entry for entry in entries if entry.change.kind is None and entry.compared]
    for kind in KINDS:
        _tell(kind, [entry for entry in changed if entry.change.kind == kind])
    found, blamed = _tell("all", changed)
    alarms, lost = sum(entry.alarmed for entry in still), len(entries) - len(changed) - len(still)
    print(f"alarms in layers that did not change: {alarms} of {len(still)}")
    print(f"not saved, or not run, by the older release: {lost}")
    enough = changed and min(found, blamed) >= FOUND_AT_LEAST * len(changed)
    return 0 if enough and not alarms else 1


def _tell(kind: str, entries: Sequence[Gated]) -> tuple[int, int]:
    found, blamed = sum(e.found for e in entries), sum(e.found and e.blamed for e in entries)
    if entries:
        print(f"{kind:10} found from the file alone {found} of {len(entries)}, blamed {blamed}")
    return found, blamed


if __name__ == "__main__":
    sys.exit(main())
