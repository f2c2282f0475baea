"""Saves models under the release of Keras that is first on the path: `save.py FOLDER [NAME…]`.

Prints a line of JSON per model: its name, and why it does not build or save there.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import architectures
import keras

from pytest_keras_golden.capture.state.weights import fill_weights

FORMATS = (".keras", ".h5")


def save(name: str, folder: Path) -> str | None:
    keras.utils.set_random_seed(0)
    build = {**architectures.MODELS, **architectures.LARGE}[name]
    try:
        model = build()
        fill_weights(model)
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0][:120] if str(error) else ''}"
    failed = []
    for suffix in FORMATS if name in architectures.MODELS else FORMATS[:1]:
        try:
            model.save(folder / f"{name}{suffix}")
        except Exception as error:
            failed.append(f"{suffix}: {type(error).__name__}")
    return "; ".join(failed) or None


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    asked = sys.argv[2:]
    every = [*architectures.MODELS, *asked[1:]] if asked[:1] == ["--all"] else asked
    for name in every or architectures.MODELS:
        print(json.dumps([name, save(name, folder)]), flush=True)
