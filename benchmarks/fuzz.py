"""Goldens and logs as strangers might write them: no crash, no false pass, no endless message.

    python benchmarks/fuzz.py [GOLDENS=100000] [--logs 10000] [--seed N] [--only INDEX] [--control]

Every mutation changes a good file where its structure is: bits of tensors, places and offsets, any
value at any depth of the metadata (with a checksum that fits, or not), the JSON's text, keys that
are lost, repeated or renamed, and the bytes themselves. Then all that reads goldens (`verify`,
`show`, `diff` either way, `accept`, a judge of three runs: the same, one that rounds otherwise, one
that drifted) or logs (`report`, `prune`, `accept`) reads it. Counted are exceptions that are not
the project's own, bytes that a judge read, that are not the golden's and yet hold, drifts that a
damaged golden lets pass, messages of more than 2,000 bytes, mutations that take over a second of
processor time. A mutation depends on the seed and its number alone: `--only` runs one again.
`--control` believes every byte unseen, and must find something. The last line is JSON; exit code 1
where anything was found.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import os
import random
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from pytest_keras_golden.case.pair import compare
from pytest_keras_golden.commands.accept import candidate
from pytest_keras_golden.commands.prune import used_folders
from pytest_keras_golden.compare.verdict import judge
from pytest_keras_golden.errors import GoldenError
from pytest_keras_golden.outcomes import LocalOutcome, TestOutcome, log_json
from pytest_keras_golden.records import (
    GoldenHeader,
    LayerCall,
    Recording,
    TensorEntry,
    TensorRecord,
    Tolerance,
)
from pytest_keras_golden.report import golden as page
from pytest_keras_golden.report.files import rendered
from pytest_keras_golden.report.logs import read_document, read_log
from pytest_keras_golden.store.codec import Golden
from pytest_keras_golden.store.digest import digest
from pytest_keras_golden.store.encoding import encode, encode_again, write
from pytest_keras_golden.store.files import verify_file
from pytest_keras_golden.store.header import text_of
from pytest_keras_golden.tolerance import default

NAME = "keras-3.5.0-jax-cpu-bfloat16.safetensors"
STACK = {"keras": "3.5.0", "backend": "jax", "device": "cpu", "dtype_policy": "bfloat16"}
HOLDS = ("identical", "within")
LONGEST_MESSAGE = 2000
LONGEST_S = 1.0
CHUNK = 500


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("goldens", type=int, nargs="?", default=100_000)
    parser.add_argument("--logs", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--only", type=int, metavar="INDEX")
    parser.add_argument("--control", action="store_true")
    options = parser.parse_args()
    began = time.perf_counter()
    total = Total()
    for part in parts(options):
        total.add(part)
        progress(total, options.goldens + options.logs)
    result = total.figures() | {"seconds": round(time.perf_counter() - began)}
    print(json.dumps(result))
    return int(any(result[key] for key in ("crashes", "false_passes", "endless", "slow")))


def parts(options: argparse.Namespace) -> Iterator[Total]:
    """Totals of a few hundred mutations each, from all processors."""
    counts = {"golden": options.goldens, "log": options.logs}
    if options.only is not None:
        tasks = [(kind, [options.only]) for kind, count in counts.items() if count]
    else:
        tasks = [
            (kind, range(start, min(start + CHUNK, count)))
            for kind, count in counts.items()
            for start in range(0, count, CHUNK)
        ]
    with ProcessPoolExecutor(options.jobs) as pool:
        shared = [[value] * len(tasks) for value in (options.seed, options.control)]
        yield from pool.map(mutated, *zip(*tasks, strict=True), *shared)


@dataclass
class Total:
    """What mutations came to. read: files that were still whole goldens or logs."""

    counts: Counter[str] = field(default_factory=Counter)
    longest_message: int = 0
    longest_s: float = 0.0

    def add(self, other: Total) -> None:
        self.counts += other.counts
        self.longest_message = max(self.longest_message, other.longest_message)
        self.longest_s = max(self.longest_s, other.longest_s)

    def figures(self) -> dict[str, Any]:
        keys = ("golden", "golden_read", "judged", "log", "log_read")
        found = ("crashes", "false_passes", "endless", "slow")
        return {
            **{key: self.counts[key] for key in (*keys, *found)},
            "longest_message": self.longest_message,
            "longest_s": round(self.longest_s, 3),
        }


def mutated(kind: str, numbers: Sequence[int], seed: int, control: bool) -> Total:
    total = Total()
    if control:
        Golden._refuse_damage = lambda *_: None  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(Path(folder), total)
        for number in numbers:
            trial.run(kind, number, random.Random(f"{kind}-{seed}-{number}"))
    return total


class Trial:
    """One mutation after the other in a folder of its own."""

    def __init__(self, folder: Path, total: Total) -> None:
        self.folder = folder
        self.total = total
        self.recording = sample()
        self.raw = as_bytes(self.recording)
        self.original = folder / "original" / NAME
        self.original.parent.mkdir()
        self.original.write_bytes(self.raw)
        self.log = json.dumps(a_log())
        self.messages: list[str] = []

    def run(self, kind: str, number: int, chance: random.Random) -> None:
        self.total.counts[kind] += 1
        self.messages = []
        raw = mutate(self.raw, chance) if kind == "golden" else mutate_log(self.log, chance)
        path = self.folder / (NAME if kind == "golden" else "log.json")
        path.write_bytes(raw)
        began = time.process_time()
        try:
            self.read_golden(path) if kind == "golden" else self.read_log(path)
        except Exception:
            self.found("crashes", kind, number, traceback.format_exc())
        except FalsePass as passed:
            self.found("false_passes", kind, number, str(passed))
        self.measure(kind, number, time.process_time() - began)

    def measure(self, kind: str, number: int, took: float) -> None:
        longest = max(
            (len(message.encode("utf-8", "replace")) for message in self.messages), default=0
        )
        self.total.longest_message = max(self.total.longest_message, longest)
        self.total.longest_s = max(self.total.longest_s, took)
        if longest > LONGEST_MESSAGE:
            self.found("endless", kind, number, max(self.messages, key=len)[:300])
        if took > LONGEST_S:
            self.found("slow", kind, number, f"{took:.1f} s")

    def found(self, what: str, kind: str, number: int, why: str) -> None:
        self.total.counts[what] += 1
        print(f"{what}: {kind} {number}\n{why}", file=sys.stderr)

    def said(self, reading: Callable[[], Any]) -> Any:
        """What `reading` gives; None where it refuses, and its message is kept."""
        try:
            return reading()
        except GoldenError as error:
            self.messages.append(str(error))
            return None

    # -- goldens ----------------------------------------------------------------------------

    def read_golden(self, path: Path) -> None:
        self.messages += verify_file(path)
        golden = self.said(lambda: Golden.open(path))
        if golden is None:
            return
        self.total.counts["golden_read"] += 1
        with golden, Golden.open(self.original) as original:
            self.said(lambda: page.render(golden.header, lambda name: first(golden, name)))
            self.said(lambda: encode_again(golden, "why"))
            for a, b in ((original, golden), (golden, original)):
                self.said(lambda a=a, b=b: compare(a, b, None, ()))
            for record in self.recording.records:
                for run in (record, nudged(record), drifted(record)):
                    self.said(lambda run=run: self.judge(run, golden, original))

    def judge(self, run: TensorRecord, golden: Golden, original: Golden) -> None:
        """As a session does. Raises FalsePass where what holds was not compared with the golden."""
        entry = golden.header.entry(run.name)
        whole, read = original.array(run.name), []

        def load() -> Any:
            read.append(golden.array(run.name))
            return read[0]

        outcome = judge(
            *(run, 0, entry, load, default(run.value.dtype.name)),
            digest=digest(run.value),
            reference=lambda: golden.reference(run.name),
            noise=None if entry is None else entry.noise,
        )
        self.total.counts["judged"] += 1
        if outcome.verdict not in HOLDS:
            return
        moved = not np.allclose(run.value.astype(float), whole.astype(float), rtol=0.05)
        if moved or any(array.tobytes() != whole.tobytes() for array in read):
            raise FalsePass(f"{run.name} is {outcome.verdict}: {outcome.note}")

    # -- logs -------------------------------------------------------------------------------

    def read_log(self, path: Path) -> None:
        log = self.said(lambda: read_log(path))
        if log is None:
            return
        self.total.counts["log_read"] += 1
        self.said(lambda: rendered([read_document(path)], ".md"))
        self.said(lambda: used_folders([path]))
        for test in log.tests:
            self.said(lambda test=test: candidate(test, self.folder, None))


class FalsePass(BaseException):
    """Something held that was not compared with the golden's own bytes; nothing may catch it."""


