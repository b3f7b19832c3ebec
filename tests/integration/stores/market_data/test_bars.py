"""The stores over a real database: what is written comes back, all of it or nothing."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
import psycopg
import pytest
from commands import rows
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from properties import examples
from waiting import DEADLINE, wait_until

from trading_platform.domain.derived.indicators import INDICATOR_NAMES, compute_indicators
from trading_platform.domain.errors import StoreError, StoreUnavailable
from trading_platform.domain.market.bars import BAR_SCHEMA, content_hash, empty_bars, mark_gaps
from trading_platform.domain.quality.rules import REJECTED_SCHEMA
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.market_data.bars import BarStore
from trading_platform.stores.market_data.completeness.coverage import CoverageStore, Outcome, Request
from trading_platform.stores.market_data.indicators import IndicatorStore
from trading_platform.stores.market_data.input_versions import InputVersionStore
from trading_platform.stores.market_data.quarantine import QuarantineStore
from trading_platform.stores.postgres.database import Database

START = datetime(2024, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)
YEAR = Window(START, START + 366 * DAY)
TICK = Decimal("0.00000001")
on_real_servers = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=examples(40))

prices = st.none() | st.integers(1, 10**18 - 1).map(lambda units: units * TICK)
volumes = st.none() | st.integers(0, 10**24 - 1).map(lambda units: units * TICK)
qualities = st.sampled_from(["traded", "no_trade", "repaired", "review"])
any_bars = st.lists(
    st.tuples(st.integers(0, 365), prices, prices, prices, prices, volumes, qualities),
    unique_by=lambda row: row[0],
    max_size=20,
)


@pytest.fixture(autouse=True)
def nothing_stored(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "TRUNCATE market_data.bars_1m, market_data.bars_5m, market_data.bars_1h, market_data.bars_1d,"
            " market_data.indicators_1d, market_data.coverage, market_data.coverage_requests, market_data.quarantine"
        )


def frame_of(found: Sequence[Sequence[object]], symbol: str = "SPY", timeframe: str = "1d") -> pl.DataFrame:
    step = {"1d": DAY, "1m": MINUTE}[timeframe]
    return pl.DataFrame(
        [(START + number * step, symbol, timeframe, *values, "file", quality) for number, *values, quality in found],
        schema=BAR_SCHEMA,
        orient="row",
    ).sort("time")


def flat(prices_by_day: dict[int, int], symbol: str = "SPY") -> pl.DataFrame:
    """Bars that stand at one price each."""
    return frame_of([(day, *[Decimal(price)] * 5, "traded") for day, price in prices_by_day.items()], symbol)


def days(first: int, end: int) -> Window:
    return Window(START + first * DAY, START + end * DAY)


def replace(database: Database, bars: pl.DataFrame, window: Window, symbol: str = "SPY") -> bool:
    store = BarStore(database)
    with database.begin() as connection:
        before = store.previous_close(connection, symbol, Timeframe.D1, window.start)
        return store.replace(connection, symbol, Timeframe.D1, window, mark_gaps(bars, before))


@on_real_servers
@given(any_bars)
def test_bars_come_back_as_they_went_in(database: Database, found: list[tuple[object, ...]]) -> None:
    store, bars = BarStore(database), frame_of(found)
    with database.begin() as connection:
        store.replace(connection, "SPY", Timeframe.D1, YEAR, bars)
    read = store.read(["SPY"], Timeframe.D1, YEAR)
    assert dict(read.schema) == BAR_SCHEMA
    assert read.equals(bars)
    assert content_hash(read) == content_hash(bars)
    with database.begin() as connection:
        assert not store.replace(connection, "SPY", Timeframe.D1, YEAR, bars), "equal bars were written again"


@on_real_servers
@given(any_bars, any_bars, st.integers(0, 300), st.integers(1, 60))
def test_a_replacement_is_the_whole_truth_of_its_window_and_of_nothing_else(
    database: Database,
    old: list[tuple[object, ...]],
    new: list[tuple[object, ...]],
    first: int,
    length: int,
) -> None:
    store, window = BarStore(database), days(first, first + length)
    inside = pl.col("time").is_between(window.start, window.end, closed="left")
    with database.begin() as connection:
        store.replace(connection, "SPY", Timeframe.D1, YEAR, frame_of(old))
        store.replace(connection, "GOOG", Timeframe.D1, YEAR, frame_of(old, "GOOG"))
        store.replace(connection, "SPY", Timeframe.D1, window, frame_of(new).filter(inside))
    read = store.read(["SPY"], Timeframe.D1, YEAR)
    expected = pl.concat([frame_of(old).filter(~inside), frame_of(new).filter(inside)]).sort("time")
    assert read.drop("quality").equals(expected.drop("quality"))
    assert store.read(["GOOG"], Timeframe.D1, YEAR).equals(frame_of(old, "GOOG"))


def test_a_failing_transaction_leaves_the_old_bars(database: Database) -> None:
    store, old = BarStore(database), flat({0: 100, 1: 101})
    replace(database, old, YEAR)

    def fail_in_the_end() -> None:
        with database.begin() as connection:
            store.replace(connection, "SPY", Timeframe.D1, YEAR, flat({0: 1, 1: 2, 2: 3}))
            store.replace(connection, "SPY", Timeframe.D1, YEAR, old.with_columns(quality=pl.lit("unheard")))

    with pytest.raises(StoreError):
        fail_in_the_end()
    assert store.read(["SPY"], Timeframe.D1, YEAR).equals(old)


def test_a_lost_connection_leaves_the_old_bars(database: Database, database_url: str) -> None:
    store, old = BarStore(database), flat({0: 100, 1: 101})
    replace(database, old, YEAR)

    def lose_the_connection() -> None:
        with database.begin() as connection:
            store.replace(connection, "SPY", Timeframe.D1, YEAR, flat({0: 1, 1: 2, 2: 3}))
            asked = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            rows(database_url, f"{asked} AND state = 'idle in transaction'")

    with pytest.raises(StoreUnavailable) as caught:
        lose_the_connection()
    assert caught.value.retryable
    assert store.read(["SPY"], Timeframe.D1, YEAR).equals(old)


def test_bars_outside_the_window_are_the_caller_s_error(database: Database) -> None:
    for bars, window in ((flat({5: 1}), days(0, 5)), (flat({1: 1}, "GOOG"), days(0, 5))):
        with pytest.raises(ValueError, match="are not of SPY"), database.begin() as connection:
            BarStore(database).replace(connection, "SPY", Timeframe.D1, window, bars)
    assert BarStore(database).read(["SPY", "GOOG"], Timeframe.D1, YEAR).is_empty()


def qualities_of(database: Database) -> list[str]:
    return BarStore(database).read(["SPY"], Timeframe.D1, YEAR)["quality"].to_list()


def test_the_bar_after_a_window_is_judged_again(database: Database) -> None:
    replace(database, flat({10: 120, 11: 121}), days(10, 20))
    assert qualities_of(database) == ["traded", "traded"]
    replace(database, flat({0: 99, 1: 100}), days(0, 10))
    assert qualities_of(database) == ["traded", "traded", "review", "traded"]
    replace(database, flat({0: 99, 1: 115}), days(0, 10))
    assert qualities_of(database) == ["traded", "review", "traded", "traded"]
    replace(database, empty_bars(), days(0, 10))
    assert qualities_of(database) == ["traded", "traded"]


@on_real_servers
@given(
    st.dictionaries(st.integers(0, 39), st.integers(50, 100), min_size=1, max_size=12),
    st.permutations(range(4)),
)
def test_marks_do_not_depend_on_the_order_in_which_windows_arrive(
    database: Database, by_day: dict[int, int], order: list[int]
) -> None:
    bars = flat(dict(sorted(by_day.items())))
    replace(database, empty_bars(), YEAR)
    for number in order:
        window = days(10 * number, 10 * number + 10)
        inside = pl.col("time").is_between(window.start, window.end, closed="left")
        replace(database, bars.filter(inside), window)
    assert BarStore(database).read(["SPY"], Timeframe.D1, YEAR).equals(mark_gaps(bars))


def test_history_is_counted_in_bars_of_each_symbol(database: Database) -> None:
    replace(database, flat({0: 1, 5: 2, 20: 3, 30: 4}), YEAR)
    replace(database, flat({29: 5}, "GOOG"), YEAR, "GOOG")
    read = BarStore(database).read_with_history(["SPY", "GOOG", "NONE"], Timeframe.D1, days(30, 40), 2)
    assert read.select("symbol", "open").rows() == [("GOOG", 5), ("SPY", 2), ("SPY", 3), ("SPY", 4)]


def test_two_writers_of_one_symbol_take_turns(database: Database, database_url: str) -> None:
    store, done = BarStore(database), threading.Event()

    def write() -> None:
        replace(database, flat({0: 2}), YEAR)
        done.set()

    with database.begin() as connection:
        store.replace(connection, "SPY", Timeframe.D1, YEAR, flat({0: 1}))
        other = threading.Thread(target=write)
        other.start()
        waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        wait_until(lambda: done.is_set() or rows(database_url, waiting), "the second writer to wait for the first")
        assert not done.is_set()
    other.join(DEADLINE)
    assert done.is_set()
    assert store.read(["SPY"], Timeframe.D1, YEAR)["open"].to_list() == [2]


minutes = st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def minute_window(span: tuple[int, int]) -> Window:
    return Window(START + span[0] * MINUTE, START + span[1] * MINUTE)


def request(
    window: Window, outcome: Outcome = Outcome.STORED, *, changed: bool = False, symbol: str = "SPY"
) -> Request:
    return Request(symbol, Timeframe.M1, "file", window, outcome, "a file", START, changed=changed)


@on_real_servers
@given(st.lists(st.tuples(st.lists(minutes, min_size=1, max_size=3), st.booleans()), max_size=6))
def test_coverage_is_the_minutes_that_were_answered_and_not_withdrawn(
    database: Database, steps: list[tuple[list[tuple[int, int]], bool]]
) -> None:
    store, known = CoverageStore(database), set[int]()
    store.withdraw("SPY", Timeframe.M1, "file", [YEAR])
    for spans, withdrawn in steps:
        touched = {minute for first, end in spans for minute in range(first, end)}
        if withdrawn:
            store.withdraw("SPY", Timeframe.M1, "file", Window.merge(map(minute_window, spans)))
            known -= touched
        else:
            with database.begin() as connection:
                store.record(connection, request(YEAR), [minute_window(span) for span in spans])
            known |= touched
    windows = store.answered("SPY", Timeframe.M1).get("file", [])
    found = {
        minute
        for window in windows
        for minute in range((window.start - START) // MINUTE, (window.end - START) // MINUTE)
    }
    assert found == known
    assert windows == Window.merge(windows)


def test_a_failure_is_on_record_until_it_is_answered(database: Database) -> None:
    store, window = CoverageStore(database), minute_window((0, 30))
    store.record_failure(request(window, Outcome.FAILED))
    with database.begin() as connection:
        store.record(connection, request(minute_window((0, 20))), [minute_window((0, 20))])
    (failure,) = store.failures(["SPY"], Timeframe.M1)
    assert (failure.symbol, failure.window) == ("SPY", window)
    with database.begin() as connection:
        store.record(connection, request(minute_window((20, 30))), [minute_window((20, 30))])
    assert store.failures(["SPY"], Timeframe.M1) == []


def test_every_change_of_any_input_makes_a_new_version(database: Database) -> None:
    """Also one that was begun before another symbol's and committed after it, and time that is answered for now."""
    coverage, input_versions = CoverageStore(database), InputVersionStore(database)

    def version() -> int:
        return input_versions.bar_versions(["EARLY", "LATE"], Timeframe.M1).before(["EARLY", "LATE"], YEAR.end)

    assert version() == 0
    window = minute_window((0, 1))
    with database.begin() as early:
        coverage.record(early, request(window, changed=True, symbol="EARLY"))
        with database.begin() as late:
            coverage.record(late, request(window, changed=True, symbol="LATE"))
        between = version()
    assert 0 < between != version()
    unchanged = version()
    with database.begin() as connection:
        coverage.record(connection, request(window, changed=False, symbol="LATE"))
    assert version() == unchanged
    with database.begin() as connection:
        coverage.record(connection, request(window, changed=False, symbol="LATE"), [window])
    answered = version()
    assert answered > unchanged
    with database.begin() as connection:
        coverage.record(connection, request(window, changed=False, symbol="LATE"), [window])
    assert version() == answered
    assert input_versions.bar_versions(["LATE"], Timeframe.M1).before(["LATE"], window.start) == 0


