"""The commits of a clone as overlays: `git archive` of the package folder, nothing is built.

Keras' repository has had three layouts: since 3.4 the generated public API is committed
(`keras/api`), around 3.3 `keras/src` had none, and before that the sources lay in `keras/` itself
and were moved to `keras/src` when a wheel was made. What a commit lacks is taken from a release.
"""

from __future__ import annotations

import ast
import io
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ..errors import StackError
from ..release import parsed
from .overlay.folder import cache_root, ensure_folder
from .overlay.named import exact_version, package_name, revision

API = "api"
SRC = "src"


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit: full hash, author date (YYYY-MM-DD), first line of its message."""

    sha: str
    date: str
    title: str

    def to_json(self) -> dict[str, str]:
        return {"sha": self.sha, "date": self.date, "title": self.title}

    def __str__(self) -> str:
        return f"{self.sha[:10]} ({self.date}) {self.title}"


@dataclass(frozen=True, slots=True)
class Clone:
    """A git clone of a package, bare or not, read only. folder: of the package inside it."""

    path: Path
    package: str

    @property
    def folder(self) -> str:
        return package_name(self.package).replace("-", "_")

    def git(self, *arguments: str) -> str:
        """Standard output of a git command; StackError with git's words where it fails."""
        return self._git(*arguments).decode("utf-8", errors="replace").strip()

    def archive(self, commit: str, folder: str) -> bytes:
        return self._git("archive", "--format=tar", revision(commit), "--", folder)

    def _git(self, *arguments: str) -> bytes:
        command = ["git", "-C", str(self.path), *arguments]
        try:
            done = subprocess.run(command, capture_output=True, check=False)
        except FileNotFoundError as error:
            raise StackError("Commits need git, which is not installed.") from error
        if done.returncode:
            said = done.stderr.decode("utf-8", errors="replace").strip()
            raise StackError(
                f"git {arguments[0]} failed in {self.path}: {said}",
                "Name a full clone: --repo=DIR (git fetch --tags --unshallow).",
            )
        return done.stdout

    def has(self, commit: str, path: str) -> bool:
        return bool(self.git("ls-tree", "--name-only", revision(commit), "--", path))

    def describe(self, sha: str) -> Commit:
        text = self.git("show", "-s", "--format=%H%x00%as%x00%s", revision(sha), "--")
        return Commit(*text.split("\0", 2))

    def commit(self, revision: str) -> str:
        """The full hash of what a revision names. Raises StackError where it names no commit."""
        if revision.startswith("-"):
            raise StackError(f"{revision!r} is no revision.")
        return self.git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")

    def version_at(self, sha: str) -> str | None:
        """The version that the package gives itself at a commit."""
        for file in VERSION_FILES:
            text = self._try("show", f"{revision(sha)}:{self.folder}/{file}")
            found = _written_version(text)
            if found is not None:
                return found
        return None

    def release(self, version: str) -> str:
        """The commit that a release was made from: its tag, else where the version was set."""
        version = exact_version(version)
        for tag in (f"v{version}", version, f"{self.package}-{version}"):
            sha = self._try("rev-parse", "--verify", "--quiet", f"refs/tags/{tag}^{{commit}}")
            if sha:
                return sha
        for file in (f"{self.folder}/src/version.py", f"{self.folder}/version.py"):
            pickaxe = f'__version__ = "{version}"'
            sha = self._try("log", "--all", "--reverse", "--format=%H", f"-S{pickaxe}", "--", file)
            if sha:
                return sha.splitlines()[0]
        raise StackError(
            f"{self.path} has neither a tag nor a version change for {self.package} {version}.",
            "Fetch the tags: git fetch --tags",
        )

    def _try(self, *arguments: str) -> str:
        try:
            return self.git(*arguments)
        except StackError:
            return ""


def overlay_of_commit(
    clone: Clone, sha: str, version: str, release: Path, cache: Path | None = None
) -> Path:
    """The folder that holds the package as of commit `sha`, with metadata that says so.

    version: of the release the commit leads to. release: an overlay of a release near it, from
    which what is generated at build time is taken where the commit lacks it.
    """
    place = cache_root(cache).parent / "commits" / f"{clone.folder}-{sha[:16]}"

    def fill(fresh: Path) -> None:
        _fill(clone, sha, fresh, release)
        _write_metadata(clone, sha, version, fresh)

    return ensure_folder(place, fill, clone.package, f"{version}+{sha[:10]}")


def fill_from(package: Path, clone: Clone, fresh: Path, release: Path) -> None:
    """As a commit, from the package folder of a source checkout."""
    ignored = shutil.ignore_patterns("*_test.py", "__pycache__")
    shutil.copytree(package, fresh / clone.folder, ignore=ignored)
    _complete(clone, fresh, release)
    _write_metadata(clone, "checkout", "0", fresh)


def _fill(clone: Clone, sha: str, fresh: Path, release: Path) -> None:
    unpack(clone.archive(sha, clone.folder), fresh)
    _complete(clone, fresh, release)


