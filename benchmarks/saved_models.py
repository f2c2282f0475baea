"""Models saved by one release of Keras and loaded by another, written to a Markdown table.

Every model of benchmarks/saved is saved under each release, then loaded, judged by its file and run
under each. What it computes is compared with the release that saved it, in units of its precision.
What `--results` has already is not done again.

    python benchmarks/saved_models.py [--releases 3.0.5,…] [--results .saved] [--only NAME,…]
                                      [--output docs/saved-models.md]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pytest_keras_golden.compare.isolation import judge_local
from pytest_keras_golden.stacks.overlay.folder import overlay_environment
from pytest_keras_golden.stacks.overlay.neighbours import ensure_runnable

RELEASES = "3.0.5,3.5.0,3.10.0,3.15.1"
HERE = Path(__file__).resolve().parent / "saved"
LIMITS = {"float32": 64.0, "bfloat16": 5.0}
LOW = ("bfloat16",)
"""Models that compute in bfloat16."""
GROUPS = {
    ("small", "keras"): "Small models, `.keras`",
    ("applications", "keras"): "One model of each family of `keras.applications`, `.keras`",
    ("hub", "keras"): "Backbones of keras-hub, and MiniLM, `.keras`",
    ("small", "h5"): "Small models, `.h5`",
}


PLACE = re.compile(r" \(/[^)]*\)")
"""Where a module lies on this machine."""


@dataclass(frozen=True)
class Seen:
    """One file under one release. loads, runs: why not. k: how far from the release that saved it,
    in units of the limit; None where that one does not run it."""

    saved: str
    loaded: str
    group: str
    file: str
    loads: str | None
    faults: Sequence[str] = ()
    runs: str | None = None
    uncompiled: str | None = None
    k: float | None = None

    @property
    def model(self) -> str:
        return self.file.partition(".")[0]

    @property
    def suffix(self) -> str:
        return self.file.rpartition(".")[2]

    @property
    def word(self) -> str:
        if self.loads is not None:
            return "does not load"
        if self.faults:
            return "loads otherwise"
        if self.runs is not None:
            return "does not run"
        if self.k is None:
            return "loads"
        if math.isnan(self.k):
            return "not finite"
        return "same" if self.k <= LIMITS[_precision(self.file)] else "computes otherwise"


@dataclass(frozen=True)
class Unsaved:
    """A model that a release does not write, in any format or in one."""

    saved: str
    group: str
    model: str
    why: str


def _precision(file: str) -> str:
    return "bfloat16" if file.split(".")[0] in LOW else "float32"


def child(release: str, script: str, *arguments: str) -> None:
    """A script under a release. It keeps what it has done where it ends early."""
    overlay = ensure_runnable("keras", release)
    environment = {"KERAS_BACKEND": "jax", **os.environ, **overlay_environment([overlay])}
    package = str(HERE.parent.parent)
    environment["PYTHONPATH"] = f"{environment['PYTHONPATH']}{os.pathsep}{package}"
    print(f"{script} under Keras {release}", file=sys.stderr, flush=True)
    done = subprocess.run(
        [sys.executable, str(HERE / script), *arguments], env=environment, check=False
    )
    if done.returncode:
        raise SystemExit(f"{script} under Keras {release} ended with {done.returncode}")


def saved(release: str, results: Path, names: Sequence[str]) -> list[Path]:
    folder = results / "files" / release
    child(release, "save.py", str(folder), *names)
    every = sorted(path for path in folder.glob("*/*") if path.suffix in (".keras", ".h5"))
    return [path for path in every if not names or path.name.partition(".")[0] in names]


def unsaved(release: str, results: Path) -> Iterator[Unsaved]:
    for line in (results / "files" / release / "saved.jsonl").read_text().splitlines():
        group, name, why = json.loads(line)
        if why:
            yield Unsaved(release, group, name, why)


def seen(release: str, results: Path) -> list[Seen]:
    """Once every release has run: what one computes is compared with what another does."""
    entries = map(json.loads, (results / release / "judged.jsonl").read_text().splitlines())
    return [
        Seen(made, release, group, name, k=_distance(results, made, release, name), **told)
        for made, group, name, told in entries
    ]


def _distance(results: Path, made: str, release: str, name: str) -> float | None:
    paths = [results / side / f"{made}-{name}.npz" for side in (made, release)]
    if not all(path.is_file() for path in paths):
        return None
    with np.load(paths[0]) as before, np.load(paths[1]) as after:
        if not all(np.isfinite(before[key]).all() for key in before.files):
            return math.nan
        outcomes = [
            judge_local(key, 0, [after[key]], [before[key]], _precision(name))
            for key in before.files
        ]
    return max((np.inf if o.verdict == "nonfinite" else o.k or 0.0 for o in outcomes), default=0.0)


# -- the page -------------------------------------------------------------------------------

WORDS = (
    "same",
    "loads",
    "not finite",
    "computes otherwise",
    "loads otherwise",
    "does not run",
    "does not load",
)


def page(rows: Sequence[Seen], missing: Sequence[Unsaved], releases: Sequence[str]) -> str:
    models = {row.model for row in rows}
    lines = [
        "# Saved models, release by release",
        "",
        f"Written by `python benchmarks/saved_models.py`: {len(models)} architectures, saved by "
        f"Keras {', '.join(releases)} on jax, loaded and run by each. *same*: what the model "
        "computes on made inputs is within the default tolerance of what it computes under the "
        "release that saved it (k 64 in float32, 5 in bfloat16). *loads*: there is no such number, "
        "since the release that saved it does not run it.",
        "",
    ]
    for (group, suffix), title in GROUPS.items():
        these = [row for row in rows if (row.group, row.suffix) == (group, suffix)]
        gone = [entry for entry in missing if entry.group == group and _in(entry, suffix)]
        if these:
            names = sorted({row.model for row in these}, key=str.lower)
            lines += [f"## {title}", "", f"{len(names)} models: {', '.join(names)}.", ""]
            lines += [*_counts(these, gone, releases), "", *_exceptions(these, gone), ""]
    return "\n".join(lines).rstrip() + "\n"


def _in(entry: Unsaved, suffix: str) -> bool:
    """Whether it is this format that is not written."""
    return "is not saved" not in entry.why or f".{suffix} is not saved" in entry.why


def _counts(
    rows: Sequence[Seen], missing: Sequence[Unsaved], releases: Sequence[str]
) -> Iterator[str]:
    heads = [f"loaded by {release}" for release in releases]
    yield f"| saved by | not saved | {' | '.join(heads)} |"
    yield "|---" * (len(releases) + 2) + "|"
    for made in releases:
        cells = [str(sum(entry.saved == made for entry in missing) or "")]
        for release in releases:
            these = [row.word for row in rows if (row.saved, row.loaded) == (made, release)]
            counts = Counter(these)
            cells.append(", ".join(f"{counts[word]} {word}" for word in WORDS if counts[word]))
        yield f"| {made} | {' | '.join(cells)} |"


def _exceptions(rows: Sequence[Seen], missing: Sequence[Unsaved]) -> Iterator[str]:
    """What is not *same*, by its reason: what, why, where, which models."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for entry in missing:
        found.setdefault(("is not saved", _shown(entry.why)), []).append((entry.saved, entry.model))
    for row in rows:
        if row.word not in ("same", "loads"):
            pair = f"{row.saved} → {row.loaded}"
            found.setdefault((row.word, _why(row)), []).append((pair, row.model))
    if not found:
        return
    yield "| what | why | saved by → loaded by | models |"
    yield "|---|---|---|---|"
    for (word, why), these in sorted(found.items(), key=lambda item: -len(item[1])):
        pairs, models = (dict.fromkeys(names) for names in zip(*these, strict=True))
        yield f"| {word} | {why} | {_short(pairs)} | {_short(models)} |"


