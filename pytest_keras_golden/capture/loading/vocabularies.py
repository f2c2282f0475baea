"""Vocabularies of a loaded model against its file's: of assets, and of its configuration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...saved.contents import SavedContents
from ...saved.faults import LoadingFault
from ...saved.settings import inner_layers
from ..watch.structure import walk
from .places import resolved

ASSET = "vocabulary.txt"


def vocabulary_faults(model: Any, contents: SavedContents) -> Iterator[LoadingFault]:
    """One of each layer whose words are not the file's."""
    names = {id(layer): path for path, layer in walk(model)}
    told: set[int] = set()
    for layer, stored in (*_assets(model, contents), *_settings(model, contents.config)):
        if id(layer) in told:
            continue
        held = _words(layer, special=False)
        wanted = _without(_special(layer, held), stored)
        if wanted != held:
            told.add(id(layer))
            name = names.get(id(layer)) or str(layer.name)
            yield LoadingFault(f"{name}.vocabulary", "vocabulary", _otherwise(wanted, held))


def _assets(model: Any, contents: SavedContents) -> Iterator[tuple[Any, list[str]]]:
    for path, text in contents.assets.items():
        *parts, last = path.split("/")
        # TextVectorization saves its own and that of the lookup within it, which are one.
        outer = parts[:-1] if parts and parts[-1].startswith("_") else parts
        layer = resolved(model, outer, contents.config)
        if last == ASSET and hasattr(layer, "get_vocabulary"):
            yield layer, [line for line in text.decode("utf-8", "replace").split("\n") if line]


def _settings(model: Any, config: Any) -> Iterator[tuple[Any, list[str]]]:
    """Those that layers were made with: what such a layer says of itself afterwards is what it was
    told, whatever it holds."""
    own = {layer.name: layer for layer in getattr(model, "layers", ())}
    for name, inner in inner_layers(config):
        if name not in own:
            continue
        settings = inner.get("config")
        words = settings.get("vocabulary") if isinstance(settings, Mapping) else None
        if isinstance(words, list) and hasattr(own[name], "get_vocabulary"):
            yield own[name], [str(word) for word in words if str(word)]
        yield from _settings(own[name], inner)


def _words(layer: Any, special: bool) -> list[str]:
    try:
        words = layer.get_vocabulary(include_special_tokens=special)
    except Exception:  # never loaded: the vocabulary is empty
        return []
    # 0 is a word of whole numbers; the empty one masks, and files leave it out.
    return [str(word) for word in words if str(word)]


def _special(layer: Any, held: list[str]) -> list[str]:
    """What stands before the words: the one for all that are not known."""
    every = _words(layer, special=True)
    return every[: len(every) - len(held)]


def _without(special: list[str], wanted: list[str]) -> list[str]:
    """Files have the words with those or without."""
    count = len(special)
    return wanted[count:] if wanted[:count] == special else wanted


def _otherwise(wanted: list[str], held: list[str]) -> str:
    known = set(held)
    if len(wanted) < len(held):
        return f"has {len(held)} words, in the file {len(wanted)}"
    if len(wanted) > len(held):
        lost = [word for word in wanted if word not in known]
        first = f"; without {lost[0]!r}" + _more(lost) if lost else ""
        return f"has {len(held)} of {len(wanted)} words{first}"
    differ = [i for i, (a, b) in enumerate(zip(wanted, held, strict=True)) if a != b]
    order = " (the same words in another order)" if known == set(wanted) else ""
    return (
        f"differs in {len(differ)} of {len(wanted)} words{order}: the first is "
        f"{held[differ[0]]!r}, in the file {wanted[differ[0]]!r}"
    )


def _more(words: list[str]) -> str:
    return f" and {len(words) - 1} more" if len(words) > 1 else ""
