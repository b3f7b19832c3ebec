"""The canonical form of an article's URL, by which the same article is recognised in several feeds."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from trading_platform.domain.news.articles import LONGEST_ID

_TRACKING = re.compile(
    r"(?:utm_|at_|mc_|pk_|mtm_|hsa_|oly_|vero_|wt\.|s_|ns_|_hs|trk|ga_)\w*|"
    r"(?:fb|g|dcl|ms|tw|y|ttc|wb|gb)(?:r?aid|clid)|igshid|mkt_tok|cmp(?:id)?|icid|ncid|ocid|"
    r"mod|ref|ref_?src|referrer|source|src|feed(?:type|name)?|partner|campaign|cm_mmc|xtor|rss|share|smid|smtyp|"
    r"emc|taid|guccounter|guce_\w+|sessionid|session_id|phpsessid|jsessionid|amp|outputtype|__twitter_impression",
    re.IGNORECASE,
)
"""Names of query parameters that say where a reader came from, and not what the page is."""

_SESSION_IN_PATH = re.compile(r";jsessionid=[^/?#]*", re.IGNORECASE)
_CACHED = 20_000  # URLs: those of a document are asked for again and again
_DEFAULT_PORTS = {"http": 80, "https": 443}
_SAFE = "/:@!$&'()*+,;=~-._"


@lru_cache(maxsize=_CACHED)
def http_url(text: str | None) -> str | None:
    """The text itself if it is an absolute http(s) URL of usual length with a host; None otherwise."""
    if not text or len(text) > LONGEST_ID:
        return None
    text = text.strip()
    try:
        parts = urlsplit(text)
        usable = parts.scheme.lower() in _DEFAULT_PORTS and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return None
    return text if usable and not re.search(r"\s", text) else None


@lru_cache(maxsize=_CACHED)
def canonical_url(url: str | None) -> str | None:
    """The URL without what differs between sightings of one page; None if it is no http(s) URL.

    Scheme, ``www.``, default port, fragment, tracking parameters, session ids and a slash at the end are left out;
    the host is in small letters, the parameters sorted, escapes uniform. It identifies a page and is not to be opened.
    """
    whole = http_url(url)
    if whole is None:
        return None
    parts = urlsplit(whole)
    host = (parts.hostname or "").rstrip(".").removeprefix("www.")
    if parts.port and parts.port != _DEFAULT_PORTS[parts.scheme.lower()]:
        host = f"{host}:{parts.port}"
    path = quote(unquote(_SESSION_IN_PATH.sub("", parts.path), errors="replace"), safe=_SAFE).rstrip("/")
    kept = sorted(
        (name, value)
        for name, value in parse_qsl(parts.query, keep_blank_values=True, errors="replace")
        if not _TRACKING.fullmatch(name)
    )
    return f"{host}{path}?{urlencode(kept)}" if kept else f"{host}{path}"


def page_of(canonical: str) -> str:
    """Host and path of a canonical URL."""
    return canonical.partition("?")[0]
