"""`keras-golden accept-drift GATE.json --layer NAME --reason TEXT`."""

from __future__ import annotations

import argparse
import datetime
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, did_you_mean
from ..io.atomic import write_whole
from ..io.strict import FieldError, parse_object
from ..io.typed import reader
from ..outcomes import LocalOutcome, TensorOutcome, TestOutcome
from ..records import SCHEMA, Verdict
from ..report import amount
from ..report.escape import visible
from ..report.output import say, writing_to
from ..report.wording import plural
from ..versions.changes import Change
from .examples import examples
from .place import accepted_file

if TYPE_CHECKING:
    from ..versions.accepted import Acceptance

ROOM = 1.5
"""How much bigger than measured it may be: other processors round otherwise."""

_BEGIN = """\
# Drift that keras-golden gate lets through. Written by keras-golden accept-drift; an entry that is
# not needed any more may be removed, and whatever is written here by hand stays.
"""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "accept-drift",
        help="let a drift that somebody looked at through the gate",
        description="Write what a red gate says of a layer (the change that made it, the tests, "
        "the verdict and how big it is) to golden_accepted.toml beside the goldens. A later gate "
        "lets just that through: anything bigger, elsewhere or otherwise is red, and an entry "
        "expires when the old side has the change. Commit the file.",
        **examples(
            "accept-drift gate.json --layer model/norm --reason 'more exact'",
            "accept-drift gate.json --layer 'norm*' --room 1.5 --reason fused",
        ),
    )
    parser.add_argument("gate", type=Path, metavar="GATE.json", help="what gate --json wrote")
    parser.add_argument(
        "--layer",
        action="append",
        required=True,
        dest="layers",
        metavar="NAME",
        help="a guilty layer as the gate names it; again for more",
    )
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why it is right")
    parser.add_argument(
        "--test", action="append", dest="tests", metavar="ID", help="in this test only; default all"
    )
    parser.add_argument(
        "--change",
        action="append",
        metavar="NAME",
        help="which change made it, where the gate has several and no culprit",
    )
    parser.add_argument(
        "--room",
        type=_factor,
        default=ROOM,
        metavar="FACTOR",
        help=f"how much bigger than measured it may be (default: {ROOM})",
    )
    parser.add_argument(
        "--accepted",
        type=Path,
        metavar="FILE",
        help="instead of golden_accepted.toml beside the goldens",
    )
    parser.set_defaults(handler=run)