def first(golden: Golden, name: str) -> list[str]:
    return [str(value) for value in golden.array(name).reshape(-1)[:4].tolist()]


def nudged(record: TensorRecord) -> TensorRecord:
    """A run that any tolerance lets pass, and that is compared with the golden's bytes."""
    value = record.value.copy()
    if value.dtype.kind not in "biu":
        bits = value.reshape(-1).view(f"u{value.dtype.itemsize}")
        bits[0] += 1
    return replace(record, value=value)


def drifted(record: TensorRecord) -> TensorRecord:
    """A run that no tolerance lets pass."""
    value = record.value
    if value.dtype.kind in "biu":
        return replace(record, value=value ^ 1)
    return replace(record, value=(value.astype(np.float64) * 1.5 + 0.5).astype(value.dtype))


# -- a good golden and a good log ---------------------------------------------------------------


def sample() -> Recording:
    """With everything that a golden may hold."""
    rng = np.random.default_rng(0)
    low = rng.standard_normal((2, 6)).astype(ml_dtypes.bfloat16)
    values = {
        "blocks/0": (low, "block"),
        "attention": (np.full((1, 2, 3, 3), 1 / 3, np.float32), "attention"),
        "logits": (rng.standard_normal((3, 5)).astype(np.float32), "logits"),
        "tokens": (np.arange(4), "tensor"),
        "mask": (np.array([True, False]), "tensor"),
    }
    records = tuple(
        TensorRecord(
            name,
            value,
            kind=kind,
            reference=value.astype(np.float64) if value.dtype.kind not in "biu" else None,
        )
        for name, (value, kind) in values.items()
    )
    inputs = rng.standard_normal((2, 2)).astype(np.float32)
    call = LayerCall("blocks/0", "Dense", (digest(inputs),), (digest(low),), "bfloat16")
    header = GoldenHeader(
        *(STACK, "eager", tuple(entry(*item) for item in enumerate(records))),
        weights={"dense/kernel": "0" * 32},
        inputs={"0": "1" * 32},
        calls=(call,),
        reason="first numbers",
        observer="identical",
    )
    return Recording(header, records, {digest(inputs): inputs})


