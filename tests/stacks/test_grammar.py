"""How a side is written: each kind of part, and what is none."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_keras_golden.errors import ConfigError, GoldenError
from pytest_keras_golden.stacks.grammar import (
    LockReference,
    SourceReference,
    is_version_range,
    kind_of,
    parse_side,
    respelled,
)


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ("3.14.1", "version"),
        ("latest", "version"),
        ("jax==0.10.2", "pin"),
        ("requirements.txt", "lock"),
        ("ci/requirements-3.11.txt", "lock"),
        ("uv.lock", "lock"),
        ("origin/main:uv.lock", "lock"),
        ("HEAD@{1}:app/poetry.lock", "lock"),
        ("pylock.toml", "lock"),
        ("pylock.ci.toml", "lock"),
        ("pdm.lock", "lock"),
        ("pixi.lock", "lock"),
        ("keras@../keras:1a2b3c", "source"),
        ("keras@../keras", "source"),
        ("keras@dist/keras-3.16.0-py3-none-any.whl", "source"),
        ("backend=torch", "switch"),
        ("run=onnx", "switch"),
        ("env.XLA_FLAGS=--xla_cpu_enable_fast_math=true", "switch"),
        ("python=.venv-old/bin/python", "switch"),
    ],
)
def test_each_kind_of_part(part: str, kind: str) -> None:
    assert kind_of(part) == kind


def test_parts_come_together() -> None:
    side = parse_side("latest, jax==0.8.1,jaxlib==0.8.1,backend=jax,threads=01,main:uv.lock")
    assert side.version == "latest"
    assert side.pins == (("jax", "0.8.1"), ("jaxlib", "0.8.1"))
    assert side.switches == (("backend", "jax"), ("threads", "1"))
    assert side.locks == (LockReference(Path("uv.lock"), "main"),)


def test_a_comma_within_a_value_is_escaped() -> None:
    side = parse_side(r"env.XLA_FLAGS=--a=1\,2,jit=off")
    assert side.switches == (("env.XLA_FLAGS", "--a=1,2"), ("jit", "off"))


def test_a_source_is_a_folder_or_a_revision_of_a_clone(tmp_path: Path) -> None:
    (tmp_path / "a:b").mkdir()
    assert parse_side(f"keras@{tmp_path}/a:b").sources == (
        SourceReference("keras", tmp_path / "a:b"),
    )
    assert parse_side(f"keras@{tmp_path}:v3.5.0").sources == (
        SourceReference("keras", tmp_path, "v3.5.0"),
    )


def test_a_lock_whose_path_has_a_colon_is_no_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a:uv.lock").touch()
    assert parse_side("a:uv.lock").locks == (LockReference(Path("a:uv.lock")),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty part"),
        ("3.5.0,,jit=on", "empty part"),
        ("newest", "'newest' is no part of a side"),
        ("requirements.in", "no part of a side"),
        (">=3.5", "no part of a side"),
        ("3.5.0,3.6.0", "version is 3.5.0 and 3.6.0"),
        ("jit=on,jit=off", "jit=on and jit=off contradict"),
        ("jit=maybe", "'maybe' is no choice"),
        ("backend=mxnet", "'mxnet' is no choice"),
        ("speed=fast", "speed= is no switch"),
        ("threads=0", "no number of threads"),
        ("policy=", "no dtype policy"),
        ("env.=1", "names no variable"),
        ("env.PYTHONPATH=/x", "would hide what is compared"),
        ("env.KERAS_GOLDEN_EXPECT={}", "would hide what is compared"),
        ("python=", "names no interpreter"),
        ("keras==3.x", "'3.x' is no version"),
        ("-e==1", "no package name"),
        ("@/tmp", "no package name"),
    ],
)
def test_what_is_no_side_is_refused_in_a_sentence(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        parse_side(text)
    assert caught.value.fix


@given(st.text(max_size=40))
def test_any_text_is_a_side_or_a_deliberate_error(text: str) -> None:
    with contextlib.suppress(GoldenError):
        assert parse_side(text).text == text


@pytest.mark.parametrize(
    "text", ["3.5.0", "latest", "3.3.3..3.6", ">=3.9,<3.12", "3.14.*", "3.5.0rc1"]
)
def test_versions_alone_stay_versions(text: str) -> None:
    assert is_version_range(text)


@pytest.mark.parametrize(
    "text", ["uv.lock", "jax==0.8.1", "backend=torch", "3.5.0,jit=off", "x.txt"]
)
def test_any_other_side_is_no_range(text: str) -> None:
    assert not is_version_range(text)


@pytest.mark.parametrize(
    ("text", "instead", "bare", "expected"),
    [
        ("3.5.0", {"keras": "3.5.2"}, None, "3.5.2"),
        ("uv.lock", {"keras": "3.5.2"}, None, "uv.lock,3.5.2"),
        ("3.5.0, policy=bfloat16", {"keras": "3.5.2"}, None, "3.5.2,policy=bfloat16"),
        ("keras@/clone:v3,jit=on", {"keras": "3.5.2", "jit": None}, None, "3.5.2"),
        ("Keras==3.5.0,env.A=1\\,2", {"keras": "3.5.2"}, None, "3.5.2,env.A=1\\,2"),
        ("3.5.0,env.A=1", {"env.A": "env.A=2"}, None, "3.5.0,env.A=2"),
        ("3.5.0,optree==0.14.0", {"optree": "0.14.1"}, "optree", "keras==3.5.0,0.14.1"),
        ("old.txt,jax==0.8.1,jaxlib==0.8.1", {"jaxlib": None}, "jax", "old.txt,jax==0.8.1"),
        ("no side at all", {"jit": "jit=on"}, None, "no side at all,jit=on"),
    ],
)
def test_a_side_is_spelled_with_other_parts(
    text: str, instead: dict[str, str | None], bare: str | None, expected: str
) -> None:
    assert respelled(text, "keras", instead, bare) == expected


@pytest.mark.parametrize(
    ("part", "meant"),
    [
        ("lates", "latest"),
        ("uv.lok", "uv.lock"),
        ("origin/main:uv.lok", "origin/main:uv.lock"),
        ("HEAD~1:apps/requirement.txt.", "HEAD~1:apps/requirements.txt"),
        ("apps/pylok.toml", "apps/pylock.toml"),
    ],
)
def test_a_misspelt_part_names_the_nearest(part: str, meant: str) -> None:
    with pytest.raises(ConfigError, match="no part of a side") as caught:
        parse_side(f"3.15.1,{part}")
    assert f"Did you mean {meant!r}?" in str(caught.value)
