"""Saves models under the release of Keras that is first on the path: `save.py FOLDER [NAME…]`.

FOLDER/saved.jsonl has a line per model: its group, its name, and why it does not build or save
there; what has a line already is not saved again.
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import applications
import architectures
import backbones
import keras

from pytest_keras_golden.capture.loading.load import one_line
from pytest_keras_golden.capture.state.weights import fill_weights

GROUPS: dict[str, tuple[dict[str, Callable[[], Any]], tuple[str, ...]]] = {
    "small": (architectures.MODELS, (".keras", ".h5")),
    "applications": (applications.MODELS, (".keras",)),
    "hub": (backbones.MODELS, (".keras",)),
}
PRETRAINED = ("MiniLM",)


def save(
    name: str, build: Callable[[], Any], folder: Path, suffixes: tuple[str, ...]
) -> str | None:
    keras.utils.set_random_seed(0)
    try:
        model = build()
        if name not in PRETRAINED:
            fill_weights(model)
        if name in applications.MODELS:
            applications.calibrate(model)
    except Exception as error:
        return f"does not build: {one_line(error)}"
    failed = []
    folder.mkdir(parents=True, exist_ok=True)
    for suffix in suffixes:
        path = folder / f"{name}{suffix}"
        try:
            model.save(path)
        except Exception as error:
            path.unlink(missing_ok=True)
            failed.append(f"{suffix} is not saved: {one_line(error)}")
    return "; ".join(failed) or None


def main(folder: Path, asked: list[str]) -> None:
    log = folder / "saved.jsonl"
    done = {json.loads(line)[1] for line in log.read_text().splitlines()} if log.is_file() else ()
    for group, (models, suffixes) in GROUPS.items():
        for name, build in models.items():
            if name in done or (asked and name not in asked):
                continue
            why = save(name, build, folder / group, suffixes)
            keras.utils.clear_session()
            with log.open("a") as file:
                file.write(json.dumps([group, name, why]) + "\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    main(folder, sys.argv[2:])
