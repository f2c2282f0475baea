"""Processes of their own for tests of a backend, each a fork of one that has imported Keras.

A process has one backend, so that a test of several needs one for each run of its suite, and
importing Keras with torch or TensorFlow takes longer than most of these suites. Only for suites
that import Keras themselves before anything of the plugin runs; who tests what importing does, or
how a run starts, starts a Python.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

_SERVER = """
import json, os, sys
import keras, numpy

for line in sys.stdin:
    asked = json.loads(line)
    child = os.fork()
    if child == 0:
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    sys.exit()
os.environ.clear()
os.environ.update(asked["environ"])
os.chdir(asked["folder"])
for at, name in enumerate((os.devnull, asked["out"], asked["err"])):
    opened = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC if at else os.O_RDONLY)
    os.dup2(opened, at)
    os.close(opened)
sys.stdin = open(0, closefd=False)
sys.path[0] = asked["folder"]
sys.argv = ["-c", *asked["arguments"]]
exec(compile(asked["code"], "<string>", "exec"), globals())
"""

_PYTEST = "import runpy; runpy.run_module('pytest', run_name='__main__', alter_sys=True)"

_READ = ("KERAS_", "JAX_", "XLA_", "TF_", "TORCH", "PYTORCH", "OMP_", "PYTHON", "LANG", "LC_")
"""Variables that Python, Keras and its backends read as they start begin so."""


class _Server:
    def __init__(self, environ: dict[str, str]) -> None:
        command = [sys.executable, "-c", _SERVER]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, env=environ, text=True, stdin=pipe, stdout=pipe)
        atexit.register(self.close)

    def run(self, **asked: Any) -> int:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(asked) + "\n")
        stdin.flush()
        return int(stdout.readline())

    def close(self) -> None:
        self._process.communicate()


_servers: dict[frozenset[tuple[str, str]], _Server] = {}


def _is_read(variable: str) -> bool:
    return variable.startswith(_READ) and not variable.startswith("KERAS_GOLDEN_")


def run(
    code: str, *arguments: str, folder: Path | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    """As `python -c`, in a folder, the one of now by default, and with further variables."""
    environ = os.environ | variables
    key = frozenset(item for item in environ.items() if _is_read(item[0]))
    with tempfile.TemporaryDirectory() as said:
        if key not in _servers:
            # Keras writes its configuration below HOME.
            _servers[key] = _Server(environ | {"HOME": said})
        out, err = Path(said, "out"), Path(said, "err")
        returncode = _servers[key].run(
            code=code,
            arguments=arguments,
            environ=environ,
            folder=str(folder or Path.cwd()),
            out=str(out),
            err=str(err),
        )
        return subprocess.CompletedProcess(
            code, returncode, out.read_text(encoding="utf8"), err.read_text(encoding="utf8")
        )


def runpytest(suite: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """As `suite.runpytest_subprocess`."""
    base = suite.mkdir(f"base-{len(list(suite.path.glob('base-*')))}")
    done = run(_PYTEST, f"--basetemp={base}", *arguments)
    print(done.stdout)
    print(done.stderr, file=sys.stderr)
    return pytest.RunResult(
        done.returncode, done.stdout.splitlines(), done.stderr.splitlines(), 0.0
    )


def judged(suite: pytest.Pytester, *arguments: str) -> dict[str, Any]:
    """What the log of such a run says of its one test."""
    runpytest(suite, "--golden-log=log.json", *arguments)
    (test,) = json.loads((suite.path / "log.json").read_text())["tests"]
    return dict(test)
