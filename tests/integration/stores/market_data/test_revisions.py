"""What was stored at a time can be read ever after, equal to a copy that was taken then."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import polars as pl
import psycopg
import pytest
from commands import ROLES_PASSWORD
from polars.testing import assert_frame_equal
from properties import some_usual
from waiting import DEADLINE, wait_until

from trading_platform.domain.derived.indicators import INDICATOR_NAMES, compute_indicators
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.bars import BAR_SCHEMA, empty_bars, mark_gaps
from trading_platform.domain.market.corporate_actions import ActionKind, CorporateAction
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.postgres.database import Database
from trading_platform.stores.postgres.roles import Role, as_role
from trading_platform.stores.stores import Stores, open_stores

START = datetime(2024, 1, 1, tzinfo=UTC)
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
DAYS = 260
WHOLE = Window(START, START + DAYS * DAY)
SYMBOLS = ["GOOG", "SPY"]
AGREES = {"check_exact": False, "rel_tol": 1e-9, "abs_tol": 0.0}
"""How far two computations of an indicator agree; what differs by less is no revision."""


@pytest.fixture
def stores(server_url: str, tmp_path: Path) -> Iterator[Stores]:
    with open_stores(server_url, tmp_path / "features", may_upgrade=True) as opened:
        with psycopg.connect(server_url) as connection:
            connection.execute(
                "TRUNCATE market_data.bars_1m, market_data.bars_5m, market_data.bars_1h, market_data.bars_1d,"
                " market_data.indicators_1d, market_data.coverage, market_data.coverage_requests,"
                " market_data.corporate_actions, market_data.bar_revisions, market_data.indicator_revisions,"
                " market_data.corporate_action_revisions, market_data.fingerprints, market_data.stream_positions"
            )
        yield opened


def now_of(database: Database) -> datetime:
    found: datetime = database.rows("SELECT clock_timestamp()")[0][0]
    return found


def bar(day: int, price: int, symbol: str = "SPY") -> tuple[object, ...]:
    close = Decimal(price)
    return (
        START + day * DAY,
        symbol,
        "1d",
        close,
        close + 2,
        close - 2,
        close + 1,
        Decimal(100 + day),
        "file",
        "traded",
    )


def frame(found: list[tuple[object, ...]]) -> pl.DataFrame:
    return pl.DataFrame(found, schema=BAR_SCHEMA, orient="row").sort("symbol", "time")


def walk(symbol: str, chance: random.Random) -> pl.DataFrame:
    price, found = 1_000, []
    for day in range(DAYS):
        price += chance.randint(-9, 9)
        found.append(bar(day, price, symbol))
    return frame(found)


def write(stores: Stores, symbol: str, window: Window, bars: pl.DataFrame, reason: str = "a correction") -> bool:
    stores.bars.prepare(Timeframe.D1, bars)
    with stores.database.begin() as connection:
        before = stores.bars.previous_close(connection, symbol, Timeframe.D1, window.start)
        marked = mark_gaps(bars, before)
        return stores.bars.replace(connection, symbol, Timeframe.D1, window, marked, reason=reason)


def compute(stores: Stores, symbol: str) -> None:
    computed = compute_indicators(stores.bars.read([symbol], Timeframe.D1, WHOLE))
    stores.indicators.prepare(Timeframe.D1, computed["time"])
    with stores.database.begin() as connection:
        stores.indicators.replace(connection, [symbol], Timeframe.D1, WHOLE, computed)


def correct(stores: Stores, symbol: str, chance: random.Random) -> None:
    """Changes, deletes or brings back some days in a row."""
    first = chance.randrange(DAYS)
    window = Window(START + first * DAY, START + min(first + chance.choice([1, 1, 1, 2, 5]), DAYS) * DAY)
    stored = stores.bars.read([symbol], Timeframe.D1, window)
    if chance.random() < 0.2:
        new = empty_bars()
    else:
        days = range((window.start - START).days, (window.end - START).days)
        new = frame([bar(day, chance.randint(980, 1_020), symbol) for day in days])
        if chance.random() < 0.3:
            new = pl.concat([stored.head(1), new.filter(~pl.col("time").is_in(stored.head(1)["time"].implode()))])
    write(stores, symbol, window, new.sort("time"))


@pytest.mark.parametrize("corrections", some_usual([20, 1_000]))
def test_random_corrections_are_read_as_a_copy_of_each_time(stores: Stores, corrections: int) -> None:
    chance = random.Random(5)
    kept = set(chance.sample(range(corrections), min(100, corrections // 3)))
    copies: list[tuple[datetime, pl.DataFrame, pl.DataFrame]] = []
    for symbol in SYMBOLS:
        write(stores, symbol, WHOLE, walk(symbol, chance))
        compute(stores, symbol)
    for number in range(corrections):
        symbol = chance.choice(SYMBOLS)
        correct(stores, symbol, chance)
        if chance.random() < 0.7:  # else the indicators lag behind, as they do between two runs
            compute(stores, symbol)
        if number in kept:
            bars = stores.bars.read(SYMBOLS, Timeframe.D1, WHOLE)
            copies.append((now_of(stores.database), bars, stores.indicators.read(SYMBOLS, Timeframe.D1, WHOLE)))
    for time, bars, indicators in copies:
        assert stores.revisions.bars(SYMBOLS, Timeframe.D1, WHOLE, time).equals(bars)
        assert_frame_equal(stores.revisions.indicators(SYMBOLS, Timeframe.D1, WHOLE, time), indicators, **AGREES)
        window = Window(START + 100 * DAY, START + 130 * DAY)
        inside = pl.col("time").is_between(window.start, window.end, closed="left")
        assert stores.revisions.bars(["SPY"], Timeframe.D1, window, time).equals(
            bars.filter(inside & (pl.col("symbol") == "SPY"))
        )
        narrow = stores.revisions.indicators(["SPY"], Timeframe.D1, window, time, ["rsi_14", "sma_20"])
        same = indicators.filter(inside & (pl.col("symbol") == "SPY")).select(narrow.columns)
        assert_frame_equal(narrow, same, **AGREES)


def test_only_what_changed_is_kept_with_its_reason(stores: Stores) -> None:
    write(stores, "SPY", WHOLE, frame([bar(day, 100 + day) for day in range(5)]))
    first = stores.database.rows("SELECT time, recorded_at FROM market_data.bars_1d ORDER BY time")
    new = [bar(day, 100 + day) for day in range(5)]
    new[2] = bar(2, 103)
    assert write(stores, "SPY", WHOLE, frame(new), "an import")
    assert not write(stores, "SPY", WHOLE, frame(new), "the same again")
    found = stores.revisions.of_bars("SPY", Timeframe.D1, WHOLE)
    assert found.select("time", "open", "reason").rows() == [(START + 2 * DAY, Decimal(102), "an import")]
    again = stores.database.rows("SELECT time, recorded_at FROM market_data.bars_1d ORDER BY time")
    assert [row for row in again if row not in first] == [(START + 2 * DAY, found["replaced_at"][0])]
    assert found["recorded_at"].to_list() == [first[2][1]]


def test_the_mark_of_the_bar_that_follows_is_kept(stores: Stores) -> None:
    write(stores, "SPY", WHOLE, frame([bar(day, 100) for day in range(3)]))
    before = now_of(stores.database)
    first = Window(START, START + DAY)
    write(stores, "SPY", first, frame([bar(0, 150)]))
    assert stores.bars.read(["SPY"], Timeframe.D1, WHOLE)["quality"].to_list() == ["traded", "review", "traded"]
    assert stores.revisions.bars(["SPY"], Timeframe.D1, WHOLE, before)["quality"].to_list() == ["traded"] * 3
    found = stores.revisions.of_bars("SPY", Timeframe.D1, WHOLE)
    assert found["reason"].to_list() == ["a correction", "the bar before changed"]


def minutes(numbers: range, price: int) -> pl.DataFrame:
    prices = [Decimal(price)] * 4
    found = [(START + n * MINUTE, "BTCUSD", "1m", *prices, Decimal(1), "kraken", "traded") for n in numbers]
    return pl.DataFrame(found, schema=BAR_SCHEMA, orient="row")


def commit(stores: Stores, bars: pl.DataFrame, until: datetime, position: int) -> None:
    stores.stream.commit(
        "kraken", "kraken", bars=bars, answered={"BTCUSD": [Window(START, until)]}, until=until,
        position={"n": position}, now=until,
    )  # fmt: skip


def test_what_a_stream_replaces_is_kept_longer_bars_included(stores: Stores) -> None:
    end = START + 10 * MINUTE
    window = Window(START, end)
    commit(stores, minutes(range(10), 100), end, 1)
    copies = [(now_of(stores.database), *(stores.bars.read(["BTCUSD"], each, window) for each in Timeframe))]
    commit(stores, minutes(range(10), 100), end, 2)
    commit(stores, minutes(range(2, 3), 105), end, 3)
    copies.append((now_of(stores.database), *(stores.bars.read(["BTCUSD"], each, window) for each in Timeframe)))
    commit(stores, minutes(range(2, 7), 101), end, 4)
    for time, *frames in copies:
        for timeframe, copy in zip(Timeframe, frames, strict=True):
            assert stores.revisions.bars(["BTCUSD"], timeframe, window, time).equals(copy)
    assert copies[0][2].height == 2
    assert copies[0][2]["high"][0] != copies[1][2]["high"][0]
    assert stores.revisions.of_bars("BTCUSD", Timeframe.M1, window)["reason"].unique().to_list() == [
        "the stream sent another version"
    ]
    assert stores.revisions.of_bars("BTCUSD", Timeframe.M1, window).height == 1 + 5


def test_writers_who_wait_for_each_other_are_recorded_in_their_order(stores: Stores) -> None:
    """The second transaction begins before the first one writes, and writes after it."""
    write(stores, "SPY", WHOLE, frame([bar(0, 100)]))
    day = Window(START, START + DAY)
    begun, may_write = threading.Event(), threading.Event()

    def later() -> None:
        with stores.database.begin() as connection:
            connection.exec_driver_sql("SELECT now()")
            begun.set()
            may_write.wait(DEADLINE)
            stores.bars.replace(connection, "SPY", Timeframe.D1, day, frame([bar(0, 102)]), reason="second")

    waits = threading.Thread(target=later)
    waits.start()
    assert begun.wait(DEADLINE)
    with stores.database.begin() as connection:
        stores.bars.replace(connection, "SPY", Timeframe.D1, day, frame([bar(0, 101)]), reason="first")
        may_write.set()
        wait_until(
            lambda: stores.database.rows("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"),
            "the second",
        )
    between = now_of(stores.database)
    waits.join(DEADLINE)
    found = stores.revisions.of_bars("SPY", Timeframe.D1, day)
    assert found.select("open", "reason").rows() == [(Decimal(100), "first"), (Decimal(101), "second")]
    assert found["recorded_at"][1] == found["replaced_at"][0] < between
    assert stores.bars.read(["SPY"], Timeframe.D1, day)["open"].to_list() == [Decimal(102)]


def action(ratio: Fraction, known: int = 0) -> CorporateAction:
    return CorporateAction(
        symbol="AAPL",
        ex_date=START + 50 * DAY,
        kind=ActionKind.SPLIT,
        ratio=ratio,
        source="file",
        known_at=START + known * DAY,
    )


def test_corrected_and_removed_actions_are_read_as_they_were(stores: Stores) -> None:
    times, found = [], []
    saved = stores.corporate_actions.save
    for change in (
        lambda: saved([action(Fraction(4))], now_of(stores.database)),
        lambda: saved([action(Fraction(4))], now_of(stores.database)),
        lambda: saved([action(Fraction(7), 3)], now_of(stores.database)),
        lambda: stores.corporate_actions.remove("AAPL", START + 50 * DAY, ActionKind.SPLIT),
        lambda: saved([action(Fraction(2))], now_of(stores.database)),
    ):
        change()
        times.append(now_of(stores.database))
        found.append(stores.corporate_actions.read(["AAPL"]))
    assert [len(each) for each in found] == [1, 1, 1, 0, 1]
    assert [stores.revisions.corporate_actions(["AAPL"], time) for time in times] == found
    assert [stores.revisions.corporate_actions(None, time) for time in times] == found


def test_a_time_that_is_not_known_is_refused(stores: Stores) -> None:
    now = now_of(stores.database)
    since = stores.revisions.since()
    stores.revisions.check(since, now)
    stores.revisions.check(now, now)
    with pytest.raises(InvalidRequest, match="not known") as early:
        stores.revisions.check(since - timedelta(microseconds=1), now)
    assert since.isoformat() in str(early.value)
    with pytest.raises(InvalidRequest, match="future"):
        stores.revisions.check(now + timedelta(microseconds=1), now)


@pytest.mark.parametrize("role", [Role.INGEST, Role.AGENT, Role.DASHBOARD])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE market_data.bar_revisions SET open = 1",
        "DELETE FROM market_data.bar_revisions",
        "DELETE FROM market_data.indicator_revisions",
        "DELETE FROM market_data.corporate_action_revisions",
        "UPDATE market_data.corporate_action_revisions SET new_shares = 3",
        "UPDATE market_data.revisions_kept SET since = '2000-01-01'",
        "DELETE FROM market_data.revisions_kept",
        "TRUNCATE market_data.bar_revisions",
    ],
)
def test_no_role_changes_what_was_known(stores: Stores, server_url: str, role: Role, statement: str) -> None:
    for price in (100, 101):
        write(stores, "SPY", WHOLE, frame([bar(day, price + day) for day in range(25)]))
        compute(stores, "SPY")
    stores.corporate_actions.save([action(Fraction(4))], START)
    stores.corporate_actions.save([action(Fraction(5))], START + DAY)
    with (
        psycopg.connect(as_role(server_url, role, ROLES_PASSWORD)) as connection,
        pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.ReadOnlySqlTransaction)),
    ):
        connection.execute(statement)


def test_revisions_live_as_long_as_their_bars(stores: Stores) -> None:
    now = now_of(stores.database)
    old = Window(START - 4000 * DAY, START - 3999 * DAY)
    with stores.database.begin() as connection:
        for timeframe, time, value in (("1m", now - 400 * DAY, 1), ("1m", now - DAY, 2), ("1d", old.start, 3)):
            connection.exec_driver_sql(
                "INSERT INTO market_data.bar_revisions (symbol, timeframe, time, open, quality, replaced_at, reason)"
                " VALUES ('SPY', %s, %s, %s, 'traded', now(), 'test')",
                (timeframe, time, value),
            )
    assert stores.revisions.expire(now) == 1
    left = stores.database.rows("SELECT open FROM market_data.bar_revisions ORDER BY open")
    assert [int(value) for (value,) in left] == [2, 3], "daily bars are kept for ever"


def test_two_computations_of_the_same_values_are_no_revision(stores: Stores) -> None:
    write(stores, "SPY", WHOLE, walk("SPY", random.Random(1)))
    compute(stores, "SPY")
    stored = stores.indicators.read(["SPY"], Timeframe.D1, WHOLE)
    recorded = "SELECT DISTINCT recorded_at FROM market_data.indicators_1d"
    first = stores.database.rows(recorded)

    def store(computed: pl.DataFrame) -> int:
        """Stores what was computed, to the bit; returns how many rows are revisions."""
        with stores.database.begin() as connection:
            stores.indicators.replace(connection, ["SPY"], Timeframe.D1, WHOLE, computed)
        assert stores.indicators.read(["SPY"], Timeframe.D1, WHOLE).equals(computed)
        return int(stores.database.rows("SELECT count(*) FROM market_data.indicator_revisions")[0][0])

    noisy = stored.with_columns(pl.col(name) * (1 + 3e-13) for name in INDICATOR_NAMES)
    assert store(noisy) == 0
    assert stores.database.rows(recorded) == first, "the rows were there before"
    one = pl.col("time") == START + 220 * DAY
    moved = noisy.with_columns(rsi_14=pl.when(one).then(pl.col("rsi_14") + 1e-6).otherwise(pl.col("rsi_14")))
    assert store(moved) == 1
    assert store(moved.with_columns(adx_14=pl.when(one).then(None).otherwise(pl.col("adx_14")))) == 2
    assert store(moved.filter(~one)) == 3
    assert store(moved) == 3
    assert len(stores.database.rows(recorded)) == 2
