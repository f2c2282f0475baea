"""`keras-golden verify`: every byte of every golden against the digests on record."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from ..io.strict import cut
from ..report.output import add_json, emit_plain, tracked
from ..report.wording import plural
from .examples import examples
from .place import add_goldens_dir, goldens_dir, usual_goldens_dir
from .selection import matches


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "verify",
        help="hash every golden again; exit code 1 on a bad file",
        description="Read every golden whole and hash its tensors again. This finds a flipped bit "
        "that no comparison has read yet. Exit code 1 where a file is bad.",
        **examples(
            "verify",
            "verify goldens/test_gpt/test_a/*.safetensors",
            "verify --leave-others weights.safetensors",
        ),
    )
    parser.add_argument(
        "patterns",
        nargs="*",
        metavar="PATTERN",
        help="files, or parts or globs of paths below the goldens folder (default: all)",
    )
    parser.add_argument(
        "--leave-others",
        action="store_true",
        help="of files that are named, leave alone those that neither lie in the goldens folder "
        "nor say that they are goldens: for hooks, which name whatever a commit changes",
    )
    add_goldens_dir(parser)
    add_json(parser)
    parser.set_defaults(handler=run)


def run(arguments: argparse.Namespace) -> int:
    root, paths = chosen(arguments.patterns, arguments.goldens_dir)
    others = _others(paths) if arguments.leave_others and root is None else []
    paths = [path for path in paths if path not in others]
    bad = {}
    for path in tracked(paths, "verifying goldens"):
        problems = problems_of(path, root)
        if problems:
            bad[str(path)] = problems
    document = {"checked": len(paths), "bad": bad, "left_alone": [str(path) for path in others]}
    emit_plain(arguments.json, document, lambda: text(len(paths), bad, len(others)))
    return int(bool(bad))


def _others(paths: list[Path]) -> list[Path]:
    """The files that are no goldens: a project has weights of that format as well."""
    from ..store.files import claims_to_be_golden

    folder = usual_goldens_dir()
    return [
        path
        for path in paths
        if not path.resolve().is_relative_to(folder)
        and not (Path.cwd() / path).is_relative_to(folder)
        and not claims_to_be_golden(path)
    ]


def problems_of(path: Path, root: Path | None) -> list[str]:
    """What is wrong with one file; whatever it does to its reader, the others are told too."""
    from ..store.files import verify_file

    try:
        return verify_file(path, root)
    except Exception as error:
        return [f"it could not be read: {type(error).__name__}: {cut(str(error))}"]


def chosen(patterns: list[str], given: Path | None) -> tuple[Path | None, list[Path]]:
    """The goldens folder and the files: those named, else all below it that match.

    Everything that ends like a golden is taken, whatever its name: a file that no test would read
    is a finding too. Raises ConfigError where patterns match nothing.
    """
    files = [Path(pattern) for pattern in patterns]
    if files and given is None and all(file.is_file() for file in files):
        return None, files
    root = goldens_dir(given)
    every = sorted(root.rglob("*.safetensors"))
    matching = [p for p in every if matches(p.relative_to(root).as_posix(), patterns)]
    if not matching:
        wanted = f" matches {' or '.join(patterns)}" if patterns else ""
        raise ConfigError(
            f"no golden below {root}{wanted}: nothing was verified",
            "Name a file, or a part of a path that keras-golden list shows.",
        )
    return root, matching


def text(checked: int, bad: dict[str, list[str]], others: int = 0) -> str:
    lines = [f"{path}: {problem}" for path, problems in bad.items() for problem in problems]
    if bad:
        lines.append("Restore them from version control, or record them: pytest --update-goldens")
    alone = f"; {plural(others, 'file')} left alone: no goldens" if others else ""
    return "\n".join([*lines, f"{plural(checked, 'golden')} checked, {len(bad)} bad{alone}"])
