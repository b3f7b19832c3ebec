"""Daily bars of markets whose day is not the day in UTC: their session is enough, and all of it is needed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import psycopg
import pytest

from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe, Window, partition_windows
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.bars.roll_up_bars import roll_up_bars

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
SYDNEY, NEW_YORK = ZoneInfo("Australia/Sydney"), ZoneInfo("America/New_York")
BHP = Instrument("BHP", AssetClass.EQUITY, "XASX", "vendor")
EURUSD = Instrument("EURUSD", AssetClass.FX, "FX", "vendor")

TUESDAY = datetime(2026, 11, 10, 10, tzinfo=SYDNEY).astimezone(UTC)
"""When Sydney opens on 10 November: at 23:00 in UTC on the 9th."""
SUNDAY = datetime(2026, 11, 8, 17, tzinfo=NEW_YORK).astimezone(UTC)


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path, may_upgrade=True) as opened:
        with psycopg.connect(database_url) as connection:
            connection.execute(
                "TRUNCATE config.instruments, market_data.bars_1m, market_data.bars_5m, market_data.bars_1h,"
                " market_data.bars_1d, market_data.coverage, market_data.coverage_requests, market_data.input_versions,"
                " market_data.fingerprints, market_data.stream_positions"
            )
        for instrument in (BHP, EURUSD):
            opened.instruments.add(instrument)
        yield opened


def stream(stores: Stores, symbol: str, window: Window) -> None:
    """Minutes whose price is the number of the minute in the window, as the live path stores them."""
    count = (window.end - window.start) // MINUTE
    bars = pl.DataFrame(
        [
            (window.start + n * MINUTE, symbol, "1m", *[Decimal(100 + n)] * 4, Decimal(1), "vendor", "traded")
            for n in range(count)
        ],
        schema=BAR_SCHEMA,
        orient="row",
    )
    now = window.end
    answered, position = {symbol: [window]}, {"until": str(now)}
    stores.stream.commit("live", "vendor", bars=bars, answered=answered, until=now, position=position, now=now)


def daily(stores: Stores, symbol: str) -> list[tuple[datetime, Decimal, Decimal, Decimal]]:
    found = stores.bars.read([symbol], Timeframe.D1, Window(SUNDAY - 9 * DAY, SUNDAY + 9 * DAY))
    return list(found.select("time", "open", "close", "volume").iter_rows())


def rolled_up_by_force(stores: Stores, instrument: Instrument) -> list[bool]:
    partitions = partition_windows(Timeframe.D1, Window(SUNDAY, SUNDAY + DAY))
    now = SUNDAY + 30 * DAY
    return roll_up_bars(stores, instrument, Timeframe.D1, partitions, clock=lambda: now, force=True)


@pytest.mark.exhaustive
def test_a_day_of_sydney_begins_on_the_day_before_in_utc(stores: Stores) -> None:
    stream(stores, "BHP", Window(TUESDAY, TUESDAY + 6 * 60 * MINUTE))
    expected = [(datetime(2026, 11, 10, tzinfo=UTC), Decimal(100), Decimal(459), Decimal(360))]
    assert daily(stores, "BHP") == expected, "as the stream makes it"
    with stores.database.begin() as connection:
        connection.exec_driver_sql("DELETE FROM market_data.bars_1d")
    assert rolled_up_by_force(stores, BHP) == [True]
    assert daily(stores, "BHP") == expected, "as the batch makes it"
    assert rolled_up_by_force(stores, BHP) == [False]


@pytest.mark.exhaustive
def test_a_session_of_which_the_first_hour_is_unknown_is_no_day_though_the_day_in_utc_is_whole(stores: Stores) -> None:
    midnight = TUESDAY.replace(hour=0) + DAY
    stream(stores, "BHP", Window(midnight, midnight + 10 * 60 * MINUTE))
    assert daily(stores, "BHP") == []
    rolled_up_by_force(stores, BHP)
    assert daily(stores, "BHP") == []


def test_sunday_and_friday_of_the_currencies_need_no_more_than_the_open_hours(stores: Stores) -> None:
    monday = SUNDAY.replace(hour=0) + DAY
    friday = monday + 4 * DAY
    stream(stores, "EURUSD", Window(SUNDAY, monday))
    stream(stores, "EURUSD", Window(friday, friday + 22 * 60 * MINUTE))
    expected = [
        (monday - DAY, Decimal(100), Decimal(219), Decimal(120)),
        (friday, Decimal(100), Decimal(1419), Decimal(1320)),
    ]
    assert daily(stores, "EURUSD") == expected
    assert rolled_up_by_force(stores, EURUSD) == [False]
    assert daily(stores, "EURUSD") == expected
