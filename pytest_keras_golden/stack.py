"""What produced the numbers: versions, backend, device, CPU, threads, policy, switches."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import sys
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import StackError, nearest
from .release import KERAS_2

BACKENDS = ("jax", "torch", "tensorflow", "numpy", "openvino")
FRAMEWORK = "KERAS_GOLDEN_FRAMEWORK"
"""Environment variable of a gate's inner run whose models are those of `KERAS_2`."""

HARDWARE_KEYS = ("isa", "device", "threads", "platform")
"""Where these differ from the golden's, a drift is not attributable to Keras."""

_DISTRIBUTIONS = {
    "jax": ("jax", "jaxlib"),
    "torch": ("torch",),
    "tensorflow": ("tensorflow-cpu", "tensorflow"),
    "numpy": ("numpy",),
}


def import_keras() -> ModuleType:
    """`keras`, or a StackError that says which backend is missing and how to get one."""
    wanted = os.environ.get("KERAS_BACKEND", "")
    if wanted and wanted not in BACKENDS:
        raise StackError(f"KERAS_BACKEND={wanted!r} is no Keras backend", backend_to_set(wanted))
    try:
        return importlib.import_module("keras")
    except ImportError as error:
        raise StackError(
            f"Keras cannot be imported on {wanted or 'tensorflow, the default backend'}: {error}",
            backend_to_set(wanted),
        ) from error


def backend_to_set(wanted: str) -> str:
    """What to type instead: another backend, installed here, the one most like `wanted` alone."""
    here = [name for name in _PACKAGES if name != wanted and _is_installed(name)]
    alike = nearest(wanted, here)
    ways = " or ".join(f"export KERAS_BACKEND={name}" for name in alike or here)
    if wanted in _PACKAGES:
        or_another = f", or name one that is: {ways}" if ways else ""
        return f"It is not installed: pip install {_PACKAGES[wanted]}{or_another}"
    if not here:
        return "Install a backend and name it: pip install jax && export KERAS_BACKEND=jax"
    return f"Name a backend that is installed here: {ways}"


_PACKAGES = {"jax": "jax", "torch": "torch", "tensorflow": "tensorflow-cpu"}


def _is_installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):  # an import hook's, or a module without a spec
        return False


def keras_2() -> ModuleType | None:
    """`tf_keras` where this process runs models with it; None where Keras 3 does.

    Keras 3 is there all the same, on TensorFlow, and runs no model. Raises StackError where
    `tf_keras` or TensorFlow cannot be imported.
    """
    if os.environ.get(FRAMEWORK) != KERAS_2:
        return None
    try:
        return importlib.import_module(KERAS_2)
    except ImportError as error:
        raise StackError(
            f"{KERAS_2} cannot be imported: {error}",
            "It runs on TensorFlow of its own release: pip install tensorflow-cpu",
        ) from error


def framework() -> ModuleType:
    """What this process loads and runs models with."""
    return keras_2() or import_keras()


def keras_version() -> str:
    """Of the framework; no version but a name and a version of `tf_keras`, so that its goldens are
    nobody's baseline but their own."""
    old = keras_2()
    return str(import_keras().__version__) if old is None else f"{KERAS_2} {old.__version__}"


def running_stack(policy: str | None = None, device: str | None = None) -> dict[str, Any]:
    """The stack of the running test; `policy` and `device` where the captured model has its own."""
    keras = import_keras()
    backend = keras.backend.backend()
    return {
        "keras": keras_version(),
        "backend": backend,
        "backend_version": _distribution(*_DISTRIBUTIONS.get(backend, (backend,))),
        "keras_hub": _loaded_version("keras_hub"),
        "numpy": _distribution("numpy"),
        "device": device or current_device(backend),
        "isa": _isa(),
        "threads": _threads(),
        "dtype_policy": policy or global_policy(keras),
        "flash_attention": flash_attention(keras),
        "tf32": _tf32(backend),
        "platform": f"{sys.platform}-{platform.machine()}",
        "python": platform.python_version(),
    }


def stack_changes(
    golden: Mapping[str, Any], running: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """Key → (golden's value, running value), for each key that differs."""
    keys = [*golden, *(key for key in running if key not in golden)]
    return {
        key: (golden.get(key), running.get(key))
        for key in keys
        if golden.get(key) != running.get(key)
    }


def global_policy(keras: ModuleType) -> str:
    """The name of the process-wide dtype policy, on every 3.x release."""
    config = getattr(keras, "config", None)
    read = getattr(config, "dtype_policy", None) or keras.mixed_precision.dtype_policy
    return str(read().name)


@lru_cache(maxsize=16)
def _distribution(*names: str) -> str | None:
    """Once per process: reading it anew takes a millisecond, several times a test."""
    for name in names:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


def _loaded_version(module: str) -> str | None:
    loaded = sys.modules.get(module)
    return None if loaded is None else str(getattr(loaded, "__version__", None))


def current_device(backend: str) -> str:
    if backend == "jax":
        return str(sys.modules["jax"].default_backend())
    if backend == "torch":
        keras_torch = importlib.import_module("keras.src.backend.torch.core")
        return str(keras_torch.get_device()).split(":")[0].replace("cuda", "gpu")
    if backend == "tensorflow":
        return "gpu" if sys.modules["tensorflow"].config.list_physical_devices("GPU") else "cpu"
    return "cpu"


def flash_attention(keras: ModuleType) -> bool | None:
    """Whether it is on; None where this release has no switch, or leaves it to each layer."""
    read = getattr(getattr(keras, "config", None), "is_flash_attention_enabled", None)
    value = read() if read else None
    return None if value is None else bool(value)


def _tf32(backend: str) -> bool | None:
    if backend != "torch":
        return None
    return bool(sys.modules["torch"].backends.cuda.matmul.allow_tf32)


def _threads() -> int:
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return int(asked) if asked.isdigit() else processors()


def processors() -> int:
    """How many this process may use."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return int(available or 1)


_ISA_LEVELS = (("x86-64-v4", "avx512f"), ("x86-64-v3", "avx2"), ("x86-64-v2", "sse4_2"))


@lru_cache(maxsize=1)
def _isa() -> str:
    """The x86-64 micro-architecture level (System V psABI), else the machine's own name."""
    machine = platform.machine()
    if machine not in ("x86_64", "AMD64"):
        return machine
    flags = cpu_flags()
    return next((level for level, flag in _ISA_LEVELS if flag in flags), machine)


def cpu_flags() -> frozenset[str]:
    """What the processor can do, as Linux names it; nothing elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return frozenset()
    lines = (line for line in text.splitlines() if line.startswith("flags"))
    return frozenset(next(lines, "").split())
