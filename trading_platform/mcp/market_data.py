"""Tools that read market data: instruments, quotes, bars, indicators and features.

Those of trading are in :mod:`trading_platform.mcp.trading`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import BeforeValidator, Field

from trading_platform.client import Platform
from trading_platform.client.timestamps import as_timestamp
from trading_platform.domain.derived.indicators import INDICATOR_NAMES
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.calendars import OpeningHours, next_session
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.market.live.events import Quote
from trading_platform.domain.time import Clock, Timeframe, shifted
from trading_platform.mcp.answers import Answer, Table, answer
from trading_platform.mcp.pages import Page, page_of
from trading_platform.mcp.spellings import Understood, understand, understand_soon

MOST_BARS = 200_000
"""Bars that a call may look through; a larger window is asked for in parts, or in longer bars."""


def _listed(value: object) -> object:
    """One text as a list of one: models write both."""
    return [value] if isinstance(value, str) else value


Texts = Annotated[list[str], BeforeValidator(_listed)]
LATEST_NEWS = timedelta(days=3)
"""How far back news are read without a start."""

Symbols = Annotated[Texts, Field(description="any usual spelling")]
Frames = Literal["1m", "5m", "1h", "1d"]
Start = Annotated[str | None, Field(description="default: the last rows before end")]
End = Annotated[str | None, Field(description="not included; default: as_of")]
AsOf = Annotated[str | None, Field(description="what was known then; default: now")]
Limit = Annotated[int, Field(description="rows of a page; without start, of each symbol")]
Cursor = str | None

_PRICES = dict.fromkeys(("open", "high", "low", "close"), "price in the quote currency, as traded unless adjusted")
_BAR_COLUMNS = {
    "time": "open of the bar",
    "symbol": "instrument",
    **_PRICES,
    "volume": "units of the instrument",
    "quality": "traded, or why the bar is special",
}


_QUOTE_COLUMNS = {
    "symbol": "instrument",
    "kind": "live: a quote of the last minute; close of a bar: no live quote; none: no price at all",
    "bid": "best bid, quote currency",
    "ask": "best ask, quote currency",
    "last": "last price, quote currency",
    "time": "time of the quote, or open of the bar",
    "age_seconds": "as_of less time",
}


class MarketTools:
    """The tools that read market data.

    Args:
        platform: the platform.
        clock: the present time.
    """

    def __init__(self, platform: Platform, clock: Clock) -> None:
        self._platform = platform
        self._clock = clock

    def instrument_info(
        self,
        symbols: Annotated[Texts | None, Field(description="none: all")] = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Answer:
        """Instruments: kind, market hours, price step, whether the market is open, and the newest stored price."""
        page = page_of(cursor, limit, {"symbols": symbols}, None, self._clock())
        if symbols is None:
            understood = Understood(self._platform.instruments(), ())
        else:
            understood = understand(self._platform, symbols)
        part = understood.symbols[page.offset : page.offset + page.limit]
        prices = {row["symbol"]: row for row in self._platform.latest_prices(part).to_dicts()} if part else {}
        rows = [_described(each, prices.get(each.symbol, {}), page.as_of) for each in understood.instruments.values()]
        columns = {
            "symbol": "instrument",
            "asset_class": "kind",
            "calendar": "market hours: 24/7, FX, or the code of an exchange (ISO 10383)",
            "source": "where its bars come from",
            "sector": "sector",
            "tick_size": "smallest step of the price",
            "market": "open or closed at as_of",
            "next_session": "date of the next session",
            "last_price": "close of the newest stored bar, of this page's symbols",
            "last_bar": "open of that bar",
        }
        return answer(Table(rows, columns, None, understood.notes), page)

    async def latest_quotes(self, symbols: Symbols) -> Answer:
        """Newest live bid, ask and last trade; without a live quote the newest stored close, marked as such."""
        understood = await understand_soon(self._platform, symbols)
        quotes = await self._platform.async_quotes.read(understood.symbols)
        without = [symbol for symbol in understood.symbols if symbol not in quotes]
        stored: dict[str, dict[str, Any]] = {}
        if without:
            prices = await asyncio.to_thread(self._platform.latest_prices, without)
            stored = {row["symbol"]: row for row in prices.to_dicts()}
        page = page_of(None, 1_000, {}, None, self._clock())
        rows = [_price_of(symbol, quotes.get(symbol), stored.get(symbol), page) for symbol in understood.symbols]
        return answer(Table(rows, _QUOTE_COLUMNS, None, understood.notes), page)

    def bars(
        self,
        symbols: Symbols,
        timeframe: Frames = "1d",
        start: Start = None,
        end: End = None,
        adjust: Literal["raw", "split", "total_return"] = "raw",
        as_of: AsOf = None,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Answer:
        """Final OHLCV bars, oldest first, of closed intervals only; prices are decimals as traded unless adjusted."""

        def read(names: list[str], since: datetime, until: datetime, page: Page) -> pl.DataFrame:
            recorded = page.as_of if page.continued else None
            return self._platform.bars(names, timeframe, since, until, adjust, page.as_of, recorded)

        asked = {"symbols": symbols, "timeframe": timeframe, "start": start, "end": end, "adjust": adjust}
        return self._series(asked, as_of, limit, cursor, _BAR_COLUMNS, read)

    def indicators(
        self,
        symbols: Symbols,
        timeframe: Frames = "1d",
        names: Annotated[Texts | None, Field(description="such as rsi_14; default: all")] = None,
        start: Start = None,
        end: End = None,
        as_of: AsOf = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Answer:
        """Technical indicators of closed bars, oldest first; empty while warming up."""

        def read(symbols: list[str], since: datetime, until: datetime, page: Page) -> pl.DataFrame:
            recorded = page.as_of if page.continued else None
            return self._platform.indicators(symbols, timeframe, since, until, names, page.as_of, recorded)

        chosen = list(INDICATOR_NAMES) if names is None else names
        columns = {"time": "open of the bar", "symbol": "instrument"} | dict.fromkeys(chosen, "see the feature catalog")
        columns |= {
            name: _INDICATOR_UNITS.get(name.partition("_")[0], "price in the quote currency") for name in chosen
        }
        asked = {"symbols": symbols, "timeframe": timeframe, "start": start, "end": end, "names": names}
        return self._series(asked, as_of, limit, cursor, columns, read)

    def features(
        self,
        symbols: Symbols,
        names: Annotated[Texts | None, Field(description="default: all")] = None,
        start: Start = None,
        end: End = None,
        as_of: AsOf = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Answer:
        """Daily features that were available at as_of, oldest first; empty where a value is not known."""
        catalog = self._platform.feature_catalog()
        meanings = dict(catalog.select("feature_name", "description").iter_rows())

        def read(symbols: list[str], since: datetime, until: datetime, page: Page) -> pl.DataFrame:
            recorded = page.as_of if page.continued else None
            return self._platform.features(symbols, since, until, names, page.as_of, recorded)

        columns = {"time": "open of the day", "symbol": "instrument", "available_at": "when the row could be known"}
        columns |= {name: str(meanings.get(name, "")) for name in (meanings if names is None else names)}
        asked = {"symbols": symbols, "timeframe": "1d", "start": start, "end": end, "names": names}
        return self._series(asked, as_of, limit, cursor, columns, read)

    def news(
        self,
        symbols: Annotated[Texts | None, Field(description="none: all articles")] = None,
        start: Start = None,
        end: End = None,
        as_of: AsOf = None,
        limit: Limit = 20,
        cursor: Cursor = None,
    ) -> Answer:
        """Headlines about instruments, oldest first, with their sentiment; default: of the last three days."""
        asked = {"symbols": symbols, "start": start, "end": end, "as_of": as_of}
        moment = None if as_of is None else as_timestamp(as_of)
        page = page_of(cursor, limit, asked, moment, self._clock())
        understood = Understood({}, ()) if symbols is None else understand(self._platform, symbols)
        until = page.as_of if end is None else min(as_timestamp(end), page.as_of)
        since = shifted(until, -LATEST_NEWS) if start is None else as_timestamp(start)
        names = None if symbols is None else understood.symbols
        rows = self._platform.news(names, since, until, page.as_of)
        scores = self._platform.sentiment(names, since, until, page.as_of)
        keys = ["news_id", "version", "symbol"]
        joined = rows.join(scores.select(*keys, "label", "score"), on=keys, how="left", nulls_equal=True)
        columns = {
            "available_at": "when the platform could know it",
            "symbol": "instrument it is about; empty: none known",
            "title": "headline",
            "label": "sentiment by the model of the settings, else by the platform's own",
            "score": "sentiment, from -1 to 1",
            "source": "feed",
            "url": "address",
        }
        return answer(Table(joined.sort("available_at", "news_id"), columns, "available_at", understood.notes), page)

    def _series(
        self,
        asked: Mapping[str, object],
        as_of: str | None,
        limit: int,
        cursor: str | None,
        columns: dict[str, str],
        read: Callable[[list[str], datetime, datetime, Page], pl.DataFrame],
    ) -> Answer:
        """Rows of a window; without its start the last ones of each symbol."""
        moment = None if as_of is None else as_timestamp(as_of)
        last = limit if asked["start"] is None else None
        page = page_of(cursor, limit, {**asked, "as_of": as_of, "last": last}, moment, self._clock())
        understood = understand(self._platform, _texts(asked["symbols"]))
        timeframe = Timeframe.parse(str(asked["timeframe"]))
        until = page.as_of if asked["end"] is None else min(as_timestamp(str(asked["end"])), page.as_of)
        if asked["start"] is None:
            since = shifted(until, -_span(timeframe, limit))
        else:
            since = as_timestamp(str(asked["start"]))
        if since >= until:
            raise InvalidRequest(
                "This window is empty.",
                expected="a start before the end, and before as_of",
                received=f"{since:%Y-%m-%dT%H:%M:%SZ} to {until:%Y-%m-%dT%H:%M:%SZ}",
                remedy="choose an earlier start",
            )
        _check_size(since, until, timeframe, len(understood.instruments))
        rows = read(understood.symbols, since, until, page)
        notes = list(understood.notes)
        if asked["start"] is None:
            rows = rows.group_by("symbol", maintain_order=True).tail(limit)
        empty = sorted(set(understood.symbols) - set(rows["symbol"].unique()))
        if empty:
            notes.append(f"No rows of {', '.join(empty)} between {since:%Y-%m-%dT%H:%MZ} and {until:%Y-%m-%dT%H:%MZ}.")
        return answer(Table(rows, columns, "time", notes), page)


def _price_of(symbol: str, quote: Quote | None, bar: Mapping[str, Any] | None, page: Page) -> dict[str, object]:
    """A row of ``latest_quotes``."""
    row: dict[str, object] = {"symbol": symbol, "kind": "none"}
    if quote is not None:
        row |= {"kind": "live", "bid": quote.bid, "ask": quote.ask, "last": quote.last, "time": quote.time}
    elif bar is not None:
        row |= {"kind": f"close of a {bar['timeframe']} bar", "last": bar["price"], "time": bar["time"]}
    if isinstance(time := row.get("time"), datetime):
        row["age_seconds"] = round((page.as_of - time).total_seconds(), 3)
    return row


_INDICATOR_UNITS = {"rsi": "0 to 100", "adx": "0 to 100"}


def _texts(values: object) -> list[str]:
    return list(values) if isinstance(values, Sequence) and not isinstance(values, str) else []


def _span(timeframe: Timeframe, count: int) -> timedelta:
    """A span with at least that many bars: markets are open in a fifth of the hours, and closed for some days."""
    return timeframe.duration * count * (2 if timeframe is Timeframe.D1 else 6) + timedelta(days=10)


def _check_size(since: datetime, until: datetime, timeframe: Timeframe, symbols: int) -> None:
    count = (until - since) / timeframe.duration * symbols
    if count > MOST_BARS:
        raise InvalidRequest(
            "This window has too many bars for one call.",
            expected=f"at most {MOST_BARS:,} intervals of all symbols together",
            received=f"about {count:,.0f} of {timeframe.value} and {symbols} symbols",
            remedy="ask for a shorter window, fewer symbols or longer bars",
        )


def _described(instrument: Instrument, price: dict[str, object], now: datetime) -> dict[str, object]:
    following = next_session(instrument.calendar, now.replace(hour=0, minute=0, second=0, microsecond=0))
    return {
        "symbol": instrument.symbol,
        "asset_class": instrument.asset_class.value,
        "calendar": instrument.calendar,
        "source": instrument.source,
        "sector": instrument.sector,
        "tick_size": instrument.tick_size,
        "market": "open" if OpeningHours(instrument.calendar).is_open(now) else "closed",
        "next_session": f"{following:%Y-%m-%d}",
        "last_price": price.get("price"),
        "last_bar": price.get("time"),
    }
