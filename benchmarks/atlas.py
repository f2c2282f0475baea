"""Every numeric change of Keras' own layers from release to release, written to a Markdown table.

Runs the layers of benchmarks/history under every release since 3.0, on jax and torch, in float32
and bfloat16, on the same inputs and weights, and judges each release against the one before as an
isolated layer is judged. Releases between two ends of a series are run only where the ends differ.

    python benchmarks/atlas.py [--releases 3.0.0..latest] [--backends jax,torch]
                               [--results .atlas] [--output docs/drift-atlas.md]
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401 - safetensors reads bfloat16 with it
import numpy as np
from safetensors import safe_open

from pytest_keras_golden.compare.isolation import judge_local
from pytest_keras_golden.outcomes import LocalOutcome
from pytest_keras_golden.stacks.overlay.folder import overlay_environment
from pytest_keras_golden.stacks.overlay.neighbours import ensure_runnable
from pytest_keras_golden.stacks.overlay.releases import resolve

RECORD = Path(__file__).resolve().parent / "history" / "record.py"
POLICIES = ("float32", "bfloat16")
CLASSES = {"within": "rounding", "systematic": "systematic", "structure": "structure"}


@dataclass(frozen=True)
class Recorded:
    """What one release's layers computed. arrays: (policy, case) → outputs in order; failed:
    (policy, case) → why it does not run there."""

    release: str
    arrays: Mapping[tuple[str, str], Sequence[np.ndarray[Any, Any]]]
    failed: Mapping[tuple[str, str], str]


@dataclass(frozen=True)
class Change:
    """One case that changed between two releases, at one precision on one backend."""

    old: str
    new: str
    case: str
    policy: str
    backend: str
    kind: str
    local: LocalOutcome | None
    note: str | None = None


def record(release: str, backend: str, results: Path) -> Path:
    """The recording of one release, made where it is not there yet."""
    place = results / f"keras-{release}-{backend}.safetensors"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        print(f"{backend} {release}", file=sys.stderr, flush=True)
        environment = overlay_environment([ensure_runnable("keras", release)])
        # Most of jax' time is compiling what the release before has compiled already.
        environment |= {"JAX_COMPILATION_CACHE_DIR": str((results / "compiled").resolve())}
        environment |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        environment |= {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        partial = place.with_suffix(".partial")
        command = [sys.executable, str(RECORD), str(partial)]
        subprocess.run(command, env=environment, check=True)
        partial.replace(place)
    return place


def read(place: Path, release: str) -> Recorded:
    arrays: dict[tuple[str, str], list[np.ndarray[Any, Any]]] = {}
    with safe_open(place, "numpy") as file:
        metadata = file.metadata()
        if metadata["keras"] != release:
            raise RuntimeError(f"{place} holds Keras {metadata['keras']}, not {release}")
        names = (name.split("|") for name in file.keys())  # noqa: SIM118 - no mapping
        for policy, case, at in sorted(names, key=lambda parts: int(parts[2])):
            tensor = file.get_tensor(f"{policy}|{case}|{at}")
            arrays.setdefault((policy, case), []).append(tensor)
    # Keras colours its messages.
    messages = json.loads(re.sub(r"\\u001b\[[0-9;]*m", "", metadata["failed"]))
    failed = {tuple(key.split("|")): why for key, why in messages.items()}
    return Recorded(release, arrays, failed)


def changes(old: Recorded, new: Recorded, backend: str) -> Iterator[Change]:
    for key, before in old.arrays.items():
        policy, case = key
        if key not in new.arrays:
            why = new.failed.get(key, "gone")
            yield Change(old.release, new.release, case, policy, backend, "broken", None, why)
            continue
        local = judge_local(case, 0, new.arrays[key], before)
        if local.verdict != "identical":
            kind = CLASSES.get(local.verdict, "semantic")
            yield Change(old.release, new.release, case, policy, backend, kind, local)
    for key in new.arrays.keys() - old.arrays.keys():
        if not _is_new(old.failed.get(key, "")):
            why = f"did not run before: {old.failed[key]}"
            yield Change(old.release, new.release, key[1], key[0], backend, "repaired", None, why)


def _is_new(why: str) -> bool:
    """The older release had no such layer, option or activation."""
    words = ("no attribute", "unexpected keyword", "Unrecognized keyword", "Could not interpret")
    return not why or any(word in why for word in words)


def history(
    releases: Sequence[str], backend: str, results: Path
) -> Iterator[tuple[str, str, list[Change]]]:
    """(old, new, changes) along the releases; those inside a series only where its ends differ."""

    def between(old: str, new: str) -> tuple[str, str, list[Change]]:
        pair = [read(record(release, backend, results), release) for release in (old, new)]
        return old, new, list(changes(*pair, backend))

    for series in serial(releases):
        whole = between(series[0], series[-1])
        if len(series) == 2 or not whole[2]:
            yield whole
        else:
            yield from (between(*pair) for pair in itertools.pairwise(series))


def serial(releases: Sequence[str]) -> Iterator[Sequence[str]]:
    """Pieces of the list from the last release of one series to the last of the next."""
    minor = [release.split(".")[:2] for release in releases]
    ends = [at for at in range(len(releases)) if minor[at : at + 2] != [minor[at]] * 2]
    starts = [0, *ends] if ends[0] else ends
    return (releases[low : high + 1] for low, high in itertools.pairwise(starts))


# -- the page -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Row:
    """Changes of one case between two releases that are of one kind, at any precision."""

    first: Change
    all: tuple[Change, ...]

    def cells(self) -> tuple[str, ...]:
        where = {
            policy: "+".join(c.backend for c in self.all if c.policy == policy)
            for policy in POLICIES
        }
        said = [f"{policy}: {backends}" for policy, backends in where.items() if backends]
        return self.first.case, self.first.kind, "; ".join(said), _worst(self.all), _said(self.all)


def _worst(found: Sequence[Change]) -> str:
    parts = []
    for policy in POLICIES:
        locals_ = [
            c.local for c in found if c.policy == policy and c.local and c.local.k is not None
        ]
        if locals_:
            worst = max(locals_, key=lambda local: local.k or 0.0)
            parts.append(f"{worst.k:.3g} ε ({worst.rel_l2:.1e})")
    return ", ".join(parts)


def _said(found: Sequence[Change]) -> str:
    notes = [c.note or (c.local.note if c.local else None) for c in found]
    said = next((note for note in notes if note), "")
    return " ".join(said.split()).replace("|", "\\|")[:110]


ORDER = ("semantic", "nonfinite", "structure", "systematic", "broken", "repaired", "rounding")


def rows(found: Sequence[Change]) -> list[Row]:
    groups: dict[tuple[str, str], list[Change]] = {}
    for change in found:
        groups.setdefault((change.kind, change.case), []).append(change)
    grouped = [Row(group[0], tuple(group)) for group in groups.values()]
    return sorted(grouped, key=lambda row: (ORDER.index(row.first.kind), row.first.case))


def page(
    pairs: Mapping[tuple[str, str], Sequence[Change]],
    releases: Sequence[str],
    backends: Sequence[str],
) -> str:
    found = [change for here in pairs.values() for change in here]
    span = f"{len(releases)} releases, {releases[0]} to {releases[-1]}"
    lines = [
        INTRODUCTION.format(span=span, backends=" and ".join(backends)),
        "",
        *_totals(found),
        "",
    ]
    quiet = []
    order = {release: at for at, release in enumerate(releases)}
    for old, new in sorted(pairs, key=lambda pair: (order[pair[1]], order[pair[0]])):
        if pairs[old, new]:
            lines += [f"## {old} → {new}", "", HEAD, *map(_line, rows(pairs[old, new])), ""]
        elif not any(old != one and new == other for one, other in pairs):
            quiet.append(f"{old} → {new}")
    return "\n".join([*lines, "## No change at all", "", ", ".join(quiet) + ".", ""])


HEAD = "| layer | kind | where | largest k (relative L2) | |\n|---|---|---|---|---|"


def _line(row: Row) -> str:
    return "| " + " | ".join(row.cells()) + " |"


def _totals(found: Sequence[Change]) -> list[str]:
    head = "| kind | changes | largest k, bfloat16 | largest k, float32 | smallest k |"
    lines = [head, "|---|---|---|---|---|"]
    for kind in ORDER:
        here = [change for change in found if change.kind == kind]
        ks = {
            policy: [c.local.k for c in here if c.policy == policy and c.local and c.local.k]
            for policy in POLICIES
        }
        every = [k for values in ks.values() for k in values]
        cells = [kind, str(len(here)), _largest(ks["bfloat16"]), _largest(ks["float32"])]
        lines.append("| " + " | ".join([*cells, f"{min(every):.3g}" if every else ""]) + " |")
    return lines


def _largest(values: Sequence[float]) -> str:
    return f"{max(values):.3g}" if values else ""


INTRODUCTION = """# What changed numerically in Keras' layers, release by release

