"""Options and ini keys: one table, and the frozen `Settings` everything below the plugin sees.

Knows nothing of pytest: the plugin registers `OPTIONS` and hands two look-ups to `read_settings`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from .errors import ConfigError, did_you_mean, nearest
from .release import KERAS_2, normalised

if TYPE_CHECKING:
    from .records import ToleranceRule

UpdateMode = Literal["all", "changed", "missing"]
UPDATE_MODES: tuple[UpdateMode, ...] = ("changed", "all", "missing")

Twins = Literal["later", "now"]
TWINS: tuple[Twins, ...] = ("later", "now")

DEFAULT_SELECT = ("attention", "logits", "training")
TRAINING_GROUPS = ("loss", "gradients", "updates", "slots", "metrics", "random")
"""Groups of one part of a step each; `training` is all of them."""

GROUPS = ("attention", "logits", "blocks", "all", "outputs", "training", *TRAINING_GROUPS)
"""What `select` takes by a word of its own; whatever else it names is a glob."""

"""What a capture takes where nothing else is asked for."""

DEFAULT_STEPS = 3
"""Steps of a training that are recorded where nothing else is asked for."""


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: command-line flag, ini key, or both. `kind` is pytest's ini type."""

    help: str
    flag: str | None = None
    ini: str | None = None
    kind: Literal["string", "bool", "linelist"] = "string"
    default: Any = None
    metavar: str | None = None
    choices: tuple[str, ...] | None = None
    hidden: bool = False

    @property
    def is_switch(self) -> bool:
        return self.flag is not None and self.metavar is None and self.choices is None


GOLDENS = "goldens"
"""The folder of goldens where none is named."""

REPORT_KEY = "keras_golden"
"""Attribute of a test report that carries the outcome, to whoever follows a run; as builtins where
it came from an xdist worker."""

PAGE_KEY = "keras_golden_page"
"""Attribute of a test report: the test failed with the page of its outcome."""

OPTIONS: tuple[Option, ...] = (
    Option("write goldens of the running stack for the tests that ran", "--update-goldens"),
    Option(
        "which goldens an update writes: those that changed, all, or only missing ones",
        "--update-goldens-mode",
        choices=UPDATE_MODES,
        default="changed",
    ),
    Option("allow --update-goldens where CI is set", "--update-goldens-in-ci"),
    Option("why: stored with what is updated", "--golden-reason", metavar="TEXT"),
    Option(
        "where goldens are kept, relative to the ini file's folder, without one to the rootdir",
        "--goldens-dir",
        "goldens_dir",
        metavar="DIR",
        default=GOLDENS,
    ),
    Option(
        "compare with this version's goldens",
        "--golden-baseline",
        "golden_baseline",
        metavar="VERSION",
    ),
    Option("treat every test as marked", "--golden-auto", "golden_auto", "bool", False),
    Option(
        "what automatic capture takes: attention, logits, blocks, training, all, or globs; "
        "comma-separated",
        "--golden-select",
        "golden_select",
        metavar="LIST",
        default=",".join(DEFAULT_SELECT),
    ),
    Option("record N repeats and store the noise floor", "--golden-noise", metavar="N", default=1),
    Option("write outcomes as JSON", "--golden-log", metavar="FILE"),
    Option("where candidate goldens of changed tests go", "--golden-output", metavar="DIR"),
    Option("write a report, .html or .md by suffix", "--golden-report", metavar="FILE"),
    Option("run the session once per Keras version", "--keras-versions", metavar="LIST"),
    Option(
        "save or load weights and inputs of the first calls (save:DIR, load:DIR)",
        "--golden-transplant",
        metavar="MODE:DIR",
        hidden=True,
    ),
    Option(
        "compare with goldens recorded otherwise on purpose: a backend's name, policy, run",
        "--golden-across",
        metavar="LIST",
        hidden=True,
    ),
    Option(
        "twins in a gate: later (none in goldens), now (in a candidate of every test)",
        "--golden-twins",
        choices=TWINS,
        hidden=True,
    ),
    Option(
        "in a gate, where layers draw: own (the backend's), shared (the same on every backend)",
        "--golden-draws",
        choices=("own", "shared"),
        hidden=True,
    ),
    Option("lines 'dtype-or-glob: k=…' or 'rtol=… atol=…'", None, "golden_tolerances", "linelist"),
    Option("fail, warn or off: local systematic drift", None, "golden_systematic", default="fail"),
    Option("warn or fail: drift by depth alone", None, "golden_accumulated", default="warn"),
    Option("pass or fail: precision that is no worse", None, "golden_precision", default="pass"),
    Option("creep limit, in tolerances", None, "golden_anchor_factor", default="4"),
    Option(
        "largest golden with isolation tensors, and with large tensors whole",
        None,
        "golden_max_size",
        default="1MiB",
    ),
    Option("largest single tensor captured", None, "golden_max_bytes", default="256MiB"),
    Option("first steps of a training that are recorded", None, "golden_steps", default="3"),
    Option(
        "first and last rows kept of each captured tensor, or all; by default samples of large "
        "ones, where all together are more than golden_max_size",
        None,
        "golden_rows",
    ),
    Option(
        "lines 'name in this run -> name in the golden', globs allowed",
        None,
        "golden_aliases",
        "linelist",
    ),
    Option("seed before the fixtures of a golden test, or none", None, "golden_seed", default="0"),
    Option(
        "saved models collected as tests: globs, one a line; 'glob: package.module:build' for "
        "weights that a function's model loads",
        None,
        "golden_models",
        "linelist",
    ),
    Option(
        "modules with the custom objects of saved models, one a line",
        None,
        "golden_custom_objects",
        "linelist",
    ),
    Option(
        "whether saved models may run no code of their own (Lambda layers, foreign modules)",
        None,
        "golden_safe_mode",
        "bool",
        True,
    ),
    Option(
        "inputs of the saved models, .npz or .json, instead of made ones",
        "--golden-inputs",
        metavar="FILE",
    ),
)


