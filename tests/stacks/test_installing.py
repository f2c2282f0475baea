"""From a stack to folders: several packages in one, what goes along, and what cannot be had."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_keras_golden.errors import ConfigError, StackError
from pytest_keras_golden.stacks.chosen import Package, Release, Stack, choose, completed
from pytest_keras_golden.stacks.environment import Installed, this_environment
from pytest_keras_golden.stacks.grammar import parse_side
from pytest_keras_golden.stacks.installing import (
    fingerprint,
    install,
    is_configured,
    with_companions,
)
from pytest_keras_golden.stacks.locks.locked import Locked
from pytest_keras_golden.stacks.overlay.folder import (
    is_whole,
    list_overlays,
    overlay_environment,
)

Offer = Callable[..., Path]


def stack(text: str) -> Stack:
    return choose(parse_side(text), "keras", None)


def told(folder: Path, *modules: str) -> list[str]:
    code = f"import {', '.join(modules)}; print(*({'.VERSION, '.join(modules)}.VERSION,))"
    environment = overlay_environment([folder])
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_a_side_is_one_folder_with_all_its_packages(offer: Offer) -> None:
    offer("kg-one", "1.0")
    offer("kg-two", "2.0")
    chosen = stack("kg-one==1.0,kg-two==2.0")
    side = install(chosen, [chosen])
    (folder,) = {pin.overlay for pin in side.pins}
    assert told(folder, "kg_one", "kg_two") == ["1.0", "2.0"]
    assert [pin.modules for pin in side.pins] == [("kg_one",), ("kg_two",)]
    assert side.parts == {"kg-one": "1.0", "kg-two": "2.0"}


def test_a_mixture_of_what_is_there_installs_nothing(
    offer: Offer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("1.0", "1.1"):
        offer("kg-one", version)
        offer("kg-two", version)
        install(stack(f"kg-one=={version},kg-two=={version}"), [])
    monkeypatch.setenv("UV_FIND_LINKS", "/nowhere")
    mixed = stack("kg-one==1.0,kg-two==1.1")
    folder = install(mixed, [mixed]).pins[0].overlay
    assert told(folder, "kg_one", "kg_two") == ["1.0", "1.1"]


def test_a_damaged_folder_heals(offer: Offer) -> None:
    offer("kg-one", "1.0")
    offer("kg-two", "2.0")
    chosen = stack("kg-one==1.0,kg-two==2.0")
    folder = install(chosen, [chosen]).pins[0].overlay
    (folder / "kg_two.py").unlink()
    assert not is_whole(folder)
    assert install(chosen, [chosen]).pins[0].overlay == folder
    assert told(folder, "kg_two") == ["2.0"]


def test_the_environments_own_is_proved_where_it_lies() -> None:
    own = this_environment().installed["packaging"]
    chosen = stack(f"packaging=={own.version}")
    (pin,) = install(chosen, [chosen]).pins
    assert (pin.own, pin.overlay) == (True, own.folder)
    assert "packaging" in pin.modules


def test_hashes_of_a_lock_are_checked(offer: Offer) -> None:
    wheel = offer("kg-one", "1.0")
    good = f"sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}"
    for digest, fails in ((good, False), (f"sha256:{'0' * 64}", True)):
        locked = Locked("kg-one", "1.0", (digest,))
        package = Package("kg-one", "1.0", Release(locked))
        chosen = Stack("x", this_environment(), {"kg-one": package})
        if fails:
            with pytest.raises(StackError, match=r"kg-one==1\.0 is not the file of the lock"):
                install(chosen, [chosen])
        else:
            assert told(install(chosen, [chosen]).pins[0].overlay, "kg_one") == ["1.0"]
    assert len(list_overlays()) == 1


def test_what_cannot_be_installed_is_named_and_leaves_nothing(offer: Offer) -> None:
    offer("kg-one", "1.0")
    chosen = stack("kg-one==1.0,kg-two==2.0")
    with pytest.raises(StackError, match=r"kg-two==2\.0"):
        install(chosen, [chosen])
    assert {overlay.package for overlay in list_overlays()} <= {"kg-one"}


def test_what_lies_elsewhere_than_in_an_index_is_refused() -> None:
    for locked, said in (
        (Locked("mine", "1.0", index="https://pypi.corp.example/simple"), "does not use"),
        (Locked("mine", "1.0", address="git+https://git.corp.example/x"), "no index offers"),
    ):
        package = Package("mine", "1.0", Release(locked))
        chosen = Stack("x", this_environment(), {"mine": package})
        with pytest.raises(ConfigError, match=said):
            install(chosen, [chosen])


def test_an_index_that_the_environment_names_is_used() -> None:
    index = "https://pypi.corp.example/simple"
    assert is_configured("https://pypi.org/simple", {})
    assert not is_configured(index, {})
    assert not is_configured("https://pypi.org.corp.example/simple", {})
    assert is_configured(f"{index}/", {"UV_INDEX": f"corp={index}"})
    assert is_configured(index, {"PIP_EXTRA_INDEX_URL": f"https://a.example/b {index}"})


@pytest.mark.overlay
def test_jaxlib_goes_along_with_jax() -> None:
    heard: list[str] = []
    found = with_companions(stack("jax==0.8.1"), heard.append)
    assert found.packages["jaxlib"] == Package("jaxlib", "0.8.1", Release())
    assert "jaxlib 0.8.1 goes with jax 0.8.1" in heard[0]


@pytest.mark.parametrize(
    ("own_asks", "brought"), [((), {"kg-more", "kg-most", "kg-odd"}), (("kg-more",), set())]
)
def test_what_a_release_asks_for_anew_is_brought_along(
    offer: Offer, own_asks: tuple[str, ...], brought: set[str]
) -> None:
    """What the environment's own release asks for as well, and has not, it does without."""
    offer("kg-lead", "1.0", list(own_asks))
    offer("kg-lead", "1.1", ["kg-more>=1", "packaging"])
    offer("kg-more", "1.0")
    offer("kg-more", "2.0", ["kg-most", "kg-most[odd]"])
    offer("kg-most", "1.0", ['kg-odd; extra == "odd"', 'kg-even; extra == "even"'])
    offer("kg-odd", "1.0")
    installed = stack("kg-lead==1.0")
    (pin,) = install(installed, [installed]).pins
    has = {**this_environment().installed, "kg-lead": Installed(pin.version, pin.overlay)}
    environment = replace(this_environment(), installed=has)
    named = Package("kg-lead", "1.1", Release())
    heard: list[str] = []
    found = with_companions(Stack("x", environment, {"kg-lead": named}), heard.append)
    assert set(found.packages) == {"kg-lead", *brought}
    assert len(heard) == len(brought)
    if brought:
        assert found.packages["kg-more"].version == "2.0"
        assert "asks for kg-more>=1, and this environment has none" in heard[0]


