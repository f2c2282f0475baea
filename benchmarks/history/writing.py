"""The scripts that record what the running Keras computes to a safetensors file.

Run once per release and backend: `python SCRIPT OUT.safetensors`. With `POLICY|CASE` behind it,
these alone are run, and their twins are written as well: the same in float64. Why some cannot be
run is written beside them.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from safetensors.numpy import save_file

Arrays = Mapping[str, np.ndarray[Any, Any]]
Run = Callable[[str, str], Arrays]
"""(policy, case) to its arrays by name."""


def write(arguments: Sequence[str], every: Sequence[str], outputs: Run, twins: Run) -> None:
    """arguments: of the command line. every: keys of the cases that are run without a choice."""
    warnings.simplefilter("ignore")
    place, *chosen = arguments
    arrays, failed = {}, {}
    for kind, key, made in _recorded(chosen or every, outputs, twins if chosen else None):
        if isinstance(made, str):
            failed[f"{kind}|{key}"] = made
        else:
            arrays.update({f"{kind}|{key}|{name}": array for name, array in made.items()})
    metadata = {"keras": keras.__version__, "failed": json.dumps(failed)}
    save_file(arrays, place, metadata)


def _recorded(
    keys: Sequence[str], outputs: Run, twins: Run | None
) -> Iterator[tuple[str, str, Arrays | str]]:
    """(kind, key, arrays or why there are none); kind: `output` or `twin`."""
    for key in keys:
        yield "output", key, _tried(outputs, key)
        if twins is not None:
            yield "twin", key, _tried(twins, key)


def _tried(run: Run, key: str) -> Arrays | str:
    policy, case = key.split("|")
    try:
        return run(policy, case)
    except Exception as error:
        return f"{type(error).__name__}: {str(error)[:300]}"