@dataclass(frozen=True, slots=True)
class Across:
    """What a golden to compare with was recorded under, on purpose: another backend, by name, or
    any dtype policy. run: another runtime may have run it."""

    backend: str | None = None
    policy: bool = False
    run: bool = False

    @property
    def implementations(self) -> bool:
        """Whether other code computed it, which rounds and approximates elsewhere."""
        return self.backend is not None or self.run


@dataclass(frozen=True, slots=True)
class ModelPattern:
    """Saved models that are collected as tests: a glob relative to the ini file's folder.

    builder: `package.module:function` that makes the model whose weights the file holds.
    """

    glob: str
    builder: str | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """All that configuration decides, checked. Sizes in bytes; paths absolute."""

    goldens_dir: Path
    update: bool = False
    update_mode: UpdateMode = "changed"
    reason: str | None = None
    baseline: str | None = None
    ini_baseline: str | None = None
    auto: bool = False
    select: tuple[str, ...] = DEFAULT_SELECT
    noise: int = 1
    tolerances: tuple[ToleranceRule, ...] = ()
    systematic: str = "fail"
    accumulated: str = "warn"
    precision: str = "pass"
    anchor_factor: float = 4.0
    max_size: int = 1 << 20
    max_bytes: int = 256 << 20
    rows: int | None = None
    samples: bool = True
    steps: int = DEFAULT_STEPS
    aliases: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = 0
    models: tuple[ModelPattern, ...] = ()
    custom_objects: tuple[str, ...] = ()
    safe_mode: bool = True
    inputs: Path | None = None
    log: Path | None = None
    output: Path | None = None
    report: Path | None = None
    versions: str | None = None
    transplant: tuple[Literal["save", "load"], Path] | None = None
    across: Across | None = None
    twins: Twins | None = None
    shared_draws: bool = False
    repeated: tuple[str, ...] = ()
    """Of the command line, what a command that finds the same goldens has to repeat."""

    @property
    def across_backends(self) -> bool:
        """Whether the golden to compare with is of another backend or runtime, on purpose."""
        return self.across is not None and self.across.implementations

    @property
    def across_policies(self) -> bool:
        """Whether the golden to compare with may be of another precision, on purpose."""
        return self.across is not None and (self.across.policy or self.across.run)


RUNNING: list[Settings] = []
"""Of the pytest runs of this process, the innermost last: for what is called without a fixture."""


