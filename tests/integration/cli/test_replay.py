"""``trading-platform replay`` into a real database, killed at any moment."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from commands import Installation, installation, kill, rows
from waiting import wait_until

from trading_platform.domain.market.bars import PRICE, PRICES
from trading_platform.embedded.stack import Endpoints

pytestmark = pytest.mark.exhaustive

TICKS = "tick/EURUSD_oanda_ticks_2014-05.csv.gz"
STORED = "SELECT time, open, high, low, close FROM market_data.bars_1m WHERE symbol = 'EURUSD' ORDER BY time"
REQUESTS = "SELECT id, symbol, timeframe, stored FROM market_data.coverage_requests ORDER BY id"
POSITION = "SELECT until FROM market_data.stream_positions"


@pytest.fixture
def platform(stack: Endpoints) -> Iterator[Installation]:
    with installation(stack.database_url) as made:
        yield made


def lean(test_data: Path) -> list[tuple[object, ...]]:
    """LEAN's bid minutes of the days of the ticks."""
    table = pl.read_csv(test_data / "minute/EURUSD_oanda_1m_2014-05_quote.csv.gz", infer_schema=False)
    time_ = pl.col("time_utc").str.to_datetime(time_unit="us", time_zone="UTC").alias("time")
    bars = table.select(time_, *(pl.col(f"bid_{name}").cast(PRICE).alias(name) for name in PRICES))
    days = [date(2014, 5, day) for day in (2, 4, 5, 6)]
    return bars.filter(pl.col("time").dt.date().is_in(days)).rows()


def test_killed_at_any_moment_it_goes_on_and_a_second_time_changes_nothing(
    platform: Installation, test_data: Path
) -> None:
    command = ("replay", test_data / TICKS, "--basis", "bid")
    chance = random.Random(4)
    reached = []
    for _ in range(4):
        process = platform.start(*command)
        for _ in range(chance.randint(1, 2)):
            before = rows(platform.database_url, POSITION)
            wait_until(lambda: rows(platform.database_url, POSITION) != before, "a commit", running=process)  # noqa: B023
        time.sleep(chance.random() / 10)  # somewhere in what follows
        kill(process)
        reached.append(rows(platform.database_url, POSITION)[0][0])
    assert reached == sorted(set(reached)), "each run went on from where the one before was killed"
    done = platform.run(*command, "--json")
    assert done.code == 0, done.text
    (report,) = done.json["replays"]
    assert report["went_on_after"] is not None
    expected = lean(test_data)
    assert len(expected) == 4_118
    assert rows(platform.database_url, STORED) == expected
    requests = rows(platform.database_url, REQUESTS)
    force = platform.run(*command, "--json")
    assert force.json["replays"][0]["bars"] == 0
    assert rows(platform.database_url, STORED) == expected
    assert rows(platform.database_url, REQUESTS) == requests


def test_the_hours_follow_and_coverage_is_proven(platform: Installation, test_data: Path) -> None:
    assert platform.run("replay", test_data / TICKS, "--basis", "ask").code == 0
    hours = rows(platform.database_url, "SELECT count(*) FROM market_data.bars_1h WHERE symbol = 'EURUSD'")
    assert hours == [(72,)]
    (account,) = platform.run("coverage", "EURUSD", "-t", "1m", "--json").json
    assert (account["stored"], account["missing"]) == (4_118, 0)


def test_a_dry_run_needs_no_database(platform: Installation, test_data: Path, tmp_path: Path) -> None:
    nowhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none"}
    target = tmp_path / "bars.parquet"
    done = platform.run("replay", test_data / TICKS, "--basis", "bid", "--to", target, more=nowhere)
    assert done.code == 0, done.text
    assert pl.read_parquet(target).select("time", *PRICES).rows() == lean(test_data)
    ticks = test_data / "tick/USDJPY_truefx_ticks.csv"
    shown = platform.run("replay", ticks, "--dry-run", more=nowhere)
    minutes = {line[: len("2013-01-01 22:00")] for line in ticks.read_text().splitlines()[1:]}
    assert f"{len(minutes)} bars, the last 20" in shown.text
    assert rows(platform.database_url, POSITION) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.csv"], "There is no file"),
        (["--speed", "0", TICKS], "cannot have the speed"),
        (["--basis", "last", TICKS], "Bars cannot be built from"),
        (["--to", "bars.txt", TICKS], "supported extension"),
        (["README.md", "--dry-run"], "cannot be imported"),
    ],
)
def test_what_cannot_be_is_said_in_words(
    platform: Installation, test_data: Path, arguments: list[str], words: str
) -> None:
    named = [str(test_data / each) if "." in each and not each.startswith("bars") else each for each in arguments]
    done = platform.run("replay", *named, more={"DATABASE_URL": "postgresql://nobody@127.0.0.1:9/none"})
    assert done.code != 0
    assert words in done.text
    assert "Traceback" not in done.text


def test_an_order_of_dates_that_the_file_leaves_open_can_be_given(platform: Installation) -> None:
    ticks = platform.data_dir / "IBM_trades.csv"
    rows_ = [f"03/04/2024 15:{minute:02}:00,190.{minute:02},100" for minute in range(3)]
    ticks.write_text("\n".join(["time,price,size", *rows_]))
    open_ = platform.run("replay", ticks, "--symbol", "IBM", "--timezone", "UTC", "--dry-run", "--json")
    assert open_.code != 0
    assert "--dates" in open_.text
    for order, day in (("day-first", "2024-04-03"), ("month-first", "2024-03-04")):
        found = platform.run(
            "replay", ticks, "--symbol", "IBM", "--timezone", "UTC", "--dates", order, "--dry-run", "--json"
        )
        assert found.code == 0, found.text
        assert found.json["bars"][0]["time"].startswith(day)
