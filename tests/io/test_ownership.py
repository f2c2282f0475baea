"""Only folders that carry our mark are emptied or removed.

Every call in the source that could do otherwise is known, with its reason.
"""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_keras_golden.errors import ConfigError, StackError
from pytest_keras_golden.io.ownership import MARK, claim, is_ours, remove, renew
from pytest_keras_golden.outcomes import log_json
from pytest_keras_golden.stacks.overlay.folder import MANIFEST, prune_overlays, replacing
from pytest_keras_golden.versions import sessions


def test_a_folder_of_ours_is_made_marked_and_removed(tmp_path: Path) -> None:
    folder = claim(tmp_path / "a" / "b")
    assert is_ours(folder)
    (folder / "x" / "y").mkdir(parents=True)
    (folder / "x" / "y" / "z").touch()
    assert claim(folder) == folder
    assert (folder / "x" / "y" / "z").exists()
    assert list(renew(folder).iterdir()) == [folder / MARK]
    remove(folder)
    assert not folder.exists()


def test_an_empty_folder_may_be_ours(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert is_ours(claim(tmp_path / "a"))


def test_what_holds_anything_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "goldens").mkdir()
    (tmp_path / "goldens" / "mine").write_text("mine")
    for call in (claim, renew):
        with pytest.raises(ConfigError, match="nothing in it is touched"):
            call(tmp_path)
    remove(tmp_path)
    remove(tmp_path / "goldens")
    assert [path.name for path in tmp_path.rglob("*")] == ["goldens", "mine"]


@pytest.mark.parametrize("text", ["", "another tool's mark", "\xff"])
def test_a_file_of_another_is_no_mark(tmp_path: Path, text: str) -> None:
    (tmp_path / MARK).write_bytes(text.encode("latin-1"))
    (tmp_path / "mine").touch()
    assert not is_ours(tmp_path)
    remove(tmp_path)
    assert (tmp_path / "mine").exists()


def test_a_file_is_no_folder_and_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="is no folder"):
        claim(tmp_path / "file")
    ours = claim(tmp_path / "ours")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").touch()
    (ours / "link").symlink_to(outside)
    (tmp_path / "alias").symlink_to(ours)
    remove(tmp_path / "alias")
    assert (ours / "link").is_symlink()
    remove(ours)
    assert (outside / "mine").exists()
    assert not ours.exists()


