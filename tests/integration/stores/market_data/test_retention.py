"""How long bars and indicators live, on plain PostgreSQL and on TimescaleDB: afterwards both hold the same rows.

The limits are those of the user's document, written out here once more.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import psycopg
import pytest
from commands import rows
from databases import create, drop, newest_schema, upgraded
from hourly_bars import hour_of, hours, hours_of, minutes, now_of, run_jobs, stop_jobs, store, url_of, uses_timescaledb
from processes import REPOSITORY
from psycopg import sql
from schemas import bring_to, contents, new_database, renamed_columns, renamed_rows, shape, upgrade

from trading_platform.domain.derived.indicators import INDICATOR_NAMES
from trading_platform.domain.errors import StoreError
from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.market_data.bars import BarStore
from trading_platform.stores.market_data.retention import RetentionStore
from trading_platform.stores.postgres import migrations
from trading_platform.stores.postgres.database import Database, copy_frame, execute

RULES = {
    Timeframe.M1: (timedelta(days=7), "6 months", "1 month"),
    Timeframe.M5: (timedelta(days=28), "2 years", "3 months"),
    Timeframe.H1: (timedelta(days=84), "5 years", "6 months"),
    Timeframe.D1: (timedelta(days=364), None, "1 year"),
}
"""Span of a chunk, kept, compressed after."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TABLES = [f"{kind}_{timeframe}" for kind in ("bars", "indicators") for timeframe in Timeframe]


@pytest.fixture(params=["plain", "timescaledb"], scope="module")
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    url = request.getfixturevalue("database_url" if request.param == "plain" else "timescale_url")
    opened = Database(url)
    yield opened
    opened.close()


@pytest.fixture
def empty(database: Database) -> Iterator[Database]:
    """A database of its own on the same server, because what was aggregated once cannot be undone."""
    name, server = f"lifecycle_{uuid.uuid4().hex[:8]}", url_of(database)
    if uses_timescaledb(database):
        opened = Database(upgraded(create(server, name)))
    else:
        opened = Database(create(server, name, newest_schema(server)))
    stop_jobs(opened)
    yield opened
    opened.close()
    drop(server, name)


def before(database: Database, timestamp: datetime, span: str) -> datetime:
    with database.begin() as connection:
        return execute(
            connection, "SELECT %(timestamp)s::timestamptz - %(span)s::interval", {"timestamp": timestamp, "span": span}
        )[0][0]


