"""Many inner runs over an executor: retries for lost ones, nothing left behind on Ctrl-C."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from ...errors import GoldenError
from ...report.escape import first_line
from ..trace import evidence, telling
from . import kept
from .job import WITNESS_FOLDER, InnerRun, Job
from .progress import Progress, Silent
from .run import run_inner

ATTEMPTS = 2
"""How often a job is tried whose process or worker dies."""

_POLL = 0.2


class Runner(Protocol):
    """Runs jobs somewhere; `submit` returns at once."""

    @property
    def slots(self) -> int: ...

    def submit(self, job: Job) -> Future[InnerRun]: ...


@dataclass(slots=True)
class Local:
    """Inner runs as subprocesses of this process, `slots` at a time."""

    slots: int
    stop: threading.Event = field(default_factory=threading.Event)
    _pool: ThreadPoolExecutor | None = None

    def submit(self, job: Job) -> Future[InnerRun]:
        self._pool = self._pool or ThreadPoolExecutor(self.slots)
        return self._pool.submit(run_inner, job, self.stop)

    def close(self) -> None:
        self.stop.set()
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def runner(jobs: int, address: str | None = None) -> Iterator[Runner]:
    """Where jobs run: here, `jobs` at a time, or on the Dask cluster `dask://host:port`."""
    if address is not None:
        from .cluster import dask

        with dask(address) as remote:
            yield remote
        return
    local = Local(jobs)
    try:
        yield local
    finally:
        local.close()


def run_all(
    jobs: Mapping[str, Job],
    where: Runner,
    progress: Progress | None = None,
    expected: Mapping[str, float] | None = None,
) -> dict[str, InnerRun]:
    """Run every job; a job whose process or worker dies is tried again, once. Jobs that met in a
    file while they ran are run again, each alone. expected: key → seconds that it will take.

    Returns key → run, in the order of `jobs`; a job lost twice yields a run that is `lost`.
    Raises StackError where a run proves to import something else than its overlay.
    """
    told = progress or Silent()
    done = _side_by_side(jobs, where, told, expected)
    fresh = {run.place: key for key, run in done.items() if run.reused is None}
    met = evidence.shared(list(fresh)) if where.slots > 1 and len(fresh) > 1 else {}
    again = {fresh[place]: f"runs met in {path}, each again alone" for place, path in met.items()}
    return done | run_alone({key: jobs[key] for key in again}, where, told, again)


def run_alone(
    jobs: Mapping[str, Job],
    where: Runner,
    progress: Progress | None = None,
    why: Mapping[str, str] | None = None,
) -> dict[str, InnerRun]:
    """Run jobs one after another, whatever an earlier run of them came to. why: key → reason."""
    told = progress or Silent()
    done: dict[str, InnerRun] = {}
    for key, job in jobs.items():
        told.finished(key, (why or {}).get(key, "again alone"))
        kept.forget(job.place)
        done |= _side_by_side({key: job}, where, told)
    return done


def _side_by_side(
    jobs: Mapping[str, Job],
    where: Runner,
    told: Progress,
    expected: Mapping[str, float] | None = None,
) -> dict[str, InnerRun]:
    queue = [(key, 1) for key in jobs]
    pending: dict[Future[InnerRun], tuple[str, int]] = {}
    done: dict[str, InnerRun] = {}
    failed: set[tuple[str, str]] = set()
    try:
        while queue or pending:
            while queue and len(pending) < where.slots:
                key, attempt = queue.pop(0)
                told.started(key, (expected or {}).get(key))
                pending[where.submit(jobs[key])] = (key, attempt)
            finished = wait(pending, _POLL, FIRST_COMPLETED).done
            for key, _ in pending.values():
                _follow(key, jobs[key], told, failed)
            for future in finished:
                key, attempt = pending.pop(future)
                run = _result(future, jobs[key])
                if run.lost and attempt < ATTEMPTS:
                    told.finished(key, f"lost ({run.why()}), trying again")
                    queue.insert(0, (key, attempt + 1))
                    continue
                told.finished(key, in_words(run))
                done[key] = run
    finally:
        for future in pending:
            future.cancel()
    return {key: done[key] for key in jobs}


def _follow(key: str, job: Job, told: Progress, failed: set[tuple[str, str]]) -> None:
    """Pass on what a run tells of itself. failed: (key, test) of what was passed on already."""
    for attempt in job.attempts:
        news = telling.told(attempt / WITNESS_FOLDER)
        if news.total:
            told.advanced(key, news.done, news.total)
        for test in news.failed:
            if (key, test.nodeid) not in failed:
                failed.add((key, test.nodeid))
                told.failed(key, test)


def _result(future: Future[InnerRun], job: Job) -> InnerRun:
    try:
        return future.result()
    except GoldenError:
        raise
    except Exception as error:
        # KilledWorker, BrokenProcessPool and the like: each executor has its own name for it.
        said = f"{type(error).__name__}: {error}"
        return InnerRun(job.label, -9, 0.0, job.place, output=said)


def in_words(run: InnerRun) -> str:
    """`7 recorded, 1 failed`, or why there is nothing; and where it is no new run, whose it is."""
    taken = f"taken from the run of {run.reused}: " if run.reused else ""
    return taken + _result_in_words(run)


def _result_in_words(run: InnerRun) -> str:
    if run.log is None:
        return first_line(run.why())
    counts: dict[str, int] = {}
    for test in run.tests.values():
        counts[test.outcome] = counts.get(test.outcome, 0) + 1
    broken = len(run.broken_collections)
    parts = [f"{count} {outcome}" for outcome, count in counts.items()]
    return ", ".join(parts + ([f"{broken} not collected"] if broken else [])) or run.last_line


def map_parallel(call: Callable[[Any], Any], items: Iterable[Any], slots: int) -> list[Any]:
    """`call` over `items`, `slots` at a time, results in order; the first error is raised."""
    with ThreadPoolExecutor(max(1, slots)) as pool:
        return list(pool.map(call, items))
