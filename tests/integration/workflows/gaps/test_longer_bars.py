"""Longer bars of imported files: rolled up from what a file has, and no gap where there was never anything."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import psycopg
import pytest
from schemas import bring_to, new_database

from trading_platform.domain.market.bars import BAR_SCHEMA, roll_up
from trading_platform.domain.market.calendars import session_dates
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.quality.gaps import SlotClass
from trading_platform.domain.time import Timeframe, Window
from trading_platform.sources.files.content.options import ImportOptions
from trading_platform.sources.files.landing import LandingArea
from trading_platform.sources.files.source import FileSource
from trading_platform.stores.market_data.checks import CheckStore
from trading_platform.stores.postgres.database import Database
from trading_platform.stores.schema import upgrade
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.backfill.backfill_bars import backfill_bars
from trading_platform.workflows.backfill.plan_backfill import available_history_of, unfinished_partitions
from trading_platform.workflows.gaps.detect_gaps import detect_gaps
from trading_platform.workflows.gaps.gap_report import gap_report
from trading_platform.workflows.gaps.repair_gaps import repair_gaps
from trading_platform.workflows.imports.import_files import import_files

NOW = datetime(2024, 5, 20, tzinfo=UTC)
MAY = datetime(2024, 5, 1, tzinfo=UTC)
COLUMNS = ("time", "open", "high", "low", "close", "volume")
TO_REPAIR = {SlotClass.MISSING, SlotClass.PENDING_CONFIRMATION, SlotClass.FAILED_PERMANENTLY}


@pytest.fixture(scope="module")
def stores(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path_factory.mktemp("features"), may_upgrade=True) as opened:
        yield opened


def bars(start: datetime, end: datetime, step: timedelta) -> pl.DataFrame:
    """Bars at prices that all differ."""
    count = (end - start) // step
    close = pl.Series([100 + number % 97 + number * 0.001 for number in range(count)]).round(3)
    times = [start + number * step for number in range(count)]
    return pl.DataFrame(
        {"time": times, "open": close + 0.5, "high": close + 2, "low": close - 2, "close": close}
    ).select("time", "open", "high", "low", "close", volume=pl.lit(3))


def load(
    stores: Stores, folder: Path, symbol: str, calendar: str, frames: dict[Timeframe, pl.DataFrame]
) -> tuple[Instrument, dict[str, FileSource]]:
    """Imports a file of each timeframe, and brings everything up to date as `backfill` does."""
    instrument = Instrument(symbol, AssetClass.CRYPTO, calendar, "file")
    stores.instruments.add(instrument)
    for timeframe, frame in frames.items():
        file = folder / f"{symbol}_{timeframe}.csv"
        frame.with_columns(pl.col("time").dt.strftime("%Y-%m-%dT%H:%M:%SZ")).write_csv(file)
        import_files(
            [file],
            ImportOptions(symbol=symbol, timeframe=timeframe),
            landing=LandingArea(folder / "imports"),
            quarantine=stores.quarantine,
            coverage=stores.coverage,
            instruments=stores.instruments,
            clock=lambda: NOW,
        )
    sources = {"file": FileSource(folder / "imports")}
    for timeframe in Timeframe:
        history = available_history_of(stores, sources, instrument, timeframe, lambda: NOW)
        if history is not None:
            backfill_bars(stores, sources, [instrument], timeframe, history.partitions(None), clock=lambda: NOW)
    return instrument, sources


def left_to_repair(stores: Stores, instrument: Instrument, sources: dict[str, FileSource]) -> list[tuple[str, str]]:
    """What the command `repair` lists after its work."""
    found = detect_gaps(stores, sources, [instrument], clock=lambda: NOW)
    ids = [gap.id for gap in found.gaps if gap.symbol == instrument.symbol]
    repair_gaps(stores, sources, clock=lambda: NOW, only=ids, whatever=True)
    return [
        (timeframe.value, str(each.window))
        for timeframe in Timeframe
        for each in gap_report(stores, sources, instrument, timeframe, clock=lambda: NOW)
        if each.what in TO_REPAIR
    ]


def stored(stores: Stores, symbol: str, timeframe: Timeframe) -> pl.DataFrame:
    return stores.bars.read([symbol], timeframe, Window(MAY, NOW)).select(
        "time", "open", "high", "low", "close", "volume"
    )


def rolled(frame: pl.DataFrame, timeframe: Timeframe, dates: pl.DataFrame | None = None) -> pl.DataFrame:
    whole = frame.with_columns(
        symbol=pl.lit("A"), timeframe=pl.lit("5m"), source=pl.lit("file"), quality=pl.lit("traded")
    ).select(pl.col(name).cast(dtype) for name, dtype in BAR_SCHEMA.items())
    return roll_up(whole, timeframe, dates).select(COLUMNS)


def test_a_month_that_begins_later_has_no_gap_before(stores: Stores, tmp_path: Path) -> None:
    minutes = bars(MAY + timedelta(days=10), MAY + timedelta(days=13), timedelta(minutes=1))
    instrument, sources = load(stores, tmp_path, "MINUTES", "24/7", {Timeframe.M1: minutes})
    assert left_to_repair(stores, instrument, sources) == []
    for timeframe in Timeframe:
        assert list(gap_report(stores, sources, instrument, timeframe, clock=lambda: NOW)) == []
    assert stored(stores, "MINUTES", Timeframe.D1).equals(rolled(minutes, Timeframe.D1))


def test_time_between_two_recordings_is_said_and_not_repaired(stores: Stores, tmp_path: Path) -> None:
    first = bars(MAY, MAY + timedelta(days=1), timedelta(minutes=1))
    second = bars(MAY + timedelta(days=14), MAY + timedelta(days=15), timedelta(minutes=1))
    instrument, sources = load(stores, tmp_path, "TWICE", "24/7", {Timeframe.M1: pl.concat([first, second])})
    assert left_to_repair(stores, instrument, sources) == []
    between = Window(MAY + timedelta(days=1), MAY + timedelta(days=14))
    for timeframe in Timeframe:
        found = list(gap_report(stores, sources, instrument, timeframe, clock=lambda: NOW))
        assert [(each.what, each.window) for each in found] == [(SlotClass.NOT_AVAILABLE, between)]


def test_a_file_of_five_minutes_gives_hours_and_days(stores: Stores, tmp_path: Path) -> None:
    fives = bars(MAY + timedelta(hours=7), MAY + timedelta(days=4), timedelta(minutes=5))
    instrument, sources = load(stores, tmp_path, "FIVES", "24/7", {Timeframe.M5: fives})
    assert stored(stores, "FIVES", Timeframe.H1).equals(rolled(fives, Timeframe.H1))
    assert stored(stores, "FIVES", Timeframe.D1).equals(rolled(fives, Timeframe.D1)[1:]), "whole days only"
    assert left_to_repair(stores, instrument, sources) == []
    available = [available_history_of(stores, sources, instrument, length, lambda: NOW) for length in Timeframe]
    plan = [each for each in available if each is not None and each.timeframe.is_intraday]
    assert [each.timeframe for each in plan] == [Timeframe.M5, Timeframe.H1]
    assert unfinished_partitions(stores, sources, plan, None, force=False).keys() <= {"FIVES"}


def test_five_minutes_of_an_exchange_give_its_sessions(stores: Stores, tmp_path: Path) -> None:
    fives = bars(MAY, MAY + timedelta(days=9), timedelta(minutes=5))
    _, _ = load(stores, tmp_path, "SHARE", "XNYS", {Timeframe.M5: fives})
    window = Window(MAY, MAY + timedelta(days=9))
    expected = rolled(fives, Timeframe.D1, session_dates("XNYS", window))
    assert stored(stores, "SHARE", Timeframe.D1).equals(expected)
    assert expected.height == 7


def test_hours_give_days_only_where_sessions_begin_with_an_hour(stores: Stores, tmp_path: Path) -> None:
    hours = bars(MAY, MAY + timedelta(days=9), timedelta(hours=1))
    load(stores, tmp_path, "HOURS", "24/7", {Timeframe.H1: hours})
    assert stored(stores, "HOURS", Timeframe.D1).equals(rolled(hours, Timeframe.D1))
    load(stores, tmp_path, "HALVES", "XNYS", {Timeframe.H1: hours})
    assert stored(stores, "HALVES", Timeframe.D1).is_empty()


def test_minutes_are_preferred_and_five_minutes_fill_the_rest(stores: Stores, tmp_path: Path) -> None:
    fives = bars(MAY, MAY + timedelta(days=3), timedelta(minutes=5))
    minutes = bars(MAY + timedelta(days=1), MAY + timedelta(days=2), timedelta(minutes=1))
    instrument, sources = load(stores, tmp_path, "BOTH", "24/7", {Timeframe.M5: fives, Timeframe.M1: minutes})
    hours = pl.concat(
        [rolled(fives, Timeframe.H1)[:24], rolled(minutes, Timeframe.H1), rolled(fives, Timeframe.H1)[48:]]
    )
    assert stored(stores, "BOTH", Timeframe.H1).equals(hours)
    assert left_to_repair(stores, instrument, sources) == []


def test_the_upgrade_narrows_records_of_whole_partitions(database_url: str) -> None:
    """A roll-up of an earlier version recorded its whole month; one that gave nothing is no record at all."""
    with new_database(database_url) as url:
        bring_to(url, "0009")
        with psycopg.connect(url) as connection:
            connection.execute(
                "INSERT INTO market_data.coverage (symbol, timeframe, source, answered) VALUES"
                " ('COIN', '5m', 'ohlcv_1m', '{[2024-05-10 00:00Z, 2024-05-12 00:00Z)}')"
            )
            connection.execute(
                "INSERT INTO market_data.coverage_requests"
                " (symbol, timeframe, source, asked, outcome, changed, origin, asked_at)"
                " SELECT 'COIN', timeframe, 'ohlcv_1m', '[2024-05-01 00:00Z, 2024-06-01 00:00Z)', outcome, changed,"
                " 'ohlcv_1m', now() FROM (VALUES ('5m', 'stored', TRUE), ('1h', 'empty', FALSE))"
                " AS given (timeframe, outcome, changed)"
            )
        database = Database(url)
        upgrade(database)
        spans = {
            length: CheckStore(database).recorded_spans(["COIN"], length) for length in (Timeframe.M5, Timeframe.H1)
        }
        database.close()
    assert spans == {
        Timeframe.M5: {"COIN": Window(MAY + timedelta(days=9), MAY + timedelta(days=11))},
        Timeframe.H1: {},
    }
