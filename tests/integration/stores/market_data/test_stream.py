"""What a stream commits: bars, proof, longer bars and position together, once, on PostgreSQL and on TimescaleDB."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
from commands import ROLES_PASSWORD, rows, tables
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from processes import environment
from properties import examples, some_usual
from waiting import LONG, wait_until

from trading_platform.domain.errors import StoreError
from trading_platform.domain.market.bars import BAR_SCHEMA, mark_gaps
from trading_platform.domain.market.calendars import sessions
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe, Window, partition_windows
from trading_platform.stores.market_data.completeness.coverage import ROLLED_UP, Outcome, Request
from trading_platform.stores.market_data.completeness.outages import LATE_EVENTS, OutageState
from trading_platform.stores.market_data.stream.store import Committed
from trading_platform.stores.postgres.database import execute
from trading_platform.stores.postgres.roles import Role, as_role
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.bars.roll_up_bars import roll_up_bars

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
START = datetime(2026, 11, 18, tzinfo=UTC)
BTC = Instrument("BTCUSD", AssetClass.CRYPTO, "24/7", "kraken")
ETH = Instrument("ETHUSD", AssetClass.CRYPTO, "24/7", "kraken")
SPY = Instrument("SPY", AssetClass.ETF, "XNYS", "ibkr")


@pytest.fixture
def stores(server_url: str, tmp_path: Path) -> Iterator[Stores]:
    """Empty, as the role that streams."""
    with psycopg.connect(server_url) as connection:
        connection.execute(
            "TRUNCATE config.instruments, market_data.bars_1m, market_data.bars_5m, market_data.bars_1h,"
            " market_data.bars_1d, market_data.coverage, market_data.coverage_requests, market_data.input_versions,"
            " market_data.stream_positions, market_data.outages"
        )
    with open_stores(as_role(server_url, Role.INGEST, ROLES_PASSWORD), tmp_path) as opened:
        for instrument in (BTC, ETH, SPY):
            opened.instruments.add(instrument)
        yield opened


def at(minute: int) -> datetime:
    return START + minute * MINUTE


def span(first: int, end: int) -> Window:
    return Window(at(first), at(end))


def bars(prices: Sequence[tuple[int, int]], symbol: str = "BTCUSD", **values: object) -> pl.DataFrame:
    """Bars that stand at one price each, by the minute of the day."""
    columns = {"source": "kraken", "quality": "traded"} | values
    return pl.DataFrame(
        [
            (at(minute), symbol, "1m", *[Decimal(price)] * 4, Decimal(1), columns["source"], columns["quality"])
            for minute, price in prices
        ],
        schema=BAR_SCHEMA,
        orient="row",
    )


def commit(stores: Stores, found: pl.DataFrame, first: int, end: int, **values: Any) -> Committed:
    """Minutes of all symbols in them, answered for from the first until the last."""
    answered = {symbol: [span(first, end)] for symbol in found["symbol"].unique()} or {"BTCUSD": [span(first, end)]}
    commit = {"stream": "kraken", "answered": answered, "until": at(end), "position": {"offset": end}, "now": at(end)}
    return stores.stream.commit(source="kraken", bars=found, **(commit | values))


def stored(stores: Stores, timeframe: Timeframe = Timeframe.M1, symbol: str = "BTCUSD") -> pl.DataFrame:
    return stores.bars.read([symbol], timeframe, Window(START - DAY, START + 9 * DAY))


def version(stores: Stores, timeframe: Timeframe = Timeframe.M1) -> int:
    return stores.input_versions.bar_versions(["BTCUSD"], timeframe).before(["BTCUSD"], START + 365 * DAY)


def test_bars_proof_and_position_are_stored_together(stores: Stores) -> None:
    found = bars([(0, 100), (2, 101)])
    done = commit(stores, found, 0, 3)
    assert done.bars == {Timeframe.M1: 2}
    assert done.symbols == {"BTCUSD"}
    assert stored(stores).equals(found)
    assert stores.coverage.answered("BTCUSD", Timeframe.M1) == {"kraken": [span(0, 3)]}
    position = stores.stream.position("kraken")
    assert position is not None
    assert (position.position, position.until) == ({"offset": 3}, at(3))
    assert stores.stream.position("another") is None


def test_the_same_again_changes_nothing(stores: Stores, server_url: str) -> None:
    found = pl.concat([bars([(0, 100), (2, 120), (4, 121)]), bars([(1, 7)], "ETHUSD")])
    late = [("BTCUSD", at(-10) + timedelta(seconds=59))]
    commit(stores, found, 0, 5, late=late)
    before = tables(server_url)
    assert before["stream_positions"]
    assert before["outages"]
    done = commit(stores, found, 0, 5, late=late, now=at(60))
    assert (done.bars, done.symbols, done.withdrawn) == ({}, frozenset(), {})
    assert tables(server_url) == before


def test_a_version_moves_on_only_with_a_change(stores: Stores, server_url: str) -> None:
    found = bars([(minute, 100) for minute in range(4)])
    commit(stores, found.head(2), 0, 2)
    first = version(stores)
    assert first
    commit(stores, found.head(2), 0, 3)
    assert version(stores) == first, "a minute without a trade is no change"
    commit(stores, found, 0, 4)
    assert version(stores) > first
    kept = rows(server_url, "SELECT lower(asked), upper(asked), stored, origin FROM market_data.coverage_requests")
    assert kept == [(at(0), at(4), 4, "stream")], "one row a symbol and day"


# What is there already


def test_a_gap_is_judged_by_the_close_before_wherever_that_came_from(stores: Stores) -> None:
    commit(stores, bars([(0, 100), (3, 150)]), 0, 4)
    assert stored(stores)["quality"].to_list() == ["traded", "review"]
    commit(stores, bars([(5, 151)]), 4, 6)
    commit(stores, bars([(2, 149)]), 0, 3)
    assert list(zip(stored(stores)["close"], stored(stores)["quality"], strict=True)) == [
        (Decimal(100), "traded"),
        (Decimal(149), "review"),
        (Decimal(150), "traded"),
        (Decimal(151), "traded"),
    ]
    before = bars([(0, 300)]).with_columns(time=pl.lit(START - 60 * DAY).cast(BAR_SCHEMA["time"]))
    stores.bars.prepare(Timeframe.M1, before)
    commit(stores, before, 0, 1)
    assert stored(stores)["quality"].to_list()[0] == "review", "a close of two months ago"


@pytest.mark.parametrize(
    ("there", "wins"),
    [
        ({"source": "file"}, "the stored one"),
        ({"quality": "repaired"}, "the stored one"),
        ({"quality": "no_trade"}, "the live one"),
        ({}, "the live one"),
    ],
)
def test_a_live_bar_gives_way_to_what_somebody_asked_for(stores: Stores, there: dict[str, str], wins: str) -> None:
    known = bars([(1, 100)], **there)
    with stores.database.begin() as connection:
        stores.bars.replace(connection, "BTCUSD", Timeframe.M1, span(0, 3), known)
    commit(stores, bars([(0, 101), (1, 102)]), 0, 3)
    kept = stored(stores).filter(pl.col("time") == at(1))
    assert kept.equals(known if wins == "the stored one" else bars([(1, 102)]))


def test_a_minute_without_a_bar_takes_nothing_away(stores: Stores) -> None:
    known = bars([(1, 100)], quality="no_trade")
    with stores.database.begin() as connection:
        stores.bars.replace(connection, "BTCUSD", Timeframe.M1, span(0, 3), known)
    assert commit(stores, bars([]), 0, 3).bars == {}
    assert stored(stores).equals(known)


# Longer bars


def streamed(stores: Stores, first: int, end: int, step: int, instruments: Sequence[Instrument] = (BTC,)) -> None:
    """Minutes with moving prices and pauses, some a commit."""
    for start in range(first, end, step):
        stop = min(start + step, end)
        prices = [(n, 100 + n * n % 13) for n in range(start, stop) if n % 17]
        commit(stores, pl.concat([bars(prices, each.symbol) for each in instruments]), start, stop)


@pytest.mark.parametrize("step", some_usual([1440, 1, 7, 60]))
def test_longer_bars_are_those_of_a_roll_up_whatever_the_steps(stores: Stores, step: int) -> None:
    end = 1440 if step > 1 else 125
    streamed(stores, 0, end, step, (BTC, ETH))
    counted = {Timeframe.M5: end // 5, Timeframe.H1: end // 60, Timeframe.D1: end // 1440}
    for timeframe, count in counted.items():
        assert stored(stores, timeframe).height == count
        assert stores.coverage.answered("BTCUSD", timeframe) == (
            {ROLLED_UP: [Window(START, START + count * timeframe.duration)]} if count else {}
        )
        version_before = version(stores, timeframe)
        for instrument in (BTC, ETH):
            done = roll_up_bars(
                stores,
                instrument,
                timeframe,
                partition_windows(timeframe, span(0, 1440)),
                clock=lambda: START + 2 * DAY,
            )
            assert done
            assert not any(done), timeframe
        assert version(stores, timeframe) == version_before


def test_a_longer_bar_waits_for_all_of_its_minutes(stores: Stores) -> None:
    streamed(stores, 2, 9, 1)
    assert stored(stores, Timeframe.M5).is_empty()
    streamed(stores, 9, 10, 1)
    assert stored(stores, Timeframe.M5)["time"].to_list() == [at(5)]
    commit(stores, bars([(0, 90)]), 0, 2, until=at(10))
    assert stored(stores, Timeframe.M5)["low"].to_list() == [Decimal(90), min(100 + n * n % 13 for n in range(5, 10))]


def test_a_longer_bar_that_a_source_has_given_stays(stores: Stores) -> None:
    given = bars([(0, 7)]).with_columns(timeframe=pl.lit("5m"))
    with stores.database.begin() as connection:
        stores.bars.replace(connection, "BTCUSD", Timeframe.M5, span(0, 5), given)
        request = Request("BTCUSD", Timeframe.M5, "kraken", span(0, 5), Outcome.STORED, "test", at(5))
        stores.coverage.record(connection, request, [span(0, 5)])
    streamed(stores, 0, 10, 5)
    assert stored(stores, Timeframe.M5)["close"].to_list()[0] == 7
    assert stored(stores, Timeframe.M5).height == 2


def test_a_day_of_an_exchange_is_its_session(stores: Stores) -> None:
    """The bar comes when the session's last minute is final, and holds no minute from outside it."""
    ((session, opens, closes),) = sessions("XNYS", Window(START, START + 8 * DAY)).head(1).iter_rows()
    first, end = (opens - START) // MINUTE, (closes - START) // MINUTE

    def minutes(start: int, stop: int) -> None:
        found = bars([(n, 1 if n < first or n >= end else 50 + n % 3) for n in range(start, stop)], "SPY")
        commit(stores, found, start, stop)

    minutes(first - 30, end - 1)
    assert stored(stores, Timeframe.D1, "SPY").is_empty()
    minutes(end - 1, end + 10)
    made = stored(stores, Timeframe.D1, "SPY")
    assert made.select("time", "low", "high", "volume").rows() == [
        (session, Decimal(50), Decimal(52), Decimal(end - first))
    ]
    year = partition_windows(Timeframe.D1, Window(session, session + DAY))
    assert roll_up_bars(stores, SPY, Timeframe.D1, year, clock=lambda: session + 2 * DAY) == [False]


