"""Models saved by one release of Keras and loaded by another, written to a Markdown table.

Every model of benchmarks/saved is saved under each release, then loaded, judged by its file and run
under each. What it computes is compared with the release that saved it, in units of its precision.

    python benchmarks/saved_models.py [--releases 3.0.5,…] [--results .saved] [--large]
                                      [--output docs/saved-models.md]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pytest_keras_golden.compare.isolation import judge_local
from pytest_keras_golden.stacks.overlay.folder import overlay_environment
from pytest_keras_golden.stacks.overlay.neighbours import ensure_runnable

RELEASES = "3.0.5,3.5.0,3.10.0,3.15.1"
HERE = Path(__file__).resolve().parent / "saved"
LIMITS = {"float32": 64.0, "bfloat16": 5.0}
LOW = ("bfloat16",)
"""Models that compute in bfloat16."""
LARGE = (
    *("MobileNet", "MobileNetV2", "MobileNetV3Small", "ResNet50", "ResNet50V2", "VGG16"),
    *("DenseNet121", "EfficientNetB0", "EfficientNetV2B0", "Xception", "InceptionV3"),
    *("NASNetMobile", "ConvNeXtTiny"),
)


@dataclass(frozen=True)
class Seen:
    """One file under one release. loads, runs: why not. k: how far from the release that saved it,
    in units of the limit; None where that one does not run it."""

    saved: str
    loaded: str
    file: str
    loads: str | None
    faults: Sequence[str] = ()
    runs: str | None = None
    uncompiled: str | None = None
    k: float | None = None

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
        limit = LIMITS["bfloat16" if self.file.split(".")[0] in LOW else "float32"]
        return "same" if self.k <= limit else "computes otherwise"


def child(release: str, script: str, *arguments: str) -> Iterator[list[Any]]:
    """The JSON lines of a script under a release."""
    overlay = ensure_runnable("keras", release)
    environment = {"KERAS_BACKEND": "jax", **os.environ, **overlay_environment([overlay])}
    package = str(HERE.parent.parent)
    environment["PYTHONPATH"] = f"{environment['PYTHONPATH']}{os.pathsep}{package}"
    command = [sys.executable, str(HERE / script), *arguments]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{script} under Keras {release} ended with {done.returncode}")
    lines = (line for line in done.stdout.splitlines() if line.startswith("["))
    yield from map(json.loads, lines)


def saved(release: str, results: Path, names: Sequence[str]) -> list[Path]:
    folder = results / "files" / release
    if not folder.is_dir():
        for name, why in child(release, "save.py", str(folder), *names):
            if why:
                print(f"Keras {release} does not save {name}: {why}")
    return sorted(path for path in folder.iterdir() if path.suffix in (".keras", ".h5"))


def run(release: str, results: Path, files: Sequence[Path]) -> None:
    log = results / f"{release}.jsonl"
    if not log.is_file():
        out = results / "outputs" / release
        told = [*child(release, "judge.py", str(out), *map(str, files))]
        log.write_text("".join(json.dumps(entry) + "\n" for entry in told))


def seen(release: str, results: Path) -> list[Seen]:
    """Once every release has run: what one computes is compared with what another does."""
    entries = map(json.loads, (results / f"{release}.jsonl").read_text().splitlines())
    return [
        Seen(made, release, name, k=_distance(results, made, release, name), **told)
        for made, name, told in entries
    ]


def _distance(results: Path, made: str, release: str, name: str) -> float | None:
    paths = [results / "outputs" / side / f"{made}-{name}.npz" for side in (made, release)]
    if not all(path.is_file() for path in paths):
        return None
    precision = "bfloat16" if name.split(".")[0] in LOW else "float32"
    with np.load(paths[0]) as before, np.load(paths[1]) as after:
        ks = [
            judge_local(key, 0, [after[key]], [before[key]], precision).k or 0.0
            for key in before.files
        ]
    return max(ks, default=0.0)


# -- the page -------------------------------------------------------------------------------

WORDS = ("same", "loads", "computes otherwise", "loads otherwise", "does not run", "does not load")


def page(rows: Sequence[Seen], releases: Sequence[str]) -> str:
    models = {row.file.split(".")[0] for row in rows}
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
    for suffix in sorted({row.file.rpartition(".")[2] for row in rows}, reverse=True):
        lines += [f"## `.{suffix}`", "", *_counts(rows, releases, suffix), ""]
        lines += [*_exceptions(rows, suffix), ""]
    return "\n".join(lines).rstrip() + "\n"


def _counts(rows: Sequence[Seen], releases: Sequence[str], suffix: str) -> Iterator[str]:
    yield f"| saved by | {' | '.join(f'loaded by {release}' for release in releases)} |"
    yield "|---" * (len(releases) + 1) + "|"
    for made in releases:
        cells = []
        for release in releases:
            these = [
                row.word
                for row in rows
                if (row.saved, row.loaded) == (made, release) and row.file.endswith(f".{suffix}")
            ]
            counts = Counter(these)
            cells.append(", ".join(f"{counts[word]} {word}" for word in WORDS if counts[word]))
        yield f"| {made} | {' | '.join(cells)} |"


def _exceptions(rows: Sequence[Seen], suffix: str) -> Iterator[str]:
    found: dict[tuple[str, str], list[Seen]] = {}
    for row in rows:
        if row.file.endswith(f".{suffix}") and row.word not in ("same", "loads"):
            found.setdefault((row.word, _why(row)), []).append(row)
    if not found:
        return
    yield "| what | why | saved by → loaded by | models |"
    yield "|---|---|---|---|"
    for (word, why), these in sorted(found.items(), key=lambda item: -len(item[1])):
        pairs = dict.fromkeys(f"{row.saved} → {row.loaded}" for row in these)
        models = dict.fromkeys(row.file.split(".")[0] for row in these)
        yield f"| {word} | {why} | {_short(pairs)} | {_short(models)} |"


def _short(names: Iterable[str], most: int = 5) -> str:
    every = list(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return f"{', '.join(every[:most])}{more}"


def _why(row: Seen) -> str:
    if row.word == "computes otherwise":
        return "beyond its tolerance"
    text = row.loads or (row.faults[0] if row.faults else row.runs) or ""
    text = " ".join(text.split()).replace("|", "\\|").replace("`", "'").replace("<", "‹")
    return text if len(text) <= 110 else f"{text[:109]}…"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--releases", default=RELEASES)
    parser.add_argument("--results", type=Path, default=Path(".saved"))
    parser.add_argument("--output", type=Path, default=Path("docs/saved-models.md"))
    parser.add_argument("--large", action="store_true", help="keras.applications as well")
    asked = parser.parse_args()
    releases = asked.releases.split(",")
    asked.results.mkdir(parents=True, exist_ok=True)
    names = ("--all", *LARGE) if asked.large else ()
    files = [path for release in releases for path in saved(release, asked.results, names)]
    for release in releases:
        run(release, asked.results, files)
    rows = [row for release in releases for row in seen(release, asked.results)]
    asked.output.write_text(page(rows, releases), encoding="utf-8")
    counts = Counter(row.word for row in rows)
    print(", ".join(f"{counts[word]} {word}" for word in WORDS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
