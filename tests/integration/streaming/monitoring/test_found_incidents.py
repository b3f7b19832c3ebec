"""What the live process finds out by itself: pauses, ended connections, an emptied Redis, messages that are odd."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from redis import Redis
from redis_servers import flush
from waiting import DEADLINE

from trading_platform.domain.errors import StoreUnavailable
from trading_platform.sources.live import MessageCounts
from trading_platform.stores.audit.journal import AuditStore, SystemEvent
from trading_platform.stores.redis.live import AsyncLiveStore
from trading_platform.streaming.monitoring.circuit import FeedGuard
from trading_platform.streaming.monitoring.database_watch import LONG_TRANSACTION, TRANSACTIONS_EVERY, DatabaseWatch
from trading_platform.streaming.monitoring.feed_quality import LOOKS, FeedQuality
from trading_platform.streaming.monitoring.incidents import Incidents
from trading_platform.streaming.monitoring.pauses import LONGEST, PauseWatch

START = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)


class Time:
    """Clock and timers that stand until they are moved."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def incidents(audit: AuditStore, time: Time) -> Iterator[Incidents]:
    made = Incidents(audit, time)
    asyncio.run(made.flush())  # ends what other tests left
    return made


def told(audit: AuditStore, incidents: Incidents, kind: str) -> list[SystemEvent]:
    """The events of a kind, the oldest first."""
    asyncio.run(incidents.flush())
    return sorted(audit.events(event_type=kind), key=lambda event: event.id)


def test_a_process_that_did_not_run_says_how_long(audit: AuditStore, incidents: Incidents, time: Time) -> None:
    waits = iter([1.0, 1.0 + LONGEST - 0.1, 91.0])

    async def sleep(_seconds: float) -> None:
        try:
            time.seconds += next(waits)
        except StopIteration:
            raise asyncio.CancelledError from None

    watch = PauseWatch(incidents, time, sleep=sleep, monotonic=time.monotonic)
    with suppress(asyncio.CancelledError):
        asyncio.run(watch.run())
    began, over = told(audit, incidents, "stream_paused")
    assert over.timestamp == time()
    assert (over.timestamp - began.timestamp, over.metadata["seconds"]) == (timedelta(seconds=90), 90.0)


def test_connections_that_the_database_ended_are_said_once(incidents: Incidents, database_url: str, time: Time) -> None:
    async def work() -> None:
        watch = DatabaseWatch(database_url, incidents, time)
        for _ in range(2):
            await watch.check()
        assert watch._kept is not None
        with psycopg.connect(database_url, autocommit=True) as owner:
            owner.execute("SELECT pg_terminate_backend(%s, 30000)", [watch._kept.info.backend_pid])
        with pytest.raises(StoreUnavailable, match="has ended its connections"):
            await watch.check()
        for _ in range(2):
            await watch.check()
        await watch.close()

    asyncio.run(work())


def test_a_long_transaction_is_said_with_its_end(
    audit: AuditStore, incidents: Incidents, database_url: str, time: Time
) -> None:
    with psycopg.connect(database_url) as other:
        other.execute("SELECT 1")
        pid = other.info.backend_pid

        async def work() -> None:
            watch = DatabaseWatch(database_url, incidents, time, monotonic=time.monotonic)
            for second in (1.0, 10.0, 10.0 + LONG_TRANSACTION - TRANSACTIONS_EVERY, 10.0 + LONG_TRANSACTION):
                time.seconds = second
                assert not told_open(incidents)
                await watch.check()
            assert told_open(incidents)
            await asyncio.to_thread(other.rollback)
            time.seconds += TRANSACTIONS_EVERY
            await watch.check()
            assert not told_open(incidents)
            await watch.close()

        asyncio.run(work())
    events = [event for event in told(audit, incidents, "transaction_long") if event.metadata["pid"] == pid]
    assert [event.metadata["over"] for event in events] == [False, True]
    assert events[0].severity == "info"
    assert (events[0].timestamp - START).total_seconds() == 10.0, "since it was first seen"


def told_open(incidents: Incidents) -> list[str]:
    return [name for name in incidents._open if name.startswith("transaction:")]


def test_a_redis_that_was_emptied_is_said_and_written_again(
    audit: AuditStore, incidents: Incidents, redis_url: str, time: Time
) -> None:
    async def work() -> None:
        live = AsyncLiveStore(redis_url, timeout=DEADLINE)
        guard = FeedGuard(live, audit, lambda _: (), component="feed_emptied", clock=time, incidents=incidents)
        for _ in range(2):
            await guard.tick()
        assert not incidents.is_open("redis:emptied"), "one that was empty at the start has lost nothing"
        with Redis.from_url(redis_url) as client:
            flush(client)
            await guard.tick()
            assert client.get("circuit:feed_emptied") == b"closed"
        await live.close()

    asyncio.run(work())
    assert [event.metadata["over"] for event in told(audit, incidents, "redis_emptied")] == [False, True]


class Feed:
    """What a feed has counted and measured."""

    def __init__(self) -> None:
        self.counts = MessageCounts()
        self.delay: float | None = 0.1

    def take_delay(self) -> float | None:
        return self.delay


@pytest.mark.parametrize(
    ("counter", "kind"),
    [("rejected", "messages_rejected"), ("duplicates", "messages_repeated"), ("late", "messages_late")],
)
def test_odd_messages_are_one_incident_with_their_number(
    counter: str, kind: str, audit: AuditStore, incidents: Incidents, time: Time
) -> None:
    feed, quality = Feed(), FeedQuality(incidents, "kraken", time)
    for second, count in ((0, 0), (5, 2), (30, 2), (60, 7), (65, 7), (119, 7), (120, 7), (125, 7), (600, 8), (660, 8)):
        time.seconds = second
        setattr(feed.counts, counter, count)
        quality.look(feed)
    events = told(audit, incidents, kind)
    assert [event.metadata.get("messages") for event in events] == [None, 7, None, 1]
    assert [(event.timestamp - START).total_seconds() for event in events] == [5, 60, 600, 600]


def test_messages_that_are_all_late_say_that_the_clocks_differ(
    audit: AuditStore, incidents: Incidents, time: Time
) -> None:
    feed, quality = Feed(), FeedQuality(incidents, "kraken", time)
    delays = [*[6.0] * (LOOKS - 1), 0.1, *[None, 6.0] * LOOKS, 4.0, 2.5]
    for look, feed.delay in enumerate(delays):
        time.seconds = 5.0 * look
        quality.look(feed)
    began, over = told(audit, incidents, "clocks_differ")
    assert (began.timestamp - START).total_seconds() == 5.0 * (len(delays) - 3)
    assert "6.0 s behind this machine's clock" in began.message
    assert (over.timestamp - START).total_seconds() == 5.0 * (len(delays) - 1)