def test_what_a_kill_leaves_of_a_removal_is_still_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = claim(tmp_path / "a")
    for name in ("b", "c"):
        (folder / name).mkdir()

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("shutil.rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        remove(folder)
    assert is_ours(folder)


def test_overlays_of_others_stay_in_a_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_keras_golden.stacks.overlay.described.tag", lambda: "tag")
    root = tmp_path / "overlays" / "tag"
    for name in ("mine", ".partial-keras-3.5.0-x", "keras-3.5.0"):
        (root / name).mkdir(parents=True)
        (root / name / "data").touch()
    assert prune_overlays(-1e9, tmp_path) == []
    with pytest.raises(StackError, match="in the way"), replacing(root / "keras-3.5.0"):
        pass
    assert sum(path.name == "data" for path in root.rglob("*")) == 3
    (root / "keras-3.5.0" / MANIFEST).write_text("{")
    left = claim(root / ".partial-keras-3.6.0-x")
    os.utime(left, (1, 1))
    assert sorted(prune_overlays(-1e9, tmp_path)) == sorted([root / "keras-3.5.0", left])


# -- the source -------------------------------------------------------------------------------

ALLOWED: dict[str, str] = {
    # Folders of ours, by their mark.
    "io/ownership.py:claim:write_text": "the mark itself, into a folder that was empty",
    "io/ownership.py:remove:unlink": "our mark, last",
    "io/ownership.py:remove:rmdir": "a folder of ours, empty by now",
    "io/ownership.py:_remove_entry:rmtree": "an entry of a folder of ours",
    "io/ownership.py:_remove_entry:unlink": "an entry of a folder of ours",
    "versions/inner/workspace.py:_start_anew_if_another:write_text": "in a claimed folder",
    "versions/inner/workspace.py:_beside:mkdtemp": "claimed, and removed by its mark",
    "versions/sessions.py:run_session_per_version:mkdtemp": "claimed, and removed by its mark",
    "stacks/overlay/folder.py:_temporary:mkdtemp": "claimed, and removed by its mark",
    # Within those folders.
    "versions/trace/hearing.py:prepare:write_text": "in the attempt's folder",
    "versions/trace/witness.py:_write:write_text": "in the attempt's folder",
    "versions/trace/telling.py:_write:write_whole": "in the attempt's folder",
    "versions/trace/telling.py:pytest_runtest_logreport:append_whole": "in the attempt's folder",
    "versions/trace/selected.py:selection:write_whole": "beside the run's place, in the workspace",
    "versions/inner/marked.py:pytest_collection_finish:write_text": "in the session's folder",
    "io/process.py:run_tree:open": "the output, in the attempt's folder",
    "versions/trace/evidence.py:write:open": "in the attempt's folder",
    "versions/inner/kept.py:keep:write_text": "in the attempt's folder",
    "versions/inner/kept.py:keep:replace": "a file of a run of ours, in the workspace",
    "versions/inner/kept.py:forget:unlink": "a file of a run of ours, in the workspace",
    "stacks/overlay/folder.py:replacing:replace": "an overlay, known by its manifest",
    "stacks/overlay/folder.py:_remove:replace": "an overlay, known by its manifest",
    "stacks/overlay/folder.py:write_manifest:write_text": "in an overlay being made",
    "stacks/overlay/folder.py:_mark_used:touch": "in an overlay",
    "stacks/overlay/merged.py:_link_file:copy2": "into an overlay being made, where no file is",
    "stacks/overlay/installer.py:install:TemporaryDirectory": "made and removed by Python",
    "stacks/overlay/installer.py:install:write_whole": "in that folder",
    "stacks/locks/uv.py:read_uv:TemporaryDirectory": "made and removed by Python",
    "stacks/locks/uv.py:read_uv:write_whole": "in that folder",
    "stacks/clone.py:fill_from:copytree": "into an overlay being made",
    "stacks/clone.py:_take_neighbours:copytree": "into an overlay being made",
    "stacks/clone.py:unpack:write_bytes": "into an overlay being made",
    "stacks/clone.py:_move_sources:rename": "within an overlay being made",
    "stacks/clone.py:_move_sources:write_text": "within an overlay being made",
    "stacks/clone.py:_take_generated:copytree": "into an overlay being made",
    "stacks/clone.py:_take_generated:write_text": "within an overlay being made",
    "stacks/clone.py:_write_metadata:write_text": "within an overlay being made",
    # Files of the cache, by names that only this package uses.
    # Files that the user names for the purpose.
    "commands/accept.py:_accepted:TemporaryDirectory": "made and removed by Python",
    "capture/export/artefact.py:_exported:TemporaryDirectory": "a new one of its own",
    "versions/inner/run.py:run_inner:TemporaryDirectory": "made and removed by Python",
    "stacks/overlay/neighbours.py:_remember:write_whole": "a memory in the cache of overlays",
    "stacks/overlay/releases.py:_write:write_whole": "a list in the cache of releases",
    "commands/gate.py:_append:append_whole": "--markdown FILE, appended to",
    "commands/gate.py:_write:write_whole": "--html FILE",
    "versions/sessions.py:_copy:write_whole": "--golden-log=FILE of each version; see there",
    "report/files.py:write_report:write_whole": "--golden-report=FILE, report -o FILE",
    "report/files.py:append_step_summary:append_whole": "GITHUB_STEP_SUMMARY, appended to",
    "commands/accept_drift.py:_append:write_whole": "--accepted FILE, what it holds first",
    "report/output.py:write_json:write_whole": "--json FILE",
    "plugin/results.py:_write_outputs:write_whole": "--golden-log=FILE",
    # The one place that replaces a file by another, for those who name the file.
    "io/atomic.py:folders:rmdir": "empty ones that this very block made",
    "io/atomic.py:replacing:open": "a pipe or a terminal, which is written to",
    "io/atomic.py:replacing:replace": "the file that the caller names, by its new version",
    "io/atomic.py:replacing:unlink": "the temporary file of this writer",
    "io/atomic.py:_create:open": "a new file: O_EXCL",
    "io/atomic.py:append_whole:open": "appended to",
    "io/atomic.py:append_whole:ftruncate": "what this very call could not append whole",
    # The null device, in the place of closed streams.
    "report/output.py:_mute:open": "the null device",
    "report/output.py:prepare_streams:open": "the null device",
    "commands/ci_job.py:_append:append_whole": "the job's own summary, added to",
    "commands/ci_job.py:write:write_whole": "below --output, which carries our mark",
    "ci/folder.py:opened:write_whole": "its .gitignore, in a folder that was emptied as ours",
    "commands/git_setup.py:_add_attribute:append_whole": ".gitattributes, a line added",
    # Goldens, below the goldens folder alone.
    "store/files.py:remove:unlink": "prune --yes: a golden that was listed",
    "store/files.py:remove_empty_folders:rmdir": "empty folders below the goldens folder",
    "store/files.py:_clear_temporaries:unlink": "temporary files of killed writers of this golden",
}
"""Every call that removes or writes over something: file:function:call → why it may."""

KNOWN = frozenset({"rmtree", "unlink", "rmdir", "removedirs", "truncate", "rename"})
KNOWN |= {"write_text", "write_bytes", "copyfile", "copytree", "copy2", "touch"}
KNOWN |= {"write_whole", "append_whole", "ftruncate"}
KNOWN |= {"mkdtemp", "mkstemp", "TemporaryDirectory", "NamedTemporaryFile"}
OF_MODULES = frozenset({"os.remove", "os.replace", "os.renames", "shutil.copy", "shutil.move"})


def calls(path: Path, root: Path) -> Iterator[str]:
    """`file:function:call` of what removes, replaces or writes, anywhere in a module."""
    name = path.relative_to(root).as_posix()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    yield from (f"{name}:{where}:{call}" for where, call in _walk(tree, "module"))


def _walk(node: ast.AST, where: str) -> Iterator[tuple[str, str]]:
    for child in ast.iter_child_nodes(node):
        inside = child.name if isinstance(child, ast.FunctionDef) else where
        if isinstance(child, ast.Call) and (found := _dangerous(child)):
            yield where, found
        yield from _walk(child, inside)


def _dangerous(call: ast.Call) -> str | None:
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    spelled = ast.unparse(function)
    moves = name == "replace" and len(call.args) == 1 and not call.keywords
    if name in KNOWN or spelled in OF_MODULES or moves:
        return name
    opens = name == "open" and _opens_for_writing(call, spelled == "os.open")
    return name if opens else None


def _opens_for_writing(call: ast.Call, of_os: bool) -> bool:
    if of_os:
        return any(flag in ast.unparse(call) for flag in ("O_CREAT", "O_WRONLY", "O_RDWR"))
    given = [*call.args, *(keyword.value for keyword in call.keywords)]
    modes = [item.value for item in given if isinstance(item, ast.Constant)]
    return any(isinstance(m, str) and len(m) <= 3 and set(m) & set("wax+") for m in modes)


def test_every_call_that_removes_or_writes_over_is_known(package_root: Path) -> None:
    found = {call for path in package_root.rglob("*.py") for call in calls(path, package_root)}
    assert found - set(ALLOWED) == set(), "say in ALLOWED why it removes nothing of the user's"
    assert set(ALLOWED) - found == set(), "gone from the source"


def test_such_calls_are_seen(tmp_path: Path) -> None:
    source = tmp_path / "a.py"
    source.write_text(
        "def f(p):\n    p.unlink()\n    shutil.rmtree(p)\n    os.replace(p, p)\n    p.replace(q)\n"
        "    'a'.replace('b', 'c')\n    replace(value, a=1)\n    open(p, 'w')\n    p.open('ab')\n"
        "    open(p)\n    os.open(p, os.O_WRONLY)\n    os.remove(p)\n    [].remove(1)\n"
        "    x.copy()\n    copy(x)\n    shutil.move(p, p)\n"
    )
    names = [call.rpartition(":")[2] for call in calls(source, tmp_path)]
    removing = ["unlink", "rmtree", "replace", "replace", "open", "open", "open", "remove"]
    assert names == [*removing, "move"]


def test_the_log_of_a_version_writes_over_logs_alone(tmp_path: Path) -> None:
    """Its name is worked out, so a file of the user may have it."""
    target = sessions._log_of("3.5.0", tmp_path / "log.json")
    assert target == tmp_path / "log-3.5.0.json"
    assert sessions._log_of("3.5.0", tmp_path / "a-{version}.json").name == "a-3.5.0.json"
    sessions._demand_a_log(target)
    target.write_text(json.dumps(log_json(0, {}, [])))
    sessions._demand_a_log(target)
    target.write_text('{"mine": 1}')
    with pytest.raises(ConfigError, match="no log of golden tests"):
        sessions._demand_a_log(target)