# Late events


def test_late_minutes_are_noted_to_be_asked_for_again(stores: Stores) -> None:
    commit(stores, bars([(0, 100), (1, 101)]), 0, 3)
    late = [("BTCUSD", at(0) + timedelta(seconds=30)), ("BTCUSD", at(1)), ("ETHUSD", at(2))]
    done = commit(stores, bars([]), 3, 4, late=late)
    assert done.withdrawn == {"BTCUSD": [span(0, 2)], "ETHUSD": [span(2, 3)]}
    assert stores.coverage.answered("BTCUSD", Timeframe.M1) == {"kraken": [span(2, 4)]}
    assert stored(stores).height == 2, "the bars stay until the source has answered"
    noted = {(each.symbol, each.window(), each.state, each.reason) for each in stores.outages.due(at(4))}
    assert noted == {
        ("BTCUSD", span(0, 2), OutageState.CLOSED, LATE_EVENTS),
        ("ETHUSD", span(2, 3), OutageState.CLOSED, LATE_EVENTS),
    }


def test_a_minute_that_was_repaired_and_told_of_again_is_repaired_again(stores: Stores) -> None:
    commit(stores, bars([(0, 100)]), 0, 2, late=[("BTCUSD", at(0))])
    (outage,) = stores.outages.due(at(2))
    assert stores.outages.begin(outage.id, at(2), MINUTE)
    with stores.database.begin() as connection:
        stores.outages.repaired(connection, outage, at(2), "done")
    assert stores.outages.due(at(9)) == []
    commit(stores, bars([]), 2, 3, late=[("BTCUSD", at(0))])
    assert [(each.id, each.attempts) for each in stores.outages.due(at(9))] == [(outage.id, 0)]


