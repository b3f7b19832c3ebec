"""``kill -9`` in the middle of a backfill: after a rerun everything is as an undisturbed run leaves it.

``TEST_BACKFILL_KILLS`` says how often; four each on a platform of its own.
"""

from __future__ import annotations

import os
import random
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import polars as pl
import psutil
import psycopg
import pytest
from commands import Installation, installation, kill, rows, tables

from trading_platform.embedded.stack import Endpoints
from trading_platform.stores.features.files import FeatureStore

KILLS = int(os.environ.get("TEST_BACKFILL_KILLS", "3"))
MOST_PLATFORMS = 2 + KILLS
SYMBOLS = {"AAPL", "BTCUSD", "EURUSD", "GOOG", "SPY"}
FILES = (
    "SPY_2008-2018_yahoo.csv",
    "GOOG_2004-2013.csv",
    "AAPL_2004-2018_yahoo.csv",
    "EURUSD_oanda_lean_daily_quote.csv",
    "BTCUSD_coinbase_lean_daily_trade.csv",
)
START = "2010-01-01"
ENDS = ("2011-01-01", "2012-01-01", "2014-01-01", "2016-01-01")
"""Each interrupted run asks for more than the one before, so that each has work to be interrupted in."""

CHANGING = {"recorded_at", "asked_at", "computed_at", "created_at", "updated_at", "id", "input_version"}
"""Columns that say when or as the how-manieth something was done: equal in no two runs."""


def columns(url: str, table: str) -> list[str]:
    return [
        name
        for (name,) in rows(
            url,
            "SELECT column_name FROM information_schema.columns"
            " WHERE table_schema IN ('market_data', 'config') AND table_name = %s ORDER BY ordinal_position",
            [table],
        )
    ]


def everything_stored(made: Installation) -> dict[str, list[tuple[Any, ...]]]:
    """All tables but the log of requests, which tells of interruptions, without the columns of when."""
    found = tables(made.database_url)
    kept = {}
    for table in found.keys() - {"coverage_requests"}:
        names = columns(made.database_url, table)
        places = [place for place, name in enumerate(names) if name not in CHANGING]
        kept[table] = sorted((tuple(row[place] for place in places) for row in found[table]), key=repr)
    return kept


def all_features(made: Installation) -> pl.DataFrame:
    store = FeatureStore(made.data_dir / "features")
    frames = [
        pl.read_parquet(file, hive_partitioning=False)
        .with_columns(file=pl.lit(str(file.relative_to(store.directory))))
        .drop("recorded_at")
        for file in sorted(store.directory.glob("symbol=*/*/*.parquet"))
    ]
    return pl.concat(frames)


def materialized(made: Installation) -> set[tuple[str, str]]:
    """Every asset and partition that Dagster has a materialization of."""
    found = rows(
        made.variables["DAGSTER_DATABASE_URL"],
        "SELECT DISTINCT asset_key, partition FROM event_logs"
        " WHERE dagster_event_type = 'ASSET_MATERIALIZATION' AND partition IS NOT NULL",
    )
    return set(found)


def backfill(end: str) -> list[str]:
    return ["backfill", "-t", "1d", "--start", START, "--end", end]


@pytest.fixture(scope="module")
def imported(stack: Endpoints, test_data: Path) -> Iterator[Installation]:
    """A platform in which the five files are imported and nothing else has happened."""
    with installation(stack.database_url) as made:
        found = made.run("import", *(test_data / "daily" / name for name in FILES))
        assert found.code == 0, found.text
        yield made


def copy_of(imported: Installation, copy: Installation) -> Installation:
    shutil.copytree(imported.data_dir / "imports", copy.data_dir / "imports")
    return copy


def something_in(url: str, table: str) -> Callable[[], bool]:
    def look() -> bool:
        with psycopg.connect(url, autocommit=True) as connection:
            return bool(connection.execute(f"SELECT FROM {table} LIMIT 1".encode()).fetchone())

    return look