def read_settings(
    option: Callable[[str], Any],
    ini: Callable[[str], Any],
    *,
    ini_folder: Path | None,
    rootdir: Path,
    working_dir: Path,
    environ: Mapping[str, str] = os.environ,
) -> Settings:
    """Settings from two look-ups (`option(dest)`, `ini(key)`). Raises ConfigError.

    ini_folder: of the ini file that pytest read; None where there is none, and `rootdir` serves.
    """
    _refuse_update_in_ci(option, environ)
    across = _across(option("golden_across"))
    # Other approximations of one function are biased against each other.
    unbiased = across is not None and across.implementations
    systematic = _choice(ini, "golden_systematic", ("fail", "warn", "off"))
    return Settings(
        goldens_dir=_goldens_dir(option, ini, ini_folder or rootdir, ini_folder or working_dir),
        update=bool(option("update_goldens")),
        update_mode=option("update_goldens_mode") or "changed",
        reason=option("golden_reason"),
        baseline=_version(option("golden_baseline"), "--golden-baseline"),
        ini_baseline=_version(ini("golden_baseline"), "golden_baseline"),
        auto=bool(option("golden_auto") or ini("golden_auto")),
        select=_names(option("golden_select") or ini("golden_select")),
        noise=_at_least_one(option("golden_noise"), "--golden-noise"),
        tolerances=_tolerances(ini("golden_tolerances")),
        systematic="off" if unbiased else systematic,
        accumulated=_choice(ini, "golden_accumulated", ("warn", "fail")),
        precision=_choice(ini, "golden_precision", ("pass", "fail")),
        anchor_factor=_positive(ini("golden_anchor_factor"), "golden_anchor_factor"),
        max_size=parse_size(ini("golden_max_size"), "golden_max_size"),
        max_bytes=parse_size(ini("golden_max_bytes"), "golden_max_bytes"),
        rows=_rows(ini("golden_rows")),
        samples=not ini("golden_rows"),
        steps=_at_least_one(ini("golden_steps"), "golden_steps"),
        aliases=_aliases(ini("golden_aliases") or ()),
        seed=_seed(ini("golden_seed")),
        models=tuple(map(_model_pattern, _lines(ini("golden_models")))),
        custom_objects=tuple(_lines(ini("golden_custom_objects"))),
        safe_mode=bool(ini("golden_safe_mode")),
        inputs=_path(option("golden_inputs"), working_dir),
        log=_path(option("golden_log"), working_dir),
        output=_output(option("golden_output"), working_dir),
        report=_path(option("golden_report"), working_dir),
        versions=option("keras_versions"),
        transplant=_transplant(option("golden_transplant"), working_dir),
        across=across,
        twins=option("golden_twins"),
        shared_draws=option("golden_draws") == "shared",
    )


def meant(arguments: Iterable[str]) -> dict[str, str]:
    """Of arguments that nobody knows, those that are nearly one of our flags → the flag."""
    flags = [entry.flag for entry in OPTIONS if entry.flag and not entry.hidden]
    given = (argument.partition("=")[0] for argument in arguments if argument.startswith("--"))
    near = {name: nearest(name, flags, cutoff=0.85) for name in given}
    return {name: found[0] for name, found in near.items() if found}


def check_ini_keys(keys: Iterable[str]) -> None:
    """Refuse `golden*` keys that do not exist: pytest alone would only warn."""
    known = sorted(entry.ini for entry in OPTIONS if entry.ini)
    for key in keys:
        if key.startswith("golden") and key not in known:
            hint = did_you_mean(key, known)
            raise ConfigError(f"unknown ini key {key!r}", f"{hint}Known: {', '.join(known)}.")


def parse_size(value: Any, key: str = "size") -> int:
    """Bytes from an integer with an optional KiB, MiB or GiB."""
    match = re.fullmatch(r"(\d+)\s*(KiB|MiB|GiB|B)?", str(value).strip())
    if match is None:
        raise ConfigError(
            f"{key} = {value!r} is no size", "Write an integer with KiB, MiB or GiB: 4MiB."
        )
    return int(match[1]) << {"KiB": 10, "MiB": 20, "GiB": 30}.get(match[2] or "B", 0)


def in_ci(environ: Mapping[str, str]) -> bool:
    return environ.get("CI", "").strip().lower() not in ("", "0", "false")


def _refuse_update_in_ci(option: Callable[[str], Any], environ: Mapping[str, str]) -> None:
    if option("update_goldens") and in_ci(environ) and not option("update_goldens_in_ci"):
        raise ConfigError(
            f"--update-goldens is refused where CI is set (CI={environ['CI']}): "
            "a run that rewrites its own baseline proves nothing",
            "Update on a developer's machine, or pass --update-goldens-in-ci as well.",
        )


def _goldens_dir(
    option: Callable[[str], Any], ini: Callable[[str], Any], usual: Path, named: Path
) -> Path:
    """usual: the folder below which goldens are kept; named: what --goldens-dir is relative to."""
    given, kept = option("goldens_dir"), ini("goldens_dir") or GOLDENS
    folder = (named / given if given else usual / kept).resolve()
    # A file that happens to have the usual name may be anybody's, in a suite without goldens.
    if (given or kept != GOLDENS) and folder.exists() and not folder.is_dir():
        raise ConfigError(
            f"{folder} is a file, not a folder",
            "Name the folder with the goldens: --goldens-dir=DIR, or goldens_dir in the ini file.",
        )
    return folder


def _version(value: str | None, key: str) -> str | None:
    if not value:
        return None
    # A side of a gate may be Keras 2, whose goldens are filed under its name as well.
    family, space, number = value.rpartition(" ")
    version = normalised(number) if family in ("", KERAS_2) else None
    if version is None:
        raise ConfigError(f"{key} = {value!r} is no version", "Write one like 3.5.0.")
    return f"{family}{space}{version}"


