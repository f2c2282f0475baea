"""The pages of docs/ as code blocks, and a page followed block by block in one folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE_NAME = re.compile(r"# ([\w./-]*[./][\w.-]+)(?:: .*)?\n")
_EXIT_CODE = re.compile(r"\s+# exit code (\d+)$")
_SHELL_ONLY = set("|&;<>$*`()") | {"\n"}
WRITTEN = frozenset({"python", "ini", "toml", "yaml"})

Command = Callable[[list[str]], "tuple[int, str]"]


@dataclass(frozen=True)
class Block:
    """One fenced block. file: what its first line, a comment, names, if it names a file."""

    page: str
    line: int
    language: str
    text: str

    @property
    def file(self) -> str | None:
        found = _FILE_NAME.match(self.text)
        return found[1] if found and self.language in WRITTEN | {"sh"} else None

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[str]:
    """Every page below docs/, and the README, relative to the repository."""
    found = [ROOT / "README.md", *DOCS.rglob("*.md")]
    return sorted(path.relative_to(ROOT).as_posix() for path in found)


def blocks(page: str) -> list[Block]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, found[1], found[2])
        for found in _FENCE.finditer(text)
    ]


def commands(block: Block) -> Iterator[tuple[str, int]]:
    """Each command of a shell block and the exit code that the page promises."""
    for line in block.text.replace("\\\n", " ").splitlines():
        promised = _EXIT_CODE.search(line)
        command = _EXIT_CODE.sub("", line).strip()
        if command and not command.startswith("#"):
            yield command, int(promised[1]) if promised else 0


def missing_line(expected: str, output: str) -> str | None:
    """The first line of `expected` that `output` does not have, in order.

    `…` stands for any text.
    """
    rest = iter([" ".join(line.split()) for line in output.splitlines()])
    for line in expected.splitlines():
        wanted = " ".join(line.split())
        pattern = re.compile(".*".join(re.escape(part) for part in wanted.split("…")))
        if wanted and wanted != "…" and not any(pattern.fullmatch(said) for said in rest):
            return line
    return None


class Follower:
    """Does what a page says, in order: writes its files, runs its commands, reads its output.

    own: what runs `pytest` and `keras-golden` themselves, where they are not to be processes.
    environment: variables of the processes; this process' own where it is not given.
    """

    def __init__(
        self,
        folder: Path,
        own: dict[str, Command] | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.folder = folder
        self.own = own or {}
        self.environment = environment or _environment(Path(sys.executable).parent)
        self.output = ""
        self.exports = ""

    def follow(self, page: str) -> None:
        for block in blocks(page):
            self.step(block)

    def step(self, block: Block) -> None:
        """Raises AssertionError where the page does not come true."""
        if block.language == "text":
            missing = missing_line(block.text, self.output)
            assert missing is None, f"{block.where}: no {missing!r} in the output\n{self.output}"
        elif block.language in WRITTEN or block.file:
            self.write(block)
        elif block.language == "sh":
            self.run(block)
        else:
            raise AssertionError(f"{block.where}: nothing tests a block of {block.language!r}")

    def write(self, block: Block) -> None:
        name = block.file or f"test_line_{block.line}.py"
        assert block.file or block.language == "python", f"{block.where}: which file is this?"
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text, encoding="utf-8")

    def run(self, block: Block) -> None:
        self.output = ""
        for command, promised in commands(block):
            code, output = self.command(command)
            self.output += output + "\n"
            said = f"{block.where}: `{command}` ended with {code}, not {promised}"
            assert code == promised, f"{said}\n{output[-6000:]}"

    def command(self, command: str) -> tuple[int, str]:
        program = command.split()[0]
        if program in self.own and not _SHELL_ONLY & set(_unquoted(command)):
            return self.own[program](shlex.split(command)[1:])
        return self._shell(command)

    def _shell(self, command: str) -> tuple[int, str]:
        script = f"{self.exports}\n{command}"
        if command.startswith("export "):
            self.exports += f"\n{command}"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.returncode, done.stdout


def _environment(programs: Path) -> dict[str, str]:
    return {**os.environ, "PATH": os.pathsep.join([str(programs), os.environ["PATH"]])}


def _unquoted(command: str) -> str:
    return re.sub(r"'[^']*'|\"[^\"]*\"", "", command)


def newcomer(root: Path) -> dict[str, str]:
    """Variables of somebody who has an empty environment, and an index with this project in it."""
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "build", "--quiet", "--wheel", "-o", root / "index", ROOT], check=True)
    subprocess.run([sys.executable, "-m", "venv", root / "env"], check=True)
    mine = ("KERAS_", "GITHUB_", "PYTHON", "PYTEST_", "VIRTUAL_ENV")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(mine)}
    kept |= {"PIP_FIND_LINKS": str(root / "index"), "PIP_CONSTRAINT": str(ROOT / "constraints.txt")}
    kept.pop("CI", None)
    return {**kept, "PATH": _environment(root / "env" / "bin")["PATH"]}


def main() -> None:
    """`python docs_pages.py PAGE`: follow a page in an empty folder and environment, aloud."""
    (page,) = sys.argv[1:]
    with TemporaryDirectory(prefix="newcomer-") as folder:
        root = Path(folder)
        (root / "project").mkdir()
        follower = Follower(root / "project", environment=newcomer(root))
        for block in blocks(page):
            print(f"== {block.where} {block.file or block.language}", flush=True)
            follower.step(block)
            if block.language == "sh":
                print(follower.output, flush=True)


if __name__ == "__main__":
    main()
