"""The life of a saved model's test: read, loaded, judged by its file, run on inputs."""

from __future__ import annotations

from pathlib import Path

from ..config import Settings
from ..saved.formats import ModelFile
from .fixture import GoldenTensors

ALWAYS = "outputs"
"""Beside what `golden_select` names."""


def run_saved_model(
    tensors: GoldenTensors, file: ModelFile, settings: Settings, root: Path
) -> None:
    """Capture what the model of a file computes. root: where the user's modules are.

    Raises SavedModelError for a file that cannot be read, loaded or run.
    """
    from ..capture.loading.described import described
    from ..capture.loading.load import load
    from ..capture.loading.run import called
    from ..saved.cases import cases_of
    from ..saved.contents import read_contents

    contents = read_contents(file)
    model = load(
        file, contents, objects=settings.custom_objects, safe=settings.safe_mode, root=root
    )
    for case in cases_of(file, contents, described(model, contents), settings.inputs):
        with tensors.capture(model, name=case.name, select=(*settings.select, ALWAYS)):
            called(model, case, file)
