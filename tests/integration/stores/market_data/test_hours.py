"""The hours of ``market_data.ohlcv_1h`` beside dropped minutes, other refreshes and dead processes."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta

import hourly_bars
import polars as pl
import psycopg
import pytest
from commands import ROLES_PASSWORD, rows
from databases import create, drop, newest_schema, upgraded
from hourly_bars import hour_of, hours, hours_of, minutes, now_of, run_jobs, stop_jobs, url_of, uses_timescaledb
from psycopg import sql
from waiting import DEADLINE, wait_until

from trading_platform.domain.errors import StoreBusy
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.market_data.bars import BarStore
from trading_platform.stores.market_data.completeness.coverage import CoverageStore
from trading_platform.stores.market_data.retention import RetentionStore
from trading_platform.stores.market_data.stream.store import StreamStore
from trading_platform.stores.postgres.database import Database
from trading_platform.stores.postgres.roles import Role, as_role, set_passwords

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
OLD = timedelta(days=300)
AGGREGATE = (
    "SELECT materialization_hypertable_schema, materialization_hypertable_name"
    " FROM timescaledb_information.continuous_aggregates WHERE view_name = 'ohlcv_1h'"
)


@pytest.fixture(params=["plain", "timescaledb"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database of its own, because what was aggregated once cannot be undone."""
    server = request.getfixturevalue("database_url" if request.param == "plain" else "timescale_url")
    name = f"hours_{uuid.uuid4().hex[:8]}"
    url = create(server, name, newest_schema(server)) if request.param == "plain" else upgraded(create(server, name))
    opened = Database(url)
    stop_jobs(opened)
    yield opened
    opened.close()
    drop(server, name)


def answer(database: Database, bars: pl.DataFrame) -> None:
    """Stores the response of a source that has these minutes of one symbol."""
    window = Window(bars["time"][0], bars["time"][-1] + MINUTE)
    hourly_bars.answer(database, str(bars["symbol"][0]), bars, window)


def drop_old(database: Database, present: datetime, *, noted: bool = True) -> None:
    """Drops the minutes beyond retention, on TimescaleDB at first without anybody but its policy knowing."""
    retention = RetentionStore(database, database)
    run_jobs(database, "policy_retention")
    retention.drop_expired(present)
    if noted:
        retention.note_expired(present)


def recent(present: datetime) -> pl.DataFrame:
    return minutes("ZZZ", hour_of(present - timedelta(days=3)), 60)


def old_minutes(database: Database, symbol: str, count: int = 300, price: int = 100) -> pl.DataFrame:
    return minutes(symbol, hour_of(now_of(database) - OLD), count, price)


@pytest.mark.parametrize("noted", [True, False])
def test_minutes_that_come_back_make_their_hours_and_delete_no_others(database: Database, *, noted: bool) -> None:
    """Whether or not the nightly run has recorded before that the others' minutes are gone."""
    present = now_of(database)
    retention = RetentionStore(database, database)
    first, second, new = old_minutes(database, "AAA"), old_minutes(database, "BBB", price=300), recent(present)
    for bars in (first, new):
        answer(database, bars)
    retention.refresh_hours(present)
    drop_old(database, present, noted=noted)
    assert hours(database) == hours_of(pl.concat([first, new]))
    answer(database, second)
    for _ in range(2):
        retention.refresh_hours(present)
        assert hours(database) == hours_of(pl.concat([first, second, new]))
        run_jobs(database, "policy_refresh_continuous_aggregate", "policy_compression")
        drop_old(database, present)
    assert hours(database) == hours_of(pl.concat([first, second, new]))
    expired = CoverageStore(database).settled("AAA", Timeframe.M1)["test"]
    assert expired == [Window(first["time"][0], first["time"][-1] + MINUTE)]
    assert rows(url_of(database), "SELECT DISTINCT symbol FROM market_data.coverage WHERE NOT isempty(answered)") == [
        ("ZZZ",)
    ]


