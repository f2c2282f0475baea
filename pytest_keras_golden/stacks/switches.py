"""Switches of a side: what else than a package may differ, and how an inner run is told."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from ..errors import ConfigError, did_you_mean
from ..stack import BACKENDS, FRAMEWORK

SWITCHES = "KERAS_GOLDEN_SWITCHES"
"""Environment variable: JSON object of the switches that an inner run has to set and to prove."""

FAMILY = "framework"
"""Of a side that runs Keras 2. Nobody writes it: a side that names `tf_keras` alone has it."""

_ON_OFF = ("on", "off")
KERAS, RUNTIMES = "keras", ("savedmodel", "onnx", "litert", "openvino")
"""What runs a saved model: Keras itself, or the runtime of what `model.export` writes."""

_CHOICES: Mapping[str, tuple[str, ...]] = {
    "backend": BACKENDS,
    "jit": _ON_OFF,
    "flash": _ON_OFF,
    "run": (KERAS, *RUNTIMES),
}
_NAMES = ("backend", "jit", "flash", "policy", "run", "threads", "env.NAME")

_THREADS = (
    *("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS"),
    *("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "NPROC"),
)
"""Read by torch and BLAS, by TensorFlow, and by XLA's pool of threads on CPU."""

_OURS = ("KERAS_GOLDEN_", "PYTHONPATH")
"""Variables that carry overlays and proofs."""


def is_switch(name: str) -> bool:
    """Whether a change of that name is a switch, and no package. `python` is one as well."""
    return name in (*_NAMES, FAMILY, "python") or name.startswith("env.")


def checked_switch(name: str, value: str) -> str:
    """The value as it is used. Raises ConfigError for what no switch can be set to."""
    if name.startswith("env."):
        return _checked_variable(name, value)
    if name in _CHOICES and value not in _CHOICES[name]:
        raise ConfigError(
            f"{name}={value}: {value!r} is no choice.",
            f"{did_you_mean(value, _CHOICES[name])}One of: {', '.join(_CHOICES[name])}.",
        )
    if name == "policy" and not re.fullmatch(r"\w+", value):
        raise ConfigError(f"policy={value}: no dtype policy.", "Example: policy=mixed_bfloat16")
    if name == "threads" and not (value.isdecimal() and int(value) > 0):
        raise ConfigError(f"threads={value}: no number of threads.", "Example: threads=1")
    if name not in (*_CHOICES, "policy", "threads"):
        meant = did_you_mean(f"{name}=", [f"{known}=" for known in _NAMES])
        raise ConfigError(f"{name}= is no switch.", f"{meant}Switches: {', '.join(_NAMES)}.")
    return str(int(value)) if name == "threads" else value


def _checked_variable(name: str, value: str) -> str:
    variable = name.removeprefix("env.")
    if not re.fullmatch(r"[A-Za-z_]\w*", variable) or "\0" in value:
        raise ConfigError(f"{name}= names no variable.", "Example: env.XLA_FLAGS=--xla_foo=1")
    if variable.startswith(_OURS):
        raise ConfigError(
            f"{name}= would hide what is compared from the run.",
            "Versions have parts of their own; leave it out.",
        )
    return value


def variables(switches: Mapping[str, str]) -> dict[str, str]:
    """The environment of an inner run under these switches."""
    found: dict[str, str] = {}
    if not switches:
        return found
    if "backend" in switches:
        found["KERAS_BACKEND"] = switches["backend"]
    if FAMILY in switches:
        # The second: what `tf.keras` is there, for classes of the user's.
        found |= {FRAMEWORK: switches[FAMILY], "TF_USE_LEGACY_KERAS": "1"}
    if "threads" in switches:
        found |= dict.fromkeys(_THREADS, switches["threads"])
    found |= {n.removeprefix("env."): v for n, v in switches.items() if n.startswith("env.")}
    return found | {SWITCHES: json.dumps(dict(switches), sort_keys=True)}


def asked(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The switches that this process has to set, and to prove."""
    return dict(json.loads(environ.get(SWITCHES, "{}")))


def as_it_is(name: str, environ: Mapping[str, str] = os.environ) -> str | None:
    """What a side that leaves a switch alone has, as far as the environment tells."""
    if name.startswith("env."):
        return environ.get(name.removeprefix("env."))
    if name == "backend":
        return environ.get("KERAS_BACKEND") or _configured_backend(environ)
    return KERAS if name == "run" else None


def _configured_backend(environ: Mapping[str, str]) -> str:
    """As Keras reads it: keras.json in its home folder, else TensorFlow."""
    home = Path(environ.get("KERAS_HOME") or Path("~").expanduser() / ".keras")
    try:
        configured = json.loads((home / "keras.json").read_text(encoding="utf-8"))
        return str(configured["backend"])
    except (OSError, ValueError, KeyError, TypeError):
        return "tensorflow"
