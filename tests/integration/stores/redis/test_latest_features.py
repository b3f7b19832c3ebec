"""The hashes ``features:{symbol}`` on the real Redis: exact numbers, whole rows, no older one over a newer one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from redis import Redis
from redis_servers import flush

from trading_platform.domain.errors import StoreError, StoreUnavailable
from trading_platform.domain.features.latest import LatestRow, kept_until
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe
from trading_platform.stores.redis.latest_features import RedisLatestFeatures

NINE = datetime(2024, 12, 15, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
ROW = LatestRow("BTCUSD", Timeframe.H1, NINE, NINE + HOUR, {"returns_1d": 0.1 + 0.2, "mentions": 7, "is_up": True})


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url, decode_responses=True) as client:
        flush(client)
        yield client


@pytest.fixture
def latest(redis: Redis, redis_url: str) -> RedisLatestFeatures:
    redis.ping()
    return RedisLatestFeatures(lambda: redis_url)


def test_a_row_is_a_hash_with_the_numbers_of_the_file(latest: RedisLatestFeatures, redis: Redis) -> None:
    latest.write([(ROW, 2 * HOUR)])
    assert redis.type("features:BTCUSD") == "hash"
    assert redis.hgetall("features:BTCUSD") == {
        "time": "2024-12-15T09:00:00.000000Z",
        "timeframe": "1h",
        "available_at": "2024-12-15T10:00:00.000000Z",
        "returns_1d": "0.30000000000000004",
        "mentions": "7",
        "is_up": "true",
    }
    assert 7195 <= redis.ttl("features:BTCUSD") <= 7200
    assert latest.read(["BTCUSD", "ETHUSD"]) == {"BTCUSD": ROW}


def test_every_float_comes_back_to_the_bit(latest: RedisLatestFeatures) -> None:
    random = np.random.default_rng(1)
    drawn = random.normal(size=500) * 10.0 ** random.integers(-300, 300, 500)
    values = [*drawn.tolist(), 0.0, -0.0, 5e-324, 1.0, 1e22]
    row = replace(ROW, values={f"f{number}": value for number, value in enumerate(values)})
    latest.write([(row, HOUR)])
    (found,) = (latest.read(["BTCUSD"]) or {}).values()
    assert [float(value).hex() for value in found.values.values()] == [value.hex() for value in values]


def test_a_row_is_replaced_whole_and_never_by_an_older_one(latest: RedisLatestFeatures) -> None:
    corrected = replace(ROW, values={"returns_1d": 0.25})
    older = replace(ROW, time=NINE - HOUR, available_at=NINE)
    newer = replace(ROW, time=NINE + HOUR, available_at=NINE + 2 * HOUR)
    for row, expected in ((ROW, ROW), (older, ROW), (corrected, corrected), (newer, newer), (ROW, newer)):
        latest.write([(row, HOUR)])
        assert latest.read(["BTCUSD"]) == {"BTCUSD": expected}


def test_a_hash_that_is_none_of_features_is_said(latest: RedisLatestFeatures, redis: Redis) -> None:
    redis.hset("features:BTCUSD", mapping={"time": "now"})
    with pytest.raises(StoreError, match="features:BTCUSD of Redis has no features"):
        latest.read(["BTCUSD"])


def test_without_redis_writing_warns_and_reading_says_so(caplog: pytest.LogCaptureFixture) -> None:
    nobody = RedisLatestFeatures(lambda: "redis://127.0.0.1:1/0")
    with caplog.at_level(logging.WARNING):
        nobody.write([(ROW, HOUR)])
    assert "The latest features of 1 symbols are not in Redis" in caplog.text
    with pytest.raises(StoreUnavailable):
        nobody.read(["BTCUSD"])
    none = RedisLatestFeatures(lambda: None)
    none.write([(ROW, HOUR)])
    assert none.read(["BTCUSD"]) is None


def test_a_row_counts_until_the_next_one_is_late() -> None:
    def until(calendar: str, timeframe: Timeframe, time: datetime, available_at: datetime) -> datetime:
        row = replace(ROW, timeframe=timeframe, time=time, available_at=available_at)
        return kept_until(Instrument("AAA", AssetClass.EQUITY, calendar, "file"), row)

    friday = datetime(2024, 7, 5, tzinfo=UTC)
    assert until("24/7", Timeframe.H1, NINE, NINE + HOUR) == NINE + 3 * HOUR
    assert until("24/7", Timeframe.D1, friday, friday + timedelta(days=1)) == friday + timedelta(days=3)
    assert until("FX", Timeframe.D1, friday, friday + timedelta(days=1)) == friday + timedelta(days=4), "Sunday's end"
