"""Every code block of README.md and docs/ does what the page says, in the order of the page."""

from __future__ import annotations

import importlib
import io
import os
import pkgutil
import re
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from docs_pages import DOCS, Block, Follower, blocks, commands, missing_line, pages

import pytest_keras_golden
from pytest_keras_golden import cli

pytestmark = pytest.mark.processes

HOW_TO = sorted(page for page in pages() if page.startswith("docs/how-to/"))
QUESTIONS = sorted(page for page in pages() if page.startswith("docs/questions/"))
OVERLAY = pytest.mark.overlay, pytest.mark.slow
MARKS = {
    **dict.fromkeys(QUESTIONS, OVERLAY),
    # Old releases train with an old jax alone.
    "docs/questions/training-differs.md": (*OVERLAY, pytest.mark.torch),
    "docs/how-to/versions.md": OVERLAY,
    "docs/how-to/saved-models.md": OVERLAY,
    "docs/how-to/sides.md": OVERLAY,
    "docs/how-to/xdist.md": (pytest.mark.slow,),  # two worker processes import Keras, twice
    "docs/how-to/decode.md": (pytest.mark.hub, pytest.mark.slow),
}
FOLLOWED = ["README.md", *HOW_TO, *QUESTIONS]
ELSEWHERE = {
    "docs/architecture.md": "a drawing; tests/docs/test_docs_architecture.py holds what it names",
    "docs/tutorial.md": "`make tutorial`, a step of .ci/run, in an environment of its own",
    "docs/explanation/fail-closed.md": "tests/plugin/test_bad_input.py, which runs without the plugin",
    "docs/git.md": "tests/docs/test_docs_git.py, in a repository with a golden",
    "docs/backend-atlas.md": "benchmarks/backend_atlas.py runs its programs on every backend",
    "docs/keras2.md": "benchmarks/keras2.py; tests/versions/test_keras2_gate.py runs such a gate",
    "docs/exports.md": "benchmarks/exports.py and tests/saved/test_exports.py run what it says",
    "docs/ci.md": "tests/versions/test_ci_docs.py pastes its workflows and runs their commands",
}
NOT_RUN = {
    ("README.md", "make demo"): "`make demo` and `make test` themselves; .ci/run runs both",
    ("README.md", "pip install"): "`make tutorial` runs the same command",
    ("README.md", "keras-golden gate 3.14"): "docs/how-to/versions.md runs both on its own suite",
    ("README.md", "keras-golden gate 3.10"): "docs/how-to/saved-models.md runs it on its own file",
}


def in_process(suite: pytest.Pytester) -> Follower:
    """pytest and keras-golden without new processes: Keras is imported once, not once a command."""

    def run_pytest(arguments: list[str]) -> tuple[int, str]:
        result = suite.runpytest_inprocess(*arguments, "-p", "no:randomly")
        return int(result.ret), result.stdout.str() + result.stderr.str()

    def run_command(arguments: list[str]) -> tuple[int, str]:
        said = io.StringIO()
        with redirect_stdout(said), redirect_stderr(said):
            code = cli.main(arguments)
        return code, said.getvalue()

    return Follower(suite.path, {"pytest": run_pytest, "keras-golden": run_command})


@pytest.fixture(scope="session")
def plugin_imported() -> None:
    """Before pytester notes which modules there are: see `keras_imported`."""
    for module in pkgutil.walk_packages(pytest_keras_golden.__path__, "pytest_keras_golden."):
        if ".backends." not in module.name:  # each of those needs its own backend
            importlib.import_module(module.name)


@pytest.fixture
def follower(
    plugin_imported: None, suite: pytest.Pytester, request: pytest.FixtureRequest
) -> Follower:
    """In an empty folder; as a new user, with processes, where releases are installed anyway, or
    where TensorFlow is imported, which aborts the second time in one process."""
    if os.environ["KERAS_BACKEND"] != "jax":
        pytest.skip("the pages speak of jax")
    if any(request.node.get_closest_marker(name) for name in ("overlay", "hub")):
        (suite.path / "empty").mkdir()
        return Follower(suite.path / "empty")
    return in_process(suite)


@pytest.mark.parametrize(
    "page", [pytest.param(page, marks=MARKS.get(page, ())) for page in FOLLOWED]
)
def test_a_page_comes_true(follower: Follower, page: str) -> None:
    if page.startswith("docs/how-to/") and not page.endswith("index.md"):
        follower.follow("docs/how-to/index.md")
    ran = [block for block in blocks(page) if why_not(block) is None]
    for block in ran:
        follower.step(block)
    if not run_by_the_page(ran):
        all_tests_record_and_hold(follower)


def run_by_the_page(ran: list[Block]) -> bool:
    """Whether its last word on its tests is a run of all of them that passes."""
    tests = [place for place, block in enumerate(ran) if "def test_" in block.text]
    rest = ran[tests[-1] :] if tests else []
    return not tests or any(
        command.split("#")[0].split() in (["pytest"], ["pytest", "-v"]) and code == 0
        for block in rest
        if block.language == "sh"
        for command, code in commands(block)
    )


def all_tests_record_and_hold(follower: Follower) -> None:
    """The tests of a page that no command of it ran: recorded, then identical."""
    for command in ("pytest -q --update-goldens", "pytest -q"):
        code, output = follower.command(command)
        assert code == 0, output


def why_not(block: Block) -> str | None:
    return next(
        (
            reason
            for (page, start), reason in NOT_RUN.items()
            if page == block.page and block.text.startswith(start)
        ),
        None,
    )


def test_every_page_with_code_is_followed() -> None:
    with_code = {page for page in pages() if blocks(page)}
    assert with_code <= {*FOLLOWED, *ELSEWHERE}


def test_what_is_not_run_is_there_and_says_why() -> None:
    for page, start in NOT_RUN:
        found = [block for block in blocks(page) if block.text.startswith(start)]
        assert len(found) == 1, f"{page} has no block that starts with {start!r}"


def test_output_is_compared_line_by_line() -> None:
    assert missing_line("a  b\nd…f", "x\na b\nc\nd e f") is None
    assert missing_line("d\na", "a\nd") == "a"
    assert missing_line("a", "ab") == "a"


def test_links_lead_somewhere() -> None:
    for page in pages():
        path = DOCS.parent / page
        text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
            if not target.startswith(("http://", "https://")):
                assert (path.parent / Path(target)).exists(), f"{page}: {target}"