def _short(names: Iterable[str], most: int = 5) -> str:
    every = list(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return f"{', '.join(every[:most])}{more}"


def _why(row: Seen) -> str:
    if row.word == "computes otherwise":
        return "beyond its tolerance"
    if row.word == "not finite":
        return "what it computes under the release that saved it is not finite, and says nothing"
    return _shown(row.loads or (row.faults[0] if row.faults else row.runs) or "")


def _shown(why: str) -> str:
    text = (
        " ".join(PLACE.sub("", why).split()).replace("|", "\\|").replace("`", "'").replace("<", "‹")
    )
    return text if len(text) <= 110 else f"{text[:109]}…"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--releases", default=RELEASES)
    parser.add_argument("--results", type=Path, default=Path(".saved"))
    parser.add_argument("--output", type=Path, default=Path("docs/saved-models.md"))
    parser.add_argument("--only", default="", help="names of models, with commas")
    asked = parser.parse_args()
    releases, names = asked.releases.split(","), [name for name in asked.only.split(",") if name]
    asked.results.mkdir(parents=True, exist_ok=True)
    files = [path for release in releases for path in saved(release, asked.results, names)]
    for release in releases:
        child(release, "judge.py", str(asked.results / release), *map(str, files))
    rows = [row for release in releases for row in seen(release, asked.results)]
    missing = [entry for release in releases for entry in unsaved(release, asked.results)]
    asked.output.write_text(page(rows, missing, releases), encoding="utf-8")
    counts = Counter(row.word for row in rows)
    print(", ".join(f"{counts[word]} {word}" for word in WORDS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
