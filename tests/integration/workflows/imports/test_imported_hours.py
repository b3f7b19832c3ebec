"""Imported files against the hours of their market: import, backfill, roll-up, count and checks, on a real database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import pytest
from properties import some_usual

from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.quality.completeness import CoverageCount
from trading_platform.domain.time import Timeframe, Window, partition_windows
from trading_platform.sources.files.content.options import ImportOptions
from trading_platform.sources.files.landing import LandingArea
from trading_platform.sources.files.source import FileSource
from trading_platform.stores.market_data.checks import Scope
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.backfill.backfill_bars import backfill_bars
from trading_platform.workflows.gaps.gap_report import gap_report
from trading_platform.workflows.imports.import_files import ImportedFile, import_files
from trading_platform.workflows.quality.check_results import CheckResult, Examination, judge
from trading_platform.workflows.quality.verify_bars import BAR_CHECKS

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

    def take(
        self,
        instrument: Instrument,
        rows: Iterable[str],
        timezone: str | None = None,
        timeframe: Timeframe | None = None,
    ) -> ImportedFile:
        """Imports a file of the given rows."""
        path = self.folder / f"{instrument.symbol}.csv"
        path.write_text("\n".join(["timestamp,open,high,low,close,volume", *rows]) + "\n")
        return self.take_file(instrument, path, timezone, timeframe)

    def take_file(
        self,
        instrument: Instrument,
        path: Path,
        timezone: str | None = None,
        timeframe: Timeframe | None = None,
    ) -> ImportedFile:
        """Imports a file."""
        options = ImportOptions(symbol=instrument.symbol, timezone=timezone, timeframe=timeframe)
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
        return list(report.counts)

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
        while at.date() == day and at.strftime("%H:%M") < closes:
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
    some_usual(
        [
            ("XTKS", TOKYO, date(2026, 11, 17), [("09:00", "11:30"), ("12:30", "15:30")], 3300),
            ("XHKG", HONG_KONG, date(2026, 11, 17), [("09:30", "12:00"), ("13:00", "16:00")], 3300),
            ("XHKG", HONG_KONG, date(2024, 12, 24), [("09:30", "12:00")], 1500),
            ("XSHG", HONG_KONG, date(2026, 11, 17), [("09:30", "11:30"), ("13:00", "15:00")], 2400),
        ]
    ),
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


# Minutes outside the session


def check(desk: Desk, name: str, timeframe: Timeframe) -> CheckResult:
    (rule,) = (each for each in BAR_CHECKS if each.name == name)
    examination = Examination(
        f"ohlcv_{timeframe.value}", timeframe, desk.stores, {"file": desk.source}, lambda: NOW, [Scope()]
    )
    return judge(rule, examination)


def naive(times: Iterable[datetime]) -> list[str]:
    return [f"{at:%Y-%m-%d %H:%M:%S},100,103,99,101,10" for at in times]


@pytest.mark.parametrize(
    ("calendar", "zone", "days", "spans"),
    some_usual(
        [
            ("XNYS", NEW_YORK, [date(2026, 11, 23), date(2026, 11, 24)], [("09:30", "16:00")]),
            ("XTKS", TOKYO, [date(2026, 11, 17), date(2026, 11, 18)], [("09:00", "11:30"), ("12:30", "15:30")]),
            ("XETR", ZoneInfo("Europe/Berlin"), [date(2026, 7, 6), date(2026, 7, 7)], [("09:00", "17:30")]),
        ]
    ),
)
def test_a_wrong_zone_is_said_at_import_and_found_by_a_check(
    desk: Desk, calendar: str, zone: ZoneInfo, days: list[date], spans: list[tuple[str, str]]
) -> None:
    instrument = desk.add("IBM", calendar)
    times = [at for day in days for at in minutes(zone, day, *spans)]
    file = desk.take(instrument, reversed(naive(times)))
    assert not file.hours_fit
    assert f"--timezone {zone.key}" in file.hours
    whole = month(f"{days[0]:%Y-%m}-01")
    (count,) = desk.backfill(instrument, Timeframe.M1, whole)
    assert count.out_of_session == file.out_of_session
    result = check(desk, "in_session", Timeframe.M1)
    assert (result.status.value, result.counts["doubtful hours"]) == ("failed", file.out_of_session)
    assert zone.key in str(result.sample)

    corrected = desk.take(instrument, reversed(naive(times)), timezone=zone.key)
    assert (corrected.status.value, corrected.hours, corrected.out_of_session) == ("replaced", "", 0)
    (count,) = desk.backfill(instrument, Timeframe.M1, whole)
    assert (count.stored, count.out_of_session, count.empty) == (len(times), 0, 0), "no bar of the former reading"
    assert check(desk, "in_session", Timeframe.M1).status.value == "passed"


def test_repeated_prices_of_a_weekend_are_in_no_bar_indicator_or_return(desk: Desk) -> None:
    """Minutes of Friday to Monday, the weekend filled at the last price, as some vendors do."""
    instrument = desk.add("EURUSD", "FX", AssetClass.FX)
    friday = minutes(ZoneInfo("UTC"), date(2026, 11, 13), ("00:00", "22:00"))
    monday = minutes(ZoneInfo("UTC"), date(2026, 11, 16), ("00:00", "23:59"))
    filled = []
    at = friday[-1] + MINUTE
    while at < monday[0]:
        filled.append(f"{at:%Y-%m-%dT%H:%M:%SZ},101,101,101,101,0")
        at += MINUTE
    desk.take(instrument, [*rows(friday), *filled, *rows(monday)])
    (count,) = desk.backfill(instrument, Timeframe.M1, month("2026-11-01"))
    assert count.out_of_session == 0
    rejected = desk.stores.quarantine.read("EURUSD", Timeframe.M1)
    assert rejected["reason"].to_list() == ["market_closed"]
    assert rejected["row_count"].to_list() == [2 * 24 * 60]
    desk.backfill(instrument, Timeframe.H1, month("2026-11-01"))
    hours = desk.stores.bars.read(["EURUSD"], Timeframe.H1, month("2026-11-01"))["time"]
    assert not any(at.weekday() == 5 for at in hours)
    assert check(desk, "in_session", Timeframe.M1).status.value == "passed"


@pytest.mark.parametrize(
    ("symbol", "calendar", "kind", "days", "closed"),
    [
        ("SPY", "XNYS", AssetClass.ETF, ["2026-11-25", "2026-11-26", "2026-11-27"], "2026-11-26"),
        ("SAP", "XETR", AssetClass.EQUITY, ["2026-04-02", "2026-04-03", "2026-04-07"], "2026-04-03"),
        ("EURUSD", "FX", AssetClass.FX, ["2026-11-13", "2026-11-14", "2026-11-16"], "2026-11-14"),
        ("GBPUSD", "FX", AssetClass.FX, ["2025-12-24", "2025-12-25", "2025-12-26"], "2025-12-25"),
    ],
)
def test_a_filled_holiday_is_no_daily_bar(
    desk: Desk, symbol: str, calendar: str, kind: AssetClass, days: list[str], closed: str
) -> None:
    instrument = desk.add(symbol, calendar, kind)
    lines = [f"{day},100,100,100,100,0" if day == closed else f"{day},99,101,98,100,500" for day in days]
    desk.take(instrument, lines)
    year = int(days[0][:4])
    desk.backfill(
        instrument, Timeframe.D1, Window(datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC))
    )
    stored = desk.stores.bars.read([symbol], Timeframe.D1, Window(datetime(2025, 1, 1, tzinfo=UTC), NOW))["time"]
    assert [f"{at:%Y-%m-%d}" for at in stored] == [day for day in days if day != closed]
    assert desk.stores.quarantine.read(symbol, Timeframe.D1)["reason"].to_list() == ["market_closed"]


def test_repeated_prices_that_are_stored_are_found(desk: Desk) -> None:
    """Bars from before the rule, or of a calendar that was corrected since."""
    instrument = desk.add("SPY", "24/7")
    desk.take(
        instrument, ["2026-11-25,99,101,98,100,500", "2026-11-26,100,100,100,100,0", "2026-11-27,99,101,98,100,5"]
    )
    desk.backfill(instrument, Timeframe.D1, Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)))
    desk.add("SPY", "XNYS")
    result = check(desk, "in_session", Timeframe.D1)
    assert (result.status.value, result.counts["repeated prices"]) == ("failed", 1)


# Doubtful silence inside a recording


UTC_ZONE = ZoneInfo("UTC")
YEARS = Window(datetime(2020, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


def days_of(desk: Desk, symbol: str) -> list[str]:
    return [f"{at:%Y-%m-%d}" for at in desk.stores.bars.read([symbol], Timeframe.D1, YEARS)["time"]]


@pytest.mark.parametrize(
    ("calendar", "kind", "zone", "days", "whole", "part"),
    some_usual(
        [
            ("24/7", AssetClass.CRYPTO, UTC_ZONE, 4, [("00:00", "24:00")], [("00:00", "16:48")]),
            ("24/7", AssetClass.CRYPTO, UTC_ZONE, 4, [("00:00", "24:00")], [("00:00", "10:00"), ("10:12", "24:00")]),
            ("XNYS", AssetClass.EQUITY, NEW_YORK, 4, [("09:30", "16:00")], [("09:30", "12:00"), ("14:00", "16:00")]),
            ("XTKS", AssetClass.EQUITY, TOKYO, 4, [("09:00", "11:30"), ("12:30", "15:30")], [("12:30", "15:30")]),
        ]
    ),
)
def test_minutes_that_a_recording_lacks_are_missing_and_their_day_has_no_bar(
    desk: Desk,
    calendar: str,
    kind: AssetClass,
    zone: ZoneInfo,
    days: int,
    whole: list[tuple[str, str]],
    part: list[tuple[str, str]],
) -> None:
    instrument = desk.add("S", calendar, kind)
    first = date(2026, 11, 16)
    given = [
        at
        for n in range(days)
        for at in minutes(zone, first + n * DAY, *(part if n == 1 else whole))
    ]  # fmt: skip
    expected = len(minutes(zone, first, *whole)) - len(minutes(zone, first, *part))
    desk.take(instrument, rows(given))
    (count,) = desk.backfill(instrument, Timeframe.M1, month("2026-11-01"))
    assert (count.missing, count.empty) == (expected, 0)
    assert desk.classes(instrument, Timeframe.M1)["missing"] == expected
    (daily,) = desk.backfill(instrument, Timeframe.D1, Window(YEARS.end - 365 * DAY, YEARS.end))
    assert days_of(desk, "S") == ["2026-11-16", "2026-11-18", "2026-11-19"]
    assert (daily.expected, daily.stored, daily.missing) == (4, 3, 1)
    assert [f"{at:%Y-%m-%d}" for at in daily.missing_sample] == ["2026-11-17"]
    assert check(desk, "completeness", Timeframe.M1).status.value == "failed"
    assert desk.backfill(instrument, Timeframe.M1, month("2026-11-01"))[0].missing == expected, "asked again, the same"


def test_the_real_day_of_bitcoin_that_stops_before_five(desk: Desk, test_data: Path) -> None:
    """2018-04-04 of the real file has no minute after 16:47 UTC, and the day after is there."""
    path = test_data / "minute/BTCUSD_coinbase_1m_trade.csv.gz"
    instrument = desk.add("BTCUSD", "24/7", AssetClass.CRYPTO)
    desk.take_file(instrument, path)
    (count,) = desk.backfill(instrument, Timeframe.M1, month("2018-04-01"))
    assert count.missing > 7 * 60
    desk.backfill(instrument, Timeframe.D1, Window(datetime(2018, 1, 1, tzinfo=UTC), datetime(2019, 1, 1, tzinfo=UTC)))
    year = Window(datetime(2018, 1, 1, tzinfo=UTC), datetime(2019, 1, 1, tzinfo=UTC))
    stored = desk.stores.bars.read(["BTCUSD"], Timeframe.D1, year)["time"]
    assert datetime(2018, 4, 4, tzinfo=UTC) not in stored.to_list()


@pytest.mark.exhaustive
def test_gold_rests_an_hour_each_day_and_lacks_a_whole_one(desk: Desk) -> None:
    """Minutes on the calendar of currencies, from 18:00 to 17:00 in New York, without Wednesday."""
    instrument = desk.add("XAUUSD", "FX", AssetClass.FX)
    start = datetime(2026, 11, 8, 18, tzinfo=NEW_YORK).astimezone(UTC)
    week = [start + n * MINUTE for n in range((4 * 24 + 23) * 60)]
    rests = [at for at in week if at.astimezone(NEW_YORK).hour == 17]
    lacks = [at for at in week if at.date() == date(2026, 11, 11)]
    given = [at for at in week if at not in set(rests) | set(lacks)]
    desk.take(instrument, rows(given))
    (count,) = desk.backfill(instrument, Timeframe.M1, month("2026-11-01"))
    assert count.missing == 24 * 60
    assert count.empty == 3 * 60, "the hour of rest of the other days"
    desk.backfill(instrument, Timeframe.D1, Window(YEARS.end - 365 * DAY, YEARS.end))
    assert days_of(desk, "XAUUSD") == ["2026-11-09", "2026-11-10", "2026-11-12", "2026-11-13"]


@pytest.mark.parametrize("sundays", some_usual([True, False]))
def test_weekdays_that_a_daily_file_of_gold_lacks_are_missing(desk: Desk, *, sundays: bool) -> None:
    """Three years of days, 73 weekdays left out; a vendor that has no Sundays lacks none of them."""
    instrument = desk.add("XAUUSD", "FX", AssetClass.FX)
    days = [datetime(2022, 1, 3, tzinfo=UTC) + n * DAY for n in range(3 * 364)]
    weekdays = [day for day in days if day.weekday() < 5 and f"{day:%m-%d}" not in ("12-25", "01-01")]
    lacking = set(weekdays[7::10][:73])
    given = [day for day in days if day in set(weekdays) - lacking or (sundays and day.weekday() == 6)]
    desk.take(instrument, [f"{day:%Y-%m-%d},100,103,99,101,10" for day in given])
    counts = [
        count
        for year in (2022, 2023, 2024)
        for count in desk.backfill(
            instrument, Timeframe.D1, Window(datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC))
        )
    ]
    assert sum(count.missing for count in counts) == 73


def test_a_thin_coin_s_quiet_minutes_are_no_trades(desk: Desk) -> None:
    instrument = desk.add("THINUSD", "24/7", AssetClass.CRYPTO)
    start = datetime(2026, 11, 10, tzinfo=UTC)
    times = [start + n * 7 * MINUTE + (n % 5) * MINUTE for n in range(600)]
    desk.take(instrument, rows(times), timeframe=Timeframe.M1)
    (count,) = desk.backfill(instrument, Timeframe.M1, month("2026-11-01"))
    assert (count.missing, count.stored) == (0, 600)


# Rows whose time cannot be read


@pytest.mark.parametrize(
    ("symbol", "calendar", "kind", "days", "unread", "placed"),
    [
        ("SPY", "XNYS", AssetClass.ETF, ["2026-11-09", "2026-11-10", "11.9.?", "2026-11-12"], 1, ["2026-11-11"]),
        ("SPY", "XNYS", AssetClass.ETF, ["2026-11-25", "2026-11-31", "2026-11-30"], 1, ["2026-11-27"]),
        ("SPY", "XNYS", AssetClass.ETF, ["2026-11-12", "n/a", "?", "2026-11-09"], 2, ["2026-11-10", "2026-11-11"]),
        ("BTCUSD", "24/7", AssetClass.CRYPTO, ["2026-11-07", "2026-11-32", "2026-11-09"], 1, ["2026-11-08"]),
        ("SPY", "XNYS", AssetClass.ETF, ["2026-11-09", "?", "2026-11-12"], 1, []),  # two sessions for one row
    ],
)
def test_a_session_with_an_unreadable_row_is_rejected_and_not_empty(
    desk: Desk, symbol: str, calendar: str, kind: AssetClass, days: list[str], unread: int, placed: list[str]
) -> None:
    instrument = desk.add(symbol, calendar, kind)
    desk.take(instrument, [f"{day},99,101,98,100,500" for day in days], timeframe=Timeframe.D1)
    (count,) = desk.backfill(instrument, Timeframe.D1, Window(YEARS.end - 365 * DAY, YEARS.end))
    expected = 2 if not placed else len(placed)
    assert (count.stored, count.rejected, count.empty) == (len(days) - unread, len(placed), 0)
    assert count.missing == expected - len(placed)
    found = desk.stores.quarantine.read(symbol, Timeframe.D1)
    assert sorted(f"{at:%Y-%m-%d}" for at in found["time"].drop_nulls()) == placed
    assert found["reason"].to_list() == ["unreadable_time"] * unread


def test_a_minute_with_an_unreadable_time_is_rejected(desk: Desk) -> None:
    instrument = desk.add("IBM", "XNYS")
    lines = rows(minutes(NEW_YORK, date(2026, 11, 23), ("09:30", "16:00")))
    lines[60] = "2026-11-23T15:99:00Z,100,103,99,101,10"
    desk.take(instrument, lines)
    (count,) = desk.backfill(instrument, Timeframe.M1, month("2026-11-01"))
    assert (count.stored, count.rejected, count.empty, count.missing) == (389, 1, 0, 0)


@pytest.mark.parametrize("newest_first", [False, True])
def test_rows_that_are_not_listed_count_as_rejected(desk: Desk, *, newest_first: bool) -> None:
    instrument = desk.add("BTCUSD", "24/7", AssetClass.CRYPTO)
    wrong, start = 12_000, datetime(2026, 11, 1, tzinfo=UTC)
    prices = ["10,10,10,10,1", *["10,9,10,10,1"] * wrong, "10,10,10,10,1"]
    rows = [f"{start + n * MINUTE:%Y-%m-%dT%H:%M:%SZ},{price}" for n, price in enumerate(prices)]
    file = desk.take(instrument, reversed(rows) if newest_first else rows)
    assert (file.accepted, file.quarantined) == (2, wrong)
    window = Window(start, start + (wrong + 2) * MINUTE)
    assert desk.stores.quarantine.times(["BTCUSD"], Timeframe.M1, window).height == wrong
    inside = Window(start + 11_000 * MINUTE, start + 11_010 * MINUTE)
    assert desk.stores.quarantine.times(["BTCUSD"], Timeframe.M1, inside)["time"].to_list() == [
        inside.start + n * MINUTE for n in range(10)
    ]
    (count,) = desk.backfill(instrument, Timeframe.M1, window)
    assert (count.stored, count.rejected) == (2, wrong)
