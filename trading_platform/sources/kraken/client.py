"""Kraken's public REST, one method per endpoint.

Responses are parsed (:mod:`trading_platform.sources.kraken.parse`) but not screened; failures are raised as
:mod:`trading_platform.sources.kraken.http` translates them. Use one client per thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from trading_platform.domain.errors import MalformedPayload
from trading_platform.sources.kraken.cursor import PAGE, FreshTrades, Read, TradesPage, follow_trades
from trading_platform.sources.kraken.http import KrakenHttp, Result, Retries
from trading_platform.sources.kraken.limits import public_cost
from trading_platform.sources.kraken.pairs import KrakenPair, PairBook, parse_asset_pairs
from trading_platform.sources.kraken.parse import LATEST, OhlcResponse, TradesResponse, parse_ohlc, parse_trades
from trading_platform.sources.rate_limits import LocalRateLimiter, RateLimiter
from trading_platform.sources.strict_json import excerpt

OHLC_INTERVALS = (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)
"""The available lengths of candles, in minutes."""
OHLC_ROWS = 720
"""Number of closed candles available, for any ``since``."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class KrakenClient:
    """The public endpoints.

    Args:
        http: sends the requests; see :func:`connect`.
    """

    def __init__(self, http: KrakenHttp) -> None:
        self._wire = http
        self._pairs: PairBook | None = None

    @property
    def url(self) -> str:
        """The base URL."""
        return self._wire.url

    def server_time(self) -> datetime:
        """Kraken's current time, to the second.

        Raises:
            SourceError: if it is not available.
        """

        def read(result: dict[str, object]) -> datetime:
            seconds = result.get("unixtime")
            if type(seconds) is not int or not 0 <= seconds < LATEST:
                raise MalformedPayload(
                    "Kraken's response to Time does not have the agreed shape.",
                    expected="unixtime, seconds since 1970",
                    received=excerpt(result),
                    remedy="check that KRAKEN_API_URL is Kraken's; if it is, its interface has changed",
                )
            return _EPOCH + timedelta(seconds=seconds)

        return self._wire.public("Time", {}, read)

    def pairs(self) -> PairBook:
        """All listed pairs; requested once.

        Raises:
            SourceError: if they are not available.
        """
        if self._pairs is None:
            self._pairs = self._wire.public("AssetPairs", {}, parse_asset_pairs)
        return self._pairs

    def ohlc(self, pair: KrakenPair, interval: int, since: int | None = None) -> OhlcResponse:
        """Candles, the running one last.

        Args:
            pair: pair of the candles.
            interval: minutes, one of :data:`OHLC_INTERVALS`.
            since: seconds since 1970; candles that opened later. At most the last 720 and the
                running one are returned in any case.

        Raises:
            SourceError: if they are not available.
        """
        parameters: dict[str, object] = {"pair": pair.altname, "interval": interval}
        if since is not None:
            parameters["since"] = since
        return self._wire.public("OHLC", parameters, parse_ohlc)

    def trades_page(self, pair: KrakenPair, since: int | None = None, count: int = PAGE) -> TradesResponse:
        """One page of trades.

        Args:
            pair: pair of the trades.
            since: nanoseconds since 1970; the first trades after it. None returns the latest.
            count: maximum number.

        Raises:
            SourceError: if they are not available.
        """
        return self._wire.public("Trades", _page(pair, since, count), parse_trades)

    def trade_pages(self, pair: KrakenPair, since: int, seen: int | None = None) -> Iterator[TradesPage]:
        """Page after page of trades until there are no more; each is requested when the iterator reaches it.

        Args:
            pair: pair of the trades.
            since: nanoseconds since 1970; trades later than it.
            seen: the id of the last trade received before, to continue from it.

        Raises:
            SourceError: if the next page is not available.
        """

        def ask(since: int, read: Read) -> FreshTrades:
            return self._wire.public("Trades", _page(pair, since, PAGE), lambda result: read(parse_trades(result)))

        return follow_trades(ask, since, seen)

    def ticker(self, pairs: Sequence[KrakenPair], read: Callable[[dict[str, Any]], Result]) -> Result:
        """Parses the ticker of those pairs with ``read``.

        Raises:
            SourceError: if it is not available.
        """
        return self._wire.public("Ticker", {"pair": ",".join(pair.altname for pair in pairs)}, read)

    def close(self) -> None:
        """Closes the connections."""
        self._wire.close()


def connect(
    url: str,
    requests_per_second: float,
    *,
    rate_limiter: RateLimiter | None = None,
    retries: Retries | None = None,
    timeout: tuple[float, float] = (5.0, 30.0),
) -> KrakenClient:
    """A client.

    Args:
        url: base URL, ``Settings.kraken_api_url``.
        requests_per_second: ``Settings.kraken_requests_per_second``.
        rate_limiter: enforces the limit; by default this client's own.
        retries: retry policy.
        timeout: seconds to connect, and seconds without a byte.
    """
    retries = retries or Retries()
    rate_limiter = rate_limiter or LocalRateLimiter(sleep=retries.sleep)
    cost = public_cost(url, requests_per_second)
    return KrakenClient(KrakenHttp(url, rate_limiter=rate_limiter, cost=cost, retries=retries, timeout=timeout))


def nanoseconds(timestamp: datetime) -> int:
    """A timestamp in the unit of Kraken's cursor, exactly."""
    return (timestamp - _EPOCH) // timedelta(microseconds=1) * 1_000


def _page(pair: KrakenPair, since: int | None, count: int) -> dict[str, object]:
    parameters: dict[str, object] = {"pair": pair.altname, "count": count}
    if since is not None:
        parameters["since"] = max(since, 0)
    return parameters