def chunk_end(timestamp: datetime, chunk: timedelta) -> datetime:
    return EPOCH + ((timestamp - EPOCH) // chunk + 1) * chunk


def insert(database: Database, table: str, timestamps: list[datetime]) -> None:
    values = (
        "(time, symbol, open, high, low, close, volume, source) VALUES (%s, 'AAA', 1, 3, 0.5, 2, 10, 'test')"
        if table.startswith("bars")
        else "(time, symbol, sma_20) VALUES (%s, 'AAA', 1.5)"
    )
    with database.begin() as connection, connection.connection.cursor() as cursor:
        cursor.executemany(f"INSERT INTO market_data.{table} {values}", [(timestamp,) for timestamp in timestamps])


def times(database: Database, table: str) -> list[datetime]:
    with database.begin() as connection:
        found = execute(connection, "SELECT time FROM market_data.{table} ORDER BY time".replace("{table}", table))
        return [time for (time,) in found]


def keep_rules(database: Database, present: datetime) -> None:
    """What happens by the next morning: the policies' jobs, or the asset's work; both is what the asset does."""
    retention = RetentionStore(database, database)
    retention.make_partitions_ahead(present)
    retention.refresh_hours(present)
    run_jobs(database, "policy_refresh_continuous_aggregate", "policy_compression", "policy_retention")
    retention.drop_expired(present)
    retention.note_expired(present)


def test_rows_live_as_long_as_the_document_says(empty: Database) -> None:
    present = now_of(empty)
    kept: dict[str, list[datetime]] = {}
    for timeframe, (chunk, keep, compress) in RULES.items():
        limit = before(empty, present, keep or "30 years")
        edge = before(empty, present, compress)
        timestamps = {
            limit - 3 * chunk, limit - chunk - timedelta(hours=1), limit - chunk + timedelta(hours=1),
            limit - timedelta(hours=1), limit + timedelta(hours=1), limit + chunk,
            edge - 2 * chunk, edge - timedelta(hours=1), edge + timedelta(hours=1), present - timedelta(hours=1),
        }  # fmt: skip
        for kind in ("bars", "indicators"):
            table = f"{kind}_{timeframe}"
            insert(empty, table, sorted(timestamps))
            gone = {timestamp for timestamp in timestamps if keep and chunk_end(timestamp, chunk) <= limit}
            kept[table] = sorted(timestamps - gone)
            if keep:
                assert limit - 3 * chunk in gone
                assert limit + timedelta(hours=1) not in gone
    keep_rules(empty, present)
    assert {table: times(empty, table) for table in TABLES} == kept
    keep_rules(empty, present)
    assert {table: times(empty, table) for table in TABLES} == kept


def test_what_is_old_is_compressed_and_nothing_changes_by_it(empty: Database) -> None:
    if not uses_timescaledb(empty):
        pytest.skip("plain PostgreSQL does not compress")
    present = now_of(empty)
    for timeframe, (chunk, keep, compress) in RULES.items():
        edge = before(empty, present, compress)
        assert not keep or edge - 2 * chunk > before(empty, present, keep)
        for kind in ("bars", "indicators"):
            insert(empty, f"{kind}_{timeframe}", [edge - 2 * chunk, edge - chunk, edge + chunk / 2, present])
    before_them = {table: times(empty, table) for table in TABLES}
    run_jobs(empty, "policy_compression")
    assert {table: times(empty, table) for table in TABLES} == before_them
    with empty.begin() as connection:
        chunks = execute(connection, "SELECT table_name, range_end, compressed FROM market_data.chunks()")
    limits = {
        f"{kind}_{timeframe}": before(empty, present, compress)
        for timeframe, (_, _, compress) in RULES.items()
        for kind in ("bars", "indicators")
    }
    seen = {(table, compressed) for table, _, compressed in chunks if table in limits}
    assert seen == {(table, state) for table in limits for state in (True, False)}
    for table, end, compressed in chunks:
        if table in limits:
            assert compressed == (end <= limits[table]), (table, end)


def test_the_policies_are_the_documents_and_the_aggregate_is_out_of_their_reach(database: Database) -> None:
    """Over the database's own table of jobs: what is dropped can never be refreshed again, or compressed too early."""
    if not uses_timescaledb(database):
        pytest.skip("plain PostgreSQL has no policies")
    retention = RetentionStore(database, database)
    retention.ensure_policies()
    with database.begin() as connection:
        found = execute(
            connection,
            "SELECT hypertable_name, proc_name, config FROM timescaledb_information.jobs"
            " WHERE hypertable_schema = 'market_data'",
        )
        same = lambda text, span: execute(  # noqa: E731
            connection, "SELECT %(text)s::interval = %(span)s::interval", {"text": text, "span": span}
        )[0][0]
        policies = {(table, policy): config for table, policy, config in found}
        for timeframe, (_, keep, compress) in RULES.items():
            for kind in ("bars", "indicators"):
                table = f"{kind}_{timeframe}"
                assert same(policies[table, "policy_compression"]["compress_after"], compress)
                retention = policies.get((table, "policy_retention"))
                assert (retention is None) == (keep is None)
                assert retention is None or same(retention["drop_after"], keep)
        refresh = policies["ohlcv_1h", "policy_refresh_continuous_aggregate"]
        minutes = policies["bars_1m", "policy_retention"]["drop_after"]
        assert execute(
            connection,
            "SELECT now() - %(start)s::interval > now() - %(drop)s::interval + interval '7 days'",
            {"start": refresh["start_offset"], "drop": minutes},
        ) == [(True,)]
        hours = policies["ohlcv_1h", "policy_compression"]["compress_after"]
        assert execute(
            connection,
            "SELECT now() - %(compress)s::interval < now() - %(start)s::interval",
            {"compress": hours, "start": refresh["start_offset"]},
        ) == [(True,)]
    assert len(policies) == 8 + 6 + 3


def test_policies_that_somebody_changed_are_put_right_and_others_left_alone(database: Database) -> None:
    if not uses_timescaledb(database):
        pytest.skip("plain PostgreSQL has no policies")
    retention = RetentionStore(database, database)
    retention.ensure_policies()
    assert retention.ensure_policies() == []
    with database.begin() as connection:
        execute(connection, "SELECT remove_retention_policy('market_data.bars_5m')")
        execute(connection, "SELECT remove_compression_policy('market_data.bars_1d')")
        execute(connection, "SELECT add_compression_policy('market_data.bars_1d', interval '3 days')")
        execute(connection, "SELECT remove_continuous_aggregate_policy('market_data.ohlcv_1h')")
        execute(connection, "SELECT add_retention_policy('market_data.bars_1d', interval '9 years')")
    changed = retention.ensure_policies()
    assert {said.split()[0] for said in changed} == {"bars_5m", "bars_1d", "ohlcv_1h"}
    assert len(changed) == 4
    assert retention.ensure_policies() == []


def some_without_trades(bars: pl.DataFrame) -> pl.DataFrame:
    """Every third minute without a trade, at prices that none of the others has; every hundredth of unknown volume."""
    number = pl.int_range(pl.len())
    silent = number % 3 == 0
    carried = pl.lit(Decimal(10), dtype=BAR_SCHEMA["open"])
    return bars.with_columns(
        *(pl.when(silent).then(carried).otherwise(name).alias(name) for name in ("open", "high", "low", "close")),
        volume=pl.when(number % 100 == 99).then(None).when(silent).then(Decimal(0)).otherwise("volume"),
        quality=pl.when(silent).then(pl.lit("no_trade")).otherwise("quality"),
    ).cast(BAR_SCHEMA)  # type: ignore[arg-type]


def test_hours_take_their_prices_from_minutes_with_trades(empty: Database) -> None:
    present = now_of(empty)
    start = hour_of(present - timedelta(days=40))
    mixed = some_without_trades(minutes("AAA", start, 300))
    none = some_without_trades(minutes("BBB", start, 300)).filter(pl.col("quality") == "no_trade")
    store(empty, pl.concat([mixed, none]))
    refresh(empty, RetentionStore(empty, empty), present)
    found = hours(empty)
    assert found == hours_of(pl.concat([mixed, none]))
    assert {row[4] for row in found if row[1] == "AAA"}.isdisjoint({Decimal(10)})
    assert {row[2] for row in found if row[1] == "BBB"} == {Decimal(10)}
    assert {row[6] for row in found if row[1] == "AAA"} > {None}


@pytest.mark.exhaustive
def test_the_upgrade_stores_hours_with_minutes_without_trades_again(database: Database) -> None:
    with new_database(url_of(database)) as url:
        bring_to(url, "0009")
        opened = Database(url)
        present = now_of(opened)
        bars = some_without_trades(minutes("AAA", hour_of(present - timedelta(days=40)), 300))
        with opened.begin() as connection:
            copy_frame(connection, "market_data.bars_1m", bars)
        refresh(opened, RetentionStore(opened, opened), present)
        assert hours(opened) != hours_of(bars)
        upgrade(url_of(opened))
        refresh(opened, RetentionStore(opened, opened), present)
        assert hours(opened) == hours_of(bars)
        opened.close()


def test_the_hourly_aggregate_follows_late_bars_and_shows_the_newest(empty: Database) -> None:
    present = now_of(empty)
    retention = RetentionStore(empty, empty)
    old, middle = (hour_of(present - timedelta(days=days)) + timedelta(minutes=17) for days in (120, 40))
    first = pl.concat([minutes("AAA", old, 600), minutes("AAA", middle, 300), minutes("BBB", middle, 200)])
    store(empty, first)
    if not uses_timescaledb(empty):  # its policy may have looked at the empty table already
        assert hours(empty) == hours_of(first)
    refresh(empty, retention, present)
    assert hours(empty) == hours_of(first)
    fresh = minutes("AAA", hour_of(present) - timedelta(minutes=90), 85)
    store(empty, fresh)
    assert hours(empty) == hours_of(pl.concat([first, fresh]))  # without a refresh
    late = minutes("CCC", old + timedelta(days=1), 150)
    corrected = minutes("BBB", middle, 200, price=500)
    store(empty, pl.concat([late, corrected]))
    refresh(empty, retention, present)
    now_there = pl.concat([first.filter(pl.col("symbol") != "BBB"), corrected, late, fresh])
    assert hours(empty) == hours_of(now_there)
    with empty.begin() as connection:
        BarStore(empty).replace(
            connection,
            "AAA",
            Timeframe.M1,
            Window(middle, middle + timedelta(minutes=300)),
            pl.DataFrame(schema=BAR_SCHEMA),
        )
    refresh(empty, retention, present)
    gone = now_there.filter(
        ~((pl.col("symbol") == "AAA") & pl.col("time").is_between(middle, middle + timedelta(minutes=300)))
    )
    assert hours(empty) == hours_of(gone)


def refresh(database: Database, retention: RetentionStore, present: datetime) -> None:
    """As it happens by itself: TimescaleDB by its policy, the other by the asset."""
    if uses_timescaledb(database):
        run_jobs(database, "policy_refresh_continuous_aggregate")
    else:
        retention.refresh_hours(present)


def test_hours_outlive_their_minutes(empty: Database) -> None:
    """Bars that come from years ago, beyond what a policy refreshes, and are dropped because they are so old."""
    present = now_of(empty)
    retention = RetentionStore(empty, empty)
    ages = (timedelta(days=400), timedelta(days=170), timedelta(days=3))
    bars = pl.concat([minutes("AAA", hour_of(present - age), 180) for age in ages])
    store(empty, bars)
    retention.refresh_hours(present)
    for _ in range(2):
        keep_rules(empty, present)
        assert hours(empty) == hours_of(bars)
    left = times(empty, "bars_1m")
    assert min(left) == hour_of(present - ages[1])
    store(empty, minutes("ZZZ", hour_of(present - timedelta(days=165)), 30))
    store(empty, minutes("AAA", hour_of(present - ages[2]), 180, price=7))
    keep_rules(empty, present)
    assert [row for row in hours(empty) if row[0] < present - timedelta(days=300)] == hours_of(
        bars.filter(pl.col("time") < present - timedelta(days=300))
    )
    assert hours(empty)[-1][2:] == hours_of(minutes("AAA", hour_of(present - ages[2]), 180, price=7))[-1][2:]


@pytest.mark.exhaustive
def test_a_large_correction_of_compressed_bars(empty: Database) -> None:
    """More rows of one symbol than TimescaleDB decompresses for a statement unless it is set to."""
    present = now_of(empty)
    start = hour_of(present - timedelta(days=150))
    bars = minutes("AAA", start, 105_000)
    store(empty, bars)
    store(empty, minutes("BBB", start, 1_000))
    run_jobs(empty, "policy_compression")
    corrected = minutes("AAA", start, 105_000, price=300)
    store(empty, corrected)
    run_jobs(empty, "policy_compression")
    window = Window(start, present)
    assert BarStore(empty).read(["AAA"], Timeframe.M1, window).equals(corrected)
    assert BarStore(empty).read(["BBB"], Timeframe.M1, window).height == 1_000
    if uses_timescaledb(empty):
        with empty.begin() as connection:
            states = execute(connection, "SELECT compressed FROM market_data.chunks() WHERE table_name = 'bars_1m'")
        assert sum(compressed for (compressed,) in states) >= 8


def test_one_bar_upserted_into_a_compressed_chunk(empty: Database) -> None:
    """As the live path does it: a bar that is there already is corrected, one that is not is added."""
    present = now_of(empty)
    start = hour_of(present - timedelta(days=75))
    store(empty, minutes("AAA", start, 2_000))
    run_jobs(empty, "policy_compression")
    upsert = """
        INSERT INTO market_data.bars_1m AS bar (time, symbol, open, high, low, close, volume, source)
        VALUES (%(time)s, 'AAA', 1, 2, 1, 2, 7, 'late')
        ON CONFLICT (time, symbol, timeframe)
        DO UPDATE SET close = EXCLUDED.close, source = EXCLUDED.source
        WHERE (bar.close, bar.source) IS DISTINCT FROM (EXCLUDED.close, EXCLUDED.source)
    """
    known, new = start + timedelta(minutes=700), start - timedelta(minutes=1)
    for _ in range(2):
        with empty.begin() as connection:
            for timestamp in (known, new):
                execute(connection, upsert, {"time": timestamp})
    run_jobs(empty, "policy_compression")
    bars = BarStore(empty).read(["AAA"], Timeframe.M1, Window(start - timedelta(days=1), present))
    assert bars.height == 2_001
    assert bars.filter(pl.col("source") == "late")["time"].to_list() == [new, known]
    assert bars.filter(pl.col("source") == "late")["close"].to_list() == [Decimal(2), Decimal(2)]


def test_a_row_without_a_partition_waits_and_is_moved(empty: Database) -> None:
    if uses_timescaledb(empty):
        pytest.skip("TimescaleDB makes a chunk at the first row")
    present = now_of(empty)
    timestamps = [present - timedelta(days=days) for days in (160, 100, 33)]
    insert(empty, "bars_1m", timestamps)
    retention = RetentionStore(empty, empty)
    with empty.begin() as connection:
        waiting = execute(connection, "SELECT count(*) FROM market_data.bars_1m_default")[0][0]
    assert waiting > 0
    assert retention.make_partitions_ahead(present) >= waiting
    assert retention.make_partitions_ahead(present) == 0
    assert times(empty, "bars_1m") == timestamps
    with empty.begin() as connection:
        assert execute(connection, "SELECT count(*) FROM market_data.bars_1m_default") == [(0,)]


def test_partitions_are_there_before_their_time(database: Database) -> None:
    if uses_timescaledb(database):
        pytest.skip("TimescaleDB makes a chunk at the first row")
    present = now_of(database)
    RetentionStore(database, database).make_partitions_ahead(present)
    with database.begin() as connection:
        chunks = execute(connection, "SELECT table_name, range_start, range_end FROM market_data.chunks()")
    for timeframe, (chunk, _, _) in RULES.items():
        for kind in ("bars", "indicators"):
            spans = {start: end for table, start, end in chunks if table == f"{kind}_{timeframe}"}
            assert all(end - start == chunk and (start - EPOCH) % chunk == timedelta() for start, end in spans.items())
            timestamp = present
            for _ in range(3):
                (start,) = [start for start, end in spans.items() if start <= timestamp < end]
                timestamp = spans[start]


@pytest.mark.exhaustive
def test_writers_do_not_wait_for_a_reader_who_holds_the_default_partition(empty: Database) -> None:
    """A partition that cannot be made in time is left for later: its rows wait, and nothing is lost."""
    if uses_timescaledb(empty):
        pytest.skip("TimescaleDB makes a chunk at the first row")
    present = now_of(empty)
    bars = minutes("AAA", hour_of(present - timedelta(days=77)), 50)
    with empty.begin() as reader:
        execute(reader, "SELECT count(*) FROM market_data.bars_1m")
        store(empty, bars)
    assert BarStore(empty).read(["AAA"], Timeframe.M1, Window(EPOCH, present)).equals(bars)
    RetentionStore(empty, empty).make_partitions_ahead(present)
    assert BarStore(empty).read(["AAA"], Timeframe.M1, Window(EPOCH, present)).equals(bars)


def test_the_status_counts_what_is_there_and_what_is_due(empty: Database) -> None:
    present = now_of(empty)
    old = before(empty, present, "6 months") - timedelta(days=20)
    timestamps = [old, present - timedelta(days=50), present - timedelta(hours=1)]
    insert(empty, "bars_1m", timestamps)
    retention = RetentionStore(empty, empty)
    retention.make_partitions_ahead(present)
    found = {table.table: table for table in retention.status(present)}
    assert set(TABLES) < set(found)
    assert len(found) == 9
    table = found["bars_1m"]
    assert (table.rows, table.first, table.last, table.keep) == (3, timestamps[0], timestamps[-1], "6 months")
    assert (table.due_to_drop, table.overdue) == (1, 2 if uses_timescaledb(empty) else 1)
    assert table.due_to_compress == (2 if uses_timescaledb(empty) else None)
    assert table.bytes > 0
    assert found["bars_1d"].keep is None
    keep_rules(empty, present)
    after = {table.table: table for table in retention.status(present)}["bars_1m"]
    assert (after.rows, after.due_to_drop, after.overdue, after.due_to_compress or 0) == (2, 0, 0, 0)


def test_the_views_show_bars_and_indicators_as_before(empty: Database) -> None:
    present = now_of(empty)
    insert(empty, "bars_1h", [present])
    insert(empty, "indicators_1h", [present])
    with empty.begin() as connection:
        assert execute(connection, "SELECT time, symbol, timeframe, close FROM market_data.ohlcv") == [
            (present, "AAA", "1h", Decimal(2))
        ]
        assert execute(connection, "SELECT time, symbol, timeframe, indicator, value FROM market_data.indicators") == [
            (present, "AAA", "1h", "sma_20", Decimal("1.5"))
        ]
    assert "sma_20" in INDICATOR_NAMES
    for view in ("ohlcv", "indicators"):
        with pytest.raises(psycopg.Error, match="for reading only"), psycopg.connect(url_of(empty)) as connection:
            connection.execute(sql.SQL("DELETE FROM market_data.{}").format(sql.Identifier(view)))


@pytest.mark.parametrize("breaks_off", [False, True])
def test_bars_of_an_earlier_schema_become_chunks(
    timescale_url: str, monkeypatch: pytest.MonkeyPatch, *, breaks_off: bool
) -> None:
    with new_database(timescale_url) as url:
        bring_to(url, "0001")
        with psycopg.connect(url) as connection:
            connection.execute((REPOSITORY / "tests/fixtures/schema/rows_0001.sql").read_text().encode())
        columns, held = shape(url), contents(url)
        if breaks_off:
            original = Path.read_text

            def with_a_fault(path: Path, *arguments: object, **named: object) -> str:
                text = original(path, *arguments, **named)  # type: ignore[arg-type]
                return text + "\nSELECT 1 / 0;" if path.name == "0004_lifecycle.sql" else text

            with monkeypatch.context() as patched:
                patched.setattr(Path, "read_text", with_a_fault)
                with pytest.raises(StoreError, match="rejected a statement"):
                    upgrade(url)
            assert shape(url) == columns
            assert contents(url) == held
        assert upgrade(url) == ("0001", migrations.head())
        columns, held = renamed_columns(columns), renamed_rows(held)
        assert contents(url, columns) == held
        assert upgrade(url) == (migrations.head(), migrations.head())
        assert contents(url, columns) == held
        chunks = rows(url, "SELECT DISTINCT table_name FROM market_data.chunks()")
        assert {name for (name,) in chunks} >= set(TABLES)