def test_what_another_package_brings_is_there(offer: Offer, tmp_path: Path) -> None:
    """As tensorflow-cpu brings tensorflow, for which tf_keras asks."""
    offer("kg-lead", "1.1", ["kg-more"])
    offer("kg-more", "1.0")
    (tmp_path / "site" / "kg_more").mkdir(parents=True)
    has = {"kg-more-cpu": Installed("1.0", tmp_path / "site")}
    environment = replace(this_environment(), installed=has)
    named = Package("kg-lead", "1.1", Release())
    found = with_companions(Stack("x", environment, {"kg-lead": named}), print)
    assert set(found.packages) == {"kg-lead"}


def test_what_is_tied_to_another_version_says_what_to_type(offer: Offer, tmp_path: Path) -> None:
    offer("kg-high", "1.0", ["kg-low<=1.0,>=1.0"])
    offer("kg-low", "1.0")
    offer("kg-low", "1.1")
    installed = stack("kg-high==1.0,kg-low==1.0")
    pins = install(installed, [installed]).pins
    has = {pin.package: Installed(pin.version, pin.overlay) for pin in pins}
    environment = replace(this_environment(), installed=has)
    named = Package("kg-low", "1.1", Release())
    with pytest.raises(ConfigError, match=r"kg-high 1\.0 of this environment runs with") as caught:
        with_companions(Stack("x", environment, {"kg-low": named}), print)
    assert "kg-high==VERSION,kg-low==1.1" in caught.value.fix
    both = {"kg-low": named, "kg-high": Package("kg-high", "1.1", Release())}
    offer("kg-high", "1.1", ["kg-low<=1.1,>=1.1"])
    assert set(with_companions(Stack("x", environment, both), print).packages) == set(both)


def test_other_versions_are_another_fingerprint() -> None:
    prints = {
        fingerprint(stack(text))
        for text in ("six==1.0", "six==1.1", "six==1.0,jit=on", "six==1.0,jit=off", "jit=off")
    }
    assert len(prints) == 5


def test_concurrent_sides_share_one_folder(offer: Offer, tmp_path: Path) -> None:
    for name in ("kg-one", "kg-two"):
        offer(name, "1.0")
    code = (
        "from pytest_keras_golden.stacks.chosen import choose\n"
        "from pytest_keras_golden.stacks.grammar import parse_side\n"
        "from pytest_keras_golden.stacks.installing import install\n"
        "chosen = choose(parse_side('kg-one==1.0,kg-two==1.0'), 'keras', None)\n"
        "print(install(chosen, [chosen]).pins[0].overlay)\n"
    )
    command = [sys.executable, "-c", code]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    found = {process.communicate()[0].strip() for process in running}
    assert [process.returncode for process in running] == [0, 0, 0]
    assert len(found) == 1
    assert told(Path(found.pop()), "kg_one", "kg_two") == ["1.0", "1.0"]


def test_completed_sides_name_the_same_packages() -> None:
    old, new = completed([stack("six==1.0"), stack("attrs==1.0,six==1.1")])
    assert set(old.packages) <= {"six", "attrs"}
    assert set(new.packages) == {"six", "attrs"}
