"""Hooks of the site: pages that lie beside `docs/` in the repository are pages of it as well."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
BESIDE = {"CONTRIBUTING.md": "contributing.md", "SECURITY.md": "security.md", "CHANGELOG.md": "changelog.md"}


def on_files(files: Files, config: Any) -> Files:
    for name, page in BESIDE.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=_inside(text)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links that leave `docs/` by the names that their targets have here."""
    for name, target in BESIDE.items():
        up = "../" * page.file.src_uri.count("/")
        markdown = markdown.replace(f"](../{up}{name}", f"]({up}{target}")
    return markdown


def _inside(text: str) -> str:
    """A page of the root, as it would lie in `docs/`."""
    for name, target in BESIDE.items():
        text = text.replace(f"]({name}", f"]({target}")
    text = re.sub(r"\]\(docs/", "](", text)
    # Files of the repository that are no pages: named, not linked.
    return re.sub(r"\[([^\]]+)\]\((?!https?:|[\w./-]+\.md|#)[^)]*\)", r"\1", text)
