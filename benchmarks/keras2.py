"""Models of Keras 2 under Keras 3: which load, which agree, and who is to blame where they do not.

Writes the models of benchmarks/migrated/zoo.py with tf_keras, gates each as it is, repaired where
Keras 3 refuses what Keras 2 wrote, and as `.keras`; then with differences put into one side.

    python benchmarks/keras2.py [--old tf_keras==2.21.0] [--new keras==3.15.1] [--work .keras2]
                                [--output docs/keras2.md]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from migrated.edited import FAULTS, NEEDED, edited, repair

from pytest_keras_golden.stacks.overlay.folder import ensure_overlay, overlay_environment

HERE = Path(__file__).resolve().parent
ARCHIVES = ("dense", "batch_norm", "lstm", "attention")
"""Models whose `.keras` files are looked at too: graphs of Keras 2 all end alike."""

LOADS_NOT = "does not load"
Rows = Mapping[str, Mapping[str, Any]]
"""Stem of a file → the row of its test in the result of a gate."""


def write(work: Path, release: str) -> None:
    """The models, by the release of tf_keras."""
    for folder in ("h5", "keras"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    overlay = ensure_overlay("tf_keras", release)
    command = [sys.executable, "-W", "ignore", str(HERE / "migrated" / "zoo.py"), str(work)]
    environment = {**overlay_environment([overlay]), "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run(command, env=environment, check=True)
    for file in work.glob("*.h5"):
        file.replace(work / "h5" / file.name)
    for file in work.glob("*.keras"):
        if file.stem in ARCHIVES:
            file.replace(work / "keras" / file.name)


def gate(old: str, new: str, folder: Path) -> Rows:
    """The rows of a gate of every file in a folder."""
    found = folder / "gate.json"
    files = sorted(path.name for path in folder.iterdir() if path.suffix in (".h5", ".keras"))
    options = ["--no-culprit", "--jobs", "1", "--json", str(found)]
    package = os.pathsep.join([str(HERE), str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    subprocess.run(
        [sys.executable, "-m", "pytest_keras_golden.cli", "gate", old, new, *options, "--", *files],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": package.rstrip(os.pathsep)},
        check=False,
    )
    rows = json.loads(found.read_text(encoding="utf-8"))["tests"]
    return {re.sub(r"\.\w+::model$", "", row["nodeid"]): row for row in rows}


def repaired(work: Path, rows: Rows) -> Path:
    """Copies, without what Keras 3 refuses, of the files that do not load under it."""
    folder = work / "repaired"
    folder.mkdir(exist_ok=True)
    for name, row in rows.items():
        if LOADS_NOT in str(row["reason"]):
            change = _nothing if name in NEEDED else repair
            edited(work / "h5" / f"{name}.h5", folder / f"{name}.h5", change)
    shutil.copyfile(HERE / "migrated" / "faulty_conftest.py", folder / "conftest.py")
    return folder


def _nothing(layer: dict[str, Any]) -> None:
    """The side of Keras 3 repairs its own copy."""


def faulty(work: Path) -> Path:
    """Copies of which the side of Keras 3 loads another configuration."""
    folder = work / "faulty"
    folder.mkdir(exist_ok=True)
    for name, (model, *_) in FAULTS.items():
        own = work / "repaired" / f"{model}.h5"
        source = own if own.exists() else work / "h5" / f"{model}.h5"
        shutil.copyfile(source, folder / f"{name}.h5")
    shutil.copyfile(HERE / "migrated" / "faulty_conftest.py", folder / "conftest.py")
    return folder


# -- words ------------------------------------------------------------------------------------


def said(row: Mapping[str, Any] | None) -> str:
    """What a gate says of one file, for a cell of a table."""
    if row is None:
        return ""
    reason = str(row["reason"] or "")
    if LOADS_NOT in reason:
        return f"{LOADS_NOT}: {cut(reason.partition(': ')[2])}"
    words = [f"`{fault}`" for fault in loading(row)]
    told = f"loads otherwise: {', '.join(words)}" if words else ""
    moved = guilty(row)
    if moved:
        told += f"{'; ' if told else ''}differs at " + ", ".join(moved)
    if told:
        return told
    if row["status"] == "holds":
        return "agrees"
    return cut(f"{row['status']}: {reason}")


def loading(row: Mapping[str, Any]) -> list[str]:
    return [name for name, verdict in row["tensors"].items() if verdict == "loading"]


def guilty(row: Mapping[str, Any]) -> list[str]:
    """Layers that give other numbers of the same inputs, with the cause and how far."""
    blamed: dict[str, str] = {}
    for local in row["locals"]:
        if local["name"] in row["local_drift"]:
            name = local["name"].partition("/")[2]
            far = "" if local["k"] is None else f", k {local['k']:.2g}"
            blamed.setdefault(name, f"`{name}` ({local['cause'] or local['verdict']}{far})")
    return list(blamed.values())


def cut(text: str, length: int = 110) -> str:
    line = " ".join(text.split()).replace("|", "\\|").replace("<", "‹").replace(">", "›")
    return line if len(line) <= length else f"{line[: length - 1]}…"


def table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def models(h5: Rows, mended: Rows, archives: Rows) -> Iterator[Sequence[str]]:
    for name in sorted(h5):
        yield name, said(h5[name]), said(mended.get(name)), said(archives.get(name))


def faults(rows: Rows) -> Iterator[Sequence[str]]:
    for name, (model, layer, argument, value) in FAULTS.items():
        row = rows[name]
        named = any(re.search(rf"(^|/){layer}\b", fault) for fault in loading(row))
        blamed = any(f"`{counted(layer)}`" in local for local in guilty(row))
        found = "yes" if named or blamed else "NO"
        yield model, f"`{layer}.{argument}` = {value!r}", found, said(row)


def counted(layer: str) -> str:
    """A layer's name as structural names have it: automatic ones are counted."""
    if layer.startswith(("under_", "attend")):
        return layer
    stem, _, count = layer.rpartition("_")
    return f"{stem}#{count}" if count.isdecimal() else f"{layer}#0"


