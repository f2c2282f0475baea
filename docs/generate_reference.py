"""Writes docs/reference.md from the code: options, fixture, commands, JSON keys, golden metadata.

    python docs/generate_reference.py            writes the page
    python docs/generate_reference.py --check    exit code 1 where it is out of date

What a key means is said here, beside its name; a key that the code has and this file has not (or
the other way round) stops the generation.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest_keras_golden as kg
from pytest_keras_golden import cli
from pytest_keras_golden.case import marker
from pytest_keras_golden.case.fixture import GoldenTensors
from pytest_keras_golden.config import OPTIONS, Option
from pytest_keras_golden.names import Slot
from pytest_keras_golden.outcomes import FAILING, LocalOutcome, TensorOutcome, TestOutcome
from pytest_keras_golden.records import (
    Given,
    GoldenHeader,
    LayerCall,
    OutermostCall,
    TensorEntry,
    Tolerance,
    Verdict,
)
from pytest_keras_golden.store.contents import ISOLATION, REFERENCE
from pytest_keras_golden.store.header import KEY
from pytest_keras_golden.tolerance import EPSILON, default
from pytest_keras_golden.stacks.pin import Pin
from pytest_keras_golden.stacks.side import Side
from pytest_keras_golden.versions.gate import GateResult
from pytest_keras_golden.versions.compared.verdicts import GUILTY, Status, VerdictRow

PAGE = Path(__file__).with_name("reference.md")

Meanings = Mapping[str, str]

VERDICTS: Meanings = {
    "identical": "same dtype, shape and bits",
    "within": "inside the tolerance, or beyond it but no less accurate than the golden against a "
    "high-precision reference",
    "accumulated": "beyond the tolerance, but every layer alone changed by rounding only",
    "drift": "beyond the tolerance, or a token changed against a margin that rounding does not "
    "explain",
    "systematic": "inside the tolerance element by element, but biased: a changed constant",
    "structure": "dtype or shape changed; tensor missing, new or renamed",
    "nonfinite": "the pattern of NaN and Inf changed",
    "incomparable": "weights or inputs differ from the golden's",
    "loading": "a file was read, and the model holds other weights or settings than the file",
    "vacuous": "the tolerance would pass zeros, the negated or a shuffled tensor",
    "unstable": "repeats under one stack differ by more than the tolerance",
}
CONDITIONAL: Meanings = {
    "systematic": "fails; `golden_systematic = warn` or `off` changes that",
    "accumulated": "passes with a warning; `golden_accumulated = fail` changes that",
}
STATUSES: Meanings = {
    "holds": "compared, and inside its tolerance",
    "accepted": "the numbers drifted as `golden_accepted.toml` allows",
    "moved": "the numbers drifted",
    "incomparable": "it ran with other weights, states or inputs under B",
    "broke": "fails under the new version only, for another reason than numbers",
    "failing before": "failed under the old version already",
    "unstable": "differs from itself under the old version",
    "skipped": "skipped under one of the versions",
    "xfailed": "failed as expected (`xfail`, `expectedFailure`) under one of the versions",
    "no tensors": "calls no Keras model, or uses Keras only in ways that are not looked at",
    "new": "exists under the new version only",
}
GATE: Meanings = {
    "schema": "1",
    "verdict": "`holds`, `drift` or `nothing compared`",
    "old": "package → version, and switch → value, of the old side",
    "new": "package → version, and switch → value, of the new side",
    "untouched": "whether the new side was not run, because the suite reads nothing of what differs",
    "problem": "why nothing could be compared, or null",
    "changes": "what differs between the sides: `name`, `old`, `new`",
    "culprit": "the smallest set of changes that alone moves the tests, as `changes`; null where "
    "nothing moved, or nobody looked (`--no-culprit`)",
    "culprit_search": "how it was found: `probes`; `changes`, among how many; `rest`, what the others "
    "are without it (`good`, `bad`, `skip` or null); `unresolved`, mixtures that could not be run, "
    "with the reason; `since`, the release of the guilty package that moves the tests first "
    "(`first_bad`) and the one before (`last_good`), releases and commits that could not be run and "
    "may be it instead (`between`, `commit_between`), `commit`, or why there is none (`no_commit`)",
    "accepted": "entries of `golden_accepted.toml` that let drift through, with the tests they did so in",
    "accepted_unused": "entries whose tests ran and did not move by them",
    "accepted_expired": "entries whose change the old side has",
    "counts": "status → number of tests",
    "not_looked_at": "how many tests use Keras only in ways that are not looked at",
    "tests": "one object per test, see below",
    "seconds": "name of an inner run → its wall time: `old`, `new`, and `old again` or `new again` where "
    "something was repeated",
    "reused": "name of an inner run → when it ran, where it was taken from `--keep`",
}
GATED: Meanings = {
    "nodeid": "pytest's node id",
    "status": "see above",
    "reason": "why, in a line",
    "weights": "as in the outcomes",
    "isolation": "as in the outcomes",
    "first_drift": "the first tensor beyond its tolerance",
    "local_drift": "the layers, and components of a training step, that changed by themselves, in order",
    "unseen": "what of Keras ran and was not looked at, by kind",
    "tensors": "judged tensor → verdict",
    "numbers": "judged tensor → `k`, `tolerance`, `rel_l2`, `max_abs`, … as in the outcomes",
    "locals": "each layer by itself, as in the outcomes",
}
EXIT_CODES: Meanings = {
    "HOLDS": "holds",
    "DRIFT": "drift; for `gate` and `matrix` also what broke only under the new version; for "
    "`diff` a tensor beyond its tolerance; for `verify` a bad file",
    "USAGE": "usage or environment: nothing was compared, the old side is red everywhere, the ends "
    "of a bisection are not good and bad",
    "INTERRUPTED": "interrupted",
}
DOCUMENT: Meanings = {
    "schema": "1",
    "exitstatus": "pytest's exit code",
    "stack": "the stack of the run, see the golden's metadata",
    "collection_errors": "node ids that could not be collected",
    "left_out": "why this was a run of a part of the suite only (`-k`, a stop, a lost worker, …); "
    "empty for one of the whole suite, the only one that `prune --unused-by` takes",
    "tests": "one object per golden test, see below",
}
TEST: Meanings = {
    "nodeid": "pytest's node id",
    "outcome": "`passed`, `failed`, `error`, `recorded`, `skipped` or `xfailed`",
    "reason": "why it failed or was skipped, in a line",
    "baseline": "Keras version of the golden compared with",
    "golden": "path of that golden, or of the one written",
    "candidate": "path of what this run would have recorded, where it was not identical",
    "stack": "the stack of this test",
    "stack_changes": "key → [the golden's, the run's], for each part of the stack that differs",
    "mode": "`eager` or `compiled`",
    "observer": "`identical` or `changed`: whether watching changed a compiled call's numbers; "
    "null where the plugin did not make the call itself",
    "isolation": "`complete`, `not needed`, or `unavailable: …`",
    "weights": "`equal`, `transplanted`, `differ` or `unknown`",
    "carried": "in a gate, what of the old side was put in: `initial weights` that were drawn, "
    "`random inputs`, `random states`",
    "names": "layers that go by another name than in the golden (`renamed`, `moved`), are `gone` or "
    "`new`, and the `aliases` that put them back; null where each is in its place",
    "first_drift": "the first tensor in execution order that is neither identical nor within",
    "local_drift": "layers whose own change on golden inputs is more than rounding, in execution "
    "order",
    "tensors": "one object per tensor, see below",
    "locals": "one object per layer that was measured alone, see below",
    "written": "whether a golden was written",
    "warnings": "what a passing test should still say",
    "typed": "the node id as it is typed where pytest was started, where that is another folder than "
    "the rootdir",
    "unwatched": "tensors inside of compiled steps that were the golden's program, with its inputs and "
    "results, and did not run again, see [observer-effect.md](explanation/observer-effect.md)",
    "unseen": "kinds of Keras calls that ran and were not looked into, see "
    "[existing-suite.md](how-to/existing-suite.md)",
    "options": "of pytest's command line, what a command that finds the same golden repeats",
    "asked": "whether the test is marked or uses the fixture; false under `golden_auto` alone",
}
TENSOR: Meanings = {
    "name": "structural name, or the one given to `check`",
    "order": "position in execution order, from 0",
    "kind": "`attention`, `logits`, `block` or `tensor`",
    "dtype": "dtype of the values as stored",
    "precision": "the coarsest arithmetic that produced them; its ε is used",
    "shape": "list of sizes",
    "judged": "false for tensors that are recorded only",
    "verdict": "see above",
    "source": "`materialised`, or `reconstructed` (attention probabilities from q and k)",
    "tolerance": '`{"k": …}` or `{"rtol": …, "atol": …}`',
    "max_abs": "largest absolute error",
    "max_rel": "largest relative error",
    "k": "max |a − g| / (ε·(|g| + scale))",
    "rel_l2": "‖a − g‖ / ‖g‖",
    "cosine": "cosine similarity",
    "mismatches": "elements beyond the tolerance",
    "max_ulp": "largest distance in units in the last place",
    "bias": "slope of the error on the value, in units of ε",
    "bias_t": "its t statistic",
    "detects": "the smallest relative drift this check would have caught",
    "index": "where max_abs is",
    "note": "a sentence for the report",
    "extra": "metrics of one kind only: logits, attention, reference, anchor",
}
LOCAL: Meanings = {
    "name": "structural name of the call",
    "order": "position in execution order",
    "verdict": "as above, of the layer's own change",
    "precision": "as above",
    "k": "as above",
    "rel_l2": "as above",
    "bias": "as above",
    "bias_t": "as above",
    "note": "a sentence for the report",
    "cause": "`meaning`, `precision`, `rounding`, `random` or `structure`, see "
    "[causes](explanation/causes.md); null where nothing changed or nothing could tell",
    "no_cause": "why no cause can be told of a change; empty where one is, or nothing changed",
    "twin": "the figures behind it: `precision` of the twins; `k`, their largest difference in "
    "roundings of float32; `ratio`, the error against the golden's twin over what it was, and "
    "`accuracy`, better, equal or worse",
}
HEADER: Meanings = {
    "stack": "what produced the numbers: keras, backend, backend_version, keras_hub, numpy, "
    "device, isa, threads, dtype_policy, flash_attention, tf32, platform, python",
    "mode": "`eager` or `compiled`",
    "tensors": "one entry per tensor, see below",
    "weights": "structural name → digest",
    "inputs": "call and place → digest",
    "outermost": "the calls that the test made, in order, see below",
    "calls": "the layer calls that isolation can measure, see below",
    "isolation": "`complete`, or why not",
    "reason": "`--golden-reason` of the last update",
    "observer": "as in the JSON outcomes",
    "programs": "runs of compiled steps on jax that are not watched again where they are the same, see "
    "[observer-effect.md](explanation/observer-effect.md); left out where there is none",
    "schema": "1; other schemas are refused",
}
ENTRY: Meanings = {
    **{name: TENSOR[name] for name in ("name", "order", "kind", "dtype", "shape", "precision")},
    "judged": TENSOR["judged"],
    "source": TENSOR["source"],
    "digest": "xxh3-128 over dtype, shape and C-order bytes",
    "rms": "root mean square of the finite values, 6 significant digits",
    "detects": TENSOR["detects"],
    "noise": "largest k between the repeats of `--golden-noise`",
    "tolerance": TENSOR["tolerance"],
    "sample": "of a large tensor what is kept, the rest of the entry being about the whole: `shape` of "
    "the whole, `steps` (one of so many positions along each axis, the last among them), `digest` of "
    "what is kept, `sums` the digest of `@sums/NAME`, sums over all elements; absent where all is kept",
}
CALL: Meanings = {
    "name": "structural name of the call (`dense@1` is the second call of `dense`)",
    "layer": "structural name of the layer",
    "inputs": "digests of its input arrays",
    "outputs": "digests of its output arrays",
    "precision": "coarsest arithmetic of the call",
    "call": "the outermost call that it was part of",
    "given": "what it was given beside the numbers of its tensors, see below",
    "masks": "digests of the Keras masks that its outputs carry",
    "twins": "per output, which isolation tensor is the sample of its twin; empty where it has none",
    "input_twins": "per input, the same of what code between layers made",
    "backward": "in a training step, what a gradient of this call alone is of → which isolation "
    "tensor is its sketch",
    "backward_twins": "the same in float64",
}
GIVEN: Meanings = {
    "tensors": "places of its tensors, by the names of its parameters",
    "masks": "places of its boolean tensors",
    "flags": "place → text of what is no tensor",
    "carried": "digests of the Keras masks on its tensors",
}
OUTERMOST: Meanings = {
    "name": "structural name of the call; `predict` and the like for a model's methods",
    "path": "structural name of the layer that was called",
    "outputs": "place → digest of what it returned",
    "updates": "weight or state → digest, where it was not what it was before the call before",
    "draws": "seed → digest of its state, of the random generators that the call advanced",
    "flags": "place → text of what the test passed that is no tensor",
    "batch": "how many of its inputs `predict` takes at once",
}
ENVIRONMENT: Meanings = {
    "KERAS_BACKEND": "Keras' own: which backend runs",
    "CI": "set and neither `0` nor `false`: `--update-goldens` is refused",
    "GITHUB_STEP_SUMMARY": "a file that the Markdown report is appended to",
    "KERAS_GOLDEN_CACHE": "where overlays are kept, else `$XDG_CACHE_HOME/pytest-keras-golden`, "
    "else `~/.cache/pytest-keras-golden`; locks and candidates too under `-p no:cacheprovider`",
    "KERAS_GOLDEN_TRACEBACK": "set: `keras-golden` prints the traceback of an unexpected error, "
    "which ends it with code 2",
}


def reference() -> str:
    parts = [
        ["# Reference", _preface()],
        ["## pytest options and ini keys", _options()],
        ["## The marker", _marker()],
        ["## The fixture", *_fixture()],
        ["## By hand: scripts, notebooks, one test", *_by_hand()],
        ["## Default tolerances", _defaults()],
        ["## Verdicts", _verdicts()],
        ["## `keras-golden`", *_commands()],
        ["## Exit codes", _exit_codes()],
        ["## What a gate says of a test", _statuses()],
        ["## JSON of a gate (`gate --json`)", *_gate()],
        ["## JSON outcomes (`--golden-log`)", *_outcomes()],
        ["## The golden file", *_golden_file()],
        ["## Environment variables", _table(("variable", "meaning"), _named(ENVIRONMENT))],
    ]
    return "\n\n".join(text for part in parts for text in part) + "\n"


def _preface() -> str:
    return (
        "Generated from the code by `docs/generate_reference.py`; a test holds it up to date. "
        "Explanations are in [explanation/](index.md#explanation), tasks in "
        "[how-to/](index.md#how-to)."
    )


# -- pytest ---------------------------------------------------------------------------------


def _options() -> str:
    rows = [
        (_flag(option), f"`{option.ini}`" if option.ini else "–", _default(option), option.help)
        for option in OPTIONS
        if not option.hidden
    ]
    text = _table(("option", "ini key", "default", "meaning"), rows)
    return text + (
        "\n\nA `golden…` ini key that is not listed is a usage error. The option wins over the "
        "ini key."
    )


def _flag(option: Option) -> str:
    if option.flag is None:
        return "–"
    value = "\\|".join(option.choices) if option.choices else option.metavar
    return f"`{option.flag}{'=' + value if value else ''}`"


def _default(option: Option) -> str:
    if option.is_switch and option.ini is None:
        return "off"
    if option.default is None:
        return "none"
    return f"`{str(option.default).lower() if option.kind == 'bool' else option.default}`"


def _marker() -> str:
    parsed = marker.parse((">=3.5",), {"baseline": "3.5.0", "tolerances": "k=5"})
    assert parsed.baseline == "3.5.0"
    rows = [
        ("`*specs`", "PEP 440 specifiers, OR-ed; commas inside one are AND; a bare version means "
         "`==`; pre-releases count; none means every version. Outside them the test is skipped."),
        ("`baseline=`", "the version to compare with, instead of the newest recorded one that is "
         "not newer than the running one. `--golden-baseline` overrides it."),
        ("`tolerances=`", "one tolerance for all tensors, or a mapping of dtype or glob to "
         "tolerance."),
    ]  # fmt: skip
    head = "`@pytest.mark.keras_versions(*specs, baseline=None, tolerances=None)`"
    return f"{head}\n\n{_table(('argument', 'meaning'), rows)}"


def _fixture() -> Iterator[str]:
    yield (inspect.getdoc(GoldenTensors) or "").replace("\n\n", " ")
    for name in (name for name in vars(GoldenTensors) if not name.startswith("_")):
        function = inspect.unwrap(getattr(GoldenTensors, name))
        yield f"### `golden_tensors.{name}`"
        yield f"`{name}({_parameters(function)})`"
        yield _paragraphs(inspect.getdoc(function) or "")


def _by_hand() -> Iterator[str]:
    yield "`import pytest_keras_golden as kg`; how-to/notebook.md shows them at work."
    for function in (kg.load, kg.capture, kg.compare, kg.same):
        name = function.__name__
        yield f"### `kg.{name}`"
        yield f"`{name}({_parameters(inspect.unwrap(function))})`"
        yield _paragraphs(inspect.getdoc(function) or "")
    for kind in (kg.Tensors, kg.Comparison):
        yield f"### `kg.{kind.__name__}`"
        yield _paragraphs(inspect.getdoc(kind) or "")


def _parameters(function: Any) -> str:
    found = inspect.signature(function).parameters.values()
    shown, star = [], False
    for parameter in found:
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            shown.append("*")
            star = True
        shown.append(parameter.name + _default_value(parameter))
    return ", ".join(shown)


def _default_value(parameter: inspect.Parameter) -> str:
    if parameter.default is parameter.empty:
        return ""
    shown = repr(parameter.default)
    return "=…" if shown.startswith("<") else f"={shown}"


def _paragraphs(text: str) -> str:
    """A docstring's contract: each `name: meaning` and `Raises` sentence on a line of its own."""
    head, _, rest = text.partition("\n\n")
    return "\n\n".join([" ".join(head.split()), *_sentences(rest)])


