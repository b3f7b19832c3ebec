"""What a file says about the market of an unknown instrument: its asset class and its calendar.

The symbol, the exchange in the name of the file and the times of the bars are evidence; where they say nothing, or
contradict each other, the user is asked to add the instrument first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.bars import PRICES
from trading_platform.domain.market.calendars import ALWAYS_OPEN, FX_WEEK, sessions
from trading_platform.domain.market.instruments import (
    AssetClass,
    Instrument,
    evident_instrument,
    is_like_us_ticker,
)
from trading_platform.domain.time import Timeframe, Window
from trading_platform.sources.files.recognition.vendor_names import EXCHANGES

_NEW_YORK = "XNYS"
_SATURDAY, _SUNDAY = 6, 7
_FEW = 0.05
"""Share of the bars that may lie on days when the market is closed: a late print, a wrong stamp."""

_WEEKS = timedelta(days=28)
_HOLIDAYS = 3


@dataclass(frozen=True)
class Evidence:
    """What a file says about its instrument.

    Attributes:
        symbol: the platform's symbol.
        theirs: the instrument as the file spells it, None if it does not contain it.
        market: asset class and calendar of the exchange in the file's name, None if it names none.
    """

    symbol: str
    theirs: str | None = None
    market: tuple[AssetClass, str] | None = None


def likely_instrument(evidence: Evidence, source: str) -> tuple[Instrument, str] | None:
    """The instrument that a file's names suggest and the reason in words; None if they suggest nothing."""
    symbol = evidence.symbol
    if evident := evident_instrument(symbol, source):
        return evident, "which its symbol says"
    exchange, colon, _ = (evidence.theirs or "").upper().partition(":")
    market = EXCHANGES.get(exchange) if colon else evidence.market
    if market is not None:
        return Instrument(symbol, *market, source), "which the exchange in the file says"
    if evidence.theirs and "/" in evidence.theirs and "." not in symbol:
        return Instrument(symbol, AssetClass.CRYPTO, ALWAYS_OPEN, source), f"a pair, {evidence.theirs}"
    if is_like_us_ticker(symbol):
        return Instrument(symbol, AssetClass.EQUITY, _NEW_YORK, source), "which its letters suggest"
    return None


def guessed_instrument(
    evidence: Evidence, bars: pl.DataFrame, timeframe: Timeframe, source: str
) -> tuple[Instrument, str]:
    """The instrument of an imported file that is not in the universe yet, and what was assumed, in words.

    Args:
        evidence: what the file's names say.
        bars: its bars, frame of ``BAR_SCHEMA``.
        timeframe: their length.
        source: source of the instrument.

    Raises:
        InvalidRequest: if nothing says its asset class and calendar, or the bars contradict what does.
    """
    found = likely_instrument(evidence, source)
    if found is None:
        raise _unknown(evidence.symbol, "neither the symbol nor the file says which market it is of")
    instrument, why = found
    if against := _contradiction(instrument.calendar, bars, timeframe):
        raise _unknown(evidence.symbol, f"taken for {_words(instrument)}, {why}, but {against}")
    return instrument, f"{evidence.symbol} is taken for {_words(instrument)}, {why}"


def _words(instrument: Instrument) -> str:
    return f"{instrument.asset_class.value} with the calendar {instrument.calendar}"


def _unknown(symbol: str, received: str) -> InvalidRequest:
    return InvalidRequest(
        f"The market of {symbol} is unknown.",
        expected="an instrument of the universe, or a file that says its asset class and calendar",
        received=received,
        remedy=f"add it first, for example `trading-platform instruments add {symbol} --asset-class equity "
        "--calendar XETR`, and import again",
    )


def _contradiction(calendar: str, bars: pl.DataFrame, timeframe: Timeframe) -> str | None:
    """Why the times of bars cannot be those of a calendar, None if they can."""
    # Flat bars without volume are fillers, and say nothing about when the market was open.
    flat = (pl.col("high") == pl.col("low")) & (pl.col("volume").fill_null(0) == 0)
    traded = bars.filter(~flat).select("time", *PRICES) if bars.height else bars
    if traded.is_empty():
        return None
    weekday = traded["time"].dt.weekday()
    weekend = weekday.is_in([_SATURDAY] if calendar == FX_WEEK else [_SATURDAY, _SUNDAY])
    share = float(weekend.mean() or 0)  # type: ignore[arg-type]
    span = Window(traded["time"].min(), traded["time"].max() + timedelta(days=1))  # type: ignore[arg-type,operator]
    if calendar == ALWAYS_OPEN:
        closed = weekend.sum() == 0 and span.end - span.start > _WEEKS and timeframe is Timeframe.D1
        return "it has no bar at any weekend" if closed else None
    if share > _FEW:
        return f"{share:.0%} of its bars are at weekends"
    if calendar == FX_WEEK or timeframe.is_intraday:
        return None
    return _open_on_holidays(calendar, traded["time"], span)


def _open_on_holidays(calendar: str, times: pl.Series, span: Window) -> str | None:
    open_days = sessions(calendar, span)["session"]
    known: list[datetime] = open_days.to_list()
    if not known:
        return None
    days = pl.datetime_range(known[0], known[-1], "1d", eager=True, time_unit="us")
    holidays = days.filter((days.dt.weekday() < _SATURDAY) & ~days.is_in(open_days.implode()))
    there = holidays.is_in(times.implode()).sum()
    if holidays.len() >= _HOLIDAYS and there * 2 > holidays.len():
        return f"it has bars on {there} of {holidays.len()} holidays of {calendar}"
    return None