@pytest.mark.parametrize("noted", [True, False])
def test_an_hour_of_which_minutes_were_dropped_stays_until_all_come_back(database: Database, *, noted: bool) -> None:
    present = now_of(database)
    retention = RetentionStore(database, database)
    bars, new = old_minutes(database, "AAA"), recent(present)
    for each in (bars, new):
        answer(database, each)
    retention.refresh_hours(present)
    drop_old(database, present, noted=noted)
    corrected = old_minutes(database, "AAA", price=700)
    answer(database, corrected[70:95])
    retention.refresh_hours(present)
    assert hours(database) == hours_of(pl.concat([bars, new]))
    answer(database, corrected[60:120])
    retention.refresh_hours(present)
    assert hours(database) == hours_of(pl.concat([bars[:60], corrected[60:120], bars[120:], new]))


def test_old_minutes_of_a_stream_are_refreshed_too(database: Database) -> None:
    """As a replay of old ticks stores them, minute by minute; and again when they are corrected."""
    present = now_of(database)
    retention = RetentionStore(database, database)
    answer(database, recent(present))
    retention.refresh_hours(present)
    stream = StreamStore(database)
    for price in (100, 300):
        bars = old_minutes(database, "AAA", count=130, price=price)
        for number, part in enumerate(bars.iter_slices(20)):
            end = part["time"][-1] + MINUTE
            answered = {"AAA": [Window(part["time"][0], end)]}
            position = {"price": price, "number": number}
            stream.commit("test", "test", bars=part, answered=answered, until=end, position=position, now=present)
        retention.refresh_hours(present)
        assert hours(database) == hours_of(pl.concat([bars, recent(present)]))


def test_a_refresh_that_never_came_is_made_up_for(database: Database) -> None:
    """The process dies after it has stored the minutes: nothing but the database knows that their hours are due."""
    present = now_of(database)
    retention = RetentionStore(database, database)
    stored = [recent(present), old_minutes(database, "AAA"), minutes("BBB", hour_of(present - timedelta(days=178)), 90)]
    answer(database, stored[0])
    retention.refresh_hours(present)
    for bars in stored[1:]:
        answer(database, bars)
    retention.refresh_hours(present)
    drop_old(database, present)
    assert hours(database) == hours_of(pl.concat(stored))
    gone = Window(stored[2]["time"][0], stored[2]["time"][-1] + MINUTE)
    with database.begin() as connection:
        BarStore(database).replace(connection, "BBB", Timeframe.M1, gone, stored[2].clear())
    retention.refresh_hours(present)
    assert hours(database) == hours_of(pl.concat(stored[:2]))


def test_only_old_minutes_and_no_refresh_before(database: Database) -> None:
    """A first import of years ago, of one symbol and then of another, dropped the night after."""
    present = now_of(database)
    retention = RetentionStore(database, database)
    found = []
    for number, symbol in enumerate(("AAA", "BBB", "CCC")):
        found.append(minutes(symbol, hour_of(present - OLD) + number % 2 * timedelta(days=20), 150))
        answer(database, found[-1])
        retention.refresh_hours(present)
        drop_old(database, present)
        assert hours(database) == hours_of(pl.concat(found))


def test_a_role_alone_refreshes_what_the_policy_does_not_reach(database: Database) -> None:
    present = now_of(database)
    answer(database, recent(present))
    RetentionStore(database, database).refresh_hours(present)
    bars = old_minutes(database, "AAA")
    answer(database, bars)
    set_passwords(url_of(database), {Role.INGEST: ROLES_PASSWORD})
    as_ingest = Database(as_role(url_of(database), Role.INGEST, ROLES_PASSWORD))
    RetentionStore(as_ingest, None).refresh_hours(present)
    as_ingest.close()
    assert hours(database) == hours_of(pl.concat([bars, recent(present)]))


def test_minutes_that_are_stored_during_a_refresh_are_due_for_the_next(database: Database) -> None:
    """In a chunk that is not there yet when the refresh begins, and committed before it looks for what is due."""
    if not uses_timescaledb(database):
        pytest.skip("plain PostgreSQL makes partitions in transactions of their own")
    present = now_of(database)
    retention = RetentionStore(database, database)
    first, second = old_minutes(database, "AAA"), minutes("AAA", hour_of(present - OLD - timedelta(days=30)), 300)
    for bars in (first, recent(present)):
        answer(database, bars)
        retention.refresh_hours(present)
    found = rows(url_of(database), AGGREGATE)[0]
    with ThreadPoolExecutor() as pool, psycopg.connect(url_of(database)) as holder:
        holder.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(*found)))
        refresh = pool.submit(retention.refresh_hours, present)
        wait_until(lambda: rows(url_of(database), "SELECT 1 FROM pg_locks WHERE NOT granted"), "the refresh")
        answer(database, second)
        holder.commit()
        refresh.result(timeout=DEADLINE)
    retention.refresh_hours(present)
    assert hours(database) == hours_of(pl.concat([second, first, recent(present)]))


