"""Which tensors a block takes: groups and globs over structural names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from ...config import GROUPS
from ...errors import CaptureError, did_you_mean, nearest
from ...records import Kind
from .training import training_globs

_KINDS: Mapping[str, frozenset[Kind]] = {
    "attention": frozenset({"attention"}),
    "logits": frozenset({"logits"}),
    "blocks": frozenset({"block"}),
    "all": frozenset({"attention", "logits", "block", "tensor"}),
}
"""Group → kinds. `outputs` takes what the outermost calls return, whatever its kind; groups of
training take nothing of layers (see `training_globs`)."""


class Selection:
    """`select` of a capture block, and which of its globs found nothing."""

    def __init__(self, select: Sequence[str]) -> None:
        self._kinds = frozenset().union(*(_KINDS.get(name, frozenset()) for name in select))
        self._outputs = "outputs" in select
        other = {*GROUPS, *training_globs(select)}
        self._globs = {name: False for name in select if name not in other}
        self._seen: set[str] = set()

    def takes(self, kind: Kind) -> bool:
        """Whether a group asks for this kind."""
        return kind in self._kinds

    def wants(self, name: str, kind: Kind, outermost: bool = False) -> bool:
        if self._globs:
            self._seen.add(name)
        matching = [glob for glob in self._globs if fnmatchcase(name, glob)]
        self._globs.update(dict.fromkeys(matching, True))
        return bool(matching) or kind in self._kinds or (outermost and self._outputs)

    def check(self) -> None:
        """Raises CaptureError for a glob that no tensor of the block matched."""
        unmatched = [glob for glob, found in self._globs.items() if not found]
        if not unmatched or not self._seen:
            return
        near = nearest(unmatched[0], self._seen, 3, 0.4) or sorted(self._seen)[:3]
        meant = did_you_mean(unmatched[0], GROUPS)
        raise CaptureError(
            f"select {unmatched[0]!r} matches no tensor of the block. {meant}"
            f"Groups are {', '.join(GROUPS)}, nearest names: {', '.join(near)}",
            "Correct the glob in `select`; select=('all',) records every name.",
        )
