"""Whether samples of large tensors find what whole ones do.

The changes of detection.py, into the same models, judged by the captured tensors alone (no layer is
isolated, as in a golden that is too large for it): once with whole tensors in the golden, once with
one part in N of their bytes, as samples and sums. What the whole find is to be found by samples; a
harmless change that fails by samples and not by the whole is an alarm. Exits 1 on either.

    python benchmarks/samples.py [MODEL …] [--part N=34] [--only TEXT]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from unittest.mock import patch

os.environ.setdefault("KERAS_BACKEND", "jax")

from injection.trial import Bench

from pytest_keras_golden.compare import sampling

MODELS = ("gpt", "llama", "bert", "convnet")
PART = 34
"""Of a decoder of 104 million parameters one forward of 128 tokens has 34 MiB, and a golden keeps
one."""


@dataclass(frozen=True)
class Tried:
    """One change at one precision; whether it fails by whole tensors and by samples."""

    name: str
    harmless: bool
    whole: bool
    samples: bool


def tried(model: str, part: int, only: str, folder: Path) -> Iterator[Tried]:
    subject = import_module(f"injection.{model}").SUBJECT
    policies = tuple(subject.policies)
    whole = Bench(subject, folder / "whole", policies, isolates=False)
    samples = Bench(subject, folder / "samples", policies, share=1 / part, isolates=False)
    for policy in policies:
        for bench in (whole, samples):
            bench.record(policy)
        for change in subject.changes:
            if only in change.name:
                found = (bench.check(policy, change)[0] for bench in (whole, samples))
                said = (outcome.outcome == "failed" for outcome in found)
                yield Tried(f"{model} {policy}: {change.name}", change.harmless, *said)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL")
    parser.add_argument("--part", type=int, default=PART, metavar="N")
    parser.add_argument("--only", default="", metavar="TEXT")
    options = parser.parse_args()
    found: list[Tried] = []
    # The tensors of these models are small: none is to stay whole for that.
    with tempfile.TemporaryDirectory() as folder, patch.object(sampling, "SMALL", 256):
        for model in options.models:
            found += tried(model, options.part, options.only, Path(folder) / model)
    for trial in found:
        if trial.whole != trial.samples:
            kind = "harmless" if trial.harmless else "change"
            by = "whole tensors" if trial.whole else "samples"
            print(f"{trial.name} ({kind}): by {by} alone")
    changes = [trial for trial in found if not trial.harmless]
    missed = sum(trial.whole and not trial.samples for trial in changes)
    more = sum(trial.samples and not trial.whole for trial in changes)
    whole = sum(trial.whole for trial in changes)
    harmless = [trial for trial in found if trial.harmless]
    alarms = sum(trial.samples and not trial.whole for trial in harmless)
    print(
        f"{len(changes)} changes: {whole} found by whole tensors alone, of them {whole - missed} "
        f"by samples of 1/{options.part}, and {more} more; {len(harmless)} harmless: {alarms} "
        "alarms more"
    )
    return 1 if missed or alarms else 0


if __name__ == "__main__":
    sys.exit(main())
