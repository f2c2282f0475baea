"""The backends that tests are parametrized by: what is not in the core's environment is marked."""

from __future__ import annotations

import pytest

IMPORTED = [
    pytest.param("torch", marks=pytest.mark.torch),
    pytest.param("tensorflow", marks=pytest.mark.tensorflow),
]
TRAINING = ["jax", *IMPORTED]
"""Those that Keras trains on."""

EVERY = ["jax", "numpy", *IMPORTED]
