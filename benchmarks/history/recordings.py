"""What a release, or a commit, computes: recorded once, in a process of its own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import ml_dtypes  # noqa: F401 - safetensors reads bfloat16 with it
import numpy as np
from safetensors import safe_open

from pytest_keras_golden.stacks.overlay.folder import overlay_environment
from pytest_keras_golden.stacks.overlay.neighbours import ensure_runnable

LAYERS = Path(__file__).resolve().parent / "record.py"

Key = tuple[str, str]
"""(policy, case)."""

Arrays = Mapping[Key, Mapping[str, np.ndarray[Any, Any]]]
"""Of every case its arrays by name, outputs of layers by their number."""


@dataclass(frozen=True)
class Recorded:
    """What one release computed. twins: the same in float64, of the cases that were asked
    for; failed, untwinned: why there is none."""

    release: str
    arrays: Arrays
    failed: Mapping[Key, str]
    twins: Arrays = field(default_factory=dict)
    untwinned: Mapping[Key, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Recorder:
    """Runs the cases of one release or commit after the other on one backend, each but once.

    results: the folder of recordings, kept from one run of the benchmark to the next. script: what
    writes one (see `writing`). beside: overlays of other packages, the same for all releases."""

    backend: str
    results: Path
    script: Path = LAYERS
    beside: tuple[Path, ...] = ()

    def release(self, version: str, keys: Sequence[Key] = ()) -> Recorded:
        """keys: the cases to run, with their twins; all of them, without, where there are none."""
        return self.overlaid(version, ensure_runnable("keras", version), keys)

    def overlaid(self, name: str, overlay: Path, keys: Sequence[Key] = ()) -> Recorded:
        place = self._place(name, keys)
        if not place.exists():
            self._record(overlay, place, keys)
        return read(place, name)

    def _place(self, name: str, keys: Sequence[Key]) -> Path:
        which = f"-{sha256(repr(keys).encode()).hexdigest()[:12]}" if keys else ""
        return self.results / f"keras-{name}-{self.backend}{which}.safetensors"

    def _record(self, overlay: Path, place: Path, keys: Sequence[Key]) -> None:
        place.parent.mkdir(parents=True, exist_ok=True)
        print(f"{self.backend} {overlay.name} {len(keys) or ''}", file=sys.stderr, flush=True)
        environment = overlay_environment([overlay, *self.beside])
        # Most of jax' time is compiling what the release before has compiled already.
        environment |= {"JAX_COMPILATION_CACHE_DIR": str((self.results / "compiled").resolve())}
        environment |= {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
        environment |= {"JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1"}
        environment |= {"KERAS_BACKEND": self.backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        partial = place.with_suffix(".partial")
        command = [sys.executable, str(self.script), str(partial), *map("|".join, keys)]
        subprocess.run(command, env=environment, check=True)
        partial.replace(place)


def read(place: Path, name: str) -> Recorded:
    arrays: dict[str, dict[Key, dict[str, np.ndarray[Any, Any]]]] = {"output": {}, "twin": {}}
    with safe_open(place, "numpy") as file:
        metadata = file.metadata()
        names = (name.split("|") for name in file.keys())  # noqa: SIM118 - no mapping
        for kind, policy, case, at in names:
            tensor = file.get_tensor(f"{kind}|{policy}|{case}|{at}")
            arrays[kind].setdefault((policy, case), {})[at] = tensor
    # Keras colours its messages.
    failed = json.loads(re.sub(r"\\u001b\[[0-9;]*m", "", metadata["failed"]))
    return Recorded(
        name,
        arrays["output"],
        dict(_of("output", failed)),
        arrays["twin"],
        dict(_of("twin", failed)),
    )


def _of(kind: str, failed: Mapping[str, str]) -> Iterator[tuple[Key, str]]:
    for key, why in failed.items():
        which, policy, case = key.split("|")
        if which == kind:
            yield (policy, case), why
