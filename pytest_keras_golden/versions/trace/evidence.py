"""Proof that a finished inner run would come to the same again: nothing that it saw has changed.

What it saw: every file that Python opened or looked for, the folders it listed, all files below the
suite's folder, the environment, the interpreter, what is installed, and the folders it was given.
Whatever cannot be shown to be as it was leads to another run.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import platform
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from ...io.ownership import MARK
from ...stack import processors
from .heard import Heard, State, data_beside, names, state

FILE = "evidence.json.gz"
SUFFIX = ".heard"
"""Of the files in which the processes of an inner run testify."""

SESSION = frozenset({"_", "SHLVL", "PWD", "OLDPWD", "TERM", "COLORTERM", "TERM_PROGRAM"}) | {
    *("TERM_PROGRAM_VERSION", "WINDOWID", "TMUX", "TMUX_PANE", "STY", "LS_COLORS"),
    *("SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "SSH_AUTH_SOCK"),
    *("XDG_SESSION_ID", "DBUS_SESSION_BUS_ADDRESS"),
}
"""Variables that say from which terminal or session a command was given: another one, or the next
shell, is no reason to run again. Every other variable is."""

_CACHES = frozenset(
    {".git", ".hg", ".svn", "__pycache__", "node_modules", "site-packages"}
    | {".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".tox", ".nox"}
)
_MOST_FILES = 100_000


def tree(root: Path, left_out: Iterable[str] = ()) -> dict[str, State]:
    """Path → state of every file below a folder, without caches, environments and what is ours.

    Raises ValueError where there are too many for a proof that costs little.
    """
    states: dict[str, State] = {}
    ignored = frozenset(left_out)
    for place, folders, files in os.walk(root):
        folders[:] = [name for name in folders if _belongs(Path(place, name))]
        paths = (os.path.join(place, name) for name in files)  # noqa: PTH118
        states |= {path: state(path) for path in paths if path not in ignored}
        if len(states) > _MOST_FILES:
            raise ValueError(f"{root} holds more than {_MOST_FILES:,} files")
    return states


def _belongs(folder: Path) -> bool:
    foreign = ("pyvenv.cfg", "conda-meta", MARK)
    return folder.name not in _CACHES and not any((folder / name).exists() for name in foreign)


def trees(roots: Iterable[Path], left_out: Iterable[str] = ()) -> dict[str, dict[str, State]]:
    """`tree` of each root that lies in no other one."""
    every = sorted({root.resolve() for root in roots})
    tops = [root for root in every if not any(other in root.parents for other in every)]
    return {str(root): tree(root, left_out) for root in tops}


Trees = Mapping[str, Mapping[str, State]]


def testimony(heard: Heard, before: Trees, after: Trees) -> str:
    """What one process has to say, as JSON. before, after: `trees` at its start and its end."""
    changed = [
        path
        for root in after
        for path in {**before.get(root, {}), **after[root]}
        if before.get(root, {}).get(path) != after[root].get(path)
    ]
    return json.dumps({**heard.to_json(), "trees": after, "changed": changed})


def gather(witness: Path, left: Sequence[Path]) -> dict[str, Any]:
    """One document from what all processes of a run said. left: folders that are its result, or
    were given to it."""
    said = [json.loads(path.read_text("utf-8")) for path in sorted(witness.glob(f"*{SUFFIX}"))]
    began = len(list(witness.glob("*-configure.json")))
    merged: dict[str, Any] = {"files": {}, "listed": {}, "beside": {}, "trees": {}}
    for process in said:
        for key, found in merged.items():
            # The first state that any process saw: what changed later is a change.
            found |= {name: value for name, value in process[key].items() if name not in found}
    for kind in ("listed", "beside"):
        # The walks tell of these already, and leave out what the command itself writes there.
        merged[kind] = {p: v for p, v in merged[kind].items() if not _inside(p, merged["trees"])}
    written = sorted({path for process in said for path in process["written"]})
    return merged | {
        "written": written,
        "left": {str(folder): _contents(folder) for folder in left},
        "unproven": _unproven(said, began),
    }


def _inside(path: str, roots: Iterable[str]) -> bool:
    return any(Path(path).is_relative_to(root) for root in roots)


def _unproven(said: Sequence[Mapping[str, Any]], began: int) -> str | None:
    if not said or len(said) < began:
        return "one of its processes ended without a word"
    written = {path for process in said for path in process["written"]}
    changed = {path for process in said for path in process["changed"]}
    foreign = sorted(changed - written)
    doubts = [process["unproven"] for process in said if process["unproven"]]
    doubts += [f"{foreign[0]} changed while it ran"] if foreign else []
    return doubts[0] if doubts else None


def _contents(folder: Path) -> dict[str, State]:
    return {
        str(path.relative_to(folder)): state(str(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def surroundings(command: Sequence[str], environment: Mapping[str, str], salt: str) -> Any:
    """What decides beside files: the command, variables (as digests), interpreter, machine."""
    kept = {key: value for key, value in environment.items() if key not in SESSION}
    return {
        "command": list(command),
        "environment": {key: _digest(value, salt) for key, value in kept.items()},
        "interpreter": [sys.executable, sys.version, state(sys.executable)],
        "machine": [*platform.uname(), processors()],
        "installed": {place: dict(_installed(place)) for place in _site_folders()},
    }


def _digest(value: str, salt: str) -> str:
    """Variables hold secrets: enough to see that one changed, not to guess it."""
    text = f"{salt}{value}".encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:16]


def _site_folders() -> list[str]:
    return [entry for entry in sys.path if entry.endswith(("site-packages", "dist-packages"))]


def _installed(folder: str) -> Iterator[tuple[str, State]]:
    """Every entry of a folder of packages; of distributions the state of their list of files."""
    for name in names(folder) or ():
        path = os.path.join(folder, name)  # noqa: PTH118
        listed = name.endswith((".dist-info", ".egg-info"))
        yield name, state(os.path.join(path, "RECORD") if listed else path)  # noqa: PTH118


def write(folder: Path, evidence: Mapping[str, Any], around: Any, salt: str) -> None:
    document = {**evidence, "around": around, "salt": salt}
    with gzip.open(folder / FILE, "wt", encoding="utf-8", compresslevel=1) as file:
        json.dump(document, file)


def shared(folders: Sequence[Path]) -> dict[Path, str]:
    """Of runs that ran at the same time, by the folders of their evidence: those that met in a
    file, and the file."""
    told = {folder: _told(folder) for folder in folders}
    owners: dict[Path, str] = {}
    for one, other in combinations(told, 2):
        met = _met(told[one], told[other]) or _met(told[other], told[one])
        if met is not None:
            owners |= {one: met, other: met}
    return owners


def unproven(folder: Path) -> str | None:
    """Why nothing is proven of the run whose evidence lies in `folder`."""
    return _doubt(_told(folder))


def _doubt(told: Mapping[str, Any]) -> str | None:
    reason: str | None = told.get("unproven", "it left no evidence")
    return reason


def is_shadowed(folder: Path, places: Mapping[str, Path]) -> bool:
    """Whether the run whose evidence lies in `folder` may have read a module elsewhere than where
    its package is installed. places: module → that folder."""
    files = _told(folder).get("files", {}) if places else {}
    for module, place in places.items():
        plain = module.replace(".", "/")
        ends = (f"/{plain}/__init__.py", f"/{plain}.py")
        read = (path for path, seen in files.items() if path.endswith(ends) and seen is not None)
        if any(not Path(path).is_relative_to(place) for path in read):
            return True
    return False


def read_files(folder: Path) -> frozenset[str] | None:
    """What the run whose evidence lies in `folder` read, links resolved; None where not all of it
    was heard."""
    told = _told(folder)
    if _doubt(told) is not None:
        return None
    return frozenset(os.path.realpath(path) for path in told["files"])


def _told(folder: Path) -> dict[str, Any]:
    try:
        with gzip.open(folder / FILE, "rt", encoding="utf-8") as file:
            return dict(json.load(file))
    except (OSError, ValueError, EOFError):
        return {}


def _met(writer: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """The first file that one run wrote and the other read or wrote."""
    touched = {*other.get("files", ()), *other.get("written", ())}
    both = (path for path in writer.get("written", ()) if path in touched)
    return next((path for path in both if _is_told_apart(path)), None)


def _is_told_apart(path: str) -> bool:
    """A folder is there for both, and caches are written whole, by content, for whoever comes."""
    return not (_CACHES.intersection(Path(path).parts) or os.path.isdir(path))  # noqa: PTH112


def new_salt() -> str:
    return secrets.token_hex(8)


def objection(
    folder: Path,
    command: Sequence[str],
    environment: Mapping[str, str],
    left_out: Iterable[str] = (),
) -> str | None:
    """Why the run whose evidence lies in `folder` proves nothing for this command now; None where
    nothing that it saw has changed."""
    try:
        with gzip.open(folder / FILE, "rt", encoding="utf-8") as file:
            told = json.load(file)
        now = _plain(surroundings(command, environment, told["salt"]))
        return told["unproven"] or _differing(told["around"], now) or _changed(told, left_out)
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        return f"its evidence cannot be read: {error!r}"


def _differing(then: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    for part, new in now.items():
        old = then[part]
        if isinstance(new, Mapping):
            name = next((key for key in {**old, **new} if old.get(key) != new.get(key)), None)
            if name is not None:
                return f"{part} differs: {name}"
        elif old != new:
            return f"{part} differs"
    return None


def _changed(told: Mapping[str, Any], left_out: Iterable[str]) -> str | None:
    """The first file or folder that is not as the run saw it."""
    seen = (
        ((path, then, state(path)) for path, then in told["files"].items()),
        ((path, then, names(path)) for path, then in told["listed"].items()),
        ((path, then, data_beside(path)) for path, then in told["beside"].items()),
        ((path, then, tree(Path(path), left_out)) for path, then in told["trees"].items()),
        ((path, then, _contents(Path(path))) for path, then in told["left"].items()),
    )
    every = (item for kind in seen for item in kind)
    return next((f"{path} changed" for path, then, now in every if _plain(now) != then), None)


def _plain(value: Any) -> Any:
    """As JSON reads it back."""
    return json.loads(json.dumps(value))