def _sentences(rest: str) -> list[str]:
    lines: list[str] = []
    for line in rest.splitlines():
        if re.match(r"[a-z_]+: ", line) or not lines or re.match(r"(Raises|Yields) ", line):
            lines.append(line.strip())
        else:
            lines[-1] += " " + line.strip()
    return lines


def _defaults() -> str:
    rows = []
    for precision, epsilon in EPSILON.items():
        power = f"2⁻{str(-_log2(epsilon)).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}"
        rows.append((f"`{precision}`", power, f"{default(precision).k:g}"))
    rows.append(("integers, `bool`", "–", "exact"))
    text = _table(("precision", "ε", "k"), rows)
    return (
        f"{text}\n\nA tolerance is `k` (atol = k·ε·scale, rtol = k·ε; scale is the tensor's robust "
        "rms) or absolute `rtol`/`atol` (the one left out is 0); mixing them is an error. Most "
        "specific first: argument, marker, ini glob, ini dtype, default; the last line wins. Why "
        "these numbers: [tolerances.md](tolerances.md)."
    )


def _log2(value: float) -> int:
    return int(value.hex().partition("p")[2])


def _verdicts() -> str:
    rows = [(f"`{name}`", VERDICTS[name], _effect(name)) for name in _same(VERDICTS, Verdict)]
    return _table(("verdict", "meaning", "test"), rows)


