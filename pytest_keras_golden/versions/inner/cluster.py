"""Inner runs on a Dask cluster whose workers see the same files."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from dataclasses import dataclass, replace

from ...errors import ConfigError, StackError
from .job import InnerRun, Job
from .run import run_inner

_POLL = 0.5
_THE_WORKERS = ("PYTHONPATH", "KERAS_GOLDEN_")
"""Variables that the inner run gets there: overlays, caches, proofs."""


_DECIDING = ("KERAS", "JAX_", "XLA_", "TF_", "TORCH_", "OMP_", "MKL_", "PYTEST_", "PYTHONPATH")
"""How variables begin that may change a number, or what a run of pytest does."""


@dataclass(slots=True)
class Remote:
    """The same jobs on another machine: they pickle, and share the file system."""

    executor: Executor
    slots: int

    def submit(self, job: Job) -> Future[InnerRun]:
        # The worker has an environment of its own; the command's says which backend is meant.
        deciding = {key: os.environ[key] for key in os.environ if key.startswith(_DECIDING)}
        ours = {k: value for k, value in deciding.items() if not k.startswith(_THE_WORKERS)}
        environment = {**ours, **job.environment}
        return self.executor.submit(run_on_worker, replace(job, environment=environment))


def check_address(address: str) -> None:
    """Raise ConfigError where it is no address of a cluster."""
    if not address.startswith("dask://"):
        raise ConfigError(f"--executor {address!r} is none we know.", "Write dask://host:port.")


@contextmanager
def dask(address: str) -> Iterator[Remote]:
    """The cluster at `dask://host:port`. Raises StackError where it does not answer."""
    check_address(address)
    try:
        from distributed import Client
    except ImportError as error:
        raise StackError(
            "--executor dask:// needs the package distributed.",
            "Install it: pip install 'pytest-keras-golden[distributed]'",
        ) from error
    try:
        client = Client(f"tcp://{address.removeprefix('dask://')}", timeout=15)
    except OSError as error:
        raise StackError(
            f"No Dask scheduler answers at {address}: {error}", "Start one: dask scheduler"
        ) from error
    with client:
        slots = max(1, sum(client.nthreads().values()))
        yield Remote(client.get_executor(pure=False, retries=0), slots)


def run_on_worker(job: Job) -> InnerRun:
    """As `run_inner`, ended when nobody waits for the result any more (Ctrl-C, a killed client)."""
    from distributed import get_worker

    worker = get_worker()
    key = worker.get_current_task()
    stop, done = threading.Event(), threading.Event()

    def watch() -> None:
        while not done.wait(_POLL):
            task = worker.state.tasks.get(key)
            if task is None or task.state == "cancelled":
                stop.set()

    threading.Thread(target=watch, daemon=True).start()
    try:
        return run_inner(job, stop)
    finally:
        done.set()
