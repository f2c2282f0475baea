"""The hooks around each test: seed, watch the body, judge, and say so in its report."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ..config import PAGE_KEY, REPORT_KEY, Settings
from ..errors import GoldenError
from ..io.originals import forget, originals, remember
from .automatic import Automatic
from .body import BodyWatch
from .items import (
    CASE,
    OUTCOME,
    PAGE,
    asks_for_fixture,
    is_asked_for,
    is_golden,
    new_case,
    nodeid_of,
    parsed_marker,
    typed_nodeid,
)
from .reach import may_reach_keras
from .results import BEGUN_KEY
from .seeding import Seeding

if TYPE_CHECKING:
    from ..capture.state.draws import Draws
    from ..case.collected import Case
    from ..outcomes import TestOutcome


class GoldenRun:
    """One registered per pytest session."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.config = config
        self.settings = settings
        self.body: BodyWatch | None = None
        self.seeding = Seeding(settings.seed, repeats=settings.update and settings.noise > 1)
        self.automatic = Automatic(settings)
        self.fixtures: set[str] = set()
        self._draws: Draws | None = None
        self._loads = ExitStack()
        remember()

    # -- one test ---------------------------------------------------------------------------

    # No wrapper: other plugins' wrappers around set-up (pytest's logging) must have begun before
    # this skips or fails, since they end at tear-down. Behind pytest's own skip marks.
    @pytest.hookimpl(specname="pytest_runtest_setup")
    def pytest_golden_prepare(self, item: pytest.Item) -> None:
        if not is_golden(item, self.settings):
            return
        try:
            self._prepare(item)
        except GoldenError as error:
            raise _failure(error) from None

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Generator[None, None, None]:
        __tracebackhide__ = True
        yield
        if is_golden(item, self.settings):
            self.seeding.after_setup()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
    ) -> Generator[None, object, object]:
        __tracebackhide__ = True
        if fixturedef.scope == "function":
            self.seeding.before_fixture()
            return (yield)
        if fixturedef.argname not in self.fixtures:
            return (yield)
        case = getattr(request, "param_index", 0)
        name = f"{fixturedef.baseid}::{fixturedef.argname}[{case}]"
        with self.seeding.apart(name), self._drawing(name), self.automatic.shared():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_make_collect_report(
        self, collector: pytest.Collector
    ) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        if not (self.settings.auto and isinstance(collector, pytest.Module)):
            return _at_own_line(collector, (yield))
        name = collector.nodeid
        with self.seeding.importing(name), self._drawing(name), self.automatic.importing(name):
            return _at_own_line(collector, (yield))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        if not is_golden(item, self.settings):
            return (yield)
        with self._loads, self._drawing(nodeid_of(item)):
            return (yield)

    @contextmanager
    def _drawing(self, name: str) -> Generator[None, None, None]:
        """In a gate, what chance makes inside belongs to the test, fixture or module `name`."""
        if self.settings.transplant is None:
            yield
            return
        from ..capture.state.draws import Draws

        if self._draws is None:
            self._draws = Draws(*self.settings.transplant, self.settings.shared_draws)
        with self._draws.scope(name):
            yield

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        golden = (item for item in session.items if is_golden(item, self.settings))
        self.fixtures = {name for item in golden for name in getattr(item, "fixturenames", ())}

    def _prepare(self, item: pytest.Item) -> None:
        """Skip outside the marker's versions, else seed and watch, before any fixture is set up."""
        asked = is_asked_for(item)
        plain = not asked and not may_reach_keras(item)
        case = new_case(item)
        case.asked_for, case.plain = asked, plain
        if plain and "keras" not in sys.modules:
            self.seeding.leave_alone()
            return
        _demand_version(item)
        if plain:
            self.seeding.leave_alone()
        else:
            self.seeding.begin(None if asked else case.nodeid)
        if self._draws is not None:
            self._draws.watch()
        self._watch_loads(item, case)
        if not asks_for_fixture(item):
            self.automatic.begin(case)

    def _watch_loads(self, item: pytest.Item, case: Case) -> None:
        """What the test loads is judged by its file; a saved model's test does so itself."""
        from ..capture.loading.watch import watching_loads

        # Of a test that runs again.
        self._loads.close()
        if isinstance(item, pytest.Function) and not case.plain:
            self._loads.enter_context(watching_loads(case.loading.extend))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        # Not hidden: pytest cuts a test's own error at the test, and of a page without a traceback
        # it says so where every frame is hidden.
        case = item.stash.get(CASE, None)
        if case is None:
            result = yield
            _refuse_late_request(item)
            return result
        self.body = body = BodyWatch(item)
        try:
            with body, self.seeding.continued(item), self._transplanting(case):
                try:
                    result = yield
                except BaseException as error:
                    self.automatic.end(type(error), error, error.__traceback__)
                    raise
                self._end_block(body)
        except GoldenError as error:
            from .phases import is_all_ours

            # Where no line of the test had a part in it, there is none to show.
            if is_all_ours(error.__traceback__):
                raise _failure(error) from None
            raise
        finally:
            self.body = None
        if body.passed:
            self._repeat(item, case)
            with originals():
                self._finish(item, case)
        return result

    def _end_block(self, body: BodyWatch) -> None:
        """Nothing is kept of a body that failed without raising, as unittest's do."""
        if body.returned:
            self.automatic.end()
        else:
            self.automatic.end(_Unfinished, _Unfinished(), None)

    @contextmanager
    def _transplanting(self, case: Case) -> Generator[None, None, None]:
        """`--golden-transplant`: what chance made, saved for, or taken from, another run."""
        if self.settings.transplant is None:
            yield
            return
        from ..capture.state.draws import ONE_STREAM
        from ..capture.state.transplant import transplanting
        from ..compare.calls import draws_any
        from ..names import golden_folder

        assert self._draws is not None
        mode, folder = self.settings.transplant
        file = folder / golden_folder(case.nodeid) / "transplant.safetensors"
        with transplanting(mode, file, self._draws) as transplant:
            if self.settings.across_policies:
                case.roundings = transplant.roundings()
            yield
        stream = {ONE_STREAM} if self.settings.shared_draws and draws_any(case) else set()
        case.carried = transplant.carried | self._draws.carried | stream

    def _repeat(self, item: pytest.Item, case: Case) -> None:
        """`--golden-noise=N`: run the body again, from the same random state."""
        if not self.seeding.repeats or case.plain:
            return
        for _ in range(self.settings.noise - 1):
            with case.repeating():
                self.seeding.back_to_the_body()
                with nullcontext() if asks_for_fixture(item) else self.automatic.block(case):
                    item.runtest()

    def _finish(self, item: pytest.Item, case: Case) -> None:
        __tracebackhide__ = True
        from ..case.finish import finish, without_calls
        from ..outcomes import TestOutcome
        from ..report.junit import properties
        from .phases import failure_text

        try:
            if not (case.records or case.asked_for):
                # Every test counts as golden under `golden_auto`; this one calls no model.
                item.stash[OUTCOME] = without_calls(case)
                return
            outcome = self._known(item, finish(case, self._cache()))
            page = failure_text(outcome, case)
        except GoldenError as error:
            reason = error.in_a_line
            outcome = TestOutcome(case.nodeid, "failed", reason=reason, stack=_running_keras())
            page = _said(error)
        item.stash[OUTCOME] = outcome
        item.user_properties += properties(outcome)
        if outcome.outcome == "failed":
            item.stash[PAGE] = True
            pytest.fail(page, pytrace=False)

    def _known(self, item: pytest.Item, outcome: TestOutcome) -> TestOutcome:
        """With what only pytest knows of the test."""
        asked, typed = is_asked_for(item), typed_nodeid(item)
        return replace(outcome, asked=asked, options=self.settings.repeated, typed=typed)

    def _cache(self) -> Path:
        cache = getattr(self.config, "cache", None)  # no attribute under `-p no:cacheprovider`
        if cache is None:
            return _without_cache(self.config.rootpath)
        try:
            return Path(cache.mkdir("keras-golden"))
        except OSError:
            # A read-only checkout: what needs the folder says so, most tests do not.
            return self.config.rootpath / str(self.config.getini("cache_dir")) / "keras-golden"

    # Behind unittest's, which puts an error of its own into `call`, ahead of pytest's, which draws
    # it. In every phase of every test: `pytest_keras_golden.compare` works without the fixture.
    @pytest.hookimpl(specname="pytest_runtest_makereport")
    def pytest_golden_trace(self, item: pytest.Item, call: pytest.CallInfo[None]) -> None:
        found = call.excinfo
        if found is None or not isinstance(found.value, GoldenError):
            return
        if not self.config.option.fulltrace:
            _end_at_own_line(found.value)
            call.excinfo = pytest.ExceptionInfo.from_exception(found.value)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        if is_golden(item, self.settings):
            self._settle(item, report, _ours(call))
            if call.when == "setup":
                setattr(report, BEGUN_KEY, nodeid_of(item))
        if call.when == "setup" and not report.passed:
            self.automatic.end(_Unfinished, _Unfinished(), None)
        if call.when == "teardown" and CASE in item.stash:
            # pytest keeps every item to the end, and a case holds its models and tensors.
            del item.stash[CASE]
        return report

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, object, object]:
        __tracebackhide__ = True
        case = item.stash.get(CASE, None)
        if case is None or case.asked_for:
            return (yield)
        with self.automatic.after(case):
            return (yield)

    def _settle(
        self, item: pytest.Item, report: pytest.TestReport, error: GoldenError | None
    ) -> None:
        from ..outcomes import TestOutcome
        from .phases import seeded_note, settled

        known = item.stash.get(OUTCOME, None)
        outcome = settled(nodeid_of(item), known, report, error)
        if outcome is None and report.when == "teardown":
            outcome = _with_teardown(item, known)
        if report.failed and known is None and not is_asked_for(item) and self.seeding.active:
            of_it = self._known(item, TestOutcome(nodeid_of(item), "failed"))
            report.sections.append(("golden tensors", seeded_note(of_it)))
        if outcome is not None:
            case = item.stash.get(CASE, None)
            unseen = case.kinds_unseen if case is not None else ()
            outcome = replace(self._known(item, outcome), unseen=unseen)
            item.stash[OUTCOME] = outcome
            setattr(report, REPORT_KEY, outcome)
            setattr(report, PAGE_KEY, report.when == "call" and item.stash.get(PAGE, False))

    # -- the session ------------------------------------------------------------------------

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        body = self.body
        if body is not None and report.failed and report.nodeid == body.item.nodeid:
            # A failing subtest is reported while its test still runs, and never raised.
            body.failed = True

    @pytest.hookimpl(trylast=True)
    def pytest_unconfigure(self) -> None:
        """What was put around Keras for the whole session goes: the process may run another one."""
        forget()
        self.automatic.close()
        self.seeding.end()
        if self._draws is not None:
            self._draws.close()


