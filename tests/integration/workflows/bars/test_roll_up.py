"""Minutes of extended hours rolled up by the real session, against the vendor's own daily bars."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from commands import Installation, installation

from trading_platform.domain.time import Timeframe, Window, month_window, partition_windows, utc_now
from trading_platform.embedded.stack import Endpoints
from trading_platform.resources.platform import open_platform
from trading_platform.stores.stores import Stores
from trading_platform.workflows.backfill.backfill_bars import backfill_bars
from trading_platform.workflows.bars.roll_up_bars import stale_roll_ups

pytestmark = pytest.mark.exhaustive

OCTOBER = month_window(datetime(2013, 10, 1, tzinfo=UTC))
YEAR = Window(datetime(2013, 1, 1, tzinfo=UTC), datetime(2014, 1, 1, tzinfo=UTC))
VALUES = ["open", "high", "low", "close", "volume"]


@pytest.fixture(scope="module")
def ours(stack: Endpoints, test_data: Path) -> Iterator[Installation]:
    with installation(stack.database_url) as made:
        found = made.run("import", test_data / "minute" / "SPY_1m_2013-10_trade.csv.gz")
        assert found.code == 0, found.text
        yield made


def fetch(made: Installation, timeframe: Timeframe, partitions: list[Window]) -> list[bool]:
    """Backfills one timeframe; whether each symbol's bars changed."""
    with open_platform(made.settings()) as platform:
        (instrument,) = platform.instruments(["SPY"])
        report = backfill_bars(platform.stores, platform.sources, [instrument], timeframe, partitions, clock=utc_now)
        assert not report.failures
        assert all(count.missing == 0 for count in report.counts)
        return [bool(report.changed_symbols)]


def read(made: Installation, timeframe: Timeframe) -> pl.DataFrame:
    with open_platform(made.settings()) as platform:
        return platform.stores.bars.read(["SPY"], timeframe, OCTOBER)


def stale(stores: Stores, timeframe: Timeframe) -> int:
    return len(stale_roll_ups(stores, "SPY", timeframe, partition_windows(timeframe, OCTOBER)))


def test_daily_bars_rolled_up_from_minutes_are_the_vendor_s(ours: Installation, test_data: Path) -> None:
    assert fetch(ours, Timeframe.M1, [OCTOBER]) == [True]
    assert fetch(ours, Timeframe.D1, [YEAR]) == [True]
    rolled = read(ours, Timeframe.D1)
    vendor = pl.read_csv(test_data / "daily" / "SPY_lean_daily.csv", infer_schema=False)
    vendor = vendor.with_columns(time=pl.col(vendor.columns[0]).str.slice(0, 10)).filter(
        pl.col("time").is_in(rolled["time"].dt.strftime("%Y-%m-%d").implode())
    )
    assert rolled.height == vendor.height == 6
    for ours_row, theirs in zip(rolled.iter_rows(named=True), vendor.iter_rows(named=True), strict=True):
        expected = {name: Decimal(theirs[name]) for name in VALUES}
        if theirs["time"] == "2013-10-08":  # one print the vendor's daily file has and its minutes have not
            assert abs(ours_row["low"] - expected.pop("low")) == Decimal("0.01")
        assert {name: ours_row[name] for name in expected} == expected


@pytest.mark.parametrize(("timeframe", "minutes"), [(Timeframe.M5, 5), (Timeframe.H1, 60)])
def test_longer_bars_are_the_minutes_in_them(ours: Installation, timeframe: Timeframe, minutes: int) -> None:
    fetch(ours, Timeframe.M1, [OCTOBER])
    fetch(ours, timeframe, [OCTOBER])
    by_bucket: dict[datetime, list[dict[str, object]]] = {}
    for row in read(ours, Timeframe.M1).iter_rows(named=True):
        opened = row["time"]
        since = opened.hour * 60 + opened.minute
        start = opened.replace(hour=since // minutes * minutes // 60, minute=since // minutes * minutes % 60)
        by_bucket.setdefault(start, []).append(row)
    first = min(by_bucket)
    if by_bucket[first][0]["time"] != first:
        del by_bucket[first]  # the file begins in the middle of it
    expected = [
        (
            start,
            found[0]["open"],
            max(row["high"] for row in found),  # type: ignore[type-var]
            min(row["low"] for row in found),  # type: ignore[type-var]
            found[-1]["close"],
            sum(row["volume"] for row in found),  # type: ignore[misc]
        )
        for start, found in sorted(by_bucket.items())
    ]
    assert read(ours, timeframe).select("time", *VALUES).rows() == expected


def test_what_is_rolled_up_once_is_rolled_up_again_only_when_minutes_change(ours: Installation) -> None:
    fetch(ours, Timeframe.M1, [OCTOBER])
    fetch(ours, Timeframe.M5, [OCTOBER])
    with open_platform(ours.settings()) as platform:
        assert stale(platform.stores, Timeframe.M5) == 0
        day = Window(datetime(2013, 10, 8, tzinfo=UTC), datetime(2013, 10, 9, tzinfo=UTC))
        platform.stores.coverage.withdraw("SPY", Timeframe.M1, "file", [day])
    assert fetch(ours, Timeframe.M1, [OCTOBER]) == [False]
    with open_platform(ours.settings()) as platform:
        assert stale(platform.stores, Timeframe.M5) == 1, "time that is known again is not looked at"
    assert fetch(ours, Timeframe.M5, [OCTOBER]) == [False]
    with open_platform(ours.settings()) as platform:
        assert stale(platform.stores, Timeframe.M5) == 0, "equal minutes made the roll-up stale"
        with platform.stores.database.begin() as connection:
            minutes = platform.stores.bars.read(["SPY"], Timeframe.M1, day)
            assert platform.stores.bars.replace(connection, "SPY", Timeframe.M1, day, minutes.head(minutes.height // 2))
        platform.stores.coverage.withdraw("SPY", Timeframe.M1, "file", [day])
    assert fetch(ours, Timeframe.M1, [OCTOBER]) == [True]
    with open_platform(ours.settings()) as platform:
        assert stale(platform.stores, Timeframe.M5) == 1
