"""The language of a text, detected offline, for articles whose source does not state it.

By py3langid (M. Lui and T. Baldwin, "langid.py", 2012), among six languages: with all of its ninety-seven a headline of
five words is often taken for a rare one. Loading it takes seconds, so it is loaded for the first new article that needs
it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

LANGUAGES = ("en", "es", "fr", "de", "it", "pt")
_FEWEST_LETTERS = 12


def detect_language(text: str) -> str | None:
    """One of :data:`LANGUAGES`; None for a text that is too short or in another script."""
    letters = [letter for letter in text if letter.isalpha()]
    if len(letters) < _FEWEST_LETTERS or sum(letter < "\u0250" for letter in letters) < len(letters) / 2:
        return None
    return str(_identifier().classify(text)[0])


@cache
def _identifier() -> Any:
    import py3langid

    py3langid.set_languages(list(LANGUAGES))
    return py3langid
