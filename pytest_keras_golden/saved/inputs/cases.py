"""The cases in which a saved model is run: the user's, else made ones."""

from __future__ import annotations

from pathlib import Path

from ...errors import SavedModelError
from ..contents import SavedContents
from ..formats import ModelFile
from .brought import brought_case, inputs_beside
from .description import Description
from .made import InputCase, made_cases


def cases_of(
    file: ModelFile, contents: SavedContents, described: Description | None, given: Path | None
) -> list[InputCase]:
    """given: `--golden-inputs`. Raises SavedModelError where nothing tells what the model takes."""
    brought = given or inputs_beside(file)
    if brought is not None:
        return [brought_case(brought, described)]
    if described is None:
        raise SavedModelError(
            f"{file.name} does not tell what inputs it takes",
            f"Bring some: np.savez('{file.path.stem.partition('.')[0]}.inputs.npz', x=…) beside "
            "it, or --golden-inputs=FILE.",
            file.path,
        )
    return made_cases(described, contents)
