"""Incidents of the live process in the system events: each with its beginning and its end."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta

import pytest

from trading_platform.domain.market.live.events import FeedDown, FeedUp
from trading_platform.domain.severity import Severity
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.postgres.database import Database
from trading_platform.streaming.feeds import never
from trading_platform.streaming.monitoring.incidents import SETTLED, FeedIncidents, Incidents

START = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def test_a_feed_that_flaps_is_one_incident_with_its_end(database: Database) -> None:
    clock, audit = Clock(), AuditStore(database)
    incidents = Incidents(audit, clock)
    feed = FeedIncidents(incidents, "kraken", never, clock)
    feed.observe(FeedUp(START, frozenset({"BTCUSD", "ETHUSD"})))
    feed.settle()
    for _ in range(3):
        clock.now += 10 * SECOND
        feed.observe(FeedDown(clock.now, frozenset({"BTCUSD"}), "cut"))
        feed.settle()
        feed.observe(FeedUp(clock.now, frozenset({"BTCUSD"})))
    clock.now += SETTLED - SECOND
    feed.settle()
    assert incidents.is_open("feed:kraken")
    clock.now += SECOND
    feed.settle()
    asyncio.run(incidents.flush())
    over, began = audit.events(event_type="feed_down")
    assert (began.timestamp, over.timestamp) == (START + 10 * SECOND, START + 30 * SECOND)
    assert (began.metadata["symbols"], over.metadata["over"]) == (1, True)
    feed.resumed({"BTCUSD"}, START)
    assert incidents.is_open("feed:kraken"), "a stream that did not run is one too"


def test_incidents_wait_for_the_database_and_keep_their_time(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    away = Incidents(AuditStore(Database("postgresql://postgres@127.0.0.1:9/nothing")), clock)
    away.begin("server:redis", "server_away", Severity.ERROR, "Redis does not answer.\nforged\x00\ud800")
    away.begin("server:redis", "server_away", Severity.ERROR, "Redis does not answer.")
    clock.now += 90 * SECOND
    away.end("server:redis", "Redis answers again.")
    away.end("server:redis", "Redis answers again.")
    for _ in range(3):
        away.report("part_failed", Severity.ERROR, "The part orders failed.", part="orders")
    asyncio.run(away.flush())
    back = Incidents(AuditStore(database), clock)
    back._waiting = away._waiting
    asyncio.run(back.flush())
    told = AuditStore(database).events(component="streamer")
    failed, over, began = [event for event in told if event.event_type != "feed_down"]
    assert (began.timestamp, over.timestamp) == (START, START + 90 * SECOND)
    assert (began.metadata["over"], over.metadata["over"]) == (False, True)
    assert over.message == "Redis answers again. It lasted 90 s."
    assert failed.message == "The part orders failed."
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 5


def test_the_next_process_ends_what_a_killed_one_left(database: Database) -> None:
    """Of the same part of the universe, and only what has no end."""
    clock, audit = Clock(), AuditStore(database)
    asyncio.run(Incidents(audit, clock).flush())  # ends what other tests left
    killed, other = Incidents(audit, clock), Incidents(audit, clock, part="1/2")
    for incidents in (killed, other):
        incidents.begin("server:redis", "former_away", Severity.ERROR, "Redis does not answer.", server="redis")
        incidents.begin("over", "former_over", Severity.ERROR, "It was short.")
        incidents.end("over", "It is over.")
        asyncio.run(incidents.flush())
    clock.now += 90 * SECOND
    again = Incidents(audit, clock)
    again.begin("server:redis", "former_away", Severity.ERROR, "Redis does not answer.", server="redis")
    for _ in range(2):
        asyncio.run(again.flush())
    told = sorted(audit.events(event_type="former_away"), key=lambda event: event.id)
    assert [(event.metadata["over"], event.metadata.get("part_of_universe")) for event in told] == [
        (False, None), (False, "1/2"), (True, None), (False, None),
    ]  # fmt: skip
    assert told[2].message == "The stream that said so was killed; another one has started. It lasted 90 s."
    assert told[2].metadata["server"] == "redis"
    assert len(audit.events(event_type="former_over")) == 4
