"""The life of a saved model's test: read, loaded, judged by its file, run on inputs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..compare.counterparts import of_two_families, without_counterpart
from ..outcomes import UNCOMPILED, UNCOVERED
from ..saved.formats import ModelFile
from .fixture import GoldenTensors

if TYPE_CHECKING:
    from ..saved.contents import SavedContents
    from .collected import Case

OUTPUTS, COMPILED = "outputs", "compiled"
"""Captured beside what `golden_select` names; checked of what was saved compiled."""


def run_saved_model(case: Case, file: ModelFile, root: Path) -> None:
    """Capture what the model of a file computes. root: where the user's modules are.

    Raises SavedModelError for a file that cannot be read, loaded or run.
    """
    from ..capture.loading.described import described
    from ..capture.loading.outputs import layer_outputs
    from ..capture.loading.run import called
    from ..saved.contents import read_contents
    from ..saved.inputs.cases import cases_of
    from ..saved.inputs.coverage import Coverage

    tensors, select = GoldenTensors(case), (*case.settings.select, OUTPUTS)
    contents = read_contents(file)
    model = _loaded(case, file, contents, root)
    coverage = Coverage()
    for inputs in cases_of(file, contents, described(model, contents), case.settings.inputs):
        with tensors.capture(model, name=inputs.name, select=select):
            called(model, inputs, file)
        if case.examines:
            coverage.add(layer_outputs(model, inputs, file))
    case.remarks += [f"{UNCOVERED}{line}" for line in coverage.degenerate()]
    _see_unmatched(case)


def _see_unmatched(case: Case) -> None:
    """Layers that were compared with nothing, where the golden is of another family of Keras."""
    golden = case.goldens.baseline()
    if golden is None:
        return
    header = golden.header
    if not of_two_families(header.stack.get("keras"), case.goldens.stack()["keras"]):
        return
    now = [call.name for block in case.blocks for call in block.calls]
    said = without_counterpart([call.name for call in header.calls], now)
    if said is not None:
        case.saw(True, {said: 1})


def _loaded(case: Case, file: ModelFile, contents: SavedContents, root: Path) -> Any:
    """The model, what it holds judged before anything runs."""
    import numpy as np

    from ..capture.loading.judged import loading_faults
    from ..capture.loading.load import load

    settings = case.settings
    loaded = load(
        file, contents, objects=settings.custom_objects, safe=settings.safe_mode, root=root
    )
    if contents.training is not None:
        # One release may be able to compile it, and another not.
        able = loaded.uncompiled is None
        GoldenTensors(case).check(COMPILED, np.array([able, not able], np.int32))
    if loaded.uncompiled is not None:
        case.remarks.append(f"{UNCOMPILED}{loaded.uncompiled}")
        contents = replace(contents, training=None)
    case.loading += loading_faults(loaded.model, contents)
    return loaded.model
