"""Imported files against the hours of their market: import, backfill, roll-up, count and checks, on a real database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest

from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.quality.completeness import CoverageCount
from trading_platform.domain.time import Timeframe, Window, partition_windows
from trading_platform.sources.files.landing import LandingArea
from trading_platform.sources.files.options import ImportOptions
from trading_platform.sources.files.source import FileSource
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.bars.backfill_bars import backfill_bars
from trading_platform.workflows.bars.import_files import ImportedFile, import_files
from trading_platform.workflows.gaps.gap_report import gap_report

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
NOW = datetime(2026, 12, 1, tzinfo=UTC)
TOKYO, HONG_KONG, NEW_YORK = ZoneInfo("Asia/Tokyo"), ZoneInfo("Asia/Hong_Kong"), ZoneInfo("America/New_York")


class Desk:
    """A user's data directory and database, with the files that were imported."""

    def __init__(self, stores: Stores, folder: Path) -> None:
        self.stores = stores
        self.folder = folder
        self.source = FileSource(folder / "imports")

    def add(self, symbol: str, calendar: str, asset_class: AssetClass = AssetClass.EQUITY) -> Instrument:
        instrument = Instrument(symbol, asset_class, calendar, "file")
        self.stores.instruments.add(instrument)
        return instrument

    def take(self, instrument: Instrument, rows: Iterable[str], timezone: str | None = None) -> ImportedFile:
        """Imports a file of the given rows."""
        path = self.folder / f"{instrument.symbol}.csv"
        path.write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]) + "\n")
        options = ImportOptions(symbol=instrument.symbol, timezone=timezone)
        stores = self.stores
        landing = LandingArea(self.folder / "imports")
        report = import_files(
            [path],
            options,
            landing=landing,
            quarantine=stores.quarantine,
            coverage=stores.coverage,
            instruments=stores.instruments,
            clock=lambda: NOW,
        )
        return report.files[0]

    def backfill(self, instrument: Instrument, timeframe: Timeframe, window: Window) -> list[CoverageCount]:
        parts = partition_windows(timeframe, window)
        report = backfill_bars(self.stores, {"file": self.source}, [instrument], timeframe, parts, clock=lambda: NOW)
        assert report.failures == ()
        return list(report.accounts)

    def classes(self, instrument: Instrument, timeframe: Timeframe) -> dict[str, int]:
        """Number of expected bars of each class of the report of gaps."""
        found: dict[str, int] = {}
        for each in gap_report(self.stores, {"file": self.source}, instrument, timeframe, clock=lambda: NOW):
            found[each.what.value] = found.get(each.what.value, 0) + each.bars
        return found


@pytest.fixture
def desk(database_url: str, tmp_path: Path) -> Iterator[Desk]:
    with open_stores(database_url, tmp_path, may_upgrade=True) as stores:
        with psycopg.connect(database_url) as connection:
            connection.execute(
                "TRUNCATE config.instruments, market_data.bars_1m, market_data.bars_5m, market_data.bars_1h,"
                " market_data.bars_1d, market_data.coverage, market_data.coverage_requests, market_data.input_versions,"
                " market_data.fingerprints, market_data.quarantine, market_data.gaps"
            )
        yield Desk(stores, tmp_path)


def minutes(zone: ZoneInfo, day: date, *spans: tuple[str, str]) -> list[datetime]:
    """The minutes of some spans of a day, local to a zone."""
    found = []
    for opens, closes in spans:
        at = datetime.combine(day, time.fromisoformat(opens), zone)
        while at.strftime("%H:%M") < closes:
            found.append(at)
            at += MINUTE
    return found


def rows(times: Iterable[datetime], *, volume: str = "10") -> list[str]:
    """Rows with a small move each minute, at UTC times."""
    return [
        f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ},{100 + n % 3},{103 + n % 3},{99 + n % 3},{101 + n % 3},{volume}"
        for n, at in enumerate(times)
    ]


def month(start: str) -> Window:
    first = datetime.fromisoformat(start).replace(tzinfo=UTC)
    return Window(first, (first + 32 * DAY).replace(day=1))


# Trading breaks


@pytest.mark.parametrize(
    ("calendar", "zone", "day", "spans", "volume"),
    [
        ("XTKS", TOKYO, date(2026, 11, 17), [("09:00", "11:30"), ("12:30", "15:30")], 3300),
        ("XHKG", HONG_KONG, date(2026, 11, 17), [("09:30", "12:00"), ("13:00", "16:00")], 3300),
        ("XHKG", HONG_KONG, date(2024, 12, 24), [("09:30", "12:00")], 1500),
        ("XSHG", HONG_KONG, date(2026, 11, 17), [("09:30", "11:30"), ("13:00", "15:00")], 2400),
    ],
)
def test_a_break_is_closed_time(
    desk: Desk, calendar: str, zone: ZoneInfo, day: date, spans: list[tuple[str, str]], volume: int
) -> None:
    instrument = desk.add("7203", calendar)
    desk.take(instrument, rows(minutes(zone, day, *spans)))
    whole = month(f"{day:%Y-%m}-01")
    (count,) = desk.backfill(instrument, Timeframe.M1, whole)
    assert (count.stored, count.empty, count.out_of_session, count.missing) == (volume // 10, 0, 0, 0)
    assert desk.classes(instrument, Timeframe.M1) == {}
    desk.backfill(
        instrument, Timeframe.D1, Window(whole.start.replace(month=1), whole.start.replace(month=1) + 366 * DAY)
    )
    (bar,) = desk.stores.bars.read([instrument.symbol], Timeframe.D1, whole).select("time", "volume").iter_rows()
    assert (bar[0].date(), int(bar[1])) == (day, volume)


def test_the_users_file_of_tokyo_has_no_lunch(desk: Desk, test_data: Path) -> None:
    path = test_data / "user_files/12-tokyo-lunch/TYO7203_1m.csv"
    if not path.exists():
        pytest.skip("user_files is not among the test data")
    instrument = desk.add("7203", "XTKS")
    lines = path.read_text().splitlines()[1:]
    desk.take(instrument, lines)
    (count,) = desk.backfill(instrument, Timeframe.M1, month("2026-11-01"))
    assert (count.stored, count.empty, count.out_of_session) == (len(lines), 0, 0)
    assert desk.classes(instrument, Timeframe.M1) == {}
