"""Loads saved models under the release that is first on the path: `judge.py OUT FILE…`.

OUT/judged.jsonl has a line per file: whether it loads, what it holds otherwise than the file; what
it computes on made inputs lies in OUT, a folder of npz files. Files with a line are left alone.
"""

from __future__ import annotations

import importlib
import json
import sys
import warnings
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np

from pytest_keras_golden.capture.backends import to_numpy
from pytest_keras_golden.capture.backends.nest import flatten
from pytest_keras_golden.capture.loading.described import described
from pytest_keras_golden.capture.loading.judged import loading_faults
from pytest_keras_golden.capture.loading.load import load, one_line
from pytest_keras_golden.capture.loading.run import called
from pytest_keras_golden.errors import GoldenError
from pytest_keras_golden.saved.contents import read_contents
from pytest_keras_golden.saved.formats import ModelFile, format_of
from pytest_keras_golden.saved.inputs.cases import cases_of

HERE = Path(__file__).resolve().parent


@cache
def hub_fails() -> str | None:
    """Why keras-hub cannot be imported here. The first time counts: what an import that fails has
    registered by then would serve the files that come later, and no user's."""
    try:
        importlib.import_module("keras_hub")
    except ImportError as error:
        return one_line(error)
    return None


def judged(path: Path, out: Path) -> Mapping[str, Any]:
    if path.parent.name == "hub" and hub_fails() is not None:
        return {"loads": hub_fails()}
    kind = format_of(path)
    assert kind is not None
    file = ModelFile(path, path.name, kind)
    contents = read_contents(file)
    try:
        loaded = load(file, contents, objects=("own_layers",), root=HERE)
    except GoldenError as error:
        return {"loads": error.problem.partition(": ")[2][:200]}
    if loaded.uncompiled is not None:
        contents = replace(contents, training=None)
    faults = [f"{fault.name} {fault.said}" for fault in loading_faults(loaded.model, contents)]
    told = {"loads": None, "uncompiled": loaded.uncompiled, "faults": faults}
    arrays = {}
    try:
        for case in cases_of(file, contents, described(loaded.model, contents), None):
            for place, value in flatten(called(loaded.model, case, file)):
                arrays[f"{case.name}{place}"] = to_numpy(value).astype(np.float32)
    except GoldenError as error:
        return {**told, "runs": error.problem.partition("): ")[2][:200]}
    np.savez(out, **arrays)
    return told


def main(out: Path, files: list[Path]) -> None:
    log = out / "judged.jsonl"
    done = (
        {tuple(json.loads(line)[:3]) for line in log.read_text().splitlines()}
        if log.is_file()
        else ()
    )
    for path in files:
        # FILES/RELEASE/GROUP/NAME
        place = (path.parent.parent.name, path.parent.name, path.name)
        if place not in done:
            told = judged(path, out / f"{place[0]}-{path.name}.npz")
            keras.utils.clear_session()
            with log.open("a") as file:
                file.write(json.dumps([*place, told]) + "\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    main(out, list(map(Path, sys.argv[2:])))