def summary(h5: Rows, mended: Rows, archives: Rows) -> str:
    return "\n".join(
        f"- {label}: {len(rows)} files, "
        + ", ".join(f"{sum(word(r) == w for r in rows.values())} {w}" for w in WORDS)
        for label, rows in (("`.h5`", h5), ("repaired", mended), ("`.keras`", archives))
    )


WORDS = ("agrees", "differs", "loads otherwise", LOADS_NOT, "other")


def word(row: Mapping[str, Any]) -> str:
    return next((w for w in WORDS if said(row).startswith(w)), "other")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--old", default="tf_keras==2.21.0")
    parser.add_argument("--new", default="keras==3.15.1")
    parser.add_argument("--work", type=Path, default=Path(".keras2"))
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    work, sides = arguments.work.resolve(), (arguments.old, arguments.new)
    write(work, arguments.old.partition("==")[2])
    h5 = gate(*sides, work / "h5")
    mended = gate(*sides, repaired(work, h5))
    archives = gate(*sides, work / "keras")
    put_in = gate(*sides, faulty(work))
    text = "\n\n".join(
        [
            f"{arguments.old} → {arguments.new}, backend {os.environ.get('KERAS_BACKEND')}:",
            summary(h5, mended, archives),
            table(("model", "`.h5`", "repaired", "`.keras`"), models(h5, mended, archives)),
            "Differences put into the side of Keras 3:",
            table(("model", "difference", "found", "said"), faults(put_in)),
        ]
    )
    print(text)
    if arguments.output is not None:
        page = arguments.output.read_text(encoding="utf-8")
        before, _, rest = page.partition(BEGIN)
        after = rest.partition(END)[2]
        arguments.output.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


BEGIN, END = "<!-- figures -->\n", "\n<!-- end of figures -->"

if __name__ == "__main__":
    main()