def _tolerances(lines: Sequence[str] | None) -> tuple[ToleranceRule, ...]:
    if not lines:
        return ()
    # Not before there is a rule: runs without golden tests should pay for as little as can be.
    from .tolerance import parse_rules

    return parse_rules(lines)


def _names(value: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in value.split(",") if part.strip())
    if not names:
        raise ConfigError(
            "golden_select selects nothing",
            "Name groups (attention, logits, blocks, training, all) or globs.",
        )
    for name in names:
        # One word names an outermost call at most, whose outputs are taken anyway.
        if name.isidentifier() and name not in GROUPS:
            raise ConfigError(f"golden_select: {name!r} is no group", _group_instead(name))
    return names


def _group_instead(name: str) -> str:
    known = ", ".join(GROUPS)
    return f"{did_you_mean(name, GROUPS)}Groups are {known}; a glob names calls: */{name}*."


def _at_least_one(value: Any, key: str) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if number < 1:
        raise ConfigError(f"{key} = {value!r}: expected an integer of at least 1")
    return number


def _positive(value: Any, key: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 < number < float("inf"):
        raise ConfigError(f"{key} = {value!r}: expected a positive number")
    return number


def _choice(ini: Callable[[str], Any], key: str, choices: tuple[str, ...]) -> str:
    value = str(ini(key))
    if value not in choices:
        raise ConfigError(f"{key} = {value!r}", among(value, choices))
    return value


def among(value: str, choices: Sequence[str]) -> str:
    """What to write instead of a word that is none of the choices."""
    return f"{did_you_mean(value, choices)}Choose one of: {', '.join(choices)}."


def _seed(value: Any) -> int | None:
    if str(value).strip().lower() == "none":
        return None
    try:
        seed = int(value)
    except (TypeError, ValueError):
        seed = -1
    if not 0 <= seed < 2**32:
        raise ConfigError(
            f"golden_seed = {value!r}", "Write an integer from 0 to 2**32 - 1, or none."
        )
    return seed


def _rows(text: str | None) -> int | None:
    value = (text or "all").strip()
    if value == "all":
        return None
    if not value.isdecimal() or int(value) == 0:
        raise ConfigError(f"golden_rows = {value!r}", "Write a number from 1, or all.")
    return int(value)


def _lines(lines: Iterable[str] | None) -> list[str]:
    """What is said in a list of lines, without comments."""
    stripped = (line.strip() for line in lines or ())
    return [line for line in stripped if line and not line.startswith("#")]


_BUILDER = re.compile(r"(?P<glob>.+?):\s+(?P<builder>[\w.]+:[\w.]+)")


def _model_pattern(line: str) -> ModelPattern:
    found = _BUILDER.fullmatch(line)
    if found is None and ": " in line:
        raise ConfigError(
            f"golden_models: {line!r}", "Write 'models/*.keras' or 'glob: package.module:build'."
        )
    return ModelPattern(line) if found is None else ModelPattern(found["glob"], found["builder"])


def _aliases(lines: Iterable[str]) -> dict[str, str]:
    pairs = {}
    for line in _lines(lines):
        old, arrow, new = line.partition("->")
        if not arrow or not old.strip() or not new.strip():
            raise ConfigError(
                f"golden_aliases: {line!r}", "Write 'name in this run -> name in the golden'."
            )
        if old.strip() in pairs:
            raise ConfigError(
                f"golden_aliases: {old.strip()!r} is renamed twice", "Leave one of the lines."
            )
        pairs[old.strip()] = new.strip()
    return pairs


def _path(value: str | None, working_dir: Path) -> Path | None:
    return (working_dir / value).resolve() if value else None


def _output(value: str | None, working_dir: Path) -> Path | None:
    folder = _path(value, working_dir)
    if folder is not None and folder.exists() and not folder.is_dir():
        raise ConfigError(
            f"{folder} is a file, not a folder", "Name a folder for candidates: --golden-output=DIR"
        )
    return folder


def _across(value: str | None) -> Across | None:
    if not value:
        return None
    names = value.split(",")
    backends = [name for name in names if name not in ("policy", "run")]
    if len(backends) > 1:
        raise ConfigError(f"--golden-across={value!r}", "Name one backend, policy, run.")
    return Across(backends[0] if backends else None, "policy" in names, "run" in names)


def _transplant(
    value: str | None, working_dir: Path
) -> tuple[Literal["save", "load"], Path] | None:
    if not value:
        return None
    mode, _, folder = value.partition(":")
    if mode not in ("save", "load") or not folder:
        raise ConfigError(f"--golden-transplant={value!r}", "Write save:DIR or load:DIR.")
    path = (working_dir / folder).resolve()
    return ("save", path) if mode == "save" else ("load", path)
