"""NewsAPI: the articles of a response of ``/v2/everything``, and its errors.

https://newsapi.org/docs/endpoints/everything and /docs/errors. The content of an article is cut by
NewsAPI after about 200 characters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from trading_platform.domain.errors import MalformedPayload, RateLimited, SourceError, SourceRejected
from trading_platform.domain.news.articles import Document, Item, RejectedItem
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.texts import shown
from trading_platform.sources.news.items import make_item
from trading_platform.sources.strict_json import StrictDecoder, excerpt

NEWSAPI_URL = "https://newsapi.org/v2/everything"
_CUT = re.compile(r"\s*…?\s*\[\+\d+ chars\]\s*$")
_SLOW_DOWN = frozenset({"rateLimited", "apiKeyExhausted", "maximumResultsReached"})


def read_newsapi(body: bytes) -> Document:
    """The articles of a response.

    Raises:
        RateLimited, SourceRejected: for an error in the envelope.
        MalformedPayload: if it is no envelope.
    """
    try:
        envelope = json.loads(body.decode("utf-8"), cls=StrictDecoder)
    except ValueError as error:
        raise _malformed(str(error)[:200]) from None
    return document_of(envelope)


def document_of(envelope: object) -> Document:
    """The articles of an envelope that was decoded already; as :func:`read_newsapi`."""
    if not isinstance(envelope, Mapping) or envelope.get("status") not in {"ok", "error"}:
        raise _malformed(excerpt(envelope))
    if envelope["status"] == "error":
        raise _error(envelope)
    articles = envelope.get("articles")
    if not isinstance(articles, list):
        raise _malformed(excerpt(envelope))
    made = [_item(position, article) for position, article in enumerate(articles, 1)]
    return Document(
        items=tuple(one for one in made if isinstance(one, Item)),
        rejected=tuple(one for one in made if isinstance(one, RejectedItem)),
        title="NewsAPI",
    )


def _item(position: int, article: Any) -> Item | RejectedItem:
    if not isinstance(article, Mapping):
        return RejectedItem(position, Reason.UNSUPPORTED.value, "expected an object", shown(article))
    content = article.get("content")
    fields = {
        "title": article.get("title"),
        "url": article.get("url"),
        "summary": article.get("description"),
        "content": _CUT.sub("…", content) if isinstance(content, str) else None,
        "author": article.get("author"),
        "published_at": article.get("publishedAt"),
    }
    return make_item(position, fields)


def _error(envelope: Mapping[str, Any]) -> SourceError:
    code, message = str(envelope.get("code"))[:60], str(envelope.get("message"))[:300]
    if code in _SLOW_DOWN:
        return RateLimited(
            "NewsAPI limits our requests.",
            received=f"{code}: {message}",
            remedy="the free plan allows 100 requests a day; wait, or use feeds",
        )
    return SourceRejected(
        "NewsAPI rejects the request.", received=f"{code}: {message}", remedy="correct NEWSAPI_KEY or the query"
    )


def _malformed(received: str) -> MalformedPayload:
    return MalformedPayload(
        "NewsAPI's response does not have the agreed shape.",
        expected='an object with "status" and "articles" (a list)',
        received=received,
        remedy="check the address; a list of articles without envelope is read by `news import`",
    )
