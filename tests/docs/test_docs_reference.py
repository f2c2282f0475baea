"""docs/reference.md says what the code says."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest
from docs_pages import DOCS


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "generate_reference", DOCS / "generate_reference.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_up_to_date(generator: ModuleType) -> None:
    written = (DOCS / "reference.md").read_text(encoding="utf-8")
    assert written == generator.reference(), "run: python docs/generate_reference.py"


def test_a_key_without_a_meaning_stops_the_generator(
    generator: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generator, "CALL", {"name": "only this one"})
    with pytest.raises(SystemExit, match="outputs"):
        generator.reference()