def entry(order: int, record: TensorRecord) -> TensorEntry:
    value = record.value
    return TensorEntry(
        *(record.name, order, record.kind, value.dtype.name, value.shape, value.dtype.name),
        *(True, "materialised"),
        digest=digest(value),
        rms=1.0,
        detects=0.01,
        noise=0.1,
        tolerance=Tolerance(k=5.0),
    )


def as_bytes(recording: Recording) -> bytes:
    with tempfile.TemporaryFile() as file:
        write(file, encode(recording))
        file.seek(0)
        return file.read()


def a_log() -> dict[str, Any]:
    """Of one test that drifted and one that was recorded, by a run of the whole suite."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / NAME
        path.write_bytes(as_bytes(sample()))
        moved = sample()
        moved = replace(moved, records=tuple(map(drifted, moved.records)))
        moved = replace(moved, header=replace(moved.header, tensors=tuple(
            entry(*item) for item in enumerate(moved.records)
        ), calls=()), pool={})  # fmt: skip
        other = Path(folder) / "other" / NAME
        other.parent.mkdir()
        other.write_bytes(as_bytes(moved))
        with Golden.open(path) as a, Golden.open(other) as b:
            test = compare(a, b, None, ())
    local = LocalOutcome("blocks/0", 0, "drift", "bfloat16", k=9.0, bias=1.0, bias_t=4.0)
    test = replace(test, nodeid="t.py::test_a[x]", locals=(local,), local_drift=("blocks/0",))
    return log_json(
        1, STACK, [test, TestOutcome("t.py::b", "recorded", written=True)], ["c.py"], []
    )


# -- mutations ----------------------------------------------------------------------------------

WORDS = ("", "inf", "-inf", "nan", "1e999", "float32", "bfloat16", "bool", "@reference/x", "../..")
CONTROLS = ("\0", "\x1b[2J", "\ud800", "\udcff", "\u202e")
HOSTILE: tuple[Callable[[random.Random], Any], ...] = (
    lambda chance: None,
    lambda chance: chance.choice([True, False]),
    lambda chance: chance.choice([0, 1, -1, 2, 31, 32, 255, 2**31, 2**53, 2**63, 2**64, -(2**63)]),
    lambda chance: 10 ** chance.randrange(18, 4200),
    lambda chance: chance.choice([0.0, -0.0, 0.5, 1e-320, 1e308, -1e308, 5e-324]),
    lambda chance: chance.choice([math.inf, -math.inf, math.nan]),
    lambda chance: chance.choice(WORDS),
    lambda chance: chance.choice(CONTROLS),
    lambda chance: "".join(chance.choices("abc/.:é😀\n\t ", k=chance.randrange(40))),
    lambda chance: chance.choice(["x", "\ud800", "é"]) * int(10 ** chance.uniform(1, 4.5)),
    lambda chance: f"{chance.getrandbits(128):032x}",
    lambda chance: [],
    lambda chance: {},
    lambda chance: [scalar(chance) for _ in range(chance.randrange(5))],
    lambda chance: {str(number): scalar(chance) for number in range(chance.randrange(5))},
    lambda chance: nested(chance.choice([2, 11, 12, 13, 25, 300, 900])),
)


def scalar(chance: random.Random) -> Any:
    return HOSTILE[chance.randrange(11)](chance)


def word(chance: random.Random) -> str:
    return str(HOSTILE[chance.randrange(6, 11)](chance))


def nested(depth: int) -> Any:
    value: Any = []
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


def mutate(raw: bytes, chance: random.Random) -> bytes:
    """The golden, changed in one or two places."""
    for _ in range(chance.choice([1, 1, 1, 2])):
        change = chance.choices(*zip(*CHANGES, strict=True))[0]
        with suppress(ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
            # A file that is no golden any more takes no second change of its structure.
            raw = change(raw, chance)
    return raw


def parts_of(raw: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(raw[:8], "little")
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def whole(header: Any, body: bytes) -> bytes:
    return framed(json.dumps(header).encode("utf-8", "surrogatepass"), body)


def framed(text: bytes, body: bytes) -> bytes:
    return len(text).to_bytes(8, "little") + text + body


def flip_in_a_tensor(raw: bytes, chance: random.Random) -> bytes:
    body = parts_of(raw)[1]
    return raw[: len(raw) - len(body)] + flipped(body, chance)


def flip_anywhere(raw: bytes, chance: random.Random) -> bytes:
    return flipped(raw, chance)


def flipped(raw: bytes, chance: random.Random) -> bytes:
    changed = bytearray(raw)
    for _ in range(chance.choice([1, 1, 2, 8])):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut_or_paste(raw: bytes, chance: random.Random) -> bytes:
    start, stop = sorted(chance.randrange(len(raw) + 1) for _ in range(2))
    place = chance.randrange(len(raw) + 1)
    ways = (
        lambda: raw[:start],
        lambda: raw[:start] + raw[stop:],
        lambda: raw[:place] + raw[start:stop] + raw[place:],
        lambda: raw[:place] + chance.randbytes(chance.randrange(1, 64)) + raw[place:],
        lambda: chance.randbytes(start),
        lambda: raw + bytes(chance.randrange(1, 64)),
        lambda: chance.getrandbits(chance.choice([8, 16, 40, 63])).to_bytes(8, "little") + raw[8:],
    )
    return chance.choice(ways)()


def change_the_container(raw: bytes, chance: random.Random) -> bytes:
    header, body = parts_of(raw)
    changed_value(header, chance)
    return whole(header, body)


def change_the_metadata(raw: bytes, chance: random.Random) -> bytes:
    """Half of the time with a checksum that fits: somebody meant it."""
    header, body = parts_of(raw)
    document = json.loads(header["__metadata__"]["keras_golden"])
    changed_value(document, chance)
    text = json.dumps(document)
    if chance.random() < 0.5:
        with suppress(ValueError):
            text = text_of(document)
    header["__metadata__"]["keras_golden"] = text
    return whole(header, body)


def swap_tensors(raw: bytes, chance: random.Random) -> bytes:
    """Two tensors exchange their places, or what the metadata says of them."""
    header, body = parts_of(raw)
    document = json.loads(header["__metadata__"]["keras_golden"])
    if chance.random() < 0.5:
        a, b = chance.sample([name for name in header if name != "__metadata__"], 2)
        header[a], header[b] = header[b], header[a]
    else:
        key = chance.choice(["name", "digest", "dtype", "shape", "precision", "order"])
        a, b = chance.sample(document["tensors"], 2)
        a[key], b[key] = b[key], a[key]
    header["__metadata__"]["keras_golden"] = text_of(document)
    return whole(header, body)


def change_the_text(raw: bytes, chance: random.Random) -> bytes:
    """JSON that no writer of JSON would write."""
    length = int.from_bytes(raw[:8], "little")
    text = raw[8 : 8 + length].decode()
    return framed(odd_text(text, chance).encode("utf-8", "surrogatepass"), raw[8 + length :])


CHANGES: tuple[tuple[Callable[[bytes, random.Random], bytes], int], ...] = (
    (flip_in_a_tensor, 5),
    (flip_anywhere, 3),
    (cut_or_paste, 2),
    (change_the_container, 4),
    (change_the_metadata, 8),
    (swap_tensors, 2),
    (change_the_text, 3),
)


def mutate_log(text: str, chance: random.Random) -> bytes:
    if chance.random() < 0.15:
        return cut_or_paste(text.encode(), chance)
    if chance.random() < 0.2:
        return odd_text(text, chance).encode("utf-8", "surrogatepass")
    for _ in range(chance.choice([1, 1, 2, 3])):
        # Behind a nested change another one may be out of Python's reach.
        with suppress(RecursionError):
            document = json.loads(text)
            changed_value(document, chance)
            text = json.dumps(document)
    return text.encode()


NUMBERS = ("1e999", "NaN", "-Infinity", "9" * 5000, "9" * 400 + ".0", "1.", "01")
PIECES = ('"', "\\", "{", "}", "[", ",", ":", "\0", "\ud800")
ESCAPES = ("\\u0000", "\\ud800", "\\u001b[2J", "\\udcff")


def odd_text(text: str, chance: random.Random) -> str:
    place = chance.randrange(len(text))
    ways = (
        lambda: text.replace("1.0", chance.choice(NUMBERS), 1),
        lambda: text[:place] + chance.choice(PIECES) + text[place:],
        lambda: text[:place] + text[place + 1 :],
        lambda: text.replace("{", '{"a": 1, "a": 2, ', 1),
        lambda: text[:-1] + ", " + text[1:],
        lambda: text.replace("[", "[" * chance.choice([50, 5000, 100_000]), 1),
        lambda: text.replace("e", chance.choice(ESCAPES), 3),
        lambda: chance.choice(["null", "[]", "{}", "1", '"x"', "", " " * 10_000]),
    )
    return chance.choice(ways)()


def changed_value(document: Any, chance: random.Random) -> None:
    """Change, remove, rename or add something at any depth."""
    holder = chance.choice([place for place in containers(document) if place])
    key = chance.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    way = chance.randrange(5)
    if way == 0:
        del holder[key]
    elif way == 1 and isinstance(holder, dict):
        holder[word(chance)] = holder.pop(key)
    elif way == 2 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(chance.choice(holder)))
    elif way == 3 and isinstance(holder, dict):
        holder[word(chance)] = chance.choice(HOSTILE)(chance)
    else:
        holder[key] = chance.choice(HOSTILE)(chance)


def containers(value: Any) -> Iterator[Any]:
    """Every object and list of a document that is not too deep to be one of ours."""
    if isinstance(value, (dict, list)):
        yield value
        for item in value.values() if isinstance(value, dict) else value:
            yield from containers(item)


def progress(total: Total, wanted: int) -> None:
    done = total.counts["golden"] + total.counts["log"]
    if done % 5000 == 0 or done == wanted:
        print(f"{done:,}/{wanted:,}: {total.figures()}", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main())
