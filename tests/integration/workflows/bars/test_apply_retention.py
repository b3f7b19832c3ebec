"""What is computed and asked again after bars were dropped for their age: nothing that was right becomes wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import psycopg
import pytest
from commands import Installation, installation, rows

from trading_platform.domain.errors import StoreBusy, StoreError
from trading_platform.domain.market.bars import roll_up
from trading_platform.domain.quality.completeness import CoverageCount
from trading_platform.domain.time import Timeframe, Window, partition_windows, utc_now
from trading_platform.embedded.stack import Endpoints
from trading_platform.resources.platform import PlatformContext, open_platform
from trading_platform.stores.market_data.retention import RetentionStore
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.workflows.backfill.backfill_bars import BackfillReport, backfill_bars
from trading_platform.workflows.bars.apply_retention import apply_retention, overdue
from trading_platform.workflows.bars.count_coverage import count_coverage
from trading_platform.workflows.bars.roll_up_bars import roll_up_bars
from trading_platform.workflows.derived.compute_indicators import compute_indicators_of

WEEK = timedelta(days=7)
EDGE = (
    datetime(1970, 1, 1, tzinfo=UTC)
    + (utc_now() - timedelta(days=186) - datetime(1970, 1, 1, tzinfo=UTC)) // WEEK * WEEK
)
"""Begin of a week that is past six months, whatever the lengths of the months."""

SPAN = Window(EDGE - timedelta(days=9), EDGE + timedelta(days=17))
"""As short as it can be: an hour of rest is usual when three Sundays have it, too."""
INTRADAY = [Timeframe.M1, Timeframe.M5, Timeframe.H1]


def write_minutes(file: Path, seed: int) -> None:
    """A market that never closes, one bar a minute but for a hole of an hour each day."""
    count = (SPAN.end - SPAN.start) // timedelta(minutes=1)
    walk = 100 + np.random.default_rng(seed).normal(0, 0.02, count).cumsum()
    frame = pl.DataFrame(
        {
            "time": pl.datetime_range(SPAN.start, SPAN.end, "1m", closed="left", eager=True),
            "open": walk.round(4),
            "high": (walk + 0.5).round(4),
            "low": (walk - 0.5).round(4),
            "close": (walk + 0.1).round(4),
            "volume": np.arange(count) % 17 + 1,
        }
    ).filter(pl.col("time").dt.hour() != 4)
    frame.with_columns(pl.col("time").dt.strftime("%Y-%m-%dT%H:%M:%SZ")).write_csv(file)


@pytest.fixture(params=["plain", "timescaledb"])
def ours(request: pytest.FixtureRequest, stack: Endpoints, tmp_path: Path) -> Iterator[Installation]:
    server = stack.database_url
    if request.param == "timescaledb":
        request.getfixturevalue("timescale_url")
        server = os.environ["TEST_TIMESCALE_DSN"]
    write_minutes(tmp_path / "BTCUSD_1m.csv", 1)
    with installation(server) as made:
        found = made.run("import", tmp_path / "BTCUSD_1m.csv")
        assert found.code == 0, found.text
        yield made


def backfill(platform: PlatformContext, timeframe: Timeframe, *, force: bool = False) -> BackfillReport:
    partitions = partition_windows(timeframe, SPAN)
    instruments = platform.instruments(["BTCUSD"])
    report = backfill_bars(
        platform.stores, platform.sources, instruments, timeframe, partitions, clock=utc_now, force=force
    )
    assert not report.failures
    compute_indicators_of(platform.stores, ["BTCUSD"], timeframe, partitions, clock=utc_now, force=force)
    return report


def counts_of(platform: PlatformContext, timeframe: Timeframe) -> list[CoverageCount]:
    windows = {"BTCUSD": partition_windows(timeframe, SPAN)}
    instruments = platform.instruments(["BTCUSD"])
    return list(count_coverage(platform.stores, platform.sources, instruments, timeframe, windows, clock=utc_now))


def stored(platform: PlatformContext, timeframe: Timeframe) -> tuple[pl.DataFrame, pl.DataFrame]:
    stores = platform.stores
    return stores.bars.read(["BTCUSD"], timeframe, SPAN), stores.indicators.read(["BTCUSD"], timeframe, SPAN)


def drop_old(made: Installation) -> None:
    """The daily run, and the policies' jobs where there are any."""
    owner = Database(made.database_url)
    with open_platform(made.settings()) as platform:
        apply_retention(platform.stores, clock=utc_now)
        if RetentionStore(owner, owner).uses_timescaledb():
            with owner.autocommit() as connection:
                for (job,) in execute(
                    connection,
                    "SELECT job_id FROM timescaledb_information.jobs"
                    " WHERE hypertable_schema = 'market_data'"
                    " AND proc_name IN ('policy_retention', 'policy_compression')",
                ):
                    execute(connection, f"CALL run_job({job})")
        assert overdue(platform.stores.retention.status(utc_now()), clock=utc_now) == []
    owner.close()


