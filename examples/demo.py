"""A Keras bump, told by goldens: one trained decoder, the same weights, four Keras releases.

Records the bfloat16 decoder of `examples/gpt` under Keras 3.5.0, checks it under later releases,
and shows what moved, by how much, and whether the tolerance holds. Exits 0 when the story could be
told, drift included.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from pytest_keras_golden.errors import GoldenError
from pytest_keras_golden.outcomes import LocalOutcome, TensorOutcome, TestOutcome, test_from_json
from pytest_keras_golden.report.summary import verdict_of
from pytest_keras_golden.report.terminal import failure_page
from pytest_keras_golden.stacks.overlay.folder import ensure_overlay, overlay_environment

ROOT = Path(__file__).resolve().parent.parent
SCRATCH = Path(".demo")
TEST = "examples/gpt/test_gpt.py::test_prompt[bfloat16]"
BASELINE = "3.5.0"
# Keras 3.15 needs Python 3.11; on 3.10 the story ends with the newest release that runs there.
NEWEST = "3.15.1" if sys.version_info >= (3, 11) else "3.12.4"
LATER = ("3.6.0", "3.7.0", NEWEST)


class StoryError(Exception):
    """Why the story could not be told."""


def outcome_under(release: str, *options: str) -> TestOutcome:
    """What the golden test says under one Keras release. Raises StoryError with pytest's words."""
    log = SCRATCH / f"keras-{release}.json"
    arguments = [TEST, f"--goldens-dir={SCRATCH}/goldens", f"--golden-log={log}", *options]
    print(f"$ pytest {shlex.join(arguments)}", flush=True)
    environment = overlay_environment([ensure_overlay("keras", release)])
    # The developer's own pytest settings are no part of the story.
    environment.pop("PYTEST_ADDOPTS", None)
    command = [sys.executable, "-m", "pytest", f"--golden-output={SCRATCH}/candidates", *arguments]
    run = subprocess.run(
        command, cwd=ROOT, env=environment, text=True, capture_output=True, check=False
    )
    tests = json.loads((ROOT / log).read_text())["tests"] if (ROOT / log).exists() else []
    if run.returncode not in (0, 1) or len(tests) != 1:
        raise StoryError(f"pytest ended with exit code {run.returncode}\n{run.stdout}{run.stderr}")
    outcome = test_from_json(tests[0])
    if not outcome.tensors and outcome.outcome != "recorded":
        raise StoryError(f"{outcome.reason}\n{run.stdout}{run.stderr}")
    print(run.stdout.splitlines()[-1], flush=True)
    return outcome


def moved(outcome: TestOutcome) -> list[TensorOutcome]:
    """Judged tensors that are not bit-identical."""
    return [tensor for tensor in outcome.tensors if tensor.judged and tensor.verdict != "identical"]


def moved_alone(outcome: TestOutcome) -> list[LocalOutcome]:
    """Layers that compute other numbers from the golden's own inputs, in execution order."""
    changed = [layer for layer in outcome.locals if layer.verdict != "identical"]
    return sorted(changed, key=lambda layer: layer.order)


def number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def row(release: str, outcome: TestOutcome) -> Iterator[str]:
    """One release's cells: what moved, by how much, where it began, what the tolerance says."""
    changed, alone = moved(outcome), moved_alone(outcome)
    worst = max(changed, key=lambda tensor: tensor.k or 0, default=None)
    yield release
    yield f"{len(changed)} of {sum(tensor.judged for tensor in outcome.tensors)}"
    yield f"{len(alone)}, first {alone[0].name}" if alone else "none"
    yield f"{number(worst.k)} at {worst.name}" if worst else "0"
    yield outcome.first_drift or "none"
    yield verdict_of(outcome)


def story(console: Console) -> Table:
    """Records, checks, shows each report, and returns the summary."""
    shutil.rmtree(ROOT / SCRATCH, ignore_errors=True)
    console.rule(f"Keras {BASELINE}: record the trained decoder in bfloat16")
    recorded = outcome_under(BASELINE, "--update-goldens", "--update-goldens-in-ci")
    if recorded.outcome != "recorded":
        raise StoryError(f"nothing was recorded under Keras {BASELINE}: {recorded.reason}")
    table = Table(title=f"The same weights and tokens, against Keras {BASELINE} (bfloat16, jax)")
    headings = ["Keras", "tensors moved", "layers that moved alone", "worst k", "first beyond"]
    for heading in [*headings, "verdict"]:
        table.add_column(heading, overflow="fold")
    for release in LATER:
        console.rule(f"Keras {release}: check it against {BASELINE}")
        outcome = outcome_under(release, f"--golden-baseline={BASELINE}")
        console.print(failure_page(outcome), markup=False, highlight=False, soft_wrap=True)
        table.add_row(*row(release, outcome))
    return table


def main() -> int:
    console = Console(width=None if sys.stdout.isatty() else 120)
    os.environ.setdefault("KERAS_BACKEND", "jax")
    os.chdir(ROOT)
    try:
        summary = story(console)
    except (StoryError, GoldenError) as error:
        print(f"The story could not be told: {error}", file=sys.stderr)
        return 1
    console.rule("In short")
    console.print(summary)
    console.print("k: the largest change in units of bfloat16's ε and the tensor's scale.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