def _with_teardown(item: pytest.Item, known: TestOutcome | None) -> TestOutcome | None:
    """The outcome again, where what ran behind the test is to be told as well."""
    case = item.stash.get(CASE, None)
    if known is None or case is None or set(case.kinds_unseen) <= set(known.unseen):
        return None
    return known


class _Unfinished(Exception):  # noqa: N818 (nobody catches it)
    """Ends the block of a body that did not finish."""


def _demand_version(item: pytest.Item) -> None:
    """Skips a test outside its marker's versions. Raises StackError where Keras is not there."""
    from ..stack import import_keras

    marker = parsed_marker(item)
    version = str(import_keras().__version__)
    if marker is not None and not marker.admits(version):
        wanted = " or ".join(marker.specs)
        pytest.skip(f"keras_versions wants {wanted}, this is Keras {version}")


def _running_keras() -> dict[str, str]:
    """Empty where a test took Keras out of `sys.modules`, say."""
    from ..stack import keras_version

    try:
        return {"keras": keras_version()}
    except GoldenError:
        return {}


_CAUSE = "keras_golden_error"


def _failure(error: GoldenError) -> BaseException:
    """What fails a phase with an error of ours, and with no traceback; pytest would print what is
    its cause a second time."""
    failure = pytest.fail.Exception(_said(error), pytrace=False)
    vars(failure)[_CAUSE] = error
    return failure