@pytest.mark.exhaustive
def test_dropped_minutes_take_nothing_with_them(ours: Installation, tmp_path: Path) -> None:
    with open_platform(ours.settings()) as platform:
        for timeframe in INTRADAY:
            backfill(platform, timeframe)
        before = {timeframe: stored(platform, timeframe) for timeframe in INTRADAY}
        hours_before = rows(ours.database_url, "SELECT * FROM market_data.ohlcv_1h ORDER BY bucket")
        empty = sum(each.empty for each in counts_of(platform, Timeframe.M1))
        assert empty == (SPAN.end - SPAN.start).days * 60
        assert sum(each.expired for each in counts_of(platform, Timeframe.M1)) == 0

    drop_old(ours)

    with open_platform(ours.settings()) as platform:
        minutes, indicators = stored(platform, Timeframe.M1)
        edge = minutes["time"].min()
        assert isinstance(edge, datetime)
        assert edge >= EDGE
        assert indicators["time"].min() == edge
        assert rows(ours.database_url, "SELECT * FROM market_data.ohlcv_1h ORDER BY bucket") == hours_before
        counts = counts_of(platform, Timeframe.M1)
        assert sum(each.missing for each in counts) == 0
        assert sum(each.expired for each in counts) == (edge - SPAN.start) // timedelta(minutes=1)
        assert sum(each.empty for each in counts) == (SPAN.end - edge).days * 60
        assert sum(each.expected for each in counts) == (SPAN.end - edge) // timedelta(minutes=1)
        # Nobody asks for it again by itself.
        assert backfill(platform, Timeframe.M1).requests == 0
        # What was made of the minutes stays, even where everything is made again.
        for timeframe in (Timeframe.M5, Timeframe.H1):
            backfill(platform, timeframe, force=True)
            for is_there, was_there in zip(stored(platform, timeframe), before[timeframe], strict=True):
                assert is_there.equals(was_there)
        # Nor do the first indicators that are left suffer from the loss of their warm-up.
        partitions = partition_windows(Timeframe.M1, SPAN)
        compute_indicators_of(platform.stores, ["BTCUSD"], Timeframe.M1, partitions, clock=utc_now, force=True)
        _, force = stored(platform, Timeframe.M1)
        expected = before[Timeframe.M1][1].filter(pl.col("time") >= edge)
        assert force.height == expected.height
        assert force["sma_200"].null_count() == 0
        for name in force.columns[3:]:
            assert (force[name] - expected[name]).abs().max() <= 1e-9 * 100, name  # type: ignore[operator]

    # A file that says otherwise is asked for all the same, old or not.
    write_minutes(tmp_path / "BTCUSD_1m.csv", 2)
    found = ours.run("import", tmp_path / "BTCUSD_1m.csv")
    assert found.code == 0, found.text
    with open_platform(ours.settings()) as platform:
        assert backfill(platform, Timeframe.M1).requests > 0
        corrected, _ = stored(platform, Timeframe.M1)
        assert corrected.height == before[Timeframe.M1][0].height
        assert not corrected.equals(before[Timeframe.M1][0])
        counts = counts_of(platform, Timeframe.M1)
        assert sum(each.expired + each.missing for each in counts) == 0
        backfill(platform, Timeframe.M5)
        fives, _ = stored(platform, Timeframe.M5)
        assert fives.height == before[Timeframe.M5][0].height
        assert not fives.equals(before[Timeframe.M5][0])


