"""What a test misses of a package that Keras stands on: one of another time than the release.

An old Keras calls functions that today's backend has no more, and nothing but an `AttributeError`
says so. Neither is to blame: a side can be given a backend that goes with it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from ...report.wording import plural

PARTNERS = ("jax", "jaxlib", "torch", "tensorflow", "numpy", "optree", "h5py", "ml_dtypes")
"""Packages by the name that they are imported by."""

_MISSING = re.compile(
    rf"module '(?P<a>{'|'.join(PARTNERS)})(\.[\w.]+)?' has no attribute '\w+'"
    rf"|cannot import name '\w+' from '(?P<b>{'|'.join(PARTNERS)})(\.[\w.]+)?'"
    rf"|No module named '(?P<c>{'|'.join(PARTNERS)})\.[\w.]+'"
)


@dataclass(frozen=True, slots=True)
class Missing:
    """package: as a pin names it. said: of the first of `count` tests. label: their side."""

    package: str
    said: str
    count: int
    label: str

    def __str__(self) -> str:
        fails = "fails" if self.count == 1 else "fail"
        return (
            f"{plural(self.count, 'test')} {fails} under {self.label} for what its {self.package} "
            f"does not have ({self.said})"
        )

    @property
    def pin(self) -> str:
        """What is to stand in a side, once a version is named."""
        return f"{self.package}=={VERSION}"


VERSION = "VERSION"
"""Stands for one that goes with the release, which no index tells."""


def missing(
    reasons: Iterable[str | None], label: str, varied: Collection[str] = ()
) -> list[Missing]:
    """What tests of one side miss, by package. varied: packages that differ between the sides,
    which may be what broke them."""
    found: dict[str, list[str]] = {}
    for match in filter(None, (_MISSING.search(reason or "") for reason in reasons)):
        package = canonicalize_name(match["a"] or match["b"] or match["c"])
        if package not in varied:
            found.setdefault(package, []).append(match[0])
    return [Missing(package, said[0], len(said), label) for package, said in found.items()]