# Another refresh ----------------------------------------------------------------------------------


@contextmanager
def held_refresh(database: Database) -> Iterator[Callable[[], None]]:
    """A refresh by TimescaleDB's policy that gets no further until the function that it gives is called."""
    url = url_of(database)
    threshold = "_timescaledb_catalog.continuous_aggs_invalidation_threshold"
    with ThreadPoolExecutor() as pool, psycopg.connect(url) as holder:
        holder.execute(f"SELECT FROM {threshold} FOR UPDATE".encode())
        policy = pool.submit(run_jobs, database, "policy_refresh_continuous_aggregate")
        wait_until(lambda: rows(url, "SELECT 1 FROM pg_locks WHERE NOT granted"), "the policy at its threshold")
        yield holder.commit
        holder.commit()
        policy.result(timeout=DEADLINE)


def with_minutes_that_nobody_refreshed(database: Database) -> tuple[datetime, pl.DataFrame]:
    """Minutes within the policy's reach, and others that only the platform's refresh reaches."""
    if not uses_timescaledb(database):
        pytest.skip("on plain PostgreSQL one refresh waits for the other")
    present = now_of(database)
    answer(database, recent(present))
    RetentionStore(database, database).refresh_hours(present)
    bars = [minutes("AAA", hour_of(present - timedelta(days=age)), 120) for age in (300, 165, 40)]
    for each in bars:
        answer(database, each)
    return present, pl.concat([*bars, recent(present)])


def test_a_refresh_that_meets_another_waits_for_it(database: Database) -> None:
    present, bars = with_minutes_that_nobody_refreshed(database)
    pauses: list[float] = []
    with held_refresh(database) as release:

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                release()
                wait_until(lambda: not refreshing(database), "the end of the other refresh")

        RetentionStore(database, database, sleep=sleep).refresh_hours(present)
    assert pauses == [0.5, 1, 2]
    assert hours(database) == hours_of(bars)
    drop_old(database, present)
    assert hours(database) == hours_of(bars)


def refreshing(database: Database) -> bool:
    """Whether a refresh is at work in the database."""
    statement = (
        "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND query LIKE %s AND state = 'active'"
    )
    return bool(rows(url_of(database), statement, ("CALL run_job%",)))


def test_what_is_due_stays_due_when_the_other_does_not_end(database: Database) -> None:
    present, bars = with_minutes_that_nobody_refreshed(database)
    pauses: list[float] = []
    with held_refresh(database):
        with pytest.raises(StoreBusy, match="Another transaction has what this one needs") as caught:
            RetentionStore(database, database, sleep=pauses.append).refresh_hours(present)
        assert caught.value.retryable
        assert "concurrent refresh" in str(caught.value.received)
        assert 55 < sum(pauses) < 65
    RetentionStore(database, database, sleep=no_wait).refresh_hours(present)
    drop_old(database, present)
    assert hours(database) == hours_of(bars)


def no_wait(seconds: float) -> None:
    raise AssertionError(f"waits {seconds} s for nobody")


def test_two_refreshes_of_the_platform_take_turns(database: Database) -> None:
    """The lock ends with the session of the one that has it, however that ends."""
    present, bars = with_minutes_that_nobody_refreshed(database)
    other = psycopg.connect(url_of(database), autocommit=True)
    ((pid,),) = other.execute("SELECT pg_backend_pid()")
    other.execute("SELECT pg_advisory_lock(hashtext('refresh'), hashtext('ohlcv_1h'))")
    pauses: list[float] = []
    with pytest.raises(StoreBusy, match="Another process refreshes the hours"):
        RetentionStore(database, database, sleep=pauses.append).refresh_hours(present)
    assert rows(url_of(database), "SELECT pg_terminate_backend(%s, 10000)", (pid,)) == [(True,)]
    RetentionStore(database, database, sleep=no_wait).refresh_hours(present)
    assert hours(database) == hours_of(bars)
    other.close()
