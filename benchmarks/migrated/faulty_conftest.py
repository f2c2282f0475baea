"""Beside files that the side of Keras 3 is to load otherwise: copied there as `conftest.py`.

Repaired there alone, where Keras 2 cannot do without what Keras 3 refuses.
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

if os.environ.get("KERAS_GOLDEN_FRAMEWORK") != "tf_keras":
    import keras
    from migrated.edited import edited, fault, repair

    load = keras.saving.load_model

    def load_model(path, **kwargs):
        with TemporaryDirectory() as folder:
            copy = Path(folder) / Path(path).name
            edited(Path(path), copy, repair)
            edited(copy, copy, lambda layer: fault(layer, copy.stem))
            return load(str(copy), **kwargs)

    keras.saving.load_model = load_model
