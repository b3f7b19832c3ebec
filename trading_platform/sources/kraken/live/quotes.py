"""Kraken's REST ticker as a source of quotes, for use where its WebSocket is not available."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from trading_platform.domain.errors import MalformedPayload
from trading_platform.domain.market.live.events import Quote
from trading_platform.domain.time import Clock, utc_now
from trading_platform.sources.kraken.client import KrakenClient
from trading_platform.sources.strict_json import excerpt, number_of


class KrakenQuotes:
    """The ticker of several pairs in one request, within the client's rate limit.

    Args:
        client: client with few attempts, because a polling caller repeats the request anyway.
        clock: time of the quotes, because Kraken's ticker has no time.
    """

    name: ClassVar[str] = "kraken"

    def __init__(self, client: KrakenClient, clock: Clock = utc_now) -> None:
        self._client = client
        self._clock = clock

    def quotes(self, symbols: Sequence[str]) -> list[Quote]:
        """The quotes of those symbols; one that cannot be parsed is left out, unless none can.

        Raises:
            SourceError: if they are not available, or a symbol is not listed.
        """
        book = self._client.pairs()
        pairs = [book.find(symbol) for symbol in symbols]
        return self._client.ticker(pairs, _reader(self._clock, {pair.name: pair.symbol for pair in pairs}))


def _reader(clock: Clock, symbols: dict[str, str]) -> Callable[[dict[str, Any]], list[Quote]]:
    def read(result: dict[str, Any]) -> list[Quote]:
        now = clock()
        found = [_quote(symbol, result.get(name), now) for name, symbol in symbols.items()]
        quotes = [quote for quote in found if quote is not None]
        if not quotes:
            raise MalformedPayload(
                "Kraken's response to Ticker does not have the agreed shape.",
                expected="a, b, c and v of every pair, with positive prices",
                received=excerpt(result),
                remedy="check that KRAKEN_API_URL is Kraken's; if it is, its interface has changed",
                retryable=True,
            )
        return quotes

    return read


def _quote(symbol: str, row: Any, now: datetime) -> Quote | None:
    try:
        bid, ask, last = (_price(row[name][0]) for name in ("b", "a", "c"))
        return Quote(symbol, now, bid, ask, last, _amount(row["v"][1]))
    except (KeyError, TypeError, IndexError, ValueError):
        return None


def _amount(value: object) -> Decimal:
    number = number_of(value)
    if number is None or number < 0:
        raise ValueError(value)
    return number


def _price(value: object) -> Decimal:
    number = _amount(value)
    if not number:
        raise ValueError(value)
    return number
