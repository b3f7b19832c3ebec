"""The market of an unknown instrument is guessed from evidence only, and asked for otherwise."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.market.calendars import sessions
from trading_platform.domain.market.instruments import AssetClass
from trading_platform.domain.time import Timeframe, Window
from trading_platform.sources.files.recognition.evidence import Evidence, guessed_instrument

YEAR = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))
EVERY_DAY = [YEAR.start + timedelta(days=day) for day in range(366)]


def bars(times: list[datetime], *, flat: bool = False) -> pl.DataFrame:
    low, high, volume = ("5", "5", "0") if flat else ("4", "6", "10")
    rows = {"time": times, "open": ["5"] * len(times), "high": high, "low": low, "close": "5", "volume": volume}
    return pl.DataFrame(rows).select(
        pl.col(name).cast(dtype) if name in rows else pl.lit("", dtype=dtype).alias(name)
        for name, dtype in BAR_SCHEMA.items()
    )


def sessions_of(calendar: str) -> list[datetime]:
    return sessions(calendar, YEAR)["session"].to_list()


def guess(evidence: Evidence, times: list[datetime]) -> tuple[AssetClass, str, str]:
    instrument, words = guessed_instrument(evidence, bars(times), Timeframe.D1, "file")
    return instrument.asset_class, instrument.calendar, words


@pytest.mark.parametrize(
    ("evidence", "asset_class", "calendar"),
    [
        (Evidence("AAPL"), AssetClass.EQUITY, "XNYS"),
        (Evidence("XAUUSD"), AssetClass.FX, "FX"),
        (Evidence("XAGEUR"), AssetClass.FX, "FX"),
        (Evidence("BTC-PERP"), AssetClass.CRYPTO, "24/7"),
        (Evidence("BTCUSDT.P"), AssetClass.CRYPTO, "24/7"),
        (Evidence("PEPEUSD", theirs="PEPE/USD"), AssetClass.CRYPTO, "24/7"),
        (Evidence("SPX"), AssetClass.INDEX, "XNYS"),
        (Evidence("7203.T"), AssetClass.EQUITY, "XTKS"),
        (Evidence("TYO7203"), AssetClass.EQUITY, "XTKS"),
        (Evidence("SAP", theirs="XETR:SAP"), AssetClass.EQUITY, "XETR"),
        (Evidence("SAP", market=(AssetClass.EQUITY, "XETR")), AssetClass.EQUITY, "XETR"),
    ],
)
def test_evidence_gives_class_and_calendar(evidence: Evidence, asset_class: AssetClass, calendar: str) -> None:
    found = guess(evidence, sessions_of(calendar))
    assert found[:2] == (asset_class, calendar)
    assert f"{asset_class.value} with the calendar {calendar}" in found[2]


@pytest.mark.parametrize("symbol", ["XAU", "XAG", "INDEX", "BTC", "US100", "600519", "NIFTYBANK", "EUR"])
def test_without_evidence_the_user_is_asked(symbol: str) -> None:
    with pytest.raises(InvalidRequest, match=f"The market of {symbol} is unknown") as caught:
        guess(Evidence(symbol), sessions_of("XNYS"))
    assert f"instruments add {symbol}" in str(caught.value.remedy)


@pytest.mark.parametrize(
    ("evidence", "times", "against"),
    [
        (Evidence("PEPE"), EVERY_DAY, "weekends"),
        (Evidence("SAP"), sessions_of("XETR"), "holidays of XNYS"),
        (Evidence("EURUSD"), EVERY_DAY, "weekends"),
        (Evidence("SHIBUSD", theirs="SHIB/USD"), sessions_of("XNYS"), "no bar at any weekend"),
    ],
)
def test_bars_that_contradict_the_names_are_not_guessed_about(
    evidence: Evidence, times: list[datetime], against: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        guess(evidence, times)
    assert against in str(caught.value.received)


def test_fillers_are_no_evidence() -> None:
    closed = sorted(set(EVERY_DAY) - set(sessions_of("XNYS")))
    whole = pl.concat([bars(sessions_of("XNYS")), bars(closed, flat=True)]).sort("time")
    instrument, _ = guessed_instrument(Evidence("KO"), whole, Timeframe.D1, "file")
    assert instrument.calendar == "XNYS"
