"""Write what every scenario of training gives under the running Keras (see `history.writing`)."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def main() -> None:
    if os.environ.get("KERAS_BACKEND") == "jax":
        _keep_arguments()
    # Keras takes `jax.jit` as it is imported.
    from history.writing import Arrays, write

    from training.computed import outputs, twins
    from training.scenarios import SCENARIOS, fits

    def computed(policy: str, name: str) -> Arrays:
        if name in fits.SCENARIOS:
            _compile_anew()
        return outputs(policy, name)

    keys = [f"{policy}|{name}" for name, one in SCENARIOS.items() for policy in one.policies]
    write(sys.argv[1:], keys, computed, twins)


def _keep_arguments() -> None:
    """jax compiles nothing that writes into its arguments, as steps of `fit` do to save memory.

    Such a program ends the process by a fault once it has been read from the cache of what was
    compiled (jax 0.4.38 and 0.5.3 on CPU)."""
    import jax

    compiled = jax.jit

    @functools.wraps(compiled)
    def jit(*arguments: Any, donate_argnums: Any = None, **options: Any) -> Any:
        return compiled(*arguments, **options)

    jax.jit = jit


@functools.cache
def _compile_anew() -> None:
    """From here on jax reads no program from its cache: the steps of `fit` that it had read ended
    the process in its collection of garbage even so (jax 0.5.3). The fits come last."""
    if os.environ.get("KERAS_BACKEND") != "jax":
        return
    import jax
    from jax._src import compilation_cache

    jax.config.update("jax_enable_compilation_cache", False)
    compilation_cache.reset_cache()


if __name__ == "__main__":
    main()
