"""Gaps of stored bars, from files and from the database: what counts as one, and what is computed across it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.market.calendars import sessions
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe, Window, partition_windows
from trading_platform.sources.files.content.options import ImportOptions
from trading_platform.sources.files.landing import LandingArea
from trading_platform.sources.files.source import FileSource
from trading_platform.stores.market_data.completeness.coverage import Outcome, Request
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.backfill.backfill_bars import backfill_bars
from trading_platform.workflows.derived.build_features import build_features
from trading_platform.workflows.derived.compute_indicators import compute_indicators_of, stale_indicators
from trading_platform.workflows.derived.series_gaps import gaps_between
from trading_platform.workflows.imports.import_files import import_files

NOW = datetime(2024, 6, 1, tzinfo=UTC)
DAYS = Window(datetime(2000, 1, 1, tzinfo=UTC), datetime(2014, 1, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def opened(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path_factory.mktemp("features"), may_upgrade=True) as stores:
        yield stores


def day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def load(stores: Stores, folder: Path, symbol: str, calendar: str, timeframe: Timeframe, rows: pl.DataFrame) -> None:
    """Imports rows as a file, backfills it, and computes indicators and features."""
    file = folder / f"{symbol}.csv"
    rows.with_columns(pl.col("time").dt.strftime("%Y-%m-%dT%H:%M:%SZ")).write_csv(file)
    stores.instruments.add(Instrument(symbol, AssetClass.EQUITY, calendar, "file"))
    landing = LandingArea(folder / "imports")
    found = import_files(
        [file],
        ImportOptions(symbol=symbol, timeframe=timeframe),
        landing=landing,
        quarantine=stores.quarantine,
        coverage=stores.coverage,
        instruments=stores.instruments,
        clock=lambda: NOW,
    )
    assert found.files[0].accepted, found
    universe = stores.instruments.all()
    times = rows["time"]
    parts = partition_windows(timeframe, Window(times[0], times[-1] + timeframe.duration))
    source = FileSource(folder / "imports")
    backfill_bars(stores, {"file": source}, [universe[symbol]], timeframe, parts, clock=lambda: NOW)
    compute_indicators_of(stores, [symbol], timeframe, parts, clock=lambda: NOW)
    if timeframe is Timeframe.D1:
        build_features(stores, universe, [symbol], parts, clock=lambda: NOW)


def daily(calendar: str, window: Window) -> pl.DataFrame:
    """A row for each session, at prices that rise by a hundredth of a percent of 100."""
    times = sessions(calendar, window)["session"].alias("time")
    close = pl.Series("close", [100 + number * 0.01 for number in range(len(times))]).round(2)
    return pl.DataFrame(
        {"time": times, "open": close, "high": close + 1, "low": close - 1, "close": close}
    ).with_columns(volume=pl.lit(1000))


def nulls(stores: Stores, symbol: str, first: str, name: str = "returns_1d") -> list[str]:
    """The dates without a value from a date on."""
    found = stores.features.read([symbol], Window(day(first), DAYS.end)).filter(pl.col(name).is_null())
    return [f"{time:%Y-%m-%d}" for time in found["time"]]


def test_a_return_over_missing_years_is_null(opened: Stores, tmp_path: Path) -> None:
    """As in a file of an exchange-traded fund that lacks the years in which it had another ticker."""
    rows = daily("XNYS", DAYS)
    gap = Window(day("2004-12-01"), day("2011-03-23"))
    outside = ~pl.col("time").is_between(gap.start, gap.end, closed="left")
    load(opened, tmp_path, "FUND", "XNYS", Timeframe.D1, rows.filter(outside))
    assert nulls(opened, "FUND", "2001-01-01") == ["2011-03-23"]
    assert len(nulls(opened, "FUND", "2001-01-01", "volatility_20d")) == 20
    indicators = opened.indicators.read(["FUND"], Timeframe.D1, Window(day("2011-03-23"), DAYS.end))
    assert indicators["rsi_14"].null_count() == 14
    assert indicators["sma_200"].null_count() == 199


def test_single_missing_sessions_that_no_source_confirmed(opened: Stores, tmp_path: Path) -> None:
    """Ten sessions in a row are missing; a row that could not be read is one session that is not known."""
    rows = daily("XNYS", Window(day("2010-01-01"), day("2012-01-01")))
    times = rows["time"]
    gone = times[100:110].to_list()
    rows = rows.with_columns(high=pl.when(pl.col("time") == times[300]).then(0.5).otherwise("high"))
    load(opened, tmp_path, "THIN", "XNYS", Timeframe.D1, rows.filter(~pl.col("time").is_in(gone)))
    assert nulls(opened, "THIN", "2010-02-01") == [f"{times[row]:%Y-%m-%d}" for row in (110, 301)]


def test_minutes_that_no_source_answered_for(opened: Stores, tmp_path: Path) -> None:
    """A market that never closes: a confirmed silence of ten minutes is no gap, days between two recordings are."""
    start = day("2024-05-02")
    times = [start + timedelta(minutes=number) for number in [*range(60), *range(70, 300)]]
    times += [start + timedelta(days=12, minutes=number) for number in range(200)]
    close = pl.Series([100 + number % 7 * 0.1 for number in range(len(times))]).round(2)
    rows = pl.DataFrame(
        {"time": times, "open": close, "high": close + 1, "low": close - 1, "close": close}
    ).with_columns(volume=pl.lit(1))
    load(opened, tmp_path, "COIN", "24/7", Timeframe.M1, rows)
    stored = opened.bars.read(["COIN"], Timeframe.M1, Window(start, NOW))
    gaps = gaps_between(opened, stored, Timeframe.M1, opened.instruments.all(), NOW)
    assert [each[0] for each in gaps["COIN"]] == [start + timedelta(days=12)]
    indicators = opened.indicators.read(["COIN"], Timeframe.M1, Window(start, NOW))
    again = indicators.filter(pl.col("rsi_14").is_null())["time"].to_list()
    assert again == [*times[:14], *times[290:304]]


def test_a_gap_that_is_confirmed_empty_makes_what_was_computed_stale(opened: Stores) -> None:
    start, count = day("2020-01-01"), 100
    opened.instruments.add(Instrument("LATE", AssetClass.CRYPTO, "24/7", "kraken"))
    bars = pl.DataFrame({"time": [start + timedelta(days=number) for number in range(count) if number != 50]})
    bars = bars.with_columns(
        symbol=pl.lit("LATE"),
        timeframe=pl.lit("1d"),
        **dict.fromkeys(("open", "high", "low", "close", "volume"), pl.lit(5)),
        source=pl.lit("kraken"),
        quality=pl.lit("traded"),
    ).select(pl.col(name).cast(dtype) for name, dtype in BAR_SCHEMA.items())
    gap = Window(start + timedelta(days=50), start + timedelta(days=51))
    whole = Window(start, start + timedelta(days=count))
    years = partition_windows(Timeframe.D1, whole)

    def record(window: Window, answered: list[Window], frame: pl.DataFrame | None) -> None:
        outcome = Outcome.EMPTY if frame is None else Outcome.STORED
        request = Request("LATE", Timeframe.D1, "kraken", window, outcome, "test", NOW, changed=frame is not None)
        with opened.database.begin() as connection:
            if frame is not None:
                opened.bars.replace(connection, "LATE", Timeframe.D1, window, frame)
            opened.coverage.record(connection, request, answered)

    def computed() -> int:
        compute_indicators_of(opened, ["LATE"], Timeframe.D1, years, clock=lambda: NOW)
        return opened.indicators.read(["LATE"], Timeframe.D1, whole)["atr_14"].null_count()

    record(whole, whole.subtract([gap]), bars)
    assert computed() == 28
    record(gap, [], None)
    assert stale_indicators(opened, ["LATE"], Timeframe.D1, years) == {}
    record(gap, [gap], None)
    assert list(stale_indicators(opened, ["LATE"], Timeframe.D1, years)) == ["LATE"]
    assert computed() == 14
    record(gap, [gap], None)
    assert stale_indicators(opened, ["LATE"], Timeframe.D1, years) == {}
