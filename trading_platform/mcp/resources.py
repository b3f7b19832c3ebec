"""What assistants can read besides: the pages of the documentation, and the catalog of features."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

from mcp.server.mcpserver.resources import FunctionResource, Resource

from trading_platform.client import Platform

_PACKAGE = Path(__file__).parents[1]
_FOLDERS = ("", "sources", "runbooks")
"""Folders of pages for users; the decisions are for who changes the code."""


def docs_directory() -> Path:
    """The folder ``docs`` of the checkout, or its copy in an installed package."""
    packaged = _PACKAGE / "docs"
    return packaged if packaged.is_dir() else _PACKAGE.parent / "docs"


def resources(platform: Platform) -> list[Resource]:
    """The resources, pages first."""
    root = docs_directory()
    pages = [page for folder in _FOLDERS for page in sorted((root / folder).glob("*.md"))]
    return [*(_page(page.relative_to(root), page) for page in pages), _catalog(platform.feature_catalog)]


def _page(name: Path, file: Path) -> Resource:
    uri = f"docs://{name.with_suffix('').as_posix()}"
    with file.open(encoding="utf-8") as text:
        title = text.readline().lstrip("# ").strip()
    made: Resource = FunctionResource(
        uri=uri, name=name.as_posix(), title=title, mime_type="text/markdown", fn=partial(file.read_text, "utf-8")
    )
    return made


def _catalog(read: Callable[[], object]) -> Resource:
    return FunctionResource(
        uri="features://catalog",
        name="feature catalog",
        title="Each feature: meaning, computation, version, hash of its definition, availability",
        mime_type="application/json",
        fn=lambda: json.dumps(read().to_dicts(), default=str),  # type: ignore[attr-defined]
    )