# All or nothing


def test_what_fails_leaves_nothing_behind(stores: Stores, server_url: str) -> None:
    commit(stores, bars([(0, 100)]), 0, 1)
    before = tables(server_url)
    with pytest.raises(StoreError):
        commit(stores, bars([(1, 100)]), 1, 5, position={"text": "\0"})
    assert tables(server_url) == before


STREAMER = """
import sys
from datetime import datetime, timedelta
from decimal import Decimal
import polars as pl
from trading_platform.domain.market.bars import BAR_SCHEMA, mark_gaps
from trading_platform.domain.time import Window
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.market_data.stream.store import StreamStore
url, start, count = sys.argv[1], datetime.fromisoformat(sys.argv[2]), int(sys.argv[3])
symbols = [f"S{number:02}" for number in range(20)]
store = StreamStore(Database(url))
known = store.position("live")
minute = known.position["minute"] if known else 0
print("ready", flush=True)
while minute < count:
    time = start + minute * timedelta(minutes=1)
    end = time + timedelta(minutes=1)
    bars = pl.DataFrame(
        [(time, name, "1m", *[Decimal(100 + minute * minute % 7)] * 4, Decimal(1), "kraken", "traded")
         for name in symbols],
        schema=BAR_SCHEMA, orient="row")
    minute += 1
    store.commit("live", "kraken", bars=bars, answered={name: [Window(time, end)] for name in symbols}, until=end,
                 position={"minute": minute}, now=end)
    print(minute, flush=True)
"""


