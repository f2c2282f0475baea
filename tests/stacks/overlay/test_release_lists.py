from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_keras_golden.errors import ConfigError, StackError
from pytest_keras_golden.stacks.overlay.releases import releases, resolve, split_specs

pytestmark = pytest.mark.overlay


def test_the_index_offers_releases_in_order_without_pre_releases(cache: Path) -> None:
    found = releases("keras", cache=cache)
    assert found == sorted(found)
    assert {"3.3.3", "3.5.0", "3.15.1"} <= {str(version) for version in found}
    assert not [version for version in found if version.is_prerelease]


def test_pre_releases_come_on_request(cache: Path) -> None:
    offered = releases("packaging", cache=cache)
    with_pre = releases("packaging", pre=True, cache=cache)
    assert set(offered) <= set(with_pre)
    jax = releases("tensorflow", pre=True, cache=cache)
    assert [version for version in jax if version.is_prerelease]


def test_yanked_releases_are_left_out(cache: Path) -> None:
    # attrs 21.1.0 was yanked.
    assert "21.1.0" not in {str(version) for version in releases("attrs", cache=cache)}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("3.3.3..3.6", ["3.3.3", "3.4.0", "3.4.1", "3.5.0", "3.6.0"]),
        ("3.9..3.10.0", ["3.9.0", "3.9.1", "3.9.2", "3.10.0"]),
        ("3.3.1..3.3", ["3.3.1", "3.3.2", "3.3.3"]),
        (">=3.9,<3.10", ["3.9.0", "3.9.1", "3.9.2"]),
        ("3.14.*", ["3.14.0", "3.14.1"]),
        ("3.6.0 3.5.0,3.6.0", ["3.5.0", "3.6.0"]),
        ("~=3.9.1", ["3.9.1", "3.9.2"]),
    ],
)
def test_specs_mean_releases(spec: str, expected: list[str]) -> None:
    assert resolve([spec]) == expected


def test_latest_is_the_newest_final_release() -> None:
    assert resolve(["latest"]) == [str(releases("keras")[-1])]
    assert resolve(["3.15.0..latest"])[:2] == ["3.15.0", "3.15.1"]


def test_exact_versions_need_no_index(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    assert resolve(["3.6.0", "3.5.0"], cache=cache) == ["3.5.0", "3.6.0"]


def test_offline_is_a_clear_error(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(StackError, match="did not list the releases of keras") as caught:
        resolve(["3.14.*"], cache=cache)
    assert "keras-golden overlays list" in caught.value.fix


def test_a_fresh_list_is_used_offline(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = releases("keras", cache=cache)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    assert releases("keras", cache=cache) == listed


def test_a_damaged_list_is_fetched_again(cache: Path) -> None:
    listed = releases("keras", cache=cache)
    (kept,) = cache.rglob("keras.json")
    kept.write_text("[1, 'not a version")
    assert releases("keras", cache=cache) == listed
    assert json.loads(kept.read_text())


@pytest.mark.parametrize("spec", ["bogus", "3.5..x", ">=three", "<0.0.1", ""])
def test_what_means_nothing_is_refused_with_the_forms(spec: str) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve([spec])
    assert "3.3.3..3.6" in caught.value.fix


def test_conditions_side_by_side_belong_together() -> None:
    assert split_specs("3.5.0,>=3.9,<3.12,latest") == ["3.5.0", ">=3.9,<3.12", "latest"]
    assert split_specs("3.3.3..3.6 ==3.14.*") == ["3.3.3..3.6", "==3.14.*"]
