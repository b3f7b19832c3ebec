"""Today's features in Redis have the numbers of the files, and what differs is found: Redis, file and bars."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import polars as pl
import pytest
from hourly_market import MONTHS, NOW, UNIVERSE, Store, bars_of, loaded
from redis import Redis
from redis_servers import flush

from trading_platform.client import Platform
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.time import Timeframe
from trading_platform.stores.redis.latest_features import RedisLatestFeatures
from trading_platform.workflows.derived.publish_latest import latest_rows
from trading_platform.workflows.quality.check_results import CheckResult, Status
from trading_platform.workflows.quality.suites.verify import verify_asset

PRESENT = datetime(2024, 4, 19, 18, 10, tzinfo=UTC)
"""Ten minutes after the last stored hour; the day of the third instrument still lasts."""


@pytest.fixture(scope="module")
def store(database_url: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Store:
    built = loaded(database_url, tmp_path_factory.mktemp("skew"), RedisLatestFeatures(lambda: redis_url), PRESENT)
    built.build()
    built.build_days()
    return built


@pytest.fixture
def redis(redis_url: str, store: Store) -> Iterator[Redis]:
    with Redis.from_url(redis_url, decode_responses=True) as client:
        flush(client)
        store.build()
        store.build_days()
        yield client


def check(store: Store, asset: str) -> CheckResult:
    with store.opened() as stores:
        (result,) = verify_asset(stores, {}, asset, clock=lambda: PRESENT, only=["no_skew"])
    return result


def said(result: CheckResult) -> set[tuple[object, object]]:
    return {(row["symbol"], row["compared with"]) for row in result.sample}


def test_redis_has_the_newest_known_row_of_each_symbol(store: Store, redis: Redis, redis_url: str) -> None:
    assert sorted(redis.scan_iter("features:*")) == ["features:AAA", "features:BBB", "features:STOCK"]
    coin, stock = redis.hgetall("features:AAA"), redis.hgetall("features:STOCK")
    assert (coin["timeframe"], coin["time"]) == ("1h", "2024-04-19T17:00:00.000000Z")
    assert (stock["timeframe"], stock["time"]) == ("1d", "2024-04-18T00:00:00.000000Z"), "the day that has ended"
    assert 0 < redis.ttl("features:AAA") <= 110 * 60
    file = store.rows("AAA").row(-1, named=True)
    expected = {name: repr(value) for name, value in file.items() if isinstance(value, float)}
    assert {name: coin[name] for name in coin.keys() - {"time", "timeframe", "available_at"}} == expected

    @contextmanager
    def opened() -> Iterator[str]:
        yield redis_url

    with store.opened() as stores:
        agent = Platform(stores, opened, clock=lambda: PRESENT)
        try:
            found = agent.latest_features(names=["returns_1h", "rsi_14", "news_sentiment_24h"])
            assert found["symbol"].to_list() == ["AAA", "BBB", "STOCK"]
            assert found.columns[:4] == ["time", "symbol", "timeframe", "available_at"]
            assert found["returns_1h"].to_list()[0] == file["returns_1h"]
            assert found["returns_1h"].to_list()[2] is None
            assert found["news_sentiment_24h"].null_count() == 3
            assert agent.latest_features("BBB")["symbol"].to_list() == ["BBB"]
            with pytest.raises(InvalidRequest, match="no feature 'rsi_15'"):
                agent.latest_features(names=["rsi_15"])
        finally:
            agent.disconnect_redis()


@pytest.mark.usefixtures("redis")
def test_nothing_differs_where_all_is_in_order(store: Store) -> None:
    for asset, rows, cached in (("features_1h", 2, 2), ("features", 1, 1)):
        result = check(store, asset)
        assert result.status is Status.PASSED, result.sample
        assert (result.rows_checked, result.counts["compared with Redis"]) == (rows, cached)


def test_what_is_not_of_today_is_not_in_redis(store: Store) -> None:
    with store.opened() as stores:
        assert latest_rows(stores, UNIVERSE, list(UNIVERSE), NOW.replace(day=25)) == {}
        assert set(latest_rows(stores, UNIVERSE, list(UNIVERSE), NOW)) == {"STOCK"}


@pytest.mark.exhaustive
def test_another_number_or_row_in_redis_is_found(store: Store, redis: Redis) -> None:
    number = float(redis.hget("features:AAA", "rsi_14") or "nan")
    redis.hset("features:AAA", "rsi_14", repr(number + 1e-13))
    redis.delete("features:BBB")
    result = check(store, "features_1h")
    assert (result.status, result.failing_rows) == (Status.FAILED, 2)
    assert said(result) == {("AAA", "Redis"), ("BBB", "Redis")}
    redis.hset("features:STOCK", "time", "2024-04-17T00:00:00.000000Z")
    assert said(check(store, "features")) == {("STOCK", "Redis")}
    store.build()
    store.build_days()
    assert check(store, "features_1h").status is Status.PASSED, "the next run writes what lacks"
    assert check(store, "features").status is Status.PASSED


@pytest.mark.exhaustive
@pytest.mark.usefixtures("redis")
def test_another_number_in_a_file_is_found(store: Store) -> None:
    before = store.rows("AAA").filter(pl.col("time") >= MONTHS[-1].start)
    wrong = before.with_columns(returns_1d=pl.col("returns_1d") * 1.001)
    with store.opened() as stores:
        stores.hourly_features.replace(wrong, "AAA", MONTHS[-1])
    try:
        assert said(check(store, "features_1h")) == {("AAA", "computed again"), ("AAA", "Redis")}
    finally:
        with store.opened() as stores:
            stores.hourly_features.replace(before, "AAA", MONTHS[-1])


@pytest.mark.exhaustive
@pytest.mark.usefixtures("redis")
def test_a_bar_that_changed_since_is_found_until_features_are_built_again(store: Store) -> None:
    last = bars_of("BBB").tail(1).with_columns((pl.col("close") * 1.001).round(4))
    store.load("BBB", last)
    found = check(store, "features_1h")
    assert ("BBB", "computed again") in said(found)
    store.build()
    assert check(store, "features_1h").status is Status.PASSED
    with store.opened() as stores:
        assert float(stores.bars.last(["BBB"], Timeframe.H1, 1, NOW)["close"][0]) > bars_of("BBB")["close"][-1]
