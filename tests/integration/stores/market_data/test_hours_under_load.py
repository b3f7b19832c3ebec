"""The hours of ``market_data.ohlcv_1h`` after writers, refreshes and retention at the same time.

It lasts a quarter of a minute; ``TEST_HOURS_MINUTES`` makes it longer.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta

import polars as pl
import pytest
from commands import rows
from databases import create, drop, upgraded
from hourly_bars import answer, hour_of, hours, hours_of, minutes, now_of, run_jobs, stop_jobs

from trading_platform.domain.errors import StoreBusy, StoreError
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.market_data.bars import BarStore
from trading_platform.stores.market_data.retention import RetentionStore
from trading_platform.stores.market_data.stream.store import StreamStore
from trading_platform.stores.postgres.database import Database

pytestmark = pytest.mark.exhaustive
log = logging.getLogger(__name__)

SECONDS = 60 * float(os.environ.get("TEST_HOURS_MINUTES", "0.25"))
WRITERS = 3
HOUR = timedelta(hours=1)
AGES = [(0, 10), (30, 60), (140, 160), (170, 215), (250, 290)]
"""Days: what streams write; within the policy's reach; at both of its edges; and dropped every night."""


@pytest.fixture(params=["database_url", "timescale_url"])
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    server = request.getfixturevalue(request.param)
    name = f"load_{uuid.uuid4().hex[:8]}"
    made = upgraded(create(server, name))
    with closing(Database(made)) as database:
        stop_jobs(database)
    yield made
    drop(server, name)


class Load:
    """What goes on at the same time, until it is stopped or a part fails."""

    def __init__(self, url: str, seed: int) -> None:
        self.url = url
        self.seed = seed
        self.stop = threading.Event()
        self.done: Counter[str] = Counter()
        self.written: set[tuple[object, ...]] = set()
        """Every hour that was ever committed; each write replaces whole hours."""

    def repeat(self, name: str, work: Callable[[Database, random.Random], None], number: int = 0) -> None:
        """Does a part's work again and again; that somebody else has what it needs is no failure."""
        chance = random.Random(f"{self.seed} {name} {number}")
        with closing(Database(self.url)) as database:
            while not self.stop.is_set():
                try:
                    work(database, chance)
                    self.done[name] += 1
                except StoreBusy as error:
                    self.done[f"{name} met: {error.received or error.message}"] += 1
                except BaseException:
                    self.stop.set()
                    raise

    def write(self, database: Database, chance: random.Random, symbol: str) -> None:
        """A backfill of some hours of a symbol, or what a source has instead of them: fewer, or none."""
        first, last = chance.choice(AGES)
        start = hour_of(now_of(database) - timedelta(days=last) + chance.random() * timedelta(days=last - first))
        length = chance.randint(1, 6)
        if start + (length + 2) * HOUR > now_of(database):
            return
        bars = minutes(symbol, start, 60 * length, chance.randint(50, 5_000))
        if chance.random() < 0.1:
            bars = bars.filter(pl.col("time") >= start + chance.randint(1, length) * HOUR)
        self.written.update(hours_of(bars) if bars.height else [])
        answer(database, symbol, bars, Window(start, start + length * HOUR))

    def stream(self, database: Database, chance: random.Random, symbol: str) -> None:
        """The last hours of a symbol, as a stream stores them and corrects them."""
        start = hour_of(now_of(database)) - chance.randint(2, 6) * HOUR
        bars = minutes(symbol, start, 60, chance.randint(50, 5_000))
        self.written.update(hours_of(bars))
        StreamStore(database).commit(
            symbol,
            "test",
            bars=bars,
            answered={symbol: [Window(start, start + HOUR)]},
            until=start + HOUR,
            position={"at": chance.random()},
            now=now_of(database),
        )

    def refresh(self, database: Database, _: random.Random) -> None:
        RetentionStore(database, database, sleep=lambda _: time.sleep(0.01)).refresh_hours(now_of(database))

    def policy(self, database: Database, chance: random.Random) -> None:
        retention = RetentionStore(database, database)
        if not retention.uses_timescaledb():
            retention.drop_expired(now_of(database))
            self.stop.wait(0.2)
            return
        try:
            run_jobs(database, chance.choice(POLICIES))
        except StoreError as error:
            if error.received != "columnstore policy failure":
                raise
            raise StoreBusy(
                "A chunk was not compressed, because of a writer; the policy's next run does it."
            ) from error

    def night(self, database: Database, chance: random.Random) -> None:
        if chance.random() < 0.2:
            RetentionStore(database, database).note_expired(now_of(database))
        self.stop.wait(0.2)


POLICIES = ["policy_refresh_continuous_aggregate", "policy_compression", "policy_retention"]


def held_hours(url: str) -> Callable[[datetime, str], bool]:
    """Whether all minutes of an hour of a symbol are stored that ever were."""
    held = rows(
        url, "SELECT range_start, range_end FROM market_data.chunks() WHERE table_name = 'bars_1m' ORDER BY range_start"
    )
    gone: dict[str, list[tuple[datetime, datetime]]] = {}
    for symbol, start, end in rows(
        url,
        "SELECT DISTINCT symbol, lower(span), upper(span)"
        " FROM market_data.coverage, unnest(market_data.expired_hours(symbol)) AS span WHERE timeframe = '1m'",
    ):
        gone.setdefault(symbol, []).append((start, end))
    return lambda bucket, symbol: (
        any(start <= bucket < end for start, end in held)
        and not any(start <= bucket < end for start, end in gone.get(symbol, []))
    )


def test_hours_equal_the_minutes_whatever_went_on_at_once(url: str) -> None:
    load = Load(url, random.randrange(10**9))
    log.info("seed %s", load.seed)  # pytest shows it with a failure
    symbols = [f"W{number}" for number in range(2 * WRITERS)]
    with ThreadPoolExecutor() as pool:
        parts = [pool.submit(load.repeat, name, getattr(load, name)) for name in ("policy", "night")]
        parts += [pool.submit(load.repeat, "refresh", load.refresh, number) for number in range(2)]
        for number in range(WRITERS):
            mine = symbols[2 * number : 2 * number + 2]

            def write(database: Database, chance: random.Random, mine: list[str] = mine) -> None:
                part = load.stream if chance.random() < 0.3 else load.write
                part(database, chance, chance.choice(mine))

            parts.append(pool.submit(load.repeat, "write", write, number))
        load.stop.wait(SECONDS)
        load.stop.set()
        for part in parts:
            part.result()
    log.info("%s", dict(load.done))
    assert all(load.done[name] for name in ("write", "refresh", "policy"))

    with closing(Database(url)) as database:
        present = now_of(database)
        RetentionStore(database, database).refresh_hours(present)
        found = hours(database)
        bars = BarStore(database).read(symbols, Timeframe.M1, Window(present - timedelta(days=400), present))
        assert bars.height
    assert len({row[:2] for row in found}) == len(found), "an hour is stored twice"
    is_held = held_hours(url)
    expected = [row for row in hours_of(bars) if is_held(row[0], row[1])]  # type: ignore[arg-type]
    assert [row for row in found if is_held(row[0], row[1])] == expected  # type: ignore[arg-type]
    assert set(found) <= load.written, "an hour that nobody has written"
    log.info("%s hours of held minutes, %s of dropped ones", len(expected), len(found) - len(expected))
