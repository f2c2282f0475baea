"""Settings from options and ini keys: what is read, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_keras_golden.config import (
    GROUPS,
    OPTIONS,
    Settings,
    check_ini_keys,
    parse_size,
    read_settings,
)
from pytest_keras_golden.errors import ConfigError
from pytest_keras_golden.records import Tolerance

DEFAULT_OPTIONS = {
    (entry.flag or "").lstrip("-").replace("-", "_"): None if entry.ini else entry.default
    for entry in OPTIONS
}
DEFAULT_INI = {entry.ini: entry.default for entry in OPTIONS if entry.ini}


def read(
    options: dict[str, Any] | None = None,
    ini: dict[str, Any] | None = None,
    environ: dict[str, str] | None = None,
    ini_folder: Path | None = Path("/project"),
) -> Any:
    return read_settings(
        {**DEFAULT_OPTIONS, **(options or {})}.__getitem__,
        {**DEFAULT_INI, **(ini or {})}.__getitem__,
        ini_folder=ini_folder,
        rootdir=Path("/root"),
        working_dir=Path("/invoked"),
        environ=environ or {},
    )


def test_defaults() -> None:
    settings = read()
    assert settings.goldens_dir == Path("/project/goldens")
    assert settings.seed == 0
    assert settings.max_size == 1 << 20
    assert settings.select == ("attention", "logits", "training")


def test_goldens_dir_is_relative_to_the_ini_file() -> None:
    assert read({"goldens_dir": "kept"}).goldens_dir == Path("/project/kept")
    assert read(ini={"goldens_dir": "kept"}).goldens_dir == Path("/project/kept")


def test_a_file_is_no_folder_for_candidates(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("in the way")
    with pytest.raises(ConfigError, match=r"is a file.*\n.*--golden-output"):
        read({"golden_output": str(file)})


def test_no_tensor_is_renamed_twice() -> None:
    with pytest.raises(ConfigError, match="'a' is renamed twice"):
        read(ini={"golden_aliases": ["a -> b", "a -> c"]})


def test_without_an_ini_file_the_rootdir_serves() -> None:
    assert read({"goldens_dir": "kept"}, ini_folder=None).goldens_dir == Path("/invoked/kept")
    assert read(ini_folder=None).goldens_dir == Path("/root/goldens")


@pytest.mark.parametrize("value", ["1", "true", "yes"])
def test_an_update_is_refused_in_ci(value: str) -> None:
    with pytest.raises(ConfigError, match="--update-goldens-in-ci"):
        read({"update_goldens": True}, environ={"CI": value})
    both = {"update_goldens": True, "update_goldens_in_ci": True}
    assert read(both, environ={"CI": value}).update


@pytest.mark.parametrize("value", ["", "0", "false", "False"])
def test_an_unset_ci_allows_updates(value: str) -> None:
    assert read({"update_goldens": True}, environ={"CI": value}).update


@pytest.mark.parametrize(
    ("ini", "complaint"),
    [
        ({"golden_tolerances": ["float32: k=-1"]}, "non-negative"),
        ({"golden_tolerances": ["float32: k=nan"]}, "non-negative"),
        ({"golden_tolerances": ["float32: much"]}, "'float32: much': not a tolerance"),
        ({"golden_tolerances": ["k=3"]}, "dtype-or-glob"),
        ({"golden_tolerances": ["*: k=3 rtol=1"]}, "mixes"),
        ({"golden_tolerances": ["*: rtoll=1"]}, r"'\*: rtoll=1': .*\nDid you mean 'rtol'\? "),
        ({"golden_tolerances": ["*: exat"]}, "Did you mean 'rtol=0 atol=0'"),
        ({"golden_systematic": "maybe"}, "fail, warn, off"),
        ({"golden_systematic": "wran"}, "Did you mean 'warn'"),
        ({"golden_accumulated": "off"}, "warn, fail"),
        ({"golden_anchor_factor": "0"}, "positive"),
        ({"golden_max_size": "1 MB"}, "no size"),
        ({"golden_max_bytes": "-4"}, "no size"),
        ({"golden_rows": "0"}, "number from 1, or all"),
        ({"golden_seed": "x"}, "golden_seed"),
        ({"golden_baseline": "three"}, "no version"),
        (
            {"golden_select": "logits, atention"},
            "'atention' is no group\nDid you mean 'attention'?",
        ),
        ({"golden_select": "dense"}, r"a glob names calls: \*/dense\*"),
        ({"golden_aliases": ["a = b"]}, "name in this run -> name in the golden"),
    ],
)
def test_nonsense_is_refused(ini: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        read(ini=ini)


def test_groups_and_globs_are_selected() -> None:
    said = [*GROUPS, "gpt/head", "*norm*", "step_0/loss", "dense@1"]
    assert read(ini={"golden_select": ",".join(said)}).select == tuple(said)


def test_a_file_is_no_folder_of_goldens(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    for option, ini in (({"goldens_dir": str(file)}, {}), ({}, {"goldens_dir": "file"})):
        with pytest.raises(ConfigError, match=r"file is a file, not a folder\n.*--goldens-dir=DIR"):
            read(option, ini, ini_folder=tmp_path)
    (tmp_path / "goldens").write_text("of a suite that has no golden test")
    assert read(ini_folder=tmp_path).goldens_dir == tmp_path / "goldens"


def test_tolerances_and_aliases_are_read() -> None:
    settings = read(
        ini={
            "golden_tolerances": ["", "# by dtype", "bfloat16: k=3", "logits*: rtol=1e-3"],
            "golden_aliases": ["old/kernel -> new/kernel"],
            "golden_seed": "none",
        }
    )
    assert [rule.pattern for rule in settings.tolerances] == ["bfloat16", "logits*"]
    assert settings.tolerances[1].tolerance == Tolerance(rtol=1e-3, atol=0.0)
    assert settings.aliases == {"old/kernel": "new/kernel"}
    assert settings.seed is None


def test_unknown_golden_keys_are_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'golden_tolerances'"):
        check_ini_keys(["testpaths", "golden_tolerance"])
    check_ini_keys(["golden_seed", "goldens_dir", "asyncio_mode"])


@pytest.mark.parametrize(
    ("text", "size"), [("7", 7), ("1KiB", 1024), ("2 MiB", 2 << 20), ("3GiB", 3 << 30)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


def test_settings_and_options_have_the_same_defaults() -> None:
    assert read(ini_folder=None) == Settings(goldens_dir=Path("/root/goldens"))