def drop_before_edge(owner: Database) -> None:
    """As a policy does, while others are at work."""
    with owner.begin() as connection:
        if RetentionStore(owner, owner).uses_timescaledb():
            execute(connection, "SELECT drop_chunks('market_data.bars_1m', %(edge)s::timestamptz)", {"edge": EDGE})
        else:
            execute(connection, f"DROP TABLE market_data.bars_1m_{EDGE - WEEK:%Y%m%d}")


@pytest.mark.exhaustive
def test_minutes_that_go_while_they_are_rolled_up_are_noticed(ours: Installation) -> None:
    """A policy may drop at any moment: the roll-up refuses, and the next one leaves out what is gone."""
    owner = Database(ours.database_url)
    with open_platform(ours.settings()) as platform:
        backfill(platform, Timeframe.M1)
        backfill(platform, Timeframe.M5)
        before, _ = stored(platform, Timeframe.M5)
        (instrument,) = platform.instruments(["BTCUSD"])
        partitions = partition_windows(Timeframe.M5, SPAN)
        asked: list[datetime] = []

        def clock() -> datetime:
            """The time; the second time it is asked, when it is known what to read and nothing is read yet, they go."""
            asked.append(utc_now())
            if len(asked) == 2:
                drop_before_edge(owner)
            return asked[-1]

        with pytest.raises(StoreError, match="dropped because of their age") as rejected:
            roll_up_bars(platform.stores, instrument, Timeframe.M5, partitions, clock=clock, force=True)
        assert rejected.value.retryable
        assert stored(platform, Timeframe.M5)[0].equals(before)
        assert roll_up_bars(platform.stores, instrument, Timeframe.M5, partitions, clock=utc_now, force=True)
        assert stored(platform, Timeframe.M5)[0].equals(before)
    owner.close()


@pytest.mark.exhaustive
def test_a_backfill_after_one_whose_refresh_failed_makes_up_for_it(ours: Installation) -> None:
    """Nothing is left to request then, and nothing changes; the hours are there when their minutes are dropped."""
    with open_platform(ours.settings()) as platform, psycopg.connect(ours.database_url, autocommit=True) as other:
        stores = platform.stores
        if not stores.retention.uses_timescaledb():
            pytest.skip("on plain PostgreSQL one refresh waits for the other")
        other.execute("SELECT pg_advisory_lock(hashtext('refresh'), hashtext('ohlcv_1h'))")
        pauses: list[float] = []
        impatient = RetentionStore(stores.database, stores.owner, sleep=pauses.append)
        arguments = (platform.sources, platform.instruments(["BTCUSD"]), Timeframe.M1)
        partitions = partition_windows(Timeframe.M1, SPAN)
        with pytest.raises(StoreBusy) as caught:
            backfill_bars(replace(stores, retention=impatient), *arguments, partitions, clock=utc_now)
        assert caught.value.retryable
        assert len(pauses) > 3
        expected = roll_up(stored(platform, Timeframe.M1)[0], Timeframe.H1)
        other.execute("SELECT pg_advisory_unlock_all()")
        assert backfill_bars(stores, *arguments, partitions, clock=utc_now).requests == 0
        drop_old(ours)
        assert stored(platform, Timeframe.M1)[0]["time"].min() > SPAN.start  # type: ignore[operator]
    found = rows(ours.database_url, "SELECT bucket, close, volume FROM market_data.ohlcv_1h ORDER BY bucket")
    assert found == expected.select("time", "close", "volume").rows()
