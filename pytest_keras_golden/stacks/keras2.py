"""Sides that run Keras 2: `tf_keras==2.21.0` alone, for files that are to be loaded by Keras 3."""

from __future__ import annotations

from collections.abc import Mapping

from packaging.utils import canonicalize_name

from ..errors import ConfigError, StackError
from ..release import KERAS_2
from .environment import Environment
from .grammar import SideText
from .switches import FAMILY

PACKAGE = canonicalize_name(KERAS_2)
_TENSORFLOW = ("tensorflow", "tensorflow-cpu", "tensorflow-intel", "tensorflow-macos")


def is_keras_2(side: SideText, version: str | None) -> bool:
    """Whether a side's models are those of `tf_keras`: it pins that, and says nothing of Keras."""
    if version is not None or side.locks:
        return False
    pins = {canonicalize_name(name) for name, _ in side.pins}
    sources = {canonicalize_name(source.package) for source in side.sources}
    return PACKAGE in pins and "keras" not in pins | sources


def family_switches(
    side: SideText, version: str | None, environment: Environment
) -> dict[str, str]:
    """The switches of a side, with those that Keras 2 needs. Raises ConfigError for a backend that
    it does not run on, StackError where TensorFlow is not there."""
    switches = dict(side.switches)
    if not is_keras_2(side, version):
        return switches
    if switches.get("backend", "tensorflow") != "tensorflow":
        raise ConfigError(
            f"{side.text}: {KERAS_2} runs on TensorFlow alone.",
            "Leave backend= out on that side; on the other it is that of Keras 3.",
        )
    named = {canonicalize_name(name) for name, _ in side.pins}
    if not any(name in environment.installed or name in named for name in _TENSORFLOW):
        raise StackError(
            f"{side.text}: {KERAS_2} runs on TensorFlow, which this environment lacks.",
            "Install it: pip install tensorflow-cpu",
        )
    return switches | {"backend": "tensorflow", FAMILY: KERAS_2}


def family_told(
    parts: Mapping[str, str | None], family: str | None, keras: str | None
) -> dict[str, str | None]:
    """The parts of one of several sides some of which run Keras 2, which stands in the place of
    `keras` there. Keras 3 is beside it, and runs nothing. keras: its version on that side."""
    told = {name: value for name, value in parts.items() if name not in (PACKAGE, FAMILY, "keras")}
    return {"keras": f"{KERAS_2} {parts.get(PACKAGE)}" if family else keras, **told}
