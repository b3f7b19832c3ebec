"""What a silent feed leaves in Redis and in the system events."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from redis import Redis
from redis_servers import flush
from waiting import DEADLINE

from trading_platform.domain.errors import StoreUnavailable
from trading_platform.domain.market.live.events import Event, Heartbeat, Quote, Trade
from trading_platform.domain.messages import AlertMessage
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.redis.live import AsyncLiveStore
from trading_platform.streaming.monitoring.circuit import FeedGuard

OPENING = datetime(2024, 3, 4, 14, 30, tzinfo=UTC)
BOTH = ("AAPL", "MSFT")


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url, decode_responses=True) as client:
        flush(client)
        yield client


class Day:
    """A guard, and the clock it goes by."""

    def __init__(self, redis_url: str, audit: AuditStore, component: str) -> None:
        self.now = OPENING
        self.live = AsyncLiveStore(redis_url, timeout=DEADLINE)
        self.guard = FeedGuard(self.live, audit, lambda _: BOTH, component=component, clock=lambda: self.now)

    async def at(self, second: float, *events: Event) -> None:
        self.now = OPENING + timedelta(seconds=second)
        for event in events:
            self.guard.observe(event)
        await self.guard.tick()


def alerts(redis: Redis) -> list[AlertMessage]:
    return [AlertMessage.model_validate_json(fields["message"]) for _, fields in redis.xrange("alerts")]


def trade(symbol: str) -> Trade:
    return Trade(symbol, OPENING, Decimal(1), Decimal(1))


def test_a_dead_feed_opens_the_circuit_and_its_life_closes_it(redis: Redis, redis_url: str, audit: AuditStore):
    async def work() -> None:
        day = Day(redis_url, audit, "feed_a")
        await day.at(0, trade("AAPL"))
        assert redis.get("circuit:feed_a") == "closed"
        await day.at(120, Heartbeat(OPENING))
        assert redis.get("circuit:feed_a") == "closed"
        for second in (121, 122, 400):
            await day.at(second, Heartbeat(OPENING))
            assert redis.get("circuit:feed_a") == "open"
        await day.at(401, Quote("MSFT", OPENING, Decimal(1)))
        assert redis.get("circuit:feed_a") == "closed"
        await day.live.close()

    asyncio.run(work())
    opened, closed = alerts(redis)
    assert (opened.payload.event_type, opened.payload.severity, opened.payload.over) == (
        "feed_inactive",
        "error",
        False,
    )
    assert (closed.payload.incident, closed.payload.over) == (opened.payload.incident, True)
    assert opened.ts == OPENING + timedelta(seconds=121)
    events = audit.events(component="feed_a")
    assert [event.message for event in reversed(events)] == [opened.payload.message, closed.payload.message]
    assert [event.severity for event in events] == ["info", "error"]


def test_a_silent_symbol_is_a_warning_once(redis: Redis, redis_url: str, audit: AuditStore):
    async def work() -> None:
        day = Day(redis_url, audit, "feed_b")
        for second in range(0, 700, 50):
            await day.at(second, trade("AAPL"), *([trade("MSFT")] if second == 600 else []))
        await day.live.close()

    asyncio.run(work())
    published = [
        (alert.payload.severity, alert.payload.metadata["symbol"], alert.payload.over) for alert in alerts(redis)
    ]
    assert published == [("warning", "MSFT", False), ("info", "MSFT", True)]
    assert redis.get("circuit:feed_b") == "closed"


def test_the_next_process_closes_what_the_killed_one_opened(redis: Redis, redis_url: str, audit: AuditStore):
    async def work() -> None:
        killed = Day(redis_url, audit, "feed_c")
        await killed.at(0)
        await killed.at(200)
        await killed.live.close()
        day = Day(redis_url, audit, "feed_c")
        await day.at(300)
        assert redis.get("circuit:feed_c") == "open"
        await day.at(301, trade("AAPL"))
        assert redis.get("circuit:feed_c") == "closed"
        await day.live.close()

    asyncio.run(work())
    opened, closed = alerts(redis)
    assert opened.payload.incident == closed.payload.incident


@pytest.mark.parametrize("older", ["open", "closed"])
def test_an_older_state_of_a_restored_redis_does_not_stay(
    older: str, redis: Redis, redis_url: str, audit: AuditStore
) -> None:
    """Restored from a file of when the circuit was open, it would stay so for ever: nothing would close it."""
    component = f"feed_older_{older}"
    present = "closed" if older == "open" else "open"

    async def work() -> None:
        day = Day(redis_url, audit, component)
        await day.at(0, trade("AAPL"))
        await day.at(200, *([trade("AAPL")] if present == "closed" else []))
        assert redis.get(f"circuit:{component}") == present
        redis.set(f"circuit:{component}", older)
        await day.at(201)
        assert redis.get(f"circuit:{component}") == present
        await day.live.close()

    asyncio.run(work())


def test_what_redis_does_not_take_is_told_when_it_does(redis: Redis, redis_url: str, audit: AuditStore):
    async def work() -> None:
        day = Day(redis_url, audit, "feed_d")
        await day.at(0, trade("AAPL"))
        redis.client_pause(round(DEADLINE * 1_000), all=False)
        day.live._timeout = 0.3
        await day.at(130)
        assert isinstance(day.guard.error, StoreUnavailable)
        redis.client_unpause()
        day.live._timeout = DEADLINE
        await day.at(131)
        assert day.guard.error is None
        assert redis.get("circuit:feed_d") == "open"
        flush(redis)
        await day.at(132)
        assert redis.get("circuit:feed_d") == "open"
        await day.live.close()

    asyncio.run(work())
    assert [alert.payload.over for alert in alerts(redis)] == [False]
    assert len(audit.events(component="feed_d")) == 1