def _ours(call: pytest.CallInfo[None]) -> GoldenError | None:
    """The error of ours that a phase ended with, or that it was made to fail for."""
    value = None if call.excinfo is None else call.excinfo.value
    if isinstance(value, pytest.fail.Exception):
        value = vars(value).get(_CAUSE)
    return value if isinstance(value, GoldenError) else None


def _said(error: GoldenError) -> str:
    """Its message; names in it may come from a golden of strangers."""
    from ..report.escape import lines

    return lines(str(error))


def _refuse_late_request(item: pytest.Item) -> None:
    """`request.getfixturevalue` inside a body: too late to watch it, so nothing was compared."""
    if CASE in item.stash:
        pytest.fail(
            "golden_tensors was asked for inside the test body, too late to seed and judge it\n"
            "Ask for it as an argument, or from a fixture.",
            pytrace=False,
        )


def _without_cache(rootpath: Path) -> Path:
    """A folder of the user, one per project, under `-p no:cacheprovider`: all runs share it."""
    from hashlib import sha256

    from ..io.usercache import user_cache

    project = sha256(os.fsencode(rootpath)).hexdigest()[:12]
    return user_cache() / "projects" / project


def _at_own_line(collector: pytest.Collector, report: pytest.CollectReport) -> pytest.CollectReport:
    """A mistake in using the package while a module is imported is told as one in a test."""
    excinfo = getattr(vars(report).get("call"), "excinfo", None)
    if excinfo is not None and isinstance(excinfo.value, GoldenError):
        _end_at_own_line(excinfo.value)
        shortened = pytest.ExceptionInfo.from_exception(excinfo.value)
        report.longrepr = collector.repr_failure(shortened)
    return report


def _end_at_own_line(error: GoldenError) -> None:
    from .phases import is_all_ours, to_own_line

    error.__traceback__ = to_own_line(error.__traceback__)
    error.__suppress_context__ = True
    if error.__cause__ is not None and is_all_ours(error.__cause__.__traceback__):
        # The message says what it came from.
        error.__cause__ = None
