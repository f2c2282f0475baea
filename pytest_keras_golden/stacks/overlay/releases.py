"""Which versions of a package the index offers, and which of them a range means.

The list comes from `pip index versions`, so the user's index configuration holds, and yanked
releases and those for another Python are left out. Ranges are PEP 440, and `A..B`, `latest`.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

from ...errors import ConfigError, StackError
from ...io.atomic import write_whole
from ...io.usercache import writing_cache
from ...release import parsed
from . import installer
from .folder import cache_root
from .named import package_name

FRESH = 3600.0
"""Seconds for which a fetched list is used again without asking the index."""

_FORMS = "3.5.0, 3.14.*, '>=3.9,<3.12', 3.3.3..3.6, latest, 3.14.1..latest"


def releases(
    package: str, *, pre: bool = False, cache: Path | None = None, refresh: bool = False
) -> list[Version]:
    """Every version of `package` the index offers this Python, ascending, yanked ones left out.

    pre: include pre-releases. Asks the index at most once an hour unless `refresh`.
    Raises StackError where the index cannot be reached or does not know the package, ConfigError
    for what is no package name.
    """
    package_name(package)
    kept = _cache_file(package, pre, cache)
    known = None if refresh else _read(kept)
    if known is None:
        known = _ask(package, pre)
        _write(kept, known)
    return sorted(Version(text) for text in known)


def _cache_file(package: str, pre: bool, cache: Path | None) -> Path:
    name = f"{canonicalize_name(package)}{'-pre' if pre else ''}.json"
    return cache_root(cache).parent.parent / "releases" / cache_root(cache).name / name


def _read(kept: Path) -> list[str] | None:
    try:
        if time.time() - kept.stat().st_mtime > FRESH:
            return None
        known = json.loads(kept.read_text(encoding="utf-8"))
        return [str(Version(text)) for text in known]
    except (OSError, ValueError, TypeError):
        return None


def _write(kept: Path, known: Sequence[str]) -> None:
    with writing_cache(kept):
        write_whole(kept, json.dumps(list(known)))


def _ask(package: str, pre: bool) -> list[str]:
    # Without a retry pip says nothing at all of an index that it cannot reach.
    options = ["--retries", "2", *(["--pre"] if pre else [])]
    command = [*_pip(), "index", "versions", *options, "--", package]
    environ = {**os.environ, **_uv_indexes_for_pip()}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, env=environ, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise _unreachable(package, "no answer within 120 s") from error
    match = re.search(r"^Available versions: (.+)$", done.stdout, re.MULTILINE)
    # An unreachable index is only a warning to pip, and the list then lacks what it offers.
    if match is None or _OFFLINE.search(done.stderr):
        raise _unreachable(package, done.stderr.strip() or done.stdout.strip())
    return [text.strip() for text in match[1].split(",")]


_OFFLINE = re.compile(r"Retrying \(Retry\(total=0|Could not fetch URL")


def _pip() -> list[str]:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    uv = installer.find_uv()
    if uv:
        isolated = ["--isolated", "--no-project", "--python", sys.executable]
        return [*uv, "run", "--quiet", *isolated, "--with", "pip", "python", "-m", "pip"]
    raise StackError(
        f"Listing releases needs pip or uv; {sys.executable} has neither.",
        "Install one: pip install 'pytest-keras-golden[versions]'",
    )


def _uv_indexes_for_pip() -> dict[str, str]:
    """uv's index settings in pip's words, where pip has none of its own."""
    pairs = (
        ("PIP_INDEX_URL", ("UV_DEFAULT_INDEX", "UV_INDEX_URL")),
        ("PIP_EXTRA_INDEX_URL", ("UV_INDEX", "UV_EXTRA_INDEX_URL")),
        ("PIP_FIND_LINKS", ("UV_FIND_LINKS",)),
    )
    variables = {}
    for pips, uvs in pairs:
        value = next((os.environ[uv] for uv in uvs if os.environ.get(uv)), None)
        if value and not os.environ.get(pips):
            # uv allows `name=address`; pip wants the address alone.
            variables[pips] = " ".join(
                re.sub(r"^\w[\w-]*=(?=\w+:)", "", part) for part in value.split()
            )
    return variables


def _unreachable(package: str, said: str) -> StackError:
    return StackError(
        f"The package index did not list the releases of {package}:\n{said}",
        "Check the name, the connection and pip's index settings; exact versions whose overlays "
        "are there (keras-golden overlays list) work offline.",
    )


def resolve(
    specs: Iterable[str],
    package: str = "keras",
    *,
    pre: bool = False,
    cache: Path | None = None,
    refresh: bool = False,
) -> list[str]:
    """The versions that `specs` mean together, ascending, each once.

    A spec is an exact version, a PEP 440 specifier (commas inside mean "and"), `A..B` with both
    ends included (an end such as 3.6 takes the whole 3.6 series in), or `latest`. Exact versions
    need no index. Raises ConfigError for a spec that is none of these or that no release fits.
    """
    texts = [text for spec in specs for text in split_specs(spec)]
    if not texts:
        raise ConfigError("No version was given.", f"Forms: {_FORMS}")
    offered: list[Version] = []
    if not all(parsed(text) for text in texts):
        offered = releases(package, pre=pre, cache=cache, refresh=refresh)
    chosen = {version for text in texts for version in _meant(text, offered, package)}
    return [str(version) for version in sorted(chosen)]


def split_specs(text: str) -> list[str]:
    """`3.5.0,>=3.9,<3.12` as `["3.5.0", ">=3.9,<3.12"]`: neighbouring conditions are one spec."""
    specs: list[str] = []
    for part in re.split(r"[,\s]+", text.strip(" ,")):
        condition = part[:1] in "<>=!~"
        if condition and specs and specs[-1][:1] in "<>=!~":
            specs[-1] += f",{part}"
        elif part:
            specs.append(part)
    return specs


def _meant(text: str, offered: Sequence[Version], package: str) -> list[Version]:
    exact = parsed(text)
    if exact is not None:
        # As the index writes it, where it is known: 3.5 is 3.5.0.
        return [next((version for version in offered if version == exact), exact)]
    fitting = [version for version in offered if _fits(version, text, offered)]
    if not fitting:
        raise ConfigError(
            f"No release of {package} fits {text!r}; the index offers {_sample(offered)}.",
            f"Forms: {_FORMS}; pre-releases need --pre.",
        )
    return fitting


def _fits(version: Version, text: str, offered: Sequence[Version]) -> bool:
    if text == "latest":
        return version == _newest(offered)
    if ".." in text:
        low, _, high = text.partition("..")
        return _end(low, offered) <= version and _up_to(version, high, offered)
    try:
        specifier = SpecifierSet(text if text[:1] in "<>=!~" else f"=={text}", prereleases=True)
    except InvalidSpecifier as error:
        raise ConfigError(
            f"{text!r} is no version, range or specifier.", f"Forms: {_FORMS}"
        ) from error
    return version in specifier


def _up_to(version: Version, high: str, offered: Sequence[Version]) -> bool:
    end = _end(high, offered)
    in_series = high != "latest" and version.release[: len(end.release)] == end.release
    return version <= end or (in_series and not end.is_prerelease)


def _end(text: str, offered: Sequence[Version]) -> Version:
    if text == "latest":
        return _newest(offered)
    version = parsed(text)
    if version is None:
        raise ConfigError(f"{text!r} is no end of a range of versions.", f"Forms: {_FORMS}")
    return version


def _newest(offered: Sequence[Version]) -> Version:
    final = [version for version in offered if not version.is_prerelease]
    return max(final or offered)


def _sample(offered: Sequence[Version]) -> str:
    texts = [str(version) for version in offered]
    return ", ".join(texts if len(texts) <= 8 else [*texts[:3], "…", *texts[-4:]])
