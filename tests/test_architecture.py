"""The layering of the package, read from its imports: layers look down only."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"errors", "records", "io"}),
    frozenset({"aliases", "outcomes", "names", "stack", "tolerance", "compare", "store", "config"}),
    frozenset({"capture", "report"}),
    frozenset({"case"}),
    frozenset({"plugin", "versions", "commands", "cli"}),
)
PYTEST_MODULES = {"plugin"}
KERAS_PACKAGES = {"capture", "stack"}
HEAVY = ("numpy", "keras", "jax", "torch", "tensorflow", "safetensors", "rich", "ml_dtypes")
BACKENDS = {"keras", "keras_hub", "jax", "torch", "tensorflow"}


def modules(root: Path) -> list[tuple[str, Path]]:
    """(top-level name inside the package, file) of every module."""
    files = [path for path in root.rglob("*.py") if path != root / "__init__.py"]
    return [(path.relative_to(root).parts[0].removesuffix(".py"), path) for path in files]


def imports(path: Path, root: Path) -> set[str]:
    """Absolute module names that a file imports, package-relative ones spelled out."""
    package = [root.name, *path.relative_to(root).parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names} | {module}
    return found


def test_layers_look_down_only(package_root: Path) -> None:
    rank = {name: level for level, names in enumerate(LAYERS) for name in names}
    wrong = []
    for name, path in modules(package_root):
        assert name in rank, f"{path}: give {name} a layer in LAYERS"
        for module in imports(path, package_root):
            parts = module.split(".")
            if parts[0] != package_root.name or len(parts) < 2 or parts[1] == name:
                continue
            if rank.get(parts[1], -1) > rank[name]:
                wrong.append(f"{path.relative_to(package_root)} imports {module}")
    assert not wrong


def users_of(packages: set[str], root: Path) -> set[str]:
    return {
        name
        for name, path in modules(root)
        if packages & {module.split(".")[0] for module in imports(path, root)}
    }


def test_pytest_is_imported_by_the_plugin_alone(package_root: Path) -> None:
    assert users_of({"pytest", "_pytest"}, package_root) <= PYTEST_MODULES


def test_keras_is_imported_by_capture_and_stack_alone(package_root: Path) -> None:
    assert users_of(BACKENDS, package_root) <= KERAS_PACKAGES


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
    "versions/commits.py": "a clone's files, into an overlay that nobody reads yet",
    "versions/trace/hearing.py": "for the process that it starts",
    "versions/inner/kept.py": "into the folder of an attempt, renamed when it is whole",
    "versions/trace/listener.py": "writes nothing: names the events of those that do",
    "io/ownership.py": "the mark of a folder of ours",
    "versions/overlay/folder.py": "into an overlay that nobody reads yet",
    "io/process.py": "the output of a process, while it runs",
    "versions/inner/workspace.py": "the mark of its own folder",
    "versions/inner/marked.py": "for the process that waits for it",
    "versions/trace/witness.py": "for the process that waits for it",
}


def test_files_are_written_in_one_place(package_root: Path) -> None:
    """Whole or not at all, and through nobody's links; never into a folder that others can name."""
    found = {
        path.relative_to(package_root).as_posix()
        for _, path in modules(package_root)
        if WRITES.search(path.read_text(encoding="utf-8"))
    }
    assert found <= WRITERS.keys()
