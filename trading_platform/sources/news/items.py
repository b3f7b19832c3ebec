"""Makes items of the fields that feeds, NewsAPI and files have in common; what cannot be one is rejected."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import urljoin

from trading_platform.domain.news.articles import (
    LONGEST_CONTENT,
    LONGEST_ID,
    LONGEST_SUMMARY,
    LONGEST_TITLE,
    Item,
    RejectedItem,
)
from trading_platform.domain.news.plain_text import plain_text
from trading_platform.domain.news.urls import http_url
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.texts import is_storable, shown

_LONGEST_NAME = 200
_TITLE_OF_SUMMARY = 120
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,4})?")
_REMOVED = frozenset({"[removed]", "[deleted]"})
_NUMBER = re.compile(r"\d{9,13}(?:\.\d{1,9})?")
_FIRST_YEAR, _LAST_YEAR = 1800, 2199
_MILLISECONDS = 100_000_000_000  # as seconds this is the year 5138


def make_item(
    position: int, fields: Mapping[str, object], *, base: str | None = None, language: str | None = None
) -> Item | RejectedItem:
    """The item of some fields, or why it is none.

    An item without a title takes the beginning of its summary. A time that cannot be read is left out: the platform
    then knows when it first saw the item.

    Args:
        position: which one of its document it is, from 1.
        fields: ``title``, ``guid``, ``url``, ``summary``, ``content``, ``author`` and ``language`` as text or None;
            ``published_at`` and ``first_seen_at`` as text, seconds since 1970 or an aware datetime.
        base: URL of the document, to which its links are relative.
        language: language of the document.
    """
    texts = {name: value if isinstance(value, str) else None for name, value in fields.items()}
    summary = plain_text(texts.get("summary"), LONGEST_SUMMARY)
    content = plain_text(texts.get("content"), LONGEST_CONTENT)
    title = plain_text(texts.get("title"), LONGEST_TITLE) or _beginning(summary or content)
    if title is None:
        return _rejected(position, Reason.MISSING_VALUE, "a title or a summary", fields)
    if title.casefold() in _REMOVED:
        return _rejected(position, Reason.MISSING_VALUE, "an article that its source has not removed", fields)
    return Item(
        title=title,
        guid=_guid(texts.get("guid")),
        url=_link(texts.get("url"), base),
        summary=None if summary == title else summary,
        content=content,
        author=plain_text(texts.get("author"), _LONGEST_NAME),
        language=language_tag(texts.get("language")) or language_tag(language),
        published_at=time_of(fields.get("published_at")),
        first_seen_at=time_of(fields.get("first_seen_at")),
    )


def time_of(value: object) -> datetime | None:
    """A time as a source wrote it, in UTC; None if it is none. Without a zone it is taken for UTC."""
    if isinstance(value, datetime):
        return _usual(value)
    if isinstance(value, bool) or value is None:
        return None
    text = str(value).strip()
    if isinstance(value, int | float | Decimal) or _NUMBER.fullmatch(text):
        return _since_1970(text)
    try:
        return _usual(datetime.fromisoformat(text))
    except ValueError:
        return None


def language_tag(text: str | None) -> str | None:
    """A language as BCP 47 writes it, ``en`` or ``en-US``; None if the text is none."""
    if text is None or not _LANGUAGE.fullmatch(text.strip()):
        return None
    language, _, region = text.strip().replace("_", "-").partition("-")
    return f"{language.lower()}-{region.upper()}" if region else language.lower()


def _since_1970(text: str) -> datetime | None:
    try:
        seconds = float(text)
        return _usual(datetime.fromtimestamp(seconds / 1000 if abs(seconds) >= _MILLISECONDS else seconds, UTC))
    except (ValueError, OverflowError, OSError):
        return None


def _usual(time: datetime) -> datetime | None:
    try:
        utc = time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
    except OverflowError:
        return None
    return utc if _FIRST_YEAR <= utc.year <= _LAST_YEAR else None


def _beginning(text: str | None) -> str | None:
    if text is None or len(text) <= _TITLE_OF_SUMMARY:
        return text
    return f"{text[:_TITLE_OF_SUMMARY].rpartition(' ')[0] or text[:_TITLE_OF_SUMMARY]}…"


def _guid(text: str | None) -> str | None:
    stripped = (text or "").strip()
    return stripped if stripped and len(stripped) <= LONGEST_ID and is_storable(stripped) else None


def _link(text: str | None, base: str | None) -> str | None:
    stripped = (text or "").strip()
    if not stripped or not is_storable(stripped):
        return None
    try:
        return http_url(urljoin(base, stripped) if base else stripped)
    except ValueError:
        return None


def _rejected(position: int, reason: Reason, expected: str, fields: Mapping[str, object]) -> RejectedItem:
    given = {name: value for name, value in fields.items() if value is not None}
    return RejectedItem(position, reason.value, f"expected {expected}", shown(given))
