"""Switches of an inner run: set before its modules are imported, and read back where Keras says.

Only for the inner runs of the version commands: a suite of one's own sets what it wants.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from ..errors import StackError
from ..release import KERAS_2
from ..stack import current_device, flash_attention, global_policy, import_keras, keras_2
from ..stacks.switches import asked

_OF_KERAS = ("policy", "flash", "jit")


def set_switches(switches: Mapping[str, str]) -> None:
    """Set what the environment alone does not; whoever runs a model asks for `run`.

    Raises StackError for what this Keras or this machine cannot be set to.
    """
    if "threads" in switches:
        _keep_to_processors(int(switches["threads"]))
    # Told at once where it cannot be imported.
    keras_2()
    if not any(name in switches for name in _OF_KERAS):
        return
    keras = import_keras()
    for name in _OF_KERAS:
        if name in switches:
            _SETTERS[name](keras, switches[name])


def read_switches(switches: Mapping[str, str]) -> dict[str, str | None]:
    """What each switch is at now, in the words that it is set with."""
    return {name: _read(name) for name in switches}


def _read(name: str) -> str | None:
    if name.startswith("env."):
        return os.environ.get(name.removeprefix("env."))
    if name == "threads":
        return str(_threads())
    return str(_READERS[name](import_keras()))


def _keep_to_processors(count: int) -> None:
    """Pools of threads are sized by the processors that the process may run on."""
    if not hasattr(os, "sched_setaffinity"):
        return
    allowed = sorted(os.sched_getaffinity(0))
    if count > len(allowed):
        raise StackError(
            f"this process may run on no more than {len(allowed)} of the processors.",
            f"Ask for fewer: threads={len(allowed)}",
        )
    os.sched_setaffinity(0, allowed[:count])


def _threads() -> int:
    torch = sys.modules.get("torch")
    if torch is not None and os.environ.get("KERAS_BACKEND") == "torch":
        return int(torch.get_num_threads())
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return int(os.environ.get("OMP_NUM_THREADS", "0"))


def _set_policy(keras: ModuleType, value: str) -> None:
    config = getattr(keras, "config", None)
    set_policy = getattr(config, "set_dtype_policy", None)
    try:
        (set_policy or keras.mixed_precision.set_dtype_policy)(value)
    except (ValueError, TypeError) as error:
        raise StackError(
            f"Keras {keras.__version__} knows no dtype policy {value!r}: "
            f"{' '.join(str(error).split())[:200]}",
            "Examples: policy=bfloat16, policy=mixed_bfloat16",
        ) from error


def _set_flash(keras: ModuleType, value: str) -> None:
    name = "enable_flash_attention" if value == "on" else "disable_flash_attention"
    switch = getattr(getattr(keras, "config", None), name, None)
    if switch is None:
        raise StackError(
            f"Keras {keras.__version__} has no switch for flash attention (keras.config.{name}).",
            "Leave flash= out, or compare releases that have it: 3.8.0 or newer.",
        )
    backend = keras.backend.backend()
    if value == "on" and current_device(backend) == "cpu":
        raise StackError(
            f"flash=on: Keras' {backend} backend has no flash attention on this machine (cpu).",
            "Compare on a machine with a GPU, or take flash=off.",
        )
    switch()


def _set_jit(keras: ModuleType, value: str) -> None:
    """Every model compiles its steps, or none does, whatever its `compile` was told."""
    from keras.src.trainers.trainer import Trainer

    wanted = value == "on"
    if wanted and keras.backend.backend() not in ("jax", "tensorflow", "torch"):
        raise StackError(
            f"jit=on: Keras' {keras.backend.backend()} backend compiles nothing.",
            "Leave jit= out there.",
        )

    def ignored(self: Any, _: object) -> None:
        """What `compile(jit_compile=…)` asks for is not what this run is to have."""

    Trainer.jit_compile = property(lambda self: wanted, ignored)


def _flash(keras: ModuleType) -> str:
    value = flash_attention(keras)
    return "as it is" if value is None else _on_off(value)


def _jit(keras: ModuleType) -> str:
    return _on_off(keras.Sequential([]).jit_compile)


def _on_off(value: object) -> str:
    return "on" if value else "off"


_SETTERS: Mapping[str, Callable[[ModuleType, str], None]] = {
    "policy": _set_policy,
    "flash": _set_flash,
    "jit": _set_jit,
}
_READERS: Mapping[str, Callable[[Any], object]] = {
    "framework": lambda keras: "keras" if keras_2() is None else KERAS_2,
    "backend": lambda keras: keras.backend.backend(),
    "policy": global_policy,
    "flash": _flash,
    "jit": _jit,
    "run": lambda keras: asked().get("run"),
}
