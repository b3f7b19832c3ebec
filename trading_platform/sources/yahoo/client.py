"""Client of Yahoo through yfinance, with the platform's errors.

yfinance reports throttling, failures and the absence of data alike. Here they are distinguished, because a failure
must never be read as "there is no data". No response of Yahoo proves that there is none.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from trading_platform.domain.errors import MalformedPayload, RateLimited, SourceError, SourceRejected, SourceUnavailable
from trading_platform.sources.rate_limits import RateLimiter
from trading_platform.sources.yahoo.frame_schema import as_history
from trading_platform.sources.yahoo.limits import WAIT, costs

API_URL = "https://query2.finance.yahoo.com"
"""Yahoo's main address; yfinance knows its other addresses, for cookies."""

_METADATA = ("symbol", "currency", "firstTradeDate")
_TIMEOUT = 30.0

_ONE_AT_A_TIME = threading.Lock()
"""yfinance has one session, one crumb and one configuration per process."""

Monotonic = Callable[[], float]


class YahooClient:
    """Yahoo's history of prices.

    Args:
        url: base address; another one than :data:`API_URL` receives all requests of yfinance to Yahoo.
        cache_directory: directory of yfinance's cookies and time zones.
        rate_limiter: enforces Yahoo's limits together with all who share it; None leaves that to the caller.
        monotonic: a clock, to know how long ago Yahoo asked to slow down.
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
            start: the first time, or date at the exchange; None means the earliest available.
            end: the end, not included; None means now.

        Returns:
            Frame of ``HISTORY_SCHEMA``, never empty, and Yahoo's metadata of the instrument.

        Raises:
            RateLimited: if Yahoo asks to slow down, now or within the last minute.
            SourceUnavailable: if there is no response, or an empty one, which proves nothing.
            SourceRejected: if Yahoo states why it does not answer such a request.
            MalformedPayload: if the response does not have the agreed shape.
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

        from trading_platform.sources.yahoo.session import YahooSession

        if self._session is None:
            # only one, because its cookies belong to the crumb
            self._cache.mkdir(mode=0o700, parents=True, exist_ok=True)  # for cookies
            self._session = YahooSession(None if self.url == API_URL else self.url)
            yfinance.set_tz_cache_location(str(self._cache))
            for library in ("yfinance", "bs4"):  # their messages are raised as errors, too
                logging.getLogger(library).setLevel(logging.CRITICAL)
        yfinance.config.debug.hide_exceptions = False
        # It caches responses about the past for the life of the process, including failures.
        YfData.cache_get.cache_clear()
        try:
            yahoo_ticker = yfinance.Ticker(ticker, session=self._session)
            frame = yahoo_ticker.history(
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
            metadata = yahoo_ticker.history_metadata
        except Exception as error:  # any failure of the library on a changed response
            raise _as_source_error(error, ticker) from error
        if len(frame) == 0:
            raise _unknown(ticker, "an empty frame")
        try:
            # Selected by name: for further keys it would send requests to Yahoo, one by one.
            known = {name: metadata[name] for name in _METADATA if name in metadata}
            return as_history(frame, yahoo_ticker.ticker), known
        except Exception as error:  # frames of which no check has thought
            raise _as_source_error(error, ticker) from error


def _as_source_error(error: Exception, ticker: object) -> SourceError:
    if isinstance(error, SourceError):
        return error
    from curl_cffi.requests.exceptions import RequestException
    from yfinance import exceptions as theirs

    if isinstance(error, theirs.YFRateLimitError):
        return _throttled(WAIT)
    if isinstance(error, theirs.YFTickerMissingError):
        reason = getattr(error, "yahoo_reason", None)
        return _rejected(ticker, reason) if reason and not _means_no_data(reason) else _unknown(ticker, error.rationale)
    description = f"{type(error).__name__}: {error}"
    if isinstance(error, (theirs.YFDataException, RequestException, OSError)) or _is_no_json(error):
        return SourceUnavailable(
            "Yahoo did not respond.",
            expected="prices",
            received=description[:300],
            remedy="try again later; another source may have the same bars",
        )
    if isinstance(error, ValueError) and "MIC" in str(error):
        return SourceRejected(
            "Yahoo's spelling of that exchange is unknown.",
            expected="a calendar by the ISO 10383 code of an exchange",
            received=str(error),
            remedy="correct the instrument's calendar, or choose another source for its bars",
        )
    return MalformedPayload(
        "Yahoo's response does not have the agreed shape; nothing of it was used.",
        expected="timestamps with open, high, low, close and volume",
        received=f"a response on which yfinance fails with {description[:200]}",
        remedy="check whether yfinance or Yahoo has changed its format (docs/sources/yahoo.md); report it",
    )


def _rejected(ticker: object, reason: str) -> SourceRejected:
    return SourceRejected(
        f"Yahoo does not answer that request for {ticker}.",
        expected="a supported request: 1m bars of the last days, 5m of 60 days, 1h of 730 days, daily bars",
        received=reason,
        remedy="request less",
    )


def _means_no_data(reason: str) -> bool:
    """Whether Yahoo's reason is only that it has no data."""
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
        remedy=f"wait {seconds:.0f} s; request fewer symbols, or choose another source for them",
    )


def _unknown(ticker: object, description: str) -> SourceUnavailable:
    return SourceUnavailable(
        f"Yahoo returned no data for {ticker}, which proves nothing: temporary failures look the same.",
        expected="prices",
        received=description[:300],
        remedy="check the symbol; try again later; another source may have the same bars",
    )
