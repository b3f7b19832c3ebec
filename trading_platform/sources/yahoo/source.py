"""Yahoo as a source of bars and of corporate actions: best effort, never to be the only source of important data.

Times without a row stay uncovered: an empty response of Yahoo proves nothing, except before the day
that it states as the instrument's first trading day.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from trading_platform.domain.errors import SourceRejected
from trading_platform.domain.market.bars import BAR_SCHEMA, Quality, final_bars
from trading_platform.domain.market.calendars import day_begins, expected_times, last_closed, sessions
from trading_platform.domain.market.corporate_actions import ActionKind, CorporateAction
from trading_platform.domain.market.instruments import CRYPTO_QUOTES, AssetClass, Instrument
from trading_platform.domain.quality.rules import RAW_BAR_SCHEMA, screen_bars
from trading_platform.domain.time import Clock, Timeframe, Window, utc_now
from trading_platform.sources.base import BarResponse
from trading_platform.sources.yahoo.client import YahooClient
from trading_platform.sources.yahoo.unadjust import later_splits, restore, restored_amount, splits_in

NAME = "yahoo"

_BEGINNING = datetime(1990, 1, 1, tzinfo=UTC)
_MARGIN = timedelta(hours=1)
_AVAILABLE = {
    Timeframe.M1: timedelta(days=8) - _MARGIN,
    Timeframe.M5: timedelta(days=60) - _MARGIN,
    Timeframe.H1: timedelta(days=730) - _MARGIN,
}
"""Yahoo's available history for each length of bars, with a margin for the time until the request."""
_LONGEST = {Timeframe.M1: timedelta(days=7), Timeframe.D1: timedelta(days=366 * 100)}
_DAY = timedelta(days=1)


class YahooSource:
    """Yahoo behind ``BarSource`` and ``ActionSource``.

    Args:
        client: client of Yahoo.
        clock: the present, by which a bar counts as closed.
    """

    name = NAME

    def __init__(self, client: YahooClient, *, clock: Clock = utc_now) -> None:
        self._client = client
        self._clock = clock

    def longest_request(self, timeframe: Timeframe) -> timedelta:
        """A week of minutes; of other bars, all of Yahoo's history."""
        return _LONGEST.get(timeframe, _AVAILABLE.get(timeframe, _DAY))

    def available_history(self, instrument: Instrument, timeframe: Timeframe) -> tuple[Window, ...]:
        """Daily bars since 1990, 1h of 730 days, 5m of 60, 1m of 8; none of currencies: their days are not UTC's.

        Hours only of exchanges that open on the hour: Yahoo counts them from the opening, the platform in UTC.
        Others are rolled up from minutes.
        """
        end = last_closed(instrument.calendar, timeframe, self._clock())
        if instrument.asset_class is AssetClass.FX:
            return ()
        if timeframe is Timeframe.D1:
            return (Window(_BEGINNING, end),)
        if timeframe is Timeframe.H1 and not _opens_on_the_hour(instrument.calendar, end):
            return ()
        return (Window(end - _AVAILABLE[timeframe], end),)

    def bars(self, instrument: Instrument, timeframe: Timeframe, window: Window) -> BarResponse:
        """The bars of ``window``, raw: Yahoo's adjustment for splits is undone.

        Raises:
            SourceRejected: if Yahoo has no bars of that kind.
            SourceError: if no bars are available.
        """
        if not self.available_history(instrument, timeframe):
            raise SourceRejected(
                f"Yahoo has no usable {timeframe} bars of {instrument.symbol}.",
                expected="daily and minute bars of anything but currencies; hours of exchanges that open on the hour",
                received=f"{timeframe} bars of {instrument.asset_class}, calendar {instrument.calendar}",
                remedy="choose another source for them, or roll them up from minutes",
            )
        now = self._clock()
        closed = Window(window.start, max(window.start + timedelta(microseconds=1), min(window.end, now)))
        ticker = ticker_of(instrument)
        if timeframe.is_intraday:
            history, metadata = self._client.history(ticker, timeframe.value, closed.start, closed.end)
            daily, _ = self._client.history(ticker, "1d", (closed.start - _DAY).date())
            splits = splits_in(daily)
        else:
            history, metadata = self._client.history(ticker, "1d", closed.start.date())
            history = history.with_columns(time="date")
            splits = splits_in(history)
        raw = restore(history, splits, closed)
        screened = screen_bars(_as_raw_bars(raw), timeframe, now)
        answered = _answered(instrument, timeframe, closed, raw["time"], _first_traded(metadata))
        return BarResponse(
            bars=final_bars(_as_bars(screened.accepted, instrument.symbol, timeframe), timeframe, now),
            rejected=screened.rejected,
            answered=answered,
            origin=f"{self._client.url}/v8/finance/chart/{metadata.get('symbol', instrument.symbol)}"
            f"?interval={timeframe.value}&start={closed.start:%Y-%m-%d}",
            note=None if answered == (window,) else "Yahoo returned no row for the rest, which proves nothing",
        )

    def actions(self, instrument: Instrument) -> list[CorporateAction]:
        """All splits and cash dividends known to Yahoo, dividends split-adjusted as of their own date.

        A fund's distributed capital gains are left out: Yahoo counts some of them as dividends, too.

        Raises:
            SourceError: if they are not available.
        """
        history, metadata = self._client.history(ticker_of(instrument), "1d", None)
        splits = splits_in(history)
        paid = history.filter(pl.col("dividend") > 0).select("date", "dividend")
        later = later_splits(paid["date"], splits)
        terms: list[tuple[datetime, ActionKind, dict[str, Any]]] = [
            *((day, ActionKind.SPLIT, {"ratio": ratio}) for day, ratio in splits),
            *(
                (
                    day,
                    ActionKind.DIVIDEND,
                    {"amount": restored_amount(amount, ratio), "currency": metadata.get("currency")},
                )
                for (day, amount), ratio in zip(paid.iter_rows(), later, strict=True)
            ),
        ]
        return [
            CorporateAction(instrument.symbol, day, kind, day_begins(instrument.calendar, day), self.name, **fields)
            for day, kind, fields in sorted(terms, key=lambda each: each[:2])
        ]


