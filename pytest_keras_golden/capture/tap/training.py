"""Which tensors of a training step a block takes: groups and globs, as `select` names them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from ...config import TRAINING_GROUPS

ALL = "training"
"""The group of all `TRAINING_GROUPS`."""

_OF_TRAINING = re.compile(r"(test_)?step_[\d?*[]|curve/|weights/")
"""How names begin that only training gives; a glob that begins so asks for them."""


class TrainingSelection:
    """`select` of a capture block, as far as it is about training."""

    def __init__(self, select: Sequence[str]) -> None:
        self._groups = {name for name in select if name in TRAINING_GROUPS}
        self._every = ALL in select or "all" in select
        self._globs = training_globs(select)

    @property
    def asks(self) -> bool:
        """Whether anything of training is wanted at all."""
        return self._every or bool(self._groups) or bool(self._globs)

    def wants(self, name: str, group: str) -> bool:
        if self._every or group in self._groups:
            return True
        return any(fnmatchcase(name, glob) for glob in self._globs)


def training_globs(select: Sequence[str]) -> tuple[str, ...]:
    """The globs that ask for tensors of training, and so for none of a layer."""
    return tuple(name for name in select if _OF_TRAINING.match(name))
