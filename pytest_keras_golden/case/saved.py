"""The life of a saved model's test: read, loaded, judged by its file, run on inputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..compare.counterparts import of_two_families, without_counterpart
from ..errors import CaptureError, SavedModelError
from ..outcomes import UNCOMPILED, UNCOVERED, is_blamed
from ..saved.formats import ModelFile
from ..stacks.switches import KERAS, asked
from .against import CaseGolden
from .fixture import GoldenTensors

if TYPE_CHECKING:
    from ..capture.export.artefact import Exporter
    from ..records import Array
    from ..saved.contents import SavedContents
    from ..saved.inputs.made import InputCase
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
    cases = cases_of(file, contents, described(model, contents), case.settings.inputs)
    runner = asked().get("run")
    if runner is not None:
        _Elsewhere(case, file, model, runner).run(cases)
        return
    coverage = Coverage()
    for inputs in cases:
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


class _Elsewhere:
    """A model whose outputs alone are compared, since one side has them from another runtime."""

    def __init__(self, case: Case, file: ModelFile, model: Any, runner: str) -> None:
        from ..capture.export.artefact import Exporter
        from ..capture.export.blame import precision_of
        from ..capture.export.runtimes import RUNTIMES

        self._case, self._file, self._model = case, file, model
        self._exporter = None if runner == KERAS else Exporter(RUNTIMES[runner])
        self._precision = precision_of(model)

    def run(self, cases: Iterable[InputCase]) -> None:
        for inputs in cases:
            self._run(inputs)
        exporter = self._exporter
        if exporter is not None and exporter.fixed is not None:
            title, why = exporter.runtime.title, exporter.fixed
            self._case.remarks.append(f"{title} with fixed input shapes only: {why}")

    def _run(self, inputs: InputCase) -> None:
        from ..capture.export.blame import exact, numbers
        from ..capture.loading.run import called

        def by_keras() -> Any:
            return called(self._model, inputs, self._file)

        wanted = numbers(by_keras())
        recording = CaseGolden(self._case).recording
        better = exact(by_keras, self._model, self._precision) if recording else None
        if self._exporter is None:
            self._check(inputs.name, wanted, self._precision, better)
            return
        self._export(self._exporter, inputs, wanted, better)

    def _export(
        self,
        exporter: Exporter,
        inputs: InputCase,
        wanted: Sequence[Array],
        better: Sequence[Array] | None,
    ) -> None:
        from ..capture.examine import Examined
        from ..capture.export.artefact import feed_of
        from ..capture.export.blame import agreement, alike, blame
        from ..capture.tap.precision import coarsest

        feed = feed_of(self._model, inputs.arrays, inputs.argument)
        try:
            answer = exporter.answer(self._model, feed)
        except CaptureError as error:
            problem = f"{self._file.name} on the {inputs.name} inputs: {error.problem}"
            raise SavedModelError(problem, error.fix, self._file.path) from error
        pairs = zip_longest(answer.outputs, wanted)
        outputs = [a if g is None or a is None else alike(a, g)[0] for a, g in pairs]
        precision = coarsest((self._precision, answer.precision))
        moved = self._check(inputs.name, [a for a in outputs if a is not None], precision, better)
        if not moved or self._case.exported:
            return
        own = agreement(inputs.name, 0, answer, wanted, self._precision)
        if not is_blamed(own):
            title = exporter.runtime.title
            self._case.remarks.append(
                f"on the {inputs.name} inputs {title} returns what Keras itself does here: it is "
                "not the export that moved"
            )
            return
        found = blame(self._model, feed, exporter, self._precision)
        locals_ = tuple(replace(o, name=f"{inputs.name}/{o.name}") for o in found.locals)
        self._case.exported[inputs.name] = Examined(inputs.name, found.isolation, locals_)

    def _check(
        self,
        name: str,
        outputs: Sequence[Array],
        precision: str,
        better: Sequence[Array] | None,
    ) -> bool:
        """Whether any is beyond its tolerance."""
        tensors, before = GoldenTensors(self._case), set(self._case.records)
        for at, array in enumerate(outputs):
            called = f"{name}/output" if len(outputs) == 1 else f"{name}/output_{at}"
            fits = better is not None and at < len(better) and better[at].shape == array.shape
            exact = better[at] if fits and better is not None else None
            floating = array.dtype.kind not in "iub"
            tensors.check(called, array, reference=exact, precision=precision if floating else None)
        added = [record for key, record in self._case.records.items() if key not in before]
        return CaseGolden(self._case).beyond(added)


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