def ticker_of(instrument: Instrument) -> str | tuple[str, str]:
    """Yahoo's spelling of an instrument, or its symbol with its exchange if yfinance knows the exchange's suffix.

    Raises:
        SourceRejected: if Yahoo has none of that kind.
    """
    symbol = instrument.symbol
    if instrument.asset_class is AssetClass.INDEX:
        return f"^{symbol}"
    if instrument.asset_class is AssetClass.CRYPTO:
        quote = next((code for code in CRYPTO_QUOTES if symbol.endswith(code) and symbol != code), symbol[-3:])
        return f"{symbol.removesuffix(quote)}-{quote}"
    return symbol.replace(".", "-"), instrument.calendar


def _opens_on_the_hour(calendar: str, end: datetime) -> bool:
    opens = sessions(calendar, Window(end - timedelta(days=60), end))["open"]
    return bool((opens.dt.minute() == 0).all())


def _as_raw_bars(rows: pl.DataFrame) -> pl.DataFrame:
    named = rows.with_row_index("line", offset=1).with_columns(
        time_text=pl.col("time").dt.to_string("iso:strict"),
        record=pl.struct(rows.columns).struct.json_encode(),
    )
    return named.select(pl.col(name).cast(dtype) for name, dtype in RAW_BAR_SCHEMA.items())


def _as_bars(accepted: pl.DataFrame, symbol: str, timeframe: Timeframe) -> pl.DataFrame:
    return accepted.with_columns(
        symbol=pl.lit(symbol),
        timeframe=pl.lit(timeframe.value),
        source=pl.lit(NAME),
        quality=pl.lit(Quality.TRADED.value),
    ).select(pl.col(name).cast(dtype) for name, dtype in BAR_SCHEMA.items())


def _first_traded(metadata: dict[str, Any]) -> datetime | None:
    """Midnight UTC of Yahoo's first trading day."""
    first = metadata.get("firstTradeDate")
    if first is None or not hasattr(first, "date"):
        return None
    day = first.date()
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _answered(
    instrument: Instrument, timeframe: Timeframe, window: Window, times: pl.Series, first_traded: datetime | None
) -> tuple[Window, ...]:
    """The window without the days that should have rows and have none, unless they are before the first trade."""
    days = times.dt.truncate("1d").unique()
    expected = expected_times(instrument.calendar, timeframe, window).dt.truncate("1d").unique()
    silent = expected.filter(~expected.is_in(days.implode()))
    if first_traded is not None:
        silent = silent.filter(silent >= first_traded)
    return tuple(window.subtract(Window(day, day + _DAY) for day in silent.sort()))
