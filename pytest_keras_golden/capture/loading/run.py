"""A loaded model called on one case of inputs."""

from __future__ import annotations

from typing import Any

from ...errors import GoldenError, SavedModelError
from ...saved.formats import ModelFile
from ...saved.inputs.made import InputCase
from ..backends.nest import exchanged
from .load import one_line


def called(model: Any, case: InputCase, file: ModelFile) -> Any:
    """Raises SavedModelError where the model does not run on them."""
    try:
        return model(exchanged(case.argument, _tensor))
    except GoldenError:
        raise
    except Exception as error:
        shapes = ", ".join(f"{k} {a.dtype}{list(a.shape)}" for k, a in case.arrays.items())
        raise SavedModelError(
            f"{file.name} does not run on the {case.name} inputs ({shapes}): {one_line(error)}",
            "Bring inputs that it takes: np.savez('NAME.inputs.npz', …) beside it, or "
            "--golden-inputs=FILE.",
            file.path,
        ) from error


def _tensor(array: Any) -> Any:
    if array.dtype.kind not in "OUS":
        return array
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.constant(array.astype(str))
    return array
