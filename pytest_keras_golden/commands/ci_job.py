"""What a CI job tells of a gate: its summary, the comment of a pull request, the artifact."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..ci.folder import COMMENT, REQUEST
from ..io.atomic import append_whole, write_whole
from ..report.output import note, writing_to
from ..report.wording import plural

if TYPE_CHECKING:
    from ..ci.comments import Place
    from ..ci.surroundings import Surroundings
    from ..versions.gate import GateResult

RECIPES = "docs/ci.md has the workflow that posts it for pull requests from forks"


@dataclass(frozen=True, slots=True)
class CiJob:
    """Where a job tells what it found. name: of its comment; None where no lock file moves, which
    concerns the comment of every lock file."""

    arguments: argparse.Namespace
    around: Surroundings
    output: Path
    name: str | None

    def tell(self) -> None:
        """The page of the gate goes to the job's summary and to the comment."""
        from ..ci.comments import post
        from ..ci.http import ServiceError

        text = text_in(self.output)
        self._summarize(text)
        place = self._place()
        if place is None or self.name is None:
            return
        self._leave_request(renews=False)
        if not place.token:
            note(f"no comment: it takes {place.wants}; the text is in {self.output / COMMENT}")
            return
        try:
            note(f"comment {post(place, self.name, text)}")
        except ServiceError as error:
            # A comment that cannot be written decides nothing: the text is in the artifact.
            note(f"no comment: {error}\nthe text is in {self.output / COMMENT}; {RECIPES}")

    def settle(self, text: str, *, summary: bool = False) -> None:
        """Nothing was judged: what an earlier commit's run said would stand there as if it were of
        this one. Comments that it left are renewed; none is written for this."""
        from ..ci.http import ServiceError

        written = self.output / COMMENT
        write(written, f"{text}\n\n{text_in(self.output)}" if written.exists() else f"{text}\n")
        if summary:
            self._summarize(text_in(self.output))
        place = self._place()
        if place is None:
            return
        self._leave_request(renews=True)
        try:
            if place.token and renew(place, self.name, backend(), text):
                note("comment renewed")
        except ServiceError as error:
            note(f"no comment: {error}")

    def keep(self, result: GateResult) -> None:
        """Goldens and candidates of what moved go into the artifact."""
        from ..ci.folder import MOST, keep

        moved = (row.outcome for row in result.rows if row.status in _KEPT)
        pairs = [(outcome.golden, outcome.candidate) for outcome in moved if outcome]
        try:
            left_out = keep(pairs, self.output)
        except OSError as error:
            note(f"goldens and candidates are not in {self.output}: {error}")
            return
        if left_out:
            told = f"of {plural(left_out, 'test')} there was no room in {MOST >> 20} MiB"
            note(f"goldens and candidates in {self.output}: {told}; --keep DIR keeps all")

    def _place(self) -> Place | None:
        return None if self.arguments.no_comment else self.around.place

    def _summarize(self, text: str) -> None:
        if self.around.summary is not None:
            _append(self.around.summary, text)

    def _leave_request(self, *, renews: bool) -> None:
        from ..ci.comments import GitHub
        from ..ci.folder import Posting

        if isinstance(self.around.place, GitHub):
            number = self.around.place.number
            request = Posting(number, self.name, backend(), renews)
            write(self.output / REQUEST, request.text())


_KEPT = frozenset({"moved", "incomparable", "accepted"})


def renew(place: Place, name: str | None, backend: str, text: str) -> int:
    """Put a text into our comment of that name, or into those of every lock file judged on that
    backend; how many there were."""
    from ..ci.comments import outdate

    def concerns(other: str) -> bool:
        return other == name if name is not None else _is_of_job(other, backend)

    return outdate(place, concerns, text)


def _is_of_job(name: str, backend: str) -> bool:
    """Whether a comment of that name is of a lock file, judged by a job on that backend."""
    from ..ci.lockfile import is_lock

    lock, _, of = name.rpartition(" ") if backend else (name, "", "")
    return of == backend and is_lock(lock)


def backend() -> str:
    return os.environ.get("KERAS_BACKEND", "")


def text_in(output: Path) -> str:
    return (output / COMMENT).read_text(encoding="utf-8")


def _append(path: Path, text: str) -> None:
    with writing_to("GITHUB_STEP_SUMMARY"):
        append_whole(path, text + "\n")


def write(path: Path, text: str) -> None:
    with writing_to("--output DIR"):
        write_whole(path, text)