Written by `make atlas` ({span}; {backends} on CPU).
Each row is a layer of `keras.layers` whose output changed between two neighbouring releases on the
same inputs and the same weights, unit-scale inputs, eager, every other package unchanged. Judged as
a layer is judged in isolation:

- **rounding**: within the default tolerance of one layer, and unbiased.
- **systematic**: within it elementwise, but biased: a constant changed.
- **semantic**: beyond it: another formula, default, mask, or accuracy.
- **structure**: another shape or dtype.
- **broken**, **repaired**: the call raises in the newer, or did in the older release.

k is the largest error in units of ε·(|golden| + rms), ε = 2⁻²³ for float32 and 2⁻⁷ for bfloat16."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--releases", default="3.0.0..latest")
    parser.add_argument("--backends", default="jax,torch")
    parser.add_argument("--results", type=Path, default=Path(".atlas"))
    parser.add_argument("--output", type=Path, default=Path("docs/drift-atlas.md"))
    options = parser.parse_args()
    backends = options.backends.split(",")
    releases = resolve([options.releases])
    pairs: dict[tuple[str, str], list[Change]] = {}
    for backend in backends:
        for old, new, found in history(releases, backend, options.results):
            pairs.setdefault((old, new), []).extend(found)
    options.output.write_text(page(pairs, releases, backends), encoding="utf-8")
    count = sum(map(len, pairs.values()))
    print(f"{count} changes over {len(releases)} releases: {options.output}")


if __name__ == "__main__":
    main()
