"""The pytest plugin: options, marker, hooks, printing. Imports nothing heavy."""

from __future__ import annotations

import os
import shlex
from argparse import SUPPRESS, ArgumentTypeError
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from .. import config as settings_module
from ..errors import ConfigError, GoldenError
from ..saved.formats import SUFFIXES
from .items import ASKED, CASE, MARKER, SETTINGS, case_of, parsed_marker
from .models import collected_file, collected_folder
from .results import Results
from .rootdir import demand_own_root
from .run import GoldenRun
from .unused import LeftOut

if TYPE_CHECKING:
    from ..case.collected import Case
    from ..case.fixture import GoldenTensors

EXPECT = "KERAS_GOLDEN_EXPECT"
"""As `versions.trace.proof.EXPECT`, which only inner runs need to import."""

WRITTEN = {"bool": "Write true or false.", "linelist": "Write a list.", "string": "Write text."}
"""Kind of an ini key → how its value is written."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("golden", "golden tensors of Keras models")
    for option in settings_module.OPTIONS:
        if option.flag:
            group.addoption(option.flag, **_option_arguments(option))
        if option.ini:
            parser.addini(option.ini, option.help, type=option.kind, default=_ini_default(option))


def _option_arguments(option: settings_module.Option) -> dict[str, Any]:
    help_text = SUPPRESS if option.hidden else option.help
    if option.is_switch:
        return {"action": "store_true", "default": False, "help": help_text}
    arguments: dict[str, Any] = {"metavar": option.metavar, "help": help_text, "type": _some}
    if option.choices:
        # Not as argparse's choices, which suggest nothing.
        arguments["metavar"] = "{" + ",".join(option.choices) + "}"
        arguments["type"] = _one_of(option.choices)
    # Where an ini key exists its default must not be hidden by the flag's.
    arguments["default"] = None if option.ini else option.default
    return {key: value for key, value in arguments.items() if value is not None or key == "default"}


def _some(value: str) -> str:
    """A variable of a CI job that is not set must not stand for the default: `--keras-versions=`
    would be green, and have compared nothing."""
    if not value.strip():
        raise ArgumentTypeError("empty: give it a value, or leave the option out")
    return value


def _one_of(choices: tuple[str, ...]) -> Callable[[str], str]:
    def chosen(value: str) -> str:
        if value not in choices:
            raise ArgumentTypeError(f"{value!r}. {settings_module.among(value, choices)}")
        return value

    return chosen


def _ini_default(option: settings_module.Option) -> Any:
    return [] if option.kind == "linelist" and option.default is None else option.default


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(parser: pytest.Parser, args: list[str]) -> None:
    """What pytest is to say beside an argument that it does not recognize, and only then: options
    of conftest files are among the unknown ones here."""
    unknown = parser.parse_known_and_unknown_args(args)[1]
    flags = settings_module.meant(unknown)
    if flags:
        told = ", ".join(f"{flag} for {name}" for name, flag in flags.items())
        parser.extra_info["did you mean"] = told


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> int | None:
    """`--keras-versions`: run the session once per version instead of here."""
    versions = config.getoption("keras_versions")
    if not versions:
        return None
    from ..versions.sessions import is_inner, run_session_per_version

    if is_inner():
        return None
    asked = config.invocation_params
    arguments = [str(part) for part in asked.args]
    try:
        log = config.getoption("golden_log")
        return run_session_per_version(versions, arguments, asked.dir, log)
    except GoldenError as error:
        raise _usage_error(str(error)) from None


def pytest_sessionfinish(session: pytest.Session) -> None:
    _refuse_shadows()


def _refuse_shadows() -> None:
    """In an inner run of the version commands: the package must come from its overlay."""
    if EXPECT not in os.environ:
        return
    from ..versions.trace.proof import check_expected

    try:
        check_expected()
    except GoldenError as error:
        pytest.exit(str(error), returncode=2)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    _refuse_shadows()
    config.addinivalue_line(
        "markers",
        f"{MARKER}(*specs, baseline=None, tolerances=None): Keras versions (PEP 440) a golden "
        "test holds for; its tensors are compared with versioned goldens.",
    )
    try:
        _demand_own_root(config)
        settings_module.check_ini_keys(_ini_keys(config))
        settings = settings_module.read_settings(
            config.getoption,
            partial(_ini_value, config),
            ini_folder=config.inipath.parent if config.inipath else None,
            rootdir=config.rootpath,
            working_dir=config.invocation_params.dir,
        )
        settings = replace(settings, repeated=tuple(_repeated(config)))
        if settings.report is not None:
            from ..report.files import demand_format

            demand_format(settings.report.suffix)
    except GoldenError as error:
        raise _usage_error(str(error)) from None
    config.stash[SETTINGS] = settings
    settings_module.RUNNING.append(settings)
    left_out = LeftOut(config)
    register = config.pluginmanager.register
    register(GoldenRun(config, settings), "keras-golden-run")
    register(Results(config, settings, left_out), "keras-golden-results")
    register(left_out, "keras-golden-left-out")


def _repeated(config: pytest.Config) -> Iterator[str]:
    """Options of this run that decide which tests are golden and where their goldens are."""
    if config.option.inifilename:
        yield f"--config-file={config.option.inifilename}"
    if config.option.rootdir:
        yield f"--rootdir={config.option.rootdir}"
    if config.getoption("golden_auto"):
        yield "--golden-auto"
    for name in ("goldens_dir", "golden_select"):
        value = config.getoption(name)
        if value:
            yield f"--{name.replace('_', '-')}={value}"
    for pair in config.option.override_ini or ():
        if pair.startswith("golden"):
            yield f"--override-ini={pair}"


def _ini_value(config: pytest.Config, key: str) -> Any:
    """Raises ConfigError, which names the key, where pytest cannot read its value."""
    try:
        return config.getini(key)
    except (ValueError, TypeError, pytest.UsageError) as error:
        kinds = {option.ini: option.kind for option in settings_module.OPTIONS}
        raise ConfigError(f"{key}: {error}", WRITTEN[kinds[key]]) from None


def _usage_error(text: str) -> pytest.UsageError:
    from ..report.terminal import fitted

    return pytest.UsageError(fitted(text, "ERROR: "))


def pytest_unconfigure(config: pytest.Config) -> None:
    settings = config.stash.get(SETTINGS, None)
    if settings is not None:
        settings_module.RUNNING.remove(settings)


def _demand_own_root(config: pytest.Config) -> None:
    options = config.option
    if options.inifilename or options.help:
        # For its help, pytest leaves off parsing before the test paths.
        return
    asked = config.invocation_params
    demand_own_root(
        [*shlex.split(os.environ.get("PYTEST_ADDOPTS", "")), *map(str, asked.args)],
        [option.flag for option in settings_module.OPTIONS if option.flag],
        [asked.dir / path.partition("::")[0] for path in options.file_or_dir],
        config.inipath,
        asked.dir,
    )


def _ini_keys(config: pytest.Config) -> list[str]:
    overridden = [item.partition("=")[0] for item in config.getoption("override_ini") or ()]
    # pytest 9 deprecates the public attribute and offers no other list of the keys it read.
    read = config._inicfg if hasattr(config, "_inicfg") else config.inicfg
    return [*read, *overridden]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse bad markers before anything runs."""
    for item in items:
        try:
            parsed_marker(item)
        except ConfigError as error:
            raise _usage_error(f"{item.nodeid}: {error}") from None


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    return _saved(file_path, parent, collected_file) if file_path.suffix in SUFFIXES else None


def pytest_collect_directory(path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    return _saved(path, parent, collected_folder)


def _saved(
    path: Path,
    parent: pytest.Collector,
    collected: Callable[[Path, pytest.Collector], pytest.Collector | None],
) -> pytest.Collector | None:
    """Only where the suite has saved models, or the user named this one."""
    wanted = parent.config.stash[SETTINGS].models or parent.session.isinitpath(path)
    return collected(path, parent) if wanted else None


def _asked(item: pytest.Item) -> Case:
    """The item's case; where `request.getfixturevalue` asks for it, only now seeded."""
    item.stash[ASKED] = True
    if CASE not in item.stash:
        run: GoldenRun = item.config.pluginmanager.getplugin("keras-golden-run")
        run.seeding.begin()
        run.seeding.before_fixture()
    return case_of(item)


@pytest.fixture
def golden_tensors(request: pytest.FixtureRequest) -> GoldenTensors:
    """Record tensors and compare them with this test's golden file; see `GoldenTensors`."""
    from ..case.fixture import GoldenTensors

    return GoldenTensors(_asked(request.node))
