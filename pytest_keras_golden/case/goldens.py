"""The goldens of one test: the one to compare with, the oldest one, and where its own goes."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import Across, Settings
from ..errors import CorruptGoldenError
from ..io.originals import originals, with_originals
from ..names import Slot, golden_folder
from ..stack import running_stack
from ..stacks.switches import asked
from .marker import VersionMarker

if TYPE_CHECKING:
    from ..records import Array
    from ..store.codec import Golden


class Goldens:
    """Opened when they are first asked for; leaving the context lets go of the files.

    damage: what is wrong with this slot's own golden, where an update is to replace it for that.
    """

    def __init__(self, nodeid: str, settings: Settings, marker: VersionMarker) -> None:
        self._nodeid = nodeid
        self._settings = settings
        self._marker = marker
        self._policy: str | None = None
        self._own_policy = False
        self._baseline: Golden | None = None
        self._looked_for: Slot | None = None
        self.damage: str | None = None
        self._closing = ExitStack()

    def __enter__(self) -> Goldens:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._closing.close()

    # -- where ------------------------------------------------------------------------------

    @property
    def folder(self) -> Path:
        return self._root / golden_folder(self._nodeid)

    @property
    def _root(self) -> Path:
        return self._settings.goldens_dir

    def note_policy(self, policy: str | None, own: bool = True) -> None:
        """The slot's dtype policy is the first captured model's.

        own: the test names the model. Else it is whichever layer is called first, whose policy is
        a matter of the release as well; layers that compute with integers or text have none that
        numbers could be filed under.
        """
        if self._policy is None and policy is not None and (own or _is_floating(policy)):
            self._policy, self._own_policy = policy, own
            # What was looked for before may lie in another slot.
            self._baseline = self._looked_for = None

    @property
    def policy(self) -> str | None:
        """The dtype policy of the first captured model; None before there is one."""
        return self._policy

    def stack(self) -> dict[str, Any]:
        """With what runs saved models, in a gate whose sides differ in it."""
        switches = asked()
        run = {"run": switches["run"]} if "run" in switches else {}
        return running_stack(policy=self._policy) | run

    def slot(self) -> Slot:
        stack = self.stack()
        return Slot(stack["keras"], stack["backend"], stack["device"], stack["dtype_policy"])

    @property
    def own(self) -> Path:
        """Where this run's golden lies, or would lie."""
        return self.folder / self.slot().filename

    # -- which ------------------------------------------------------------------------------

    def baseline(self) -> Golden | None:
        """The golden to compare with, opened once; None where there is no candidate."""
        # Asked for many times in a test, and a slot takes the whole stack.
        if self._baseline is None and (slot := self.slot()) != self._looked_for:
            with originals():
                path = self._baseline_path(slot)
                self._baseline = self._open_unless_replaced(path) if path is not None else None
            self._looked_for = slot
        return self._baseline

    def _baseline_path(self, slot: Slot) -> Path | None:
        from ..store.baseline import find_baseline

        settings, folder = self._settings, golden_folder(self._nodeid)
        requested = settings.baseline or self._marker.baseline or settings.ini_baseline
        across = settings.across or Across()
        slot = self._recorded_on(across.backend, slot)
        path = find_baseline(self._root, folder, slot, requested)
        if path is None and (across.policy or not self._own_policy):
            # A layer of another policy in this release: a change to be told, no missing golden.
            return find_baseline(self._root, folder, slot, requested, any_policy=True)
        return path

    def _recorded_on(self, backend: str | None, slot: Slot) -> Slot:
        """The slot as the golden of another backend has it, on whichever device that ran."""
        if backend is None:
            return slot
        devices = [other.device for other in self.candidates() if other.backend == backend]
        device = slot.device if slot.device in devices or not devices else devices[0]
        return replace(slot, backend=backend, device=device)

    def tokens(self, name: str, steps: int) -> Array | None:
        """The baseline's decoded tokens, (batch, steps), to force; None where it has none."""
        golden = self.baseline()
        entry = golden.header.entry(name) if golden is not None else None
        if golden is None or entry is None or entry.shape[1:] != (steps,):
            return None
        return golden.array(name)

    def candidates(self) -> list[Slot]:
        """The slots that exist for this test, for the message about a missing golden."""
        from ..store.baseline import candidates

        return candidates(self._root, golden_folder(self._nodeid))

    @with_originals
    def of_this_backend(self) -> list[Path]:
        """This test's goldens, of any version and policy, on the running backend and device."""
        mine = self.slot()
        return [
            self.folder / slot.filename
            for slot in self.candidates()
            if (slot.backend, slot.device) == (mine.backend, mine.device)
        ]

    def anchor(self) -> Golden | None:
        """The oldest golden kept for this test, where it is not the baseline itself."""
        from ..store.baseline import find_anchor

        path = find_anchor(self._root, golden_folder(self._nodeid), self.slot())
        baseline = self.baseline()
        if path is None or baseline is None or path == baseline.path:
            return None
        return self._open(path)

    # -- opening ----------------------------------------------------------------------------

    def _open_unless_replaced(self, path: Path) -> Golden | None:
        """None for a damaged golden that this run is to replace, as the error's fix promises."""
        try:
            golden = self._open(path)
            problems = golden.verify() if self._replaces(path) else []
            self.damage = problems[0] if problems else None
            return None if problems else golden
        except CorruptGoldenError as error:
            if self._replaces(path) and "--update-goldens" in error.fix:
                self.damage = error.problem.removeprefix(f"{path}: ")
                return None
            raise

    def _replaces(self, path: Path) -> bool:
        missing_only = self._settings.update_mode == "missing"
        return self._settings.update and not missing_only and path == self.own

    def damaged(self) -> bool:
        """Whether this slot's own golden exists and some byte of it, read or not, is damaged."""
        from ..store.files import verify_file

        problems = verify_file(self.own, self._root) if self.own.exists() else []
        self.damage = problems[0] if problems else None
        return bool(problems)

    def _open(self, path: Path) -> Golden:
        from ..store.codec import Golden
        from ..store.files import misplaced

        golden = self._closing.enter_context(Golden.open(path, root=self._settings.goldens_dir))
        problems = misplaced(path, golden.header.stack)
        if problems:
            raise CorruptGoldenError(
                f"{path}: {problems[0]}",
                "Give it its name back, or remove it and record again: pytest --update-goldens",
                path,
            )
        return golden


def _is_floating(policy: str) -> bool:
    return "float" in policy
