"""What packages ask of each other, read from metadata as installers write them."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from pytest_keras_golden.stacks.overlay.described import headers, installed
from pytest_keras_golden.stacks.ties import all_required, is_in, requirements


def dist_info(folder: Path, name: str, *fields: str, description: str = "") -> None:
    place = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    place.mkdir(parents=True)
    said = ("Metadata-Version: 2.1", f"Name: {name}", "Version: 1.0", *fields)
    (place / "METADATA").write_text("\n".join(said) + f"\n\n{description}", encoding="utf-8")


def found(folder: Path, name: str) -> metadata.Distribution:
    (one,) = metadata.distributions(name=name, path=[str(folder)])
    return one


def test_markers_and_extras_decide_what_is_asked_for(tmp_path: Path) -> None:
    dist_info(
        tmp_path,
        "asking",
        "Requires-Dist: numpy>=1.20",
        "Requires-Dist: numpy<3",
        'Requires-Dist: colorama; sys_platform == "win32"',
        'Requires-Dist: Ray_Tune[air]>=2; extra == "tune"',
        "Requires-Dist: this is no requirement",
    )
    linux = {"sys_platform": "linux"}
    plain = requirements("asking", tmp_path, linux)
    assert {name: str(one.versions) for name, one in plain.items()} == {"numpy": "<3,>=1.20"}
    tuned = requirements("asking", tmp_path, linux, ["tune"])
    assert tuned["ray-tune"].extras == {"air"}
    assert all_required(found(tmp_path, "asking")) == {"numpy", "colorama", "ray-tune"}


def test_what_a_description_says_is_no_field(tmp_path: Path) -> None:
    description = "Name: another\n\nRequires-Dist: nothing\nVersion: 9"
    dist_info(tmp_path, "told", "Requires-Dist: real", description=description)
    said = headers(found(tmp_path, "told"))
    assert (said["Name"], said["Version"], said.get_all("Requires-Dist")) == (
        "told",
        "1.0",
        ["real"],
    )


def test_packages_of_long_ago_list_what_they_ask_for_in_a_file_of_its_own(tmp_path: Path) -> None:
    place = tmp_path / "old.egg-info"
    place.mkdir()
    (place / "PKG-INFO").write_text("Metadata-Version: 1.0\nName: old\nVersion: 0.1\n")
    (place / "requires.txt").write_text("six>=1.0\n\n[fast]\ncython\n")
    assert all_required(found(tmp_path, "old")) == {"six", "cython"}
    assert set(requirements("old", tmp_path, {})) == {"six"}
    assert is_in(tmp_path, "old")


def test_installed_is_what_the_standard_library_finds() -> None:
    for name, (version, _) in installed().items():
        assert metadata.version(name) == version
