"""From Interactive Brokers' wire to the database: a year of minutes, a silence, an outage."""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from ib_gateway import FakeGateway, Listing, fake_gateway
from ib_market import (
    EURUSD,
    IBM,
    LISTINGS,
    NOW,
    SPY,
    SharedTime,
    as_frame,
    client_at,
    day,
    minutes,
    rate_limiter_by,
    source_at,
)
from slots import holds
from waiting import until

from trading_platform.domain.errors import SourceUnavailable
from trading_platform.domain.market.bars import Quality
from trading_platform.domain.market.live.bar_builder import BarBuilder
from trading_platform.domain.market.live.bar_series import Basis
from trading_platform.domain.rate_limits import Cost
from trading_platform.domain.time import Timeframe, Window, partition_windows
from trading_platform.resources.ibkr import log_absences
from trading_platform.sources.ibkr.connection import Absence, Link, Severity
from trading_platform.sources.ibkr.limits import SAME_CONTRACT
from trading_platform.sources.ibkr.live.stream import IbkrFeed
from trading_platform.sources.ibkr.session import Gateway
from trading_platform.sources.ibkr.source import IbkrSource
from trading_platform.sources.rate_limits import LocalRateLimiter
from trading_platform.stores.audit.journal import AuditStore, SystemEvent
from trading_platform.stores.market_data.completeness.outages import OutageState
from trading_platform.stores.redis.rate_limiters import RedisRateLimiter
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.streaming.feeds import FeedPlan
from trading_platform.streaming.pipeline import Pipeline, PipelineStores
from trading_platform.workflows.backfill.backfill_bars import backfill_bars
from trading_platform.workflows.gaps.repair_outages import repair_outages

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stores(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path_factory.mktemp("features"), may_upgrade=True) as opened:
        yield opened


@pytest.fixture
def shared_time() -> SharedTime:
    return SharedTime()


@pytest.fixture
def gateway(shared_time: SharedTime) -> Iterator[FakeGateway]:
    with fake_gateway(shared_time) as made:
        made.listings = list(LISTINGS)
        yield made


@pytest.mark.exhaustive
def test_a_year_of_minutes_is_had_without_one_breach(stores: Stores) -> None:
    """With TEST_IBKR_REAL_PACING=1 by the wall clock, which takes three quarters of an hour."""
    year = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))
    clock = None if os.environ.get("TEST_IBKR_REAL_PACING") else SharedTime()
    stores.instruments.add(IBM)
    with fake_gateway(clock or time.monotonic) as gateway:
        gateway.listings = list(LISTINGS)
        gateway.bars[101, "1 min"] = made = minutes("XNYS", "2023-12-20", "2025-01-10")
        with source_at(gateway, rate_limiter_by(clock), response_seconds=30) as source:
            report = backfill_bars(
                stores, {"ibkr": source}, [IBM], Timeframe.M1, partition_windows(Timeframe.M1, year), clock=lambda: NOW
            )
        assert report.failures == ()
        assert gateway.pacing.breaches == []
        assert gateway.pacing.requests == 252
        assert len(set(gateway.asked)) == 252
        if clock is not None:
            assert 4 * 600 <= clock.seconds <= 5 * 600  # four times sixty must wait, and no more is waited
    inside = [bar for bar in made if bar[0] in year]
    stored = stores.bars.read(["IBM"], Timeframe.M1, year)
    assert stored.select("time", "open", "high", "low", "close", "volume").equals(as_frame(inside))
    assert len(inside) > 97_000
    assert all(count.missing == count.empty == 0 for count in report.counts)


def test_who_shares_a_redis_shares_the_limits(redis_url: str) -> None:
    """Of eight requests for a contract over two connections five go at once, three wait."""
    slots: list[tuple[float, float]] = []

    class Noted(RedisRateLimiter):
        """Notes between which moments the slot of a request for bars is; nobody waits for it."""

        def take(self, costs: Sequence[Cost]) -> float:
            before = time.time()
            wait = super().take(costs)
            if SAME_CONTRACT in {cost.limit for cost in costs}:
                slots.append((before + wait, time.time() + wait))
            return wait

    dates = [f"2024-07-{number}" for number in (15, 16, 17, 18, 22, 23, 24, 25)]
    with fake_gateway(itertools.count(0, 1000).__next__) as gateway, ExitStack() as opened:
        gateway.listings = list(LISTINGS)
        gateway.bars[101, "1 min"] = minutes("XNYS", "2024-07-15", "2024-07-25")
        budgets = [Noted(redis_url, LocalRateLimiter(), sleep=lambda _: None) for _ in range(2)]
        sources = [
            opened.enter_context(source_at(gateway, rate_limiter, response_seconds=30)) for rate_limiter in budgets
        ]
        for source in sources:
            source.bars(IBM, Timeframe.M1, day("2024-07-20"))  # a Saturday: connects, and asks for nothing
        with ThreadPoolExecutor(8) as threads:
            asked = [threads.submit(sources[n % 2].bars, IBM, Timeframe.M1, day(date)) for n, date in enumerate(dates)]
            heights = [each.result().bars.height for each in asked]
        for rate_limiter in budgets:
            rate_limiter.close()
    assert heights == [390] * 8
    assert gateway.pacing.requests == len(slots) == 8
    assert holds(SAME_CONTRACT, [first for first, _ in slots], late=max(last - first for first, last in slots))
    assert gateway.connections == 3  # the first number that the second tried was taken


