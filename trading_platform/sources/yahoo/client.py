"""Asks Yahoo through yfinance, and makes the platform's errors of what can go wrong.

yfinance reports throttling, trouble and the absence of data in one breath; here they are told apart, because only
one of them may ever be taken for "there is nothing", and none of them is.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import polars as pl

from trading_platform.domain.errors import MalformedPayload, RateLimited, SourceError, SourceRejected, SourceUnavailable
from trading_platform.sources.rate_limits import RateLimiter
from trading_platform.sources.yahoo.frame_schema import as_history
from trading_platform.sources.yahoo.limits import WAIT, costs

API_URL = "https://query2.finance.yahoo.com"
"""Where Yahoo answers; yfinance knows its other addresses, for cookies."""

_SAID = ("symbol", "currency", "firstTradeDate")
_TIMEOUT = 30.0
_DOMAIN = ".yahoo.com"

_ONE_AT_A_TIME = threading.Lock()
"""yfinance has one session, one crumb and one configuration a process."""

Monotonic = Callable[[], float]


class YahooClient:
    """Yahoo's history of prices.

    Args:
        url: base address; another one than :data:`API_URL` gets all that yfinance asks of Yahoo.
        cache_directory: where yfinance keeps its cookies and time zones.
        rate_limiter: keeps to Yahoo's limits together with all who share it; None leaves that to the caller.
        monotonic: tells how long ago Yahoo asked to slow down.
    """

    def __init__(
        self,
        url: str = API_URL,
        *,
        cache_directory: Path,
        rate_limiter: RateLimiter | None = None,
        monotonic: Monotonic = time.monotonic,
    ) -> None:
        self.url = url.rstrip("/")
        self._cache = cache_directory
        self._rate_limiter = rate_limiter
        self._monotonic = monotonic
        self._asked_to_wait: float | None = None
        self._session: Any = None

    def history(
        self,
        ticker: str | tuple[str, str],
        interval: str,
        start: datetime | date | None,
        end: datetime | None = None,
    ) -> tuple[pl.DataFrame, dict[str, Any]]:
        """Prices adjusted for splits, with dividends and splits.

        Args:
            ticker: Yahoo's spelling, or a symbol and the ISO 10383 code of its exchange.
            interval: ``1d``, ``1h``, ``5m``, ``1m``.
            start: the first moment, or date at the exchange; None means as early as there is anything.
            end: the last moment, not included; None means now.

        Returns:
            Frame of ``HISTORY_SCHEMA``, never empty, and what Yahoo says of the instrument.

        Raises:
            RateLimited: if Yahoo asks to slow down, now or within the last minute.
            SourceUnavailable: if there is no answer, or an empty one, which proves nothing.
            SourceRejected: if Yahoo says why it does not answer such a question.
            MalformedPayload: if the answer has not the agreed shape.
        """
        with _ONE_AT_A_TIME:
            self._still_to_wait()
            if self._rate_limiter is not None:
                self._rate_limiter.take(costs())
            try:
                return self._ask(ticker, interval, start, end)
            except RateLimited:
                self._asked_to_wait = self._monotonic()
                raise

    def _still_to_wait(self) -> None:
        if self._asked_to_wait is None:
            return
        left = self._asked_to_wait + WAIT - self._monotonic()
        if left > 0:
            raise _throttled(left)
        self._asked_to_wait = None

    def _ask(
        self, ticker: str | tuple[str, str], interval: str, start: datetime | date | None, end: datetime | None
    ) -> tuple[pl.DataFrame, dict[str, Any]]:
        import yfinance
        from yfinance.data import YfData

        if self._session is None:
            self._session = _session(self.url)  # one, as its cookies belong to the crumb
            yfinance.set_tz_cache_location(str(self._cache))
            logging.getLogger("yfinance").setLevel(logging.CRITICAL)  # what it has to say it raises
        yfinance.config.debug.hide_exceptions = False
        # It remembers answers about the past for as long as the process lives, failures among them.
        YfData.cache_get.cache_clear()
        try:
            asked = yfinance.Ticker(ticker, session=self._session)
            frame = asked.history(
                period="max" if start is None else None,
                interval=interval,
                start=start,
                end=end,
                prepost=False,
                actions=True,
                auto_adjust=False,
                back_adjust=False,
                repair=False,
                keepna=True,
                rounding=False,
                timeout=_TIMEOUT,
            )
            metadata = asked.history_metadata
        except Exception as error:  # whatever the library makes of a changed answer
            raise _as_source_error(error, ticker) from error
        if len(frame) == 0:
            raise _unknown(ticker, "an empty frame")
        # By name: what else there is it would ask Yahoo for, one by one.
        return as_history(frame, asked.ticker), {name: metadata[name] for name in _SAID if name in metadata}


def _session(url: str) -> Any:
    """A session that impersonates a browser, as Yahoo wants it; and that asks elsewhere where ``url`` says so."""
    from curl_cffi import requests

    if url == API_URL:
        return requests.Session(impersonate="chrome")
    base = urlsplit(url)

    class Redirected(requests.Session[Any]):
        def request(self, method: Any, url: str, *args: Any, **options: Any) -> Any:
            asked = urlsplit(url)
            if asked.hostname is not None and asked.hostname.endswith(_DOMAIN):
                url = urlunsplit(asked._replace(scheme=base.scheme, netloc=base.netloc, path=base.path + asked.path))
            return super().request(method, url, *args, **options)

    return Redirected(impersonate="chrome")


def _as_source_error(error: Exception, ticker: object) -> SourceError:
    from curl_cffi.requests.exceptions import RequestException
    from yfinance import exceptions as theirs

    if isinstance(error, theirs.YFRateLimitError):
        return _throttled(WAIT)
    if isinstance(error, theirs.YFTickerMissingError):
        reason = getattr(error, "yahoo_reason", None)
        return _rejected(ticker, reason) if reason and not _says_nothing(reason) else _unknown(ticker, error.rationale)
    said = f"{type(error).__name__}: {error}"
    if isinstance(error, (theirs.YFDataException, RequestException, OSError)) or _is_no_json(error):
        return SourceUnavailable(
            "Yahoo did not answer.",
            expected="prices",
            received=said[:300],
            remedy="try again later; another source may have the same bars",
        )
    if isinstance(error, ValueError) and "MIC" in str(error):
        return SourceRejected(
            "Yahoo's spelling of that exchange is not known.",
            expected="a calendar by the ISO 10383 code of an exchange",
            received=str(error),
            remedy="correct the instrument's calendar, or take its bars from another source",
        )
    return MalformedPayload(
        "Yahoo's answer does not have the agreed shape; nothing of it was used.",
        expected="timestamps with open, high, low, close and volume",
        received=f"an answer that yfinance fails at with {said[:200]}",
        remedy="see whether yfinance or Yahoo has changed its format (docs/sources/yahoo.md); report it",
    )


def _rejected(ticker: object, reason: str) -> SourceRejected:
    return SourceRejected(
        f"Yahoo does not answer that question about {ticker}.",
        expected="a question it answers: 1m bars of the last days, 5m of 60 days, 1h of 730 days, daily bars",
        received=reason,
        remedy="ask for less",
    )


def _says_nothing(reason: str) -> bool:
    """Whether Yahoo's reason is no more than that it has nothing."""
    return "delisted" in reason.lower() or "no data found" in reason.lower()


def _is_no_json(error: Exception) -> bool:
    import json

    return isinstance(error, json.JSONDecodeError) or type(error).__name__ == "JSONDecodeError"


def _throttled(seconds: float) -> RateLimited:
    return RateLimited(
        "Yahoo asks to slow down.",
        retry_after=seconds,
        expected="prices",
        received="429, too many requests",
        remedy=f"wait {seconds:.0f} s; ask for fewer symbols, or take them from another source",
    )


def _unknown(ticker: object, said: str) -> SourceUnavailable:
    return SourceUnavailable(
        f"Yahoo has nothing for {ticker}, which proves nothing: it says the same of what it cannot find at the moment.",
        expected="prices",
        received=said[:300],
        remedy="check the symbol; try again later; another source may have the same bars",
    )