def _complete(clone: Clone, fresh: Path, release: Path) -> None:
    _take_neighbours(clone, fresh, release)
    package = fresh / clone.folder
    if (package / API).is_dir() or clone.folder != "keras":
        return
    if (package / SRC).is_dir() and (package / "layers").is_dir():
        # Somebody has built it: the public names are there.
        return
    if not (package / SRC).is_dir():
        _move_sources(package)
    _take_generated(package, release / clone.folder)


def _take_neighbours(clone: Clone, fresh: Path, release: Path) -> None:
    """What `neighbours` added to the release, the commit needs as well."""
    own = (clone.folder, f"{clone.folder}-", ".")
    for entry in release.iterdir():
        if entry.is_dir() and entry.name != clone.folder and not entry.name.startswith(own[1:]):
            shutil.copytree(entry, fresh / entry.name)


def unpack(archive: bytes, target: Path) -> None:
    """Regular files and folders of a tar archive, without the package's own tests."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            path = Path(member.name)
            unsafe = path.is_absolute() or ".." in path.parts
            if unsafe or not member.isfile() or path.name.endswith("_test.py"):
                continue
            content = tar.extractfile(member)
            if content is not None:
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                (target / path).write_bytes(content.read())


def _move_sources(package: Path) -> None:
    """`keras/…` as `keras/src/…`, imports included, as Keras' own build did until 3.2."""
    moved = package.with_name(f"{package.name}-src")
    package.rename(moved)
    package.mkdir()
    moved.rename(package / SRC)
    for path in (package / SRC).rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        path.write_text(_IMPORT.sub(r"\1keras.src\2", text), encoding="utf-8")


_IMPORT = re.compile(
    r"^(\s*(?:from|import) )keras((?:\.\w+)*(?= import\b| as\b|\.|$))", re.MULTILINE
)


def _take_generated(package: Path, release: Path) -> None:
    """The public API of a release; names the commit does not define yet are left out."""
    shutil.copytree(
        release, package, dirs_exist_ok=True, ignore=shutil.ignore_patterns(SRC, "__pycache__")
    )
    for path in package.rglob("*.py"):
        if SRC not in path.relative_to(package).parts:
            text = path.read_text(encoding="utf-8")
            path.write_text(_defined_only(text, package), encoding="utf-8")
    own = _own_version(package)
    if own is not None:
        init = package / "__init__.py"
        text = init.read_text(encoding="utf-8")
        # Until 3.2 the version was generated into it as a literal.
        text = re.sub(r'^__version__ = "[^"]*"$', f'__version__ = "{own}"', text, flags=re.M)
        init.write_text(text, encoding="utf-8")


_GENERATED = re.compile(r"^from (keras\.src[\w.]*) import (\w+)(?: as \w+)?$")


def _defined_only(text: str, package: Path) -> str:
    lines = []
    for line in text.splitlines():
        match = _GENERATED.match(line)
        if match is None or _defines(package, match[1], match[2]):
            lines.append(line)
    return "\n".join(lines) + "\n"


def _defines(package: Path, module: str, name: str) -> bool:
    place = package.joinpath(*module.split(".")[1:])
    if (place / name).is_dir() or (place / f"{name}.py").is_file():
        return True
    source = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    if not source.is_file():
        return False
    names = _names(source.read_text(encoding="utf-8"))
    return name in names or "*" in names


@lru_cache(maxsize=256)
def _names(source: str) -> frozenset[str]:
    """What a module defines or imports, at any depth but inside of functions and classes."""
    return frozenset(_bound(ast.parse(source).body))


def _bound(statements: Iterable[ast.stmt]) -> Iterator[str]:
    for statement in statements:
        if isinstance(statement, (ast.FunctionDef, ast.ClassDef)):
            yield statement.name
            continue
        for node in ast.walk(statement):
            if isinstance(node, ast.alias):
                yield (node.asname or node.name).partition(".")[0]
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                yield node.id
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                yield node.name


def _write_metadata(clone: Clone, sha: str, version: str, fresh: Path) -> None:
    """A dist-info, so that `importlib.metadata` tells what is imported, and not the installed."""
    own = _own_version(fresh / clone.folder) or version
    folder = fresh / f"{clone.folder}-{own}.dist-info"
    folder.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {clone.package}\nVersion: {own}\nSummary: {sha}\n"
    (folder / "METADATA").write_text(metadata, encoding="utf-8")
    (folder / "INSTALLER").write_text("keras-golden\n", encoding="utf-8")


VERSION_FILES = ("src/version.py", "version.py", "src/version_utils.py", "version_utils.py")


def _own_version(package: Path) -> str | None:
    sources = (package / file for file in VERSION_FILES)
    texts = (source.read_text("utf-8") for source in sources if source.is_file())
    return next(filter(None, map(_written_version, texts)), None)


def _written_version(text: str) -> str | None:
    match = re.search(r'^__version__ = "([^"]+)"', text, re.MULTILINE)
    return match[1] if match and parsed(match[1]) else None