@pytest.mark.exhaustive
def test_a_timeout_is_never_stored_as_empty(stores: Stores, gateway: FakeGateway, shared_time: SharedTime) -> None:
    month = Window(datetime(2024, 7, 1, tzinfo=UTC), datetime(2024, 8, 1, tzinfo=UTC))
    stores.instruments.add(SPY)
    gateway.bars[102, "1 min"] = minutes("XNYS", "2024-07-01", "2024-07-03")
    gateway.script.extend([None, "silent"])
    with source_at(gateway, rate_limiter_by(shared_time)) as source:
        report = backfill_bars(stores, {"ibkr": source}, [SPY], Timeframe.M1, [month], clock=lambda: NOW)
        assert [type(failure.error) for failure in report.failures] == [SourceUnavailable]
        assert "did not respond" in report.failures[0].error.message
        answered = stores.coverage.answered("SPY", Timeframe.M1)["ibkr"]
        assert answered == [day("2024-07-01")]
        (failed,) = stores.coverage.failures(["SPY"], Timeframe.M1)
        assert failed.window == day("2024-07-02")
        assert "did not respond" in str(failed.note)
        (count,) = report.counts
        assert count.empty == 0
        assert count.missing > 0
        # Asked again, it answers, and nothing was lost by the silence.
        report = backfill_bars(stores, {"ibkr": source}, [SPY], Timeframe.M1, [month], clock=lambda: NOW)
        assert report.failures == ()
        stored = stores.bars.read(["SPY"], Timeframe.M1, month).select("time", "open", "high", "low", "close", "volume")
        assert stored.equals(as_frame(gateway.bars[102, "1 min"]))
        assert gateway.pacing.breaches == []


NOON = datetime(2025, 3, 4, 12, 0, 30, tzinfo=UTC)  # a Tuesday


def test_what_1101_lost_is_repaired_from_history(gateway: FakeGateway, stores: Stores) -> None:
    """From the wire to the database: the outage is noted, asked for, and its minutes are marked as repaired."""
    later = [timedelta(0)]

    def clock() -> datetime:
        return NOON + later[0]

    stores.instruments.add(EURUSD)
    gateway.listings.append(Listing(103, "EUR", "CASH", "IDEALPRO", "", "USD", "0.00005"))
    gateway.time = clock
    minutes = [datetime(2025, 3, 4, 11, tzinfo=UTC) + timedelta(minutes=number) for number in range(180)]
    gateway.bars[103, "1 min"] = [(minute, "1.05", "1.0525", "1.0475", "1.051225", "-1", -1) for minute in minutes]

    async def live() -> None:
        feed = IbkrFeed(Gateway("127.0.0.1", gateway.port), [EURUSD], clock=clock, interval=0.05)
        plan = FeedPlan("ibkr", "ibkr", {"EURUSD": Basis.MID}, lambda _since, _rejected: feed)
        kept = PipelineStores(stores.stream, stores.outages, stores.quarantine)
        pipeline = Pipeline(plan, BarBuilder("ibkr", basis=plan.basis), kept, clock=clock)
        running = asyncio.create_task(pipeline.run(feed))

        await until(lambda: gateway.subscriptions == 1, "the subscription")
        await asyncio.to_thread(gateway.ticks, [("EUR", 1, "1.05", "1000000"), ("EUR", 2, "1.0501", "1000000")])
        await until(lambda: pipeline.progress.quotes > 0, "a quote")
        await asyncio.to_thread(gateway.tell, 1100, "lost")
        await until(lambda: feed.symbols_down, "the outage")
        later[0] = timedelta(minutes=7)  # which pass before it is restored
        await asyncio.to_thread(gateway.tell, 1101, "restored, data lost")
        await until(lambda: not feed.symbols_down and gateway.subscriptions == 2, "a renewed subscription")
        await feed.close()
        await running

    asyncio.run(live())
    (outage,) = [each for each in stores.outages.all() if "1100" in each.reason]
    assert (outage.symbol, outage.state) == ("EURUSD", OutageState.CLOSED)
    window = outage.window()
    assert window == Window(NOON.replace(second=0), NOON.replace(second=0) + timedelta(minutes=8))
    later[0] = timedelta(minutes=12)
    client = client_at(gateway, rate_limiter_by(None), clock=clock)
    try:
        source = IbkrSource(lambda: client, clock=clock)
        repairs = repair_outages(stores, {"ibkr": source}, clock=clock, only=[outage.id])
    finally:
        client.close()
    assert [repair.state for repair in repairs] == [OutageState.REPAIRED]
    stored = stores.bars.read(["EURUSD"], Timeframe.M1, window)
    assert stored["time"].to_list() == [window.start + timedelta(minutes=number) for number in range(8)]
    assert set(stored["quality"]) == {Quality.REPAIRED.value}
    assert set(stored["close"]) == {Decimal("1.051225")}
    assert stored["volume"].null_count() == 8


def test_an_absence_is_among_the_system_events(stores: Stores) -> None:
    audit = AuditStore(stores.database)
    absence = Absence(Link.NEEDS_LOGIN, NOON, "nobody is logged in", Severity.CRITICAL)

    async def tell() -> None:
        report = log_absences(stores.database)
        report(absence)
        await until(lambda: len(events()) == 1, "the absence")
        report(None)
        await until(lambda: len(events()) == 2, "its end")

    def events() -> list[SystemEvent]:
        return [event for event in audit.events(component="ibkr") if event.event_type == "source_away"]

    asyncio.run(tell())
    assert sorted(event.severity for event in events()) == ["critical", "info"]
    assert any("a person must log in" in event.message for event in events())