refusals = st.lists(
    st.fixed_dictionaries(
        {
            "line": st.none() | st.integers(1, 10**12),
            "time": st.none() | st.integers(0, 10**6).map(lambda number: START + number * MINUTE),
            "reason": st.sampled_from(["duplicate", "ohlc_inconsistent", "unreadable_number"]),
            "detail": st.text(max_size=20),
            "record": st.text(max_size=40),
            "row_count": st.integers(1, 10**6),
        }
    ),
    max_size=8,
)


@on_real_servers
@given(refusals)
def test_refused_rows_are_kept_once_whatever_is_in_them(
    database: Database, database_url: str, rejected: list[dict[str, object]]
) -> None:
    store = QuarantineStore(database)
    with psycopg.connect(database_url) as connection:
        connection.execute("TRUNCATE market_data.quarantine")
    frame = pl.DataFrame(rejected, schema=REJECTED_SCHEMA)
    distinct = {(row["line"], row["reason"], str(row["record"]).replace("\0", "\\0")) for row in rejected}
    about = {"source": "file", "symbol": "SPY", "timeframe": "1d", "origin": "a.csv"}
    assert store.record(frame, **about) == len(distinct)
    assert store.record(frame, **about) == 0
    assert store.read("SPY").height == len(distinct)
    assert store.record(frame, **about | {"origin": "b.csv"}) == len(distinct)
    assert set(store.read("SPY")["record"].fill_null("")) == {row[2] for row in distinct}


