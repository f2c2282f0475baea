"""What an inner run is asked, and what it came to.

Values that travel to other processes and machines (executors): they pickle.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from glob import escape
from pathlib import Path
from typing import Any

from ...outcomes import TestOutcome, test_from_json
from ...report.asides import with_left_alone
from ...stacks.pin import Pin

_USAGE = re.compile(r"^ERROR: usage: .*\n.*?: error: ", re.MULTILINE)
"""What argparse says before the error itself: how pytest is called."""

WITNESS_FOLDER = "witness"
"""In an attempt's folder: where its processes leave proofs, and tell how far they are."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to run. arguments: the user's own; options: ours; timeout in seconds.

    place: where log and output of this run lie. makes: folders that hold its result, emptied before
    it runs; given: folders of earlier runs that it reads. left_out: files that the outer command
    writes, which are no input of the suite. own_cache: pytest's cache folder is this run's own, not
    the suite's. resumes: a finished run is taken again where nothing has changed. called: its name,
    where that is more than its first package. python: another interpreter than this. compiled:
    where it finds what runs like it have compiled.
    """

    pins: tuple[Pin, ...]
    arguments: tuple[str, ...]
    options: tuple[str, ...]
    folder: Path
    place: Path
    timeout: float | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    own_cache: bool = True
    makes: tuple[Path, ...] = ()
    given: tuple[Path, ...] = ()
    left_out: tuple[Path, ...] = ()
    resumes: bool = False
    called: str = ""
    python: str | None = None
    compiled: Path | None = None

    def attempt(self, mark: str) -> Path:
        """The folder in which one attempt works, before its result is taken over into `place`."""
        return self.place.with_name(f".{self.place.name}-{mark}")

    @property
    def attempts(self) -> list[Path]:
        """The folders of attempts that are at work, or were ended."""
        return sorted(self.place.parent.glob(f".{escape(self.place.name)}-*"))

    @property
    def label(self) -> str:
        if self.called:
            return self.called
        return str(self.pins[0]) if self.pins else "this environment"


@dataclass(frozen=True, slots=True)
class InnerRun:
    """What an inner run came to. log: the `--golden-log` document, None where it wrote none.

    output: the end of what it printed. lost: the process died of a signal before its end. reused:
    when it ran, where an earlier command did it and nothing has changed since.
    """

    label: str
    exitstatus: int
    seconds: float
    place: Path
    log: Mapping[str, Any] | None = None
    output: str = ""
    timed_out: bool = False
    reused: str | None = None

    @property
    def lost(self) -> bool:
        return self.exitstatus < 0 and not self.timed_out

    @property
    def tests(self) -> dict[str, TestOutcome]:
        entries = (self.log or {}).get("tests", ())
        tests = (with_left_alone(test_from_json(entry)) for entry in entries)
        return {test.nodeid: test for test in tests}

    @property
    def broken_collections(self) -> tuple[str, ...]:
        return tuple((self.log or {}).get("collection_errors", ()))

    @property
    def last_line(self) -> str:
        return self.output.strip().rpartition("\n")[2].strip("= ")

    @property
    def internal_error(self) -> str | None:
        """The last line of an error in pytest or a plugin; None where there was none."""
        lines = [line for line in self.output.splitlines() if line.startswith("INTERNALERROR>")]
        return lines[-1].removeprefix("INTERNALERROR>").strip() if lines else None

    def why(self) -> str:
        """Why there is no log, in a line or two, with the end of the output."""
        if self.timed_out:
            return f"did not end within its time-out and was ended after {self.seconds:.0f} s"
        if self.lost:
            return f"died of signal {-self.exitstatus}"
        output = _USAGE.sub("ERROR: ", self.output)
        said = [line for line in output.strip().splitlines() if line.strip()]
        return f"ended with pytest's code {self.exitstatus}: " + "\n".join(said[-12:])
