"""Saved models through the runtimes of their exports, and faults put into exports, as a page.

Every model of benchmarks/exported/models.py goes through one gate for each backend and runtime:
what Keras computes against what the runtime makes of `model.export`. Then exporters are made to
write faults (benchmarks/exported/faults.py), which a gate has to find and to blame on their layers.

    python benchmarks/exports.py [--only tensorflow:onnx,…] [--results .exported]
                                 [--output docs/exports.md]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent / "exported"
PAIRS = (
    *("tensorflow:savedmodel", "tensorflow:onnx", "tensorflow:litert", "tensorflow:openvino"),
    *("torch:onnx", "torch:openvino", "jax:savedmodel"),
)
LIMIT = 64.0
BEGIN, END = "<!-- table -->", "<!-- end of table -->"


def folder_of_models(place: Path, faults: bool = False) -> Path:
    """With the models and an ini file that collects them; for faults with what injects them."""
    if place.exists():
        return place
    place.mkdir(parents=True)
    (place / "pytest.ini").write_text("[pytest]\ngolden_models = *.keras\n")
    script = HERE / ("faults.py" if faults else "models.py")
    subprocess.run([sys.executable, str(script), str(place)], check=True)
    return place


def gate(backend: str, runtime: str, place: Path, result: Path) -> dict[str, Any]:
    """The gate's JSON; of one that could not be, what it said."""
    sides = ("run=keras", f"run={runtime}", "--json", str(result))
    # What Keras computes is recorded once for a backend.
    keep = ("--keep", str(result.parent / f"kept-{place.name}-{backend}"), "--jobs", "1")
    done = subprocess.run(
        [sys.executable, "-m", "pytest_keras_golden.cli", "gate", *sides, *keep, "--", "."],
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONDONTWRITEBYTECODE": ""},
        cwd=place,
        text=True,
        capture_output=True,
        check=False,
    )
    if done.returncode == 2:
        said = done.stderr.partition("keras-golden: ")[2]
        result.write_text(json.dumps({"refused": said.strip(), "tests": []}))
    read: dict[str, Any] = json.loads(result.read_text())
    return read


def table(results: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """A row a model, a column a backend and runtime; reasons below it."""
    names = sorted({t["nodeid"] for r in results.values() for t in r["tests"]})
    yield "| model | " + " | ".join(pair.replace(":", " → ") for pair in results) + " |"
    yield "|---" * (len(results) + 1) + "|"
    reasons: dict[str, int] = {}
    for name in names:
        cells = [cell(results[pair], name, reasons) for pair in results]
        yield f"| {name.partition('.')[0]} | " + " | ".join(cells) + " |"
    yield ""
    yield from (f"{number}. {reason}" for reason, number in reasons.items())


def cell(result: Mapping[str, Any], name: str, reasons: dict[str, int]) -> str:
    if "refused" in result:
        return noted(result["refused"], reasons)
    test = next(t for t in result["tests"] if t["nodeid"] == name)
    ks = [n["k"] for n in test["numbers"].values() if isinstance(n["k"], float)]
    if test["status"] in ("holds", "moved") and ks:
        blamed = f", blames {', '.join(test['local_drift'])}" if test["local_drift"] else ""
        return f"{max(ks) / LIMIT:.2g}{' **moved**' if test['status'] == 'moved' else ''}{blamed}"
    return noted(re.sub(r"^\S+ on the \w+ inputs: ", "", test["reason"] or ""), reasons)


def noted(reason: str, reasons: dict[str, int]) -> str:
    plain = re.sub(r"/\S*keras-golden-\w+/", "", " ".join(reason.split()))
    plain = re.sub(r"\b\w+_\d+(_\d+)?/", "", plain)[:200].replace("|", "\\|").replace("<", "‹")
    return f"({reasons.setdefault(plain, len(reasons) + 1)})"


def fault_table(result: Mapping[str, Any]) -> Iterator[str]:
    sys.path.insert(0, str(HERE))
    from faults import FAULTS

    yield "| fault in the ONNX | layer | found | k, in tolerances | blamed |"
    yield "|---|---|---|---|---|"
    for name, fault in FAULTS.items():
        test = next(t for t in result["tests"] if t["nodeid"].startswith(f"{name}."))
        ks = [n["k"] for n in test["numbers"].values() if isinstance(n["k"], float)]
        blamed = sorted({layer.partition("/")[2] for layer in test["local_drift"]})
        found = "yes" if test["status"] == "moved" else test["status"]
        size = f"{max(ks, default=0.0) / LIMIT:.3g}"
        yield f"| {fault.said} | {fault.layer} | {found} | {size} | {', '.join(blamed)} |"


def written(page: Path, lines: Sequence[str]) -> None:
    """Between the marks of the page, which says the rest by hand."""
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    text = before + "\n".join([BEGIN, *lines, END]) + after
    page.write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join((*PAIRS, "faults")))
    parser.add_argument("--results", type=Path, default=Path(".exported"))
    parser.add_argument("--output", type=Path, default=Path("docs/exports.md"))
    arguments = parser.parse_args()
    place = arguments.results.resolve()
    for pair in arguments.only.split(","):
        is_fault = pair == "faults"
        backend, _, runtime = ("tensorflow:onnx" if is_fault else pair).partition(":")
        models = folder_of_models(place / ("faults" if is_fault else "models"), is_fault)
        result = gate(backend, runtime, models, place / f"{pair.replace(':', '-')}.json")
        print(pair, [(t["nodeid"], t["status"]) for t in result["tests"]], flush=True)
    named = {pair: place / f"{pair.replace(':', '-')}.json" for pair in (*PAIRS, "faults")}
    results = {pair: json.loads(f.read_text()) for pair, f in named.items() if f.exists()}
    faults = results.pop("faults", None)
    lines = list(table(results))
    if faults is not None:
        lines += ["", *fault_table(faults)]
    print("\n".join(lines))
    written(arguments.output, lines)


if __name__ == "__main__":
    main()
