"""Which of the changes between two sides a red gate comes from, and since which release."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import GoldenError, StackError
from ..report.output import note
from .sides import at_version, releases_between, side_of

if TYPE_CHECKING:
    from ..stacks.chosen import Stack
    from ..versions.bisect import Prober
    from ..versions.changes import Culprit, Since
    from ..versions.compared.measured import Suite
    from ..versions.gate import GateResult
    from ..versions.inner.jobs import Runner
    from ..versions.inner.progress import Progress


def blamed(
    arguments: argparse.Namespace,
    stacks: Sequence[Stack],
    result: GateResult,
    suite: Suite,
    place: Path,
    where: Runner,
    told: Progress,
) -> Culprit | None:
    """Which of the changes do it; None where the sides cannot be mixed, or there is but one and no
    clone in which its commit could be found."""
    from ..stacks.mixtures import demand_mixable, mixture, needs
    from ..versions.culprit import find_culprit, prober_of

    old, new = stacks
    prober = prober_of(result, suite, place, where, told)
    if prober is None or (len(result.changes) < 2 and arguments.repo is None):
        return None
    try:
        demand_mixable(old, new)
    except StackError as error:
        note(str(error))
        return None
    found = find_culprit(
        result.changes,
        needs(old, new),
        lambda taken: side_of(arguments, mixture(old, new, taken), stacks),
        prober,
    )
    return replace(found, since=_since(arguments, stacks, found, prober))


def _since(
    arguments: argparse.Namespace, stacks: Sequence[Stack], found: Culprit, prober: Prober
) -> Since | None:
    """Since which release of the guilty package, and by which commit where a clone was named."""
    from ..stacks.clone import Clone
    from ..stacks.mixtures import mixture
    from ..versions.culprit import find_release

    varied = found.varied
    if varied is None or varied.old is None or varied.new is None:
        return None
    old, new = stacks
    mixed = mixture(old, new, {change.name for change in found.changes})
    of_it = argparse.Namespace(**{**vars(arguments), "package": varied.name})
    clone = None if arguments.repo is None else Clone(arguments.repo.resolve(), varied.name)
    try:
        versions = releases_between(of_it, varied.old, varied.new)
        return find_release(
            varied.name,
            versions,
            lambda version: at_version(of_it, mixed, version, found.tied, stacks),
            prober,
            clone,
        )
    except GoldenError as error:
        note(f"Since which release of {varied.name}: not found. {error}")
        return None
