"""``gaps`` and ``repair`` over real files, from import to what every stretch without a bar is called."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import psycopg
import pytest
from commands import Installation, installation
from redis import Redis

from trading_platform.domain.time import Timeframe, Window, partition_windows, utc_now
from trading_platform.embedded.stack import Endpoints
from trading_platform.resources.platform import open_platform
from trading_platform.workflows.backfill.backfill_bars import backfill_bars
from trading_platform.workflows.gaps.gap_report import gap_report

pytestmark = pytest.mark.exhaustive

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


@pytest.fixture(scope="module")
def ours(stack: Endpoints, test_data: Path) -> Iterator[Installation]:
    """Three real files, imported and backfilled."""
    with installation(stack.database_url) as made:
        made.variables["REDIS_URL"] = stack.redis_url
        daily, minute = test_data / "daily", test_data / "minute"
        files = [daily / "SPY_lean_daily.csv", daily / "BTCUSD_coinbase_lean_daily_trade.csv"]
        assert made.run("import", *files).code == 0
        found = made.run("import", minute / "UNITTEST_BTC-1m.feather", "--symbol", "UNITBTC")
        assert found.code == 0, found.text
        with open_platform(made.settings()) as platform:
            for symbol, timeframe in (("SPY", Timeframe.D1), ("BTCUSD", Timeframe.D1), ("UNITBTC", Timeframe.M1)):
                (instrument,) = platform.instruments([symbol])
                if symbol != "SPY":
                    assert instrument.calendar == "24/7"
                available_history = platform.sources["file"].available_history(instrument, timeframe)
                parts = partition_windows(timeframe, Window(available_history[0].start, available_history[-1].end))
                report = backfill_bars(platform.stores, platform.sources, [instrument], timeframe, parts, clock=utc_now)
                assert not report.failures
        yield made


def intervals(
    made: Installation, symbol: str, timeframe: Timeframe, *, closed: bool = False
) -> list[tuple[str, Window, int]]:
    with open_platform(made.settings()) as platform:
        (instrument,) = platform.instruments([symbol])
        found = gap_report(platform.stores, platform.sources, instrument, timeframe, clock=utc_now, closed=closed)
        return [(each.what.value, each.window, each.bars) for each in found]


def test_the_538_gaps_of_minutes_are_minutes_without_trades(ours: Installation, test_data: Path) -> None:
    times = pl.read_ipc(test_data / "minute" / "UNITTEST_BTC-1m.feather")["date"].sort().to_list()
    steps = itertools.pairwise(times)
    expected = [(a + MINUTE, b) for a, b in steps if b - a > MINUTE]
    assert len(expected) == 538
    found = intervals(ours, "UNITBTC", Timeframe.M1)
    assert {what for what, _, _ in found} == {"no trades"}
    assert [(window.start, window.end) for _, window, _ in found] == [
        (a.replace(tzinfo=UTC), b.replace(tzinfo=UTC)) for a, b in expected
    ]


def test_days_that_a_daily_file_of_a_market_without_pause_leaves_out_are_missing(
    ours: Installation, test_data: Path
) -> None:
    column = pl.read_csv(test_data / "daily" / "BTCUSD_coinbase_lean_daily_trade.csv", infer_schema=False).to_series(0)
    days = [datetime.fromisoformat(text[:10]).replace(tzinfo=UTC) for text in column]
    expected = [Window(a + DAY, b) for a, b in itertools.pairwise(days) if b - a > DAY]
    assert len(expected) == 8
    found = intervals(ours, "BTCUSD", Timeframe.D1)
    assert {what for what, _, _ in found} == {"missing"}
    assert [window for _, window, _ in found] == expected
    assert max(bars for _, _, bars in found) == max((each.end - each.start).days for each in expected)


def test_spy_has_no_gap_and_its_holidays_were_closed(ours: Installation) -> None:
    assert intervals(ours, "SPY", Timeframe.D1) == []
    closed = intervals(ours, "SPY", Timeframe.D1, closed=True)
    assert {what for what, _, _ in closed} == {"closed"}

    def was_closed(day: date) -> bool:
        noon = datetime(day.year, day.month, day.day, 17, tzinfo=UTC)
        return any(noon in window for _, window, _ in closed)

    # Christmas, Good Friday, four days of September 2001, a president's funeral, two days of a hurricane
    off = [(2020, 12, 25), (2021, 4, 2), *((2001, 9, day) for day in (11, 12, 13, 14)), (2018, 12, 5)]
    off += [(2012, 10, 29), (2012, 10, 30)]
    assert [was_closed(date(*day)) for day in off if date(*day) < date(2021, 3, 31)] == [True] * 8
    assert not was_closed(date(2020, 12, 24)), "half a day is a session"


def test_the_commands_say_what_is_missing_and_that_a_file_cannot_give_more(ours: Installation, redis_url: str) -> None:
    repaired = ours.run("repair", "BTCUSD", "-t", "1d", "--json")
    assert repaired.code == 1
    assert repaired.json["repairs"] == {"failed_permanently": 8}
    assert Counter(row["what"] for row in repaired.json["left"]) == {"failed permanently": 8}
    shown = ours.run("gaps", "BTCUSD")
    assert shown.code == 1
    assert "file would return the" in shown.text  # the table folds it
    assert "BTCUSD 1d: 8 failed permanently" in shown.text
    with psycopg.connect(ours.settings().database_url.get_secret_value()) as connection:
        query = "SELECT event_type, severity FROM audit.system_events WHERE component <> 'quarantine'"
        events = connection.execute(query).fetchall()
    assert events == [("gaps_failed_permanently", "warning")]
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        published = [json.loads(fields["message"])["payload"] for _, fields in redis.xrange("alerts")]
    assert [(alert["event_type"], alert["metadata"]["gaps"], alert["over"]) for alert in published] == [
        ("gaps_failed_permanently", 8, False)
    ]


def test_a_deleted_row_comes_back_from_the_file(ours: Installation) -> None:
    day = datetime(2010, 6, 1, tzinfo=UTC)
    with psycopg.connect(ours.settings().database_url.get_secret_value()) as connection:
        assert (
            connection.execute("DELETE FROM market_data.bars_1d WHERE symbol = 'SPY' AND time = %s", (day,)).rowcount
            == 1
        )
    repaired = ours.run("repair", "SPY", "--json")
    assert repaired.code == 0, repaired.text
    assert json.dumps(repaired.json["repairs"]) == '{"repaired": 1}'
    assert len(repaired.json["missing_or_modified"]) == 1
    with open_platform(ours.settings()) as platform:
        (row,) = platform.stores.bars.read(["SPY"], Timeframe.D1, Window(day, day + DAY)).iter_rows(named=True)
    assert row["quality"] == "repaired"
    assert intervals(ours, "SPY", Timeframe.D1) == []


def test_another_source_can_be_named(ours: Installation) -> None:
    found = ours.run("instruments", "add", "SPY", "--fallback", "kraken", "--json")
    assert found.json["fallback_sources"] == ["kraken"]
    assert ours.run("instruments", "add", "SPY", "--fallback", "none", "--json").json["fallback_sources"] == []
    assert ours.run("instruments", "add", "SPY", "--fallback", "nobody").code == 2
