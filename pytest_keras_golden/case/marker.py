"""What `@pytest.mark.keras_versions` asks for, parsed and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from ..errors import ConfigError, did_you_mean
from ..records import ToleranceRule
from ..release import normalised
from ..tolerance import parse_marker as parse_tolerances

KEYWORDS = ("baseline", "tolerances")


@dataclass(frozen=True, slots=True)
class VersionMarker:
    """`specs` are OR-ed; none admits every version. `exact` are the bare versions among them."""

    specs: tuple[str, ...] = ()
    exact: tuple[str, ...] = ()
    baseline: str | None = None
    tolerances: tuple[ToleranceRule, ...] = ()

    def admits(self, version: str) -> bool:
        """Whether a version (pre-releases count) lies in one of the specifier sets."""
        return not self.specs or any(
            SpecifierSet(spec).contains(Version(version), prereleases=True) for spec in self.specs
        )


def parse(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> VersionMarker:
    """Raises ConfigError on an invalid specifier, version, tolerance or keyword."""
    unknown = sorted(set(kwargs) - set(KEYWORDS))
    if unknown:
        raise ConfigError(
            f"keras_versions got unknown keyword {unknown[0]!r}",
            f"{did_you_mean(unknown[0], KEYWORDS)}"
            "Keywords: baseline='3.5.0', tolerances={'bfloat16': {'k': 5}}.",
        )
    baseline = kwargs.get("baseline")
    return VersionMarker(
        specs=tuple(_specifier(spec) for spec in args),
        exact=tuple(filter(None, map(normalised, args))),
        baseline=None if baseline is None else _version(baseline),
        tolerances=parse_tolerances(kwargs.get("tolerances")),
    )


def _specifier(spec: Any) -> str:
    if normalised(spec):
        # SpecifierSet("3.5.0") is invalid: a bare version is no specifier.
        return f"=={spec}"
    try:
        return str(SpecifierSet(spec))
    except (InvalidSpecifier, AttributeError, TypeError):
        raise ConfigError(
            f"keras_versions: {spec!r} is no version specifier",
            "Write PEP 440: '3.5.0', '>=3.5,<3.8', '~=3.14.0'.",
        ) from None


def _version(value: Any) -> str:
    version = normalised(value)
    if version is None:
        raise ConfigError(f"keras_versions: baseline={value!r} is no version", "Write '3.5.0'.")
    return version
