"""Whether verdicts can be trusted: changes injected into four models, and what is found of them.

A GPT, a Llama, a BERT-type and a conv/recurrent model, in float32 and bfloat16: changes that
releases make (harmful), and the same mathematics rounded otherwise (harmless), each through the
path of a test: golden recorded without, judged and isolated with it. Beside it what
`numpy.testing.assert_allclose` and `torch.testing.assert_close` say of the final logits at their
defaults. An interrupt ends the trials, and what there is is printed. Exits 1 when a change above
rounding level is missed, a harmless one fails, or the wrong layer is blamed in more than 5 %.

A change of meaning has to be found in every precision where it moves the layer by more than two
roundings of float32, unless it changes no bit of any tensor. Any other is above rounding level
where its own effect on the layer it touches, measured in float32 where bfloat16 would hide it, has
a relative L2 beyond 1.35 ε: what rounding-level changes of real releases reach
(docs/tolerances.md). Below that a failure is neither asked for nor an alarm.

    python benchmarks/detection.py [MODEL …] [--only TEXT] [--verbose] [--draws N [--draws-only]]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from math import comb
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")

from injection.situations import situations
from injection.trial import Bench, Trial

MODELS = ("gpt", "llama", "bert", "convnet")
POLICIES = ("float32", "bfloat16", "float16")
DRAWS_FROM = 100
RIGHT_LAYER, RIGHT_CAUSE = 0.95, 0.97


def trials(model: str, only: str, folder: Path) -> Iterator[Trial]:
    subject = import_module(f"injection.{model}").SUBJECT
    bench = Bench(subject, folder, tuple(subject.policies))
    for policy in bench.policies:
        bench.record(policy)
    for change in subject.changes:
        if only in change.name:
            yield from bench.try_out(change)
    yield from situations(bench, only)


def drawn(model: str, only: str, folder: Path, draws: int) -> Iterator[Trial]:
    """Harmless changes again, with `draws` other sets of weights and inputs."""
    subject = import_module(f"injection.{model}").SUBJECT
    bench = Bench(subject, folder / "drawn", tuple(subject.policies))
    for seed in range(DRAWS_FROM, DRAWS_FROM + draws):
        bench.redraw(seed)
        for change in subject.changes:
            if change.harmless and only in change.name:
                yield from bench.try_out(change)


def share(found: Sequence[Trial], holds: Callable[[Trial], bool | None]) -> str:
    judged = [said for trial in found if (said := holds(trial)) is not None]
    if not judged:
        return "-"
    return f"{sum(judged)}/{len(judged)} ({100 * sum(judged) / len(judged):.0f} %)"


def table(found: Sequence[Trial]) -> Iterator[str]:
    yield (
        f"{'':34}{'golden':>16}{'right layer':>16}{'right cause':>16}"
        f"{'assert_allclose':>18}{'assert_close':>16}"
    )
    for policy in (*POLICIES, ""):
        here = [trial for trial in found if policy in ("", trial.policy)]
        wanted = [trial for trial in here if trial.wanted]
        harmless = [trial for trial in here if trial.change.harmless]
        below = [t for t in here if not t.wanted and not t.change.harmless]
        for name, group in (
            ("above rounding, detected", wanted),
            ("below rounding, failed", below),
            ("harmless, failed", harmless),
        ):
            caught = [t for t in group if t.caught]
            layer = share(caught, lambda t: t.right_layer)
            cause = share(caught, lambda t: t.right_cause)
            yield (
                f"{policy or 'all':10}{name:24}{share(group, lambda t: t.caught):>16}"
                f"{layer if group is wanted else '':>16}{cause if group is wanted else '':>16}"
                f"{share(group, lambda t: t.numpy):>18}{share(group, lambda t: t.torch):>16}"
            )


def factors(found: Sequence[Trial]) -> Iterator[str]:
    """How far harmless changes move errors against twins, and twins themselves."""
    twins = [
        layer.twin for t in found if t.change.harmless for layer in t.outcome.locals if layer.twin
    ]
    if twins:
        ratio = max(twin.ratio for twin in twins)
        double = max((twin.k for twin in twins if twin.precision == "float64"), default=0.0)
        single = max((twin.k for twin in twins if twin.precision == "float32"), default=0.0)
        yield (
            f"harmless: {len(twins)} layers with a cause, error against twins at most {ratio:.3g} "
            f"times what it was; twins apart by at most {double:.2g} roundings of float32 in "
            f"float64, {single:.2g} in float32"
        )


def alarms(found: Sequence[Trial]) -> Iterator[str]:
    """With the upper bound of the rate at 95 %, after Clopper and Pearson."""
    count = sum(trial.change.harmless for trial in found)
    raised = sum(trial.alarm for trial in found if trial.change.harmless)
    if count:
        bound = binomial_bound(raised, count)
        yield f"{raised} alarms in {count} harmless trials: below {100 * bound:.2g} % (95 %)"


def binomial_bound(successes: int, trials: int) -> float:
    """The rate at which so few successes would be seen in one of twenty tries."""
    low, high = successes / trials, 1.0
    for _ in range(60):
        rate = (low + high) / 2
        seen = sum(
            comb(trials, k) * rate**k * (1 - rate) ** (trials - k) for k in range(successes + 1)
        )
        low, high = (rate, high) if seen > 0.05 else (low, rate)
    return high


def line(trial: Trial) -> str:
    kind = "harmless" if trial.change.harmless else f"{trial.size:.3g} ε"
    blamed = ", ".join(trial.outcome.local_drift[:3]) or "nothing blamed"
    what = f"{trial.subject} {trial.policy}: {trial.change.name} ({kind})"
    causes = sorted({layer.cause for layer in trial.outcome.locals if layer.cause})
    return f"{what}: {trial.outcome.reason or trial.outcome.outcome}; {blamed}; {causes}"


def problems(found: Sequence[Trial]) -> Iterator[str]:
    yield from (f"MISSED {line(t)}" for t in found if t.wanted and not t.caught)
    yield from (f"FALSE ALARM {line(t)}" for t in found if t.alarm)
    yield from (f"WRONG LAYER {line(t)}" for t in found if _wrong(t))
    yield from (f"WRONG CAUSE {line(t)}" for t in found if t.wanted and t.right_cause is False)


def _wrong(trial: Trial) -> bool:
    return trial.wanted and trial.caught and not trial.right_layer


def holds(found: Sequence[Trial]) -> bool:
    caught = [trial for trial in found if trial.wanted and trial.caught]
    right = sum(trial.right_layer for trial in caught)
    missed = any(trial.wanted and not trial.caught for trial in found)
    alarm = any(trial.alarm for trial in found)
    told = [said for trial in caught if (said := trial.right_cause) is not None]
    right_cause = sum(told) >= RIGHT_CAUSE * len(told)
    return not missed and not alarm and right_cause and right >= RIGHT_LAYER * len(caught)


def asked(options: argparse.Namespace, folder: Path) -> Iterator[Trial]:
    for model in options.models:
        if not options.draws_only:
            yield from trials(model, options.only, folder)
        yield from drawn(model, options.only, folder, options.draws)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL")
    parser.add_argument("--only", default="", metavar="TEXT", help="changes whose name has it")
    parser.add_argument("--verbose", action="store_true", help="a line for each trial")
    parser.add_argument("--draws", type=int, default=0, metavar="N", help=drawn.__doc__)
    parser.add_argument("--draws-only", action="store_true", help="nothing but these")
    options = parser.parse_args()
    found: list[Trial] = []
    with tempfile.TemporaryDirectory() as folder, suppress(KeyboardInterrupt):
        for trial in asked(options, Path(folder)):
            found.append(trial)
            if options.verbose:
                print(line(trial), flush=True)
    changes = {(t.subject, t.change.name): t.change for t in found}
    harmless = sum(change.harmless for change in changes.values())
    print(f"{len(changes) - harmless} changes and {harmless} harmless ones, {len(found)} trials\n")
    print(*table(found), "", *factors(found), *alarms(found), "", *problems(found), sep="\n")
    return 0 if holds(found) else 1


if __name__ == "__main__":
    sys.exit(main())