def copying(server_url: str, url: str, table: str) -> Callable[[], bool]:
    """Whether a COPY into a table is under way."""

    def look() -> bool:
        asked = "SELECT FROM pg_stat_activity WHERE datname = %s AND state <> 'idle' AND query LIKE %s"
        return bool(rows(server_url, asked, [urlsplit(url).path[1:], f'COPY%"{table}"%FROM STDIN%']))

    return look


def timestamps(made: Installation, server_url: str) -> list[Callable[[], bool]]:
    """Stages of a run to be interrupted in, each recognized by what it does to the stores."""
    features = made.data_dir / "features"
    return [
        copying(server_url, made.database_url, "bars_1d"),
        something_in(made.database_url, "market_data.bars_1d"),
        copying(server_url, made.database_url, "indicators_1d"),
        lambda: next(features.glob("symbol=*/*"), None) is not None,
        something_in(made.database_url, "market_data.input_versions"),
        lambda: next(features.glob("symbol=*/*/.*.tmp"), None) is not None,
    ]


def interrupt(made: Installation, end: str, chosen: Callable[[], bool] | float, patience: float) -> bool:
    """Starts a backfill and kills it at a moment; False if it had ended by then.

    Time is the processor's that the run has had, which does not depend on what else the machine does. A stage can be
    over between two looks at it: after ``patience`` seconds the run is killed where it is.
    """
    process = made.start(*backfill(end))
    try:
        while process.poll() is None:
            past = seconds_of(process)
            if past > (chosen if isinstance(chosen, float) else patience) or (callable(chosen) and chosen()):
                return True
            time.sleep(0.001)
        return False
    finally:
        kill(process)


def seconds_of(process: subprocess.Popen[str]) -> float:
    """How much of the processor's time it has had."""
    try:
        spent = psutil.Process(process.pid).cpu_times()
    except psutil.Error:  # it has just ended
        return 0.0
    return spent.user + spent.system


def seconds_of_children() -> float:
    """How much of the processor's time those processes have had that were started here and have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def chosen_timestamps(
    made: Installation, server_url: str, number: int, length: float, chance: random.Random
) -> Sequence[Callable[[], bool] | float]:
    """For each interruption of a platform either a stage or a moment of a run's time, by chance but repeatably."""
    stages = timestamps(made, server_url)
    return [
        stages[(number + place) % len(stages)] if (number + place) % 2 else chance.uniform(0.05, 0.7) * length
        for place in range(len(ENDS))
    ]


@pytest.mark.exhaustive
@pytest.mark.slow
def test_after_many_kills_everything_is_as_if_there_had_been_none(imported: Installation, stack: Endpoints) -> None:
    template = urlsplit(imported.database_url).path[1:]
    chance = random.Random(20)
    with installation(stack.database_url, template=template) as undisturbed:
        copy_of(imported, undisturbed)
        began = seconds_of_children()
        found = undisturbed.run(*backfill(ENDS[-1]))
        assert found.code == 0, found.text
        length = seconds_of_children() - began
        expected, features, partitions = (
            everything_stored(undisturbed),
            all_features(undisturbed),
            materialized(undisturbed),
        )
    assert {row[1] for row in expected["bars_1d"]} == SYMBOLS
    assert features.height == len(expected["bars_1d"])
    interrupted = number = 0
    while interrupted < KILLS:
        assert number < MOST_PLATFORMS, f"only {interrupted} of {number * len(ENDS)} runs were killed in time"
        with installation(stack.database_url, template=template) as made:
            copy_of(imported, made)
            for end, timestamp in zip(
                ENDS, chosen_timestamps(made, stack.database_url, number, length, chance), strict=True
            ):
                interrupted += interrupt(made, end, timestamp, 0.6 * length)
            found = made.run(*backfill(ENDS[-1]))
            assert found.code == 0, found.text
            stored = everything_stored(made)
            assert stored.keys() == expected.keys()
            for table, found_rows in stored.items():
                assert found_rows == expected[table], f"{table} of platform {number}"
            assert all_features(made).equals(features), f"features of platform {number}"
            assert not list((made.data_dir / "features").glob("symbol=*/*/.*.tmp"))
            assert materialized(made) >= partitions, f"partitions of platform {number}"
        number += 1