def _effect(name: str) -> str:
    return CONDITIONAL.get(name, "fails" if name in FAILING else "passes")


def _statuses() -> str:
    rows = [
        (f"`{name}`", STATUSES[name], "1" if name in GUILTY else "0")
        for name in _same(STATUSES, Status)
    ]
    return _table(("status", "meaning", "exit code"), rows)


def _gate() -> Iterator[str]:
    side = Side((Pin("keras", "3.5.0", Path()),))
    row = VerdictRow("t", "holds", TestOutcome("t", "passed"))
    made = GateResult(side, side, (row,), {}).to_json()
    yield _keyed(made, GATE)
    yield "### Each of a gate's `tests`"
    yield _keyed(made["tests"][0], GATED)


def _keyed(made: Mapping[str, Any], meanings: Meanings) -> str:
    if list(made) != list(meanings):
        raise SystemExit(f"meanings {list(meanings)}, keys {list(made)}")
    return _table(("key", "meaning"), _named(meanings))


def _exit_codes() -> str:
    rows = [(str(getattr(cli, name)), text) for name, text in EXIT_CODES.items()]
    return _table(("code", "`keras-golden`"), rows) + "\n\npytest itself keeps pytest's codes."


# -- the command line -----------------------------------------------------------------------


def _commands() -> Iterator[str]:
    for name, parser, brief in _subparsers(cli._parser()):
        yield from _command(f"keras-golden {name}", parser, brief)