def test_the_views_show_what_the_tables_have(database: Database, database_url: str) -> None:
    bars = flat({day: 100 + day for day in range(250)})
    replace(database, bars, YEAR)
    minute = frame_of([(0, *[Decimal(7)] * 5, "traded")], timeframe="1m")
    computed = compute_indicators(bars)
    with database.begin() as connection:
        BarStore(database).replace(connection, "SPY", Timeframe.M1, YEAR, minute)
        IndicatorStore(database).replace(connection, ["SPY"], Timeframe.D1, YEAR, computed)
    shown = rows(database_url, "SELECT timeframe, count(*), sum(close) FROM market_data.ohlcv GROUP BY 1 ORDER BY 1")
    assert shown == [("1d", 250, sum(100 + day for day in range(250))), ("1m", 1, 7)]
    narrow = dict(rows(database_url, "SELECT indicator, count(*) FROM market_data.indicators GROUP BY 1"))
    assert narrow == {name: 250 - computed[name].null_count() for name in INDICATOR_NAMES}
    (value,) = rows(
        database_url,
        "SELECT value FROM market_data.indicators WHERE symbol = 'SPY' AND indicator = 'sma_20' AND time = %s",
        [START + 19 * DAY],
    )[0]
    assert value == Decimal("109.5")


@pytest.mark.parametrize("view", ["ohlcv", "indicators"])
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO {} (time, symbol, timeframe) VALUES (now(), 'X', '1d')",
        "DELETE FROM {}",
        "UPDATE {} SET symbol = 'X'",
    ],
)
def test_the_views_refuse_writes_and_say_where_to_turn(
    database: Database, database_url: str, view: str, statement: str
) -> None:
    bars = flat({day: 100 + day for day in range(30)})
    replace(database, bars, YEAR)
    with database.begin() as connection:
        IndicatorStore(database).replace(connection, ["SPY"], Timeframe.D1, YEAR, compute_indicators(bars))
    with psycopg.connect(database_url) as writer, pytest.raises(psycopg.Error, match="is for reading only") as caught:
        writer.execute(statement.format(f"market_data.{view}").encode())
    assert "client" in str(caught.value.diag.message_hint)


@pytest.mark.parametrize("view", ["ohlcv", "indicators"])
@pytest.mark.usefixtures("database")
def test_a_condition_on_the_timeframe_touches_one_table(database_url: str, view: str) -> None:
    plan = rows(database_url, f"EXPLAIN SELECT * FROM market_data.{view} WHERE timeframe = '1d' AND symbol = 'SPY'")  # noqa: S608
    text = "\n".join(line for (line,) in plan)
    tables = {"ohlcv": "bars", "indicators": "indicators"}
    assert f"{tables[view]}_1d" in text
    assert not [length for length in ("1m", "5m", "1h") if f"{tables[view]}_{length}" in text]
