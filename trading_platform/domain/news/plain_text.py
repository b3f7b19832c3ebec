"""Plain text of what feeds send: markup, invisible characters and repeated spaces are removed."""

from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser

_SKIPPED = frozenset({"script", "style", "template", "noscript"})
_INLINE = frozenset("a abbr b bdi bdo cite code em font i kbd mark q s small span strong sub sup u var wbr".split())
_MARKUP = re.compile(r"<[A-Za-z/!?]|&[#A-Za-z]")
_SPACES = re.compile(r"\s+")
_UNSEEN = re.compile(
    "[\\x00-\\x08\\x0e-\\x1f\\x7f-\\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\ufff9-\ufffb]"
)
_LARGEST = 400_000  # characters of which the text is taken; a feed's whole body is at most a few million


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._skipped = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        self._skipped += tag in _SKIPPED
        self._separate(tag)

    def handle_endtag(self, tag: str) -> None:
        self._skipped = max(0, self._skipped - (tag in _SKIPPED))
        self._separate(tag)

    def handle_data(self, data: str) -> None:
        if not self._skipped:
            self.parts.append(data)

    def _separate(self, tag: str) -> None:
        if tag not in _INLINE:
            self.parts.append(" ")


def plain_text(text: str | None, longest: int) -> str | None:
    """The text of HTML or plain text on one line, at most that many characters; None if nothing is left."""
    if not text:
        return None
    text = text[:_LARGEST]
    if _MARKUP.search(text):
        parser = _Text()
        parser.feed(text)
        parser.close()
        text = "".join(parser.parts)
    text = _SPACES.sub(" ", _UNSEEN.sub("", unicodedata.normalize("NFC", text))).strip()
    text = text.encode("utf-8", "replace").decode()  # a lone surrogate cannot be stored
    if len(text) > longest:
        text = f"{text[: longest - 1].rstrip()}…"
    return text or None
