"""What a GPU changes: flash attention, TF32, other devices, repeats, and whether watching is seen.

The models of benchmarks/injection, recorded and checked on the GPU by the path of a test, on jax or
torch. Prints a table and needs a GPU; without one it says so and exits 2.

    KERAS_BACKEND=torch python benchmarks/cuda.py [MODEL …]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")
# Several processes share the card.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import keras
import numpy as np
from injection.change import Change, Subject
from injection.trial import Bench, Tensor, relative

from pytest_keras_golden.capture.backends import to_numpy
from pytest_keras_golden.capture.state.weights import fill_weights
from pytest_keras_golden.compare.floats import epsilon
from pytest_keras_golden.stack import running_stack

MODELS = ("gpt", "llama", "bert", "convnet")
POLICIES = ("float32", "bfloat16", "float16")
REPEATS = 5
LENGTH, WIDTH, HEADS = 256, 256, 4
"""Of the attention layers: heads of 64, which every flash kernel takes."""


def attention(name: str, causal: bool, grouped: bool) -> Subject:
    """One attention layer of Keras between two Dense layers."""

    def build(policy: str) -> tuple[Any, tuple[Any, ...]]:
        x = keras.Input((LENGTH, WIDTH))
        layer = (
            keras.layers.GroupQueryAttention(WIDTH // HEADS, HEADS, 2, dtype=policy, name="core")
            if grouped
            else keras.layers.MultiHeadAttention(HEADS, WIDTH // HEADS, dtype=policy, name="core")
        )
        h = keras.layers.Dense(WIDTH, dtype=policy, name="before")(x)
        h = layer(h, h, use_causal_mask=causal)
        model = keras.Model(x, keras.layers.Dense(64, dtype=policy, name="logits")(h))
        fill_weights(model, 4)
        numbers = np.random.default_rng(4).normal(size=(2, LENGTH, WIDTH)).astype("float32")
        return model, (numbers,)

    return Subject(name, build)


SUBJECTS = (
    attention("attention", causal=False, grouped=False),
    attention("causal attention", causal=True, grouped=False),
    attention("grouped attention", causal=True, grouped=True),
)


@contextmanager
def flash(on: bool) -> Iterator[None]:
    switch = {
        True: keras.config.enable_flash_attention,
        False: keras.config.disable_flash_attention,
    }
    before = bool(keras.config.is_flash_attention_enabled())
    switch[on]()
    try:
        yield
    finally:
        switch[before]()


@contextmanager
def tf32(on: bool) -> Iterator[None]:
    if keras.backend.backend() == "jax":
        import jax

        with jax.default_matmul_precision("tensorfloat32" if on else "highest"):
            yield
        return
    import torch

    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = on
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def told(bench: Bench, policy: str) -> str:
    """One line of a check: the verdict, what is blamed, the causes, the largest k."""
    outcome, _ = bench.check(policy, Change("nothing", ()))
    judged = [tensor for tensor in outcome.tensors if tensor.judged]
    k = max((tensor.k or 0.0 for tensor in judged), default=0.0)
    verdicts = ", ".join(sorted({tensor.verdict for tensor in judged}))
    causes = ", ".join(f"{layer.name} {layer.cause}" for layer in outcome.locals if layer.cause)
    blamed = ", ".join(outcome.local_drift) or "nothing"
    return (
        f"{outcome.outcome}; {verdicts}; k {k:.3g}; blamed: {blamed}; causes: {causes or 'none'}; "
        f"isolation {outcome.isolation}; {outcome.reason or ''}"
    )


def switched(subject: Subject, folder: Path) -> Iterator[str]:
    """Recorded with a switch off, checked with it on, and the other way round."""
    for policy in subject.policies:
        for name, switch in (("tf32", tf32) if policy == "float32" else ("flash", flash),):
            for first in (False, True):
                place = folder / f"{name}{first}"
                # Layers read the switch where they are made.
                with switch(first):
                    Bench(subject, place, (policy,)).record(policy)
                with switch(not first):
                    said = told(Bench(subject, place, (policy,)), policy)
                way = "on to off" if first else "off to on"
                yield f"{subject.name} {policy}: {name} {way}: {said}"


def repeated(subject: Subject, folder: Path) -> Iterator[str]:
    """The same call again: is it the same, watched and unwatched, and how far is the CPU?"""
    bench = Bench(subject, folder / "repeated", tuple(subject.policies))
    for policy in subject.policies:
        bench.record(policy)
        model, arguments = bench.model(policy)
        plain = [to_numpy(model(*arguments)) for _ in range(REPEATS)]
        apart = [k(run, plain[0], policy) for run in plain[1:]]
        watched = k(bench.logits(policy), plain[0], policy)
        again = [bench.check(policy, Change("nothing", ()))[0] for _ in range(REPEATS)]
        same = sum(outcome.outcome == "passed" for outcome in again)
        other = k(cpu(subject, policy), plain[0], policy)
        yield (
            f"{subject.name} {policy}: repeats differ by {max(apart):.3g} ε, watched by "
            f"{watched:.3g} ε, {same}/{REPEATS} checks pass, CPU by {other:.3g} ε"
        )


def cpu(subject: Subject, policy: str) -> Tensor:
    with keras.device("cpu"):
        model, arguments = subject.build(policy)
        return to_numpy(model(*arguments))


def k(actual: Tensor, golden: Tensor, policy: str) -> float:
    return relative(actual, golden) / epsilon(policy)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=MODELS, metavar="MODEL")
    stack = running_stack()
    print({name: stack[name] for name in ("keras", "backend", "device", "tf32")}, flush=True)
    if stack["device"] == "cpu":
        print("There is no GPU that this backend uses.")
        return 2
    subjects = [*SUBJECTS]
    subjects += [import_module(f"injection.{m}").SUBJECT for m in parser.parse_args().models]
    with tempfile.TemporaryDirectory() as folder:
        for subject in subjects:
            for lines in (repeated, switched):
                try:
                    for line in lines(subject, Path(folder) / subject.name):
                        print(line, flush=True)
                except Exception as error:  # One model that fails must not hide the others.
                    print(
                        f"{subject.name}: {lines.__name__} FAILED: {type(error).__name__}: {error}"
                    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