def _factor(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 1 <= number < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: expected a number of at least 1")
    return number


def run(arguments: argparse.Namespace) -> int:
    from ..versions.accepted import load, written

    path = accepted_file(arguments.accepted)
    known = load(path)
    gate = _read(arguments.gate)
    made = [entry for layer in arguments.layers for entry in _entries(gate, layer, arguments)]
    new = [entry for entry in made if not any(_says(old, entry) for old in known)]
    if new:
        _append(path, "".join(f"\n{written(entry)}" for entry in new))
    for entry in made:
        state = "accepted" if entry in new else "accepted already"
        say(f"{state}: {entry.layer} in {plural(len(entry.tests), 'test')}, {_sizes(entry)}")
    say(f"{path}")
    return 0


def _says(old: Acceptance, new: Acceptance) -> bool:
    """Whether an entry differs from a new one in its words at most."""
    return replace(old, reason=new.reason, date=new.date) == new


def _append(path: Path, text: str) -> None:
    """Whatever is in the file stays as it is."""
    with writing_to("--accepted FILE"):
        before = path.read_text(encoding="utf-8") if path.exists() else _BEGIN
        write_whole(path, before + ("" if before.endswith("\n") else "\n") + text)


def _sizes(entry: Acceptance) -> str:
    share = entry.at_most.own_rel_l2
    share = entry.at_most.rel_l2 if share is None else share
    if entry.note is not None or share is None:
        return entry.note or entry.verdict
    return f"up to {amount.percent(share)}"


# -- what the gate said ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Measured:
    k: float | None = None
    rel_l2: float | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class _GatedTest:
    """One of `tests` in a gate's JSON."""

    nodeid: str
    status: str
    first_drift: str | None
    local_drift: tuple[str, ...]
    tensors: Mapping[str, Verdict]
    numbers: Mapping[str, _Measured]
    locals: tuple[LocalOutcome, ...]

    @property
    def outcome(self) -> TestOutcome:
        tensors = (
            TensorOutcome(name, place, "tensor", "", "", (), True, verdict, **_sizes_of(self, name))
            for place, (name, verdict) in enumerate(self.tensors.items())
        )
        return TestOutcome(
            self.nodeid,
            "failed",
            first_drift=self.first_drift,
            local_drift=self.local_drift,
            locals=self.locals,
            tensors=tuple(tensors),
        )


def _sizes_of(test: _GatedTest, name: str) -> dict[str, Any]:
    measured = test.numbers.get(name, _Measured())
    return {"k": measured.k, "rel_l2": measured.rel_l2, "note": measured.note}


@dataclass(frozen=True, slots=True)
class _GateLog:
    """What is read of a gate's JSON."""

    schema: int
    changes: tuple[Change, ...]
    tests: tuple[_GatedTest, ...]
    culprit: tuple[Change, ...] | None = None


def _read(path: Path) -> _GateLog:
    """Raises ConfigError that names the file, the field and the fix."""
    fix = "Name what keras-golden gate … --json gate.json wrote."
    try:
        document = parse_object(path.read_bytes())
        if document.get("schema") != SCHEMA or "tests" not in document:
            raise FieldError("is no result of a gate, or of another version")
        log: _GateLog = reader(_GateLog)(document)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", fix) from error
    except FieldError as error:
        raise ConfigError(f"{path}: {error}", fix) from error
    return log


def _entries(gate: _GateLog, layer: str, arguments: argparse.Namespace) -> list[Acceptance]:
    """An entry per verdict and cause that a layer has; most layers have one."""
    from ..versions.review import blamed_names, found, only_draws, told_by_note

    moved = [t for t in gate.tests if t.status == "moved" or only_draws(t.status, t.outcome)]
    asked = [t for t in moved if arguments.tests is None or t.nodeid in arguments.tests]
    groups: dict[tuple[Any, ...], list[TestOutcome]] = {}
    for outcome in (test.outcome for test in asked):
        measured = found(outcome, layer)
        if layer in blamed_names(outcome) and measured is not None:
            note = told_by_note(measured)
            key = (measured.verdict, getattr(measured, "cause", None), note)
            groups.setdefault(key, []).append(outcome)
    if not groups:
        names = dict.fromkeys(name for test in asked for name in blamed_names(test.outcome))
        raise ConfigError(
            f"No test that moved blames {visible(layer)}.",
            f"Name one of: {', '.join(map(visible, names)) or 'none, nothing moved here'}.",
        )
    made = _changes(gate, arguments.change)
    return [_entry(layer, made, key, outcomes, arguments) for key, outcomes in groups.items()]


def _entry(
    layer: str,
    made: tuple[Change, ...],
    key: tuple[Any, ...],
    outcomes: Sequence[TestOutcome],
    arguments: argparse.Namespace,
) -> Acceptance:
    from ..versions.accepted import Acceptance, Bounds
    from ..versions.review import found, loud

    own = [
        x for x in (found(outcome, layer) for outcome in outcomes) if isinstance(x, LocalOutcome)
    ]
    beyond = [tensor for outcome in outcomes for tensor in loud(outcome)]
    verdict, cause, note = key
    most = Bounds(
        own_k=_bound((x.k for x in own), arguments.room, layer),
        own_rel_l2=_bound((x.rel_l2 for x in own), arguments.room, layer),
        k=_bound((t.k for t in beyond), arguments.room, layer),
        rel_l2=_bound((t.rel_l2 for t in beyond), arguments.room, layer),
    )
    return Acceptance(
        changes=made,
        layer=layer,
        tests=tuple(sorted(outcome.nodeid for outcome in outcomes)),
        verdict=verdict,
        at_most=most,
        reason=" ".join(arguments.reason.split()),
        date=datetime.date.today().isoformat(),
        cause=cause,
        note=note,
    )


def _bound(sizes: Iterable[float | None], room: float, layer: str) -> float | None:
    """The largest size with room, three digits, rounded up."""
    known = [size for size in sizes if size is not None]
    if not known:
        return None
    if not all(map(math.isfinite, known)):
        raise ConfigError(
            f"{visible(layer)} moved without a bound: its k or relative L2 is no finite number.",
            "That is no drift to accept by its size: record the test anew, or leave it out.",
        )
    most = max(known) * room
    if most == 0:
        return 0.0
    step = 10.0 ** (math.floor(math.log10(most)) - 2)
    return float(f"{math.ceil(most / step) * step:.3g}")


def _changes(gate: _GateLog, asked: list[str] | None) -> tuple[Change, ...]:
    if asked is None:
        made = gate.culprit or gate.changes
        if not made:
            raise ConfigError(
                "The gate's sides do not differ: there is no change to accept a drift for.",
                "A test that differs from itself needs a fixed seed.",
            )
        return made
    known = {change.name: change for change in gate.changes}
    unknown = [name for name in asked if name not in known]
    if unknown:
        raise ConfigError(
            f"{visible(unknown[0])} is no change of this gate.",
            f"{did_you_mean(unknown[0], known)}Name one of: {', '.join(map(visible, known))}.",
        )
    return tuple(known[name] for name in asked)
