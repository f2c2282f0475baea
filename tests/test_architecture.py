"""The rules of the house, read from its imports: rooms look down only, a name is one thing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

MOST = 12
"""Modules in a folder."""

LARGER = {
    "compare": "one metric or rule a module, under one door: `verdict.judge`",
    "report": "one medium or part of a page a module; all read outcomes alone",
    "commands": "one subcommand a module",
}
"""Folders that may hold more, with the reason."""

HEAVY = ("numpy", "keras", "jax", "torch", "tensorflow", "safetensors", "rich", "ml_dtypes")
BACKENDS = {"keras", "keras_hub", "jax", "torch", "tensorflow"}


def modules(root: Path) -> dict[str, Path]:
    """Module below the package, by its dotted name ("" for the package itself) → its file."""
    return {_name(path, root): path for path in sorted(root.rglob("*.py"))}


def _name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(path: Path, root: Path) -> Iterator[str]:
    """Absolute names that a file imports: at its top, lazily, and for types alone."""
    package = [root.name, *path.relative_to(root).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


@pytest.fixture
def arrows(package_root: Path) -> dict[str, set[str]]:
    """Module → the modules of the package that it imports."""
    every = modules(package_root)
    found: dict[str, set[str]] = {}
    for name, path in every.items():
        full = [module.split(".") for module in imported(path, package_root)]
        own = {".".join(parts[1:]) for parts in full if parts[0] == package_root.name}
        found[name] = {module for module in own if module in every} - {name, ""}
        # `from .report import output` names the room on the way to the module.
        found[name] -= {module for module in found[name] if _is_on_the_way(module, found[name])}
    return found


def _is_on_the_way(module: str, others: set[str]) -> bool:
    return any(other.startswith(f"{module}.") for other in others)


def circles(graph: Mapping[str, set[str]]) -> list[set[str]]:
    """Groups of nodes that reach each other."""
    reach = {node: set(below) for node, below in graph.items()}
    for middle in graph:
        for node in graph:
            if middle in reach[node]:
                reach[node] |= reach[middle]
    found = [{other for other in reach[node] if node in reach[other]} for node in graph]
    return [group for group in found if group]


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert {"a", "b"} in circles({"a": {"b"}, "b": {"a"}, "c": {"a"}})


def test_no_modules_import_each_other(arrows: dict[str, set[str]]) -> None:
    assert circles(arrows) == []


def test_no_folders_import_each_other(arrows: dict[str, set[str]], package_root: Path) -> None:
    """Modules at the root are rooms of their own: what all speak of, and what calls all."""
    every = modules(package_root)

    def room(module: str) -> str:
        folder = every[module].relative_to(package_root).parent.as_posix()
        return module if folder == "." else f"{folder}/"

    rooms: dict[str, set[str]] = {room(module): set() for module in every}
    for module, below in arrows.items():
        rooms[room(module)] |= {room(other) for other in below} - {room(module)}
    assert circles(rooms) == []


def folders(package_root: Path) -> list[Path]:
    return [package_root, *sorted(p.parent for p in package_root.glob("*/**/__init__.py"))]


def test_a_folder_is_small_or_says_why_not(package_root: Path) -> None:
    for folder in folders(package_root):
        name = folder.relative_to(package_root).as_posix().strip(".")
        count = len([path for path in folder.glob("*.py") if path.name != "__init__.py"])
        assert count <= MOST or name in LARGER, f"{name} holds {count} modules"


def test_every_folder_says_what_it_is_for(package_root: Path) -> None:
    for folder in folders(package_root):
        text = (folder / "__init__.py").read_text(encoding="utf-8")
        said = ast.get_docstring(ast.parse(text)) or ""
        assert said.splitlines()[0].endswith("."), folder


def test_a_class_or_type_has_a_name_of_its_own(package_root: Path) -> None:
    defined = defaultdict(list)
    for module, path in modules(package_root).items():
        for name in _types(ast.parse(path.read_text(encoding="utf-8")).body):
            defined[name].append(module)
    assert {name: where for name, where in defined.items() if len(where) > 1} == {}


def _types(body: Sequence[ast.stmt]) -> Iterator[str]:
    """Public classes and aliases of types, also those that only type checkers see."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.name
        elif isinstance(node, ast.Assign):
            names = (target.id for target in node.targets if isinstance(target, ast.Name))
            yield from (name for name in names if re.fullmatch(r"[A-Z][a-z]\w*", name))
        elif isinstance(node, ast.If):
            yield from _types(node.body)


def users_of(packages: set[str], root: Path) -> set[str]:
    """Rooms at the top of the package that import one of these."""
    return {
        path.relative_to(root).parts[0].removesuffix(".py")
        for path in modules(root).values()
        if packages & {module.partition(".")[0] for module in imported(path, root)}
    }


def test_pytest_is_imported_by_the_plugin_alone(package_root: Path) -> None:
    assert users_of({"pytest", "_pytest"}, package_root) == {"plugin"}


def test_keras_is_imported_by_capture_and_stack_alone(package_root: Path) -> None:
    assert users_of(BACKENDS, package_root) <= {"capture", "stack"}


@pytest.mark.parametrize("module", ["pytest_keras_golden.plugin", "pytest_keras_golden.cli"])
def test_loading_imports_nothing_heavy(module: str) -> None:
    script = f"import sys, {module}; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


def test_an_unrelated_run_imports_nothing_heavy(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        f"""
        import sys

        def test_unrelated():
            assert [m for m in {HEAVY!r} if m in sys.modules] == []
        """
    )
    suite.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:randomly").assert_outcomes(
        passed=1
    )


WRITES = re.compile(
    r"\.(write_text|write_bytes|copyfile)\(|\bopen\([^)]*[\"'][wax]b?[\"']|mkstemp|gettempdir|os\.replace"
)
WRITERS = {
    "io/atomic.py": "the one place",
    "stacks/clone.py": "a clone's files, into an overlay that nobody reads yet",
    "versions/trace/hearing.py": "for the process that it starts",
    "versions/inner/kept.py": "into the folder of an attempt, renamed when it is whole",
    "versions/trace/listener.py": "writes nothing: names the events of those that do",
    "io/ownership.py": "the mark of a folder of ours",
    "stacks/overlay/folder.py": "into an overlay that nobody reads yet",
    "io/process.py": "the output of a process, while it runs",
    "versions/inner/workspace.py": "the mark of its own folder",
    "versions/inner/marked.py": "for the process that waits for it",
    "versions/trace/witness.py": "for the process that waits for it",
}


def test_files_are_written_in_one_place(package_root: Path) -> None:
    """Whole or not at all, and through nobody's links; never into a folder that others can name."""
    found = {
        path.relative_to(package_root).as_posix()
        for path in modules(package_root).values()
        if WRITES.search(path.read_text(encoding="utf-8"))
    }
    assert found <= WRITERS.keys()
