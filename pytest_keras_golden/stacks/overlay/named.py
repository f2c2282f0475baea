"""What may be named to an installer, an index or git: nothing that they could take for an option, a
path or an address to fetch and run."""

from __future__ import annotations

import re

from packaging.requirements import InvalidRequirement, Requirement

from ...errors import ConfigError, StackError
from ...release import normalised

_NAME = re.compile(r"[A-Z0-9]|[A-Z0-9][A-Z0-9._-]*[A-Z0-9]", re.IGNORECASE | re.ASCII)
"""PEP 508, names."""


def package_name(text: str) -> str:
    """The name of a distribution. Raises ConfigError for anything else."""
    if not _NAME.fullmatch(text):
        raise ConfigError(
            f"{text!r} is no package name.", "Write it as the package index does: keras-hub"
        )
    return text


def exact_version(text: str) -> str:
    """A PEP 440 version, normalised. Raises ConfigError for anything else."""
    version = normalised(text)
    if version is None:
        raise ConfigError(f"{text!r} is no version.", "Write an exact one: 0.4.38")
    return version


def pinned(text: str) -> tuple[str, str]:
    """Name and version of `NAME==VERSION`. Raises ConfigError for anything else."""
    name, equals, version = text.partition("==")
    if not (name and equals and version):
        raise ConfigError(f"{text!r} pins nothing.", "Write NAME==VERSION.")
    return package_name(name.strip()), exact_version(version)


def requirement(text: str) -> str:
    """A name with nothing but versions behind it, as an installer takes it.

    Raises ConfigError for addresses, options and whatever is no requirement.
    """
    try:
        parsed = Requirement(text)
    except InvalidRequirement as error:
        raise ConfigError(f"{text!r} is no requirement: {error}", "Write NAME==VERSION.") from error
    if parsed.url or parsed.marker or parsed.extras:
        raise ConfigError(f"{text!r} asks for more than versions.", "Write NAME==VERSION.")
    return f"{package_name(parsed.name)}{parsed.specifier}"


def revision(text: str) -> str:
    """The hash of a commit. Raises StackError for anything else that git would interpret."""
    if not re.fullmatch(r"[0-9a-f]{7,64}", text):
        raise StackError(f"{text!r} is no hash of a commit.")
    return text