def _command(name: str, parser: argparse.ArgumentParser, brief: str) -> Iterator[str]:
    yield f"### `{name}`"
    yield " ".join((parser.description or f"{brief[:1].upper()}{brief[1:]}.").split())
    rows = [(_argument(action), _help(action)) for action in _arguments(parser)]
    if rows:
        yield _table(("argument", "meaning"), rows)
    for child, below, help_text in _subparsers(parser):
        yield from _command(f"{name} {child}", below, help_text)


def _subparsers(
    parser: argparse.ArgumentParser,
) -> list[tuple[str, argparse.ArgumentParser, str]]:
    # argparse has no public way to list what was added to a parser.
    found = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return [
        (brief.dest, action.choices[brief.dest], brief.help or "")
        for action in found
        for brief in action._choices_actions
    ]


def _arguments(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    hidden = (argparse._HelpAction, argparse._SubParsersAction)
    return [action for action in parser._actions if not isinstance(action, hidden)]


def _argument(action: argparse.Action) -> str:
    value = _value(action)
    if not action.option_strings:
        return f"`{value}`"
    return f"`{', '.join(action.option_strings)}{' ' + value if value else ''}`"


def _value(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    metavar = action.metavar or action.dest.upper()
    name = str(metavar if isinstance(metavar, str) else metavar[0])
    return {"+": f"{name} …", "*": f"[{name} …]"}.get(str(action.nargs), name)


def _help(action: argparse.Action) -> str:
    text = (action.help or "") % {"default": action.default, "prog": "keras-golden"}
    return " ".join(text.split())


# -- what is written ------------------------------------------------------------------------


def _outcomes() -> Iterator[str]:
    yield "Absent is null, non-finite numbers are the strings `inf`, `-inf`, `nan`."
    yield _table(("key", "meaning"), _named(DOCUMENT))
    for title, of, meanings in (
        ("Each of `tests`", TestOutcome, TEST),
        ("Each of `tensors`", TensorOutcome, TENSOR),
        ("Each of `locals`", LocalOutcome, LOCAL),
    ):
        yield f"### {title}"
        yield _keys(of, meanings)


def _golden_file() -> Iterator[str]:
    slot = Slot("3.15.1", "jax", "cpu", "bfloat16")
    yield (
        f"`goldens/<test path without .py>/<Class>.test[parameters]/{slot.filename}`: the version, "
        "backend, device and dtype policy are its slot. It is a safetensors file; one metadata "
        f"key, `{KEY}`, holds canonical JSON. High-precision references are stored under "
        f"`{REFERENCE}`, inputs and outputs of layers under `{ISOLATION}`."
    )
    yield _keys(GoldenHeader, HEADER, {"references": "tensor → digest of its reference",
                                       "checksum": "xxh3-128 of the rest of the JSON"})  # fmt: skip
    yield "### Each of `tensors` in the metadata"
    yield _keys(TensorEntry, ENTRY)
    yield "### Each of `calls`"
    yield _keys(LayerCall, CALL)
    yield "### `given` of a call"
    yield _keys(Given, GIVEN)
    yield "### Each of `outermost`"
    yield _keys(OutermostCall, OUTERMOST)
    assert {field.name for field in fields(Tolerance)} == {"k", "rtol", "atol"}


def _keys(of: Any, meanings: Meanings, more: Meanings | None = None) -> str:
    names = [field.name for field in fields(of)]
    if set(names) != set(meanings):
        raise SystemExit(f"{of.__name__}: described and real keys differ by "
                         f"{sorted(set(names) ^ set(meanings))}")  # fmt: skip
    told = {name: meanings[name] for name in names} | dict(more or {})
    return _table(("key", "meaning"), _named(told))


def _same(meanings: Meanings, literal: Any) -> Sequence[str]:
    names: tuple[str, ...] = get_args(literal)
    if set(names) != set(meanings):
        raise SystemExit(f"described and real values differ by {set(names) ^ set(meanings)}")
    return names


def _named(meanings: Meanings) -> list[tuple[str, str]]:
    return [(f"`{name}`", text) for name, text in meanings.items()]


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(titles)} |", "|" + "---|" * len(titles)]
    lines += [f"| {' | '.join(_cell(text) for text in row)} |" for row in rows]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", text)


def main() -> int:
    text = reference()
    if sys.argv[1:] == ["--check"]:
        return int(not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text)
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