def whole(url: str, until: int) -> None:
    """Bars, proof, longer bars and position tell the same: everything before a minute, nothing after it."""
    counted = "SELECT count(*) FROM market_data.bars_{}"
    assert rows(url, counted.format("1m")) == [(20 * until,)]
    assert rows(url, counted.format("5m")) == [(20 * (until // 5),)]
    assert rows(url, counted.format("1h")) == [(20 * (until // 60),)]
    if until:
        proven = "SELECT DISTINCT answered::text FROM market_data.coverage WHERE timeframe = '1m'"
        assert rows(url, proven) == rows(url, "SELECT tstzmultirange(tstzrange(%s, %s))::text", [START, at(until)])
        last = "SELECT max(time), min(time) FROM market_data.bars_1m"
        assert rows(url, last) == [(at(until - 1), START)]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_where_it_was(stores: Stores, server_url: str) -> None:
    """Twenty times ``kill -9`` of a real process that commits as fast as it can."""
    assert stores
    chance, count, killed = random.Random(11), 400, 0
    command = [
        sys.executable,
        "-c",
        STREAMER,
        as_role(server_url, Role.INGEST, ROLES_PASSWORD),
        START.isoformat(),
        str(count),
    ]
    position = "SELECT position ->> 'minute' FROM market_data.stream_positions"
    for attempt in range(60):
        process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        if attempt < 20:
            for _ in range(chance.randrange(25)):
                process.stdout.readline()
            time.sleep(chance.uniform(0, 0.01))  # somewhere in the next commit
            process.kill()
        process.stdout.read()
        killed += process.wait(LONG) == -signal.SIGKILL
        process.stdout.close()
        wait_until_alone(server_url)
        found = rows(server_url, position)
        until = int(found[0][0]) if found else 0
        whole(server_url, until)
        if until == count:
            break
    assert until == count
    assert killed >= 10
    assert rows(server_url, "SELECT DISTINCT stored FROM market_data.coverage_requests WHERE timeframe = '1m'") == [
        (count,)
    ]


def wait_until_alone(url: str) -> None:
    """The server notices that a client is gone when it next has something to say to it."""
    others = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND state <> 'idle' AND backend_type = 'client backend'"
    )
    wait_until(lambda: rows(url, others) == [(0,)], "the server to notice")


# In any order, and at once


@pytest.mark.exhaustive
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(25))
@given(
    prices=st.lists(st.integers(90, 115), min_size=1, max_size=24),
    order=st.randoms(use_true_random=False),
    size=st.integers(1, 9),
)
def test_in_whatever_order_minutes_come_they_are_judged_as_one(
    stores: Stores, prices: list[int], order: random.Random, size: int
) -> None:
    with stores.database.begin() as connection:
        execute(connection, "DELETE FROM market_data.bars_1m")
        execute(connection, "DELETE FROM market_data.stream_positions")
    shuffled = list(enumerate(prices))
    order.shuffle(shuffled)
    for start in range(0, len(shuffled), size):
        part = bars(sorted(shuffled[start : start + size]))
        commit(stores, part, 0, len(prices), position={"start": start})
        commit(stores, part, 0, len(prices), position={"start": start})
    assert stored(stores).equals(mark_gaps(bars(sorted(shuffled))))


@pytest.mark.exhaustive
def test_two_that_write_the_same_symbols_at_once_do_not_hinder_each_other(stores: Stores) -> None:
    names = [f"S{number}" for number in range(12)]
    failed: list[Exception] = []

    def run(stream: str, chosen: Sequence[str]) -> None:
        try:
            for minute in range(30):
                found = pl.concat([bars([(minute, 100 + minute)], name) for name in sorted(chosen)])
                commit(stores, found, minute, minute + 1, stream=stream)
        except Exception as error:  # noqa: BLE001 - reported to the test
            failed.append(error)

    threads = [
        threading.Thread(target=run, args=("one", names[:8])),
        threading.Thread(target=run, args=("two", names[:3:-1])),
        threading.Thread(target=run, args=("three", names)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert failed == []
    assert stores.bars.read(names, Timeframe.M1, span(0, 60)).height == 12 * 30
    assert stores.bars.read(names, Timeframe.M5, span(0, 60)).height == 12 * 6
    for stream in ("one", "two", "three"):
        position = stores.stream.position(stream)
        assert position is not None
        assert position.until == at(30)
