"""RSS, RDF and Atom: the items of a feed's bytes, by feedparser.

The bytes were fetched by :mod:`trading_platform.sources.news.http`; feedparser gets no address, because it would open
it. What must not be parsed is refused first (:mod:`trading_platform.sources.news.xml_safety`).
"""

from __future__ import annotations

import calendar
import io
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from trading_platform.domain.errors import MalformedPayload
from trading_platform.domain.news.articles import Document, Item, RejectedItem
from trading_platform.domain.news.plain_text import plain_text
from trading_platform.domain.news.urls import http_url
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.texts import shown
from trading_platform.sources.news.items import make_item
from trading_platform.sources.news.xml_safety import check_xml

_log = logging.getLogger(__name__)

_LONGEST_NAME = 200
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9._\-]{1,40})", re.IGNORECASE)
_HTML = re.compile(rb"\s*(?:<!doctype\s+html|<html)\b", re.IGNORECASE)
_SHORTEST_LIFE, _LONGEST_LIFE = 60.0, 86_400.0
_PERIODS = {"hourly": 3_600, "daily": 86_400, "weekly": 604_800, "monthly": 2_592_000, "yearly": 31_536_000}


def read_feed(body: bytes, *, url: str | None = None, content_type: str | None = None) -> Document:
    """The items of a feed.

    Args:
        body: all of it.
        url: its address, to which its links are relative.
        content_type: Content-Type of the response, for the encoding.

    Raises:
        MalformedPayload: if it is no feed, cannot be read at all, or must not be parsed.
    """
    if _HTML.match(body[:500].removeprefix(b"\xef\xbb\xbf")):
        raise _no_feed("a web page")
    stated = _CHARSET.search(content_type or "")
    check_xml(body, stated[1] if stated else None)
    parsed = _parsed(body, content_type)
    entries, feed = parsed["entries"], parsed["feed"]
    problem = parsed.get("bozo_exception") if parsed.get("bozo") else None
    if not entries and (not parsed.get("version") or not (problem is None or _is_minor(problem))):
        raise _no_feed(f"{len(body):,} bytes" if problem is None else _said(problem))
    made = [_item(position, entry, url, feed.get("language")) for position, entry in enumerate(entries, 1)]
    return Document(
        items=tuple(one for one in made if isinstance(one, Item)),
        rejected=tuple(one for one in made if isinstance(one, RejectedItem)),
        title=plain_text(feed.get("title"), _LONGEST_NAME),
        time_to_live=_time_to_live(feed),
        warning=None if problem is None else f"it is not well-formed: {_said(problem)}",
    )


def _parsed(body: bytes, content_type: str | None) -> Mapping[str, Any]:
    import feedparser

    try:  # without the address: a GUID such as 7 would become a URL
        parsed: Mapping[str, Any] = feedparser.parse(
            io.BytesIO(body),
            response_headers={"content-type": content_type or "application/xml"},
            sanitize_html=False,
            resolve_relative_uris=False,
        )
    except Exception as error:  # a document that it was not written for can make it fail in any way
        _log.debug("a feed cannot be parsed", exc_info=error)
        raise _no_feed(f"{type(error).__name__} while parsing") from error
    return parsed


def _is_minor(problem: object) -> bool:
    """Whether only what is stated of the encoding is wrong, and not the document."""
    import feedparser

    return isinstance(problem, feedparser.CharacterEncodingOverride | feedparser.NonXMLContentType)


def _item(position: int, entry: Mapping[str, Any], base: str | None, language: object) -> Item | RejectedItem:
    try:
        content = [part.get("value") for part in entry.get("content", ()) if isinstance(part, Mapping)]
        fields = {
            "title": entry.get("title"),
            "guid": entry.get("id"),
            "url": None
            if entry.get("link") == entry.get("id") and not http_url(entry.get("id"))
            else entry.get("link"),
            "summary": entry.get("summary"),
            "content": next((text for text in content if text and text != entry.get("summary")), None),
            "author": entry.get("author"),
            "language": entry.get("title_detail", {}).get("language"),
            "published_at": _time(entry),
        }
    except Exception as error:  # noqa: BLE001 - one item of a strange shape must not cost the others
        _log.debug("an item cannot be read", exc_info=error)
        return RejectedItem(position, Reason.UNSUPPORTED.value, f"{type(error).__name__} while reading", shown(entry))
    return make_item(position, fields, base=base, language=language if isinstance(language, str) else None)


def _time(entry: Mapping[str, Any]) -> datetime | None:
    """When it was published, else updated or created; feedparser gives UTC."""
    for name in ("published_parsed", "updated_parsed", "created_parsed"):
        parts = entry.get(name) if name in entry else None
        if parts is None:
            continue
        try:
            return datetime.fromtimestamp(calendar.timegm(parts), UTC)
        except (ValueError, OverflowError, OSError, TypeError):
            continue
    return None


def _time_to_live(feed: Mapping[str, Any]) -> float | None:
    """RSS 2.0's `ttl`, in minutes, or the update period of the syndication module of RSS 1.0."""
    ttl = str(feed.get("ttl", "")).strip()
    period = _PERIODS.get(str(feed.get("sy_updateperiod", "")).strip().lower())
    frequency = str(feed.get("sy_updatefrequency", "1")).strip()
    if re.fullmatch(r"\d{1,6}", ttl) and int(ttl):
        seconds = float(ttl) * 60
    elif period and re.fullmatch(r"\d{1,4}", frequency) and int(frequency):
        seconds = period / int(frequency)
    else:
        return None
    return min(max(seconds, _SHORTEST_LIFE), _LONGEST_LIFE)


def _said(problem: object) -> str:
    return " ".join(str(problem).split())[:200] or type(problem).__name__


def _no_feed(received: str) -> MalformedPayload:
    return MalformedPayload(
        "This is no feed that can be read.",
        expected="RSS, RDF or Atom",
        received=received,
        remedy="open the address in a browser: if it is not the feed that you mean, correct or remove it",
    )
