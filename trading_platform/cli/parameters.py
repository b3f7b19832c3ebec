"""How commands read what several of them take: symbols in any case."""

from __future__ import annotations

from typing import TypeVar

_Text = TypeVar("_Text", str, list[str], None)


def in_capitals(value: _Text) -> _Text:
    """A symbol, or each of several, in the platform's spelling, which has capitals only."""
    if isinstance(value, list):
        return [text.upper() for text in value]
    return value.upper() if isinstance(value, str) else value
