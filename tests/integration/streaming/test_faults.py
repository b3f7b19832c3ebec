"""Faults around the live path: full disks, clocks that differ, servers that die; each is said, waited for, and over."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from small_disks import mounted
from waiting import until

from trading_platform.domain.errors import StoreFull, StoreUnavailable
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.market.live.bar_builder import BarBuilder
from trading_platform.domain.market.live.bar_series import Basis
from trading_platform.domain.market.live.events import Event, FeedUp, Heartbeat, Quote, Trade
from trading_platform.domain.severity import Severity
from trading_platform.domain.time import Timeframe, Window
from trading_platform.embedded.folders import server_account
from trading_platform.embedded.redis import RedisServer
from trading_platform.embedded.revive import revive
from trading_platform.embedded.stack import running_redis, stack_status, stop_stack
from trading_platform.settings import Settings
from trading_platform.sources.live import LastEvent, LiveFeed, RejectMessage
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.market_data.completeness.outages import OutageState
from trading_platform.stores.postgres.database import Database
from trading_platform.stores.redis.live import AsyncLiveStore
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.streaming.feeds import FeedPlan
from trading_platform.streaming.monitoring.circuit import FeedGuard
from trading_platform.streaming.monitoring.database_watch import DatabaseWatch
from trading_platform.streaming.monitoring.incidents import Incidents
from trading_platform.streaming.monitoring.servers import ServerWatch
from trading_platform.streaming.pipeline import Pipeline, PipelineCallbacks, PipelineStores
from trading_platform.streaming.replay.recording import MOST_WAITING, NOT_RECORDED, Recording, RecordingWriter

START = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)


def never(_known: LastEvent, _rejected: RejectMessage) -> LiveFeed:
    raise AssertionError("a pipeline is given its feed")


PLAN = FeedPlan("kraken", "kraken", {"BTCUSD": Basis.TRADE}, never, quoted=frozenset({"AAPL"}))


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path / "features", may_upgrade=True) as opened:
        opened.instruments.add(Instrument("BTCUSD", AssetClass.CRYPTO, "24/7", "kraken"))
        with opened.owner.begin() as connection:
            connection.exec_driver_sql(
                "TRUNCATE market_data.bars_1m, market_data.coverage, market_data.coverage_requests,"
                " market_data.stream_positions, market_data.outages, market_data.quarantine, audit.system_events"
            )
        yield opened


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


def pipeline(stores: Stores, clock: Clock, callbacks: PipelineCallbacks, **options: object) -> Pipeline:
    where = PipelineStores(stores.stream, stores.outages, stores.quarantine)
    builder = BarBuilder("kraken", basis=PLAN.basis)
    return Pipeline(PLAN, builder, where, callbacks=callbacks, clock=clock, **options)  # type: ignore[arg-type]


def market(minutes: int, since: datetime = START) -> list[Event]:
    events: list[Event] = [FeedUp(since, frozenset({"BTCUSD", "AAPL"}))]
    for second in range(minutes * 60):
        timestamp = since + second * SECOND
        events += [Heartbeat(timestamp), Trade("BTCUSD", timestamp, Decimal(100), Decimal(1), second + 1)]
    return events


# A full disk


@pytest.fixture
def server_disk() -> Iterator[Path]:
    """A disk of one megabyte that the server's user can reach; only root may have one."""
    folder = Path(tempfile.mkdtemp(prefix="tp-"))
    try:
        with mounted(folder, "1m"):
            yield folder
    finally:
        folder.rmdir()


def fill_disk(ballast: Path) -> None:
    """Leaves no byte on the disk of a file."""
    with suppress(OSError), ballast.open("ab", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


@contextmanager
def full_tablespace(url: str, folder: Path) -> Iterator[Callable[[], None]]:
    """Puts the table of positions on a small disk that is full; what it gives makes room."""
    account = server_account()
    home = folder / "space"
    home.mkdir()
    if account is not None:
        os.chown(home, account.pw_uid, account.pw_gid)
    ballast = folder / "ballast"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE TABLESPACE small LOCATION {}").format(sql.Literal(str(home))))
        connection.execute("ALTER TABLE market_data.stream_positions SET TABLESPACE small")
        fill_disk(ballast)
        try:
            yield ballast.unlink
        finally:
            ballast.unlink(missing_ok=True)
            connection.execute("ALTER TABLE market_data.stream_positions SET TABLESPACE pg_default")
            connection.execute("DROP TABLESPACE small")


def test_a_database_that_is_full_is_waited_for_and_said(
    stores: Stores, database_url: str, server_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock, pauses = Clock(), []
    incidents = Incidents(AuditStore(stores.database), clock)

    def waiting(error: object) -> None:
        if isinstance(error, StoreFull):
            incidents.begin("writes", "database_full", Severity.ERROR, str(error))
        elif error is None:
            incidents.end("writes", "What was received is stored.")

    with full_tablespace(database_url, server_disk) as make_room:

        async def sleep(seconds: float) -> None:
            pauses.append(seconds)
            clock.now += seconds * SECOND
            if len(pauses) == 5:
                make_room()

        made = pipeline(stores, clock, PipelineCallbacks(waiting=waiting), sleep=sleep)

        async def feed() -> AsyncIterator[Event]:
            for event in market(4):
                clock.now = max(clock.now, event.time)
                yield event
            await until(lambda: len(pauses) >= 5 and made.progress.failing is None, "room")

        asyncio.run(made.run(feed()))
    assert stores.bars.read(["BTCUSD"], Timeframe.M1, Window(START, START + MINUTE * 5)).height == 3
    assert made.progress.failing is None
    asyncio.run(incidents.flush())
    over, began = AuditStore(stores.database).events(event_type="database_full")
    assert "no space left" in began.message
    assert over.metadata["over"]
    assert over.metadata["seconds"] > 0
    assert "no space left" in caplog.text


def test_a_recording_on_a_full_disk_stays_readable_and_goes_on(small_disk: Path) -> None:
    path, ballast = small_disk / "feed.jsonl.gz", small_disk / "ballast"
    clock = Clock()
    writer = RecordingWriter(path, source="kraken", basis=PLAN.basis, clock=clock)
    failed = 0

    def record(events: list[Event]) -> int:
        nonlocal failed
        for event in events:
            clock.now = event.time
            try:
                writer.write(event, event.time)
            except OSError:
                failed += 1
        return len(events)

    record(market(1))
    fill_disk(ballast)
    short = record(market(2, START + MINUTE))
    assert failed > 5
    assert Recording(path).count() > 100, "what was written is readable"
    ballast.unlink()
    record([Heartbeat(START + 4 * MINUTE)])
    assert Recording(path).count() == 1 + 121 + short + 1, "nothing is missing after a short time"
    failed = 0
    fill_disk(ballast)
    long = record(market(MOST_WAITING // 60, START + 5 * MINUTE))
    assert len(writer._lines) <= MOST_WAITING
    ballast.unlink()
    record([Heartbeat(clock.now + 20 * SECOND), Heartbeat(clock.now + 40 * SECOND)])
    writer.close()
    found = list(Recording(path).events(reject=lambda *_: pytest.fail("a line cannot be read")))
    assert len(found) < 122 + short + long
    reasons = [getattr(each.event, "reason", None) for each in found]
    assert reasons.count(NOT_RECORDED) == 1
    assert isinstance(found[reasons.index(NOT_RECORDED) + 1].event, FeedUp)


def test_a_redis_whose_disk_is_full_is_waited_for_and_said(server_disk: Path, stores: Stores) -> None:
    """No part fails for it: the watch says it, with its end."""
    server, ballast = RedisServer(server_disk), server_disk / "ballast"
    server.ensure_running()
    audit = AuditStore(stores.database)

    async def work() -> None:
        live, incidents = AsyncLiveStore(server.url()), Incidents(audit, Clock())
        watch = ServerWatch({"redis": live.check}, incidents)
        await watch.look()
        assert not incidents.is_open("server:redis")
        fill_disk(ballast)

        async def is_refused() -> bool:
            with suppress(StoreFull):
                await live.write_session({"state": "x" * 4096})
                return False
            return True

        await until(is_refused, "a write that does not fit", every=0.05)
        await watch.look()
        assert incidents.is_open("server:redis")
        ballast.unlink()

        async def is_over() -> bool:
            await watch.look()
            return not incidents.is_open("server:redis")

        await until(is_over, "the end", every=0.05)
        await live.write_session({"state": "streaming"})
        await incidents.flush()
        await live.close()

    try:
        asyncio.run(work())
    finally:
        server.remove()
    over, began = audit.events(event_type="server_away")
    assert "cannot write its file" in began.message
    assert over.metadata["over"]


# A source whose clock is ahead


def test_a_feed_of_which_everything_is_rejected_is_not_healthy(stores: Stores, redis_url: str) -> None:
    """An exchange an hour ahead: 3,000 trades and quotes in three minutes, and none of them can be used."""
    clock = Clock()
    events = [Heartbeat(START), *market(3, START + timedelta(hours=1))]
    live = AsyncLiveStore(redis_url)
    guard = FeedGuard(live, AuditStore(stores.database), lambda _: ["BTCUSD"], component="hour_ahead", clock=clock)
    made = pipeline(stores, clock, PipelineCallbacks(accepted=guard.observe, rejected=guard.reject))

    async def feed() -> AsyncIterator[Event]:
        for number, event in enumerate(events):
            clock.now = START + number * SECOND / 2
            if number == 20:
                assert guard.trouble is None or "rejected and none accepted" in guard.trouble
            for each in (event, Quote("AAPL", clock.now + timedelta(hours=1), Decimal(1))):
                yield each
            await guard.tick()
        assert made.progress.ahead == {"BTCUSD"}

    async def run() -> str | None:
        await made.run(feed())
        state = await live.circuit("hour_ahead")
        await live.close()
        return state

    assert asyncio.run(run()) == "open"
    assert guard.trouble is not None
    assert "rejected and none accepted" in guard.trouble
    (event,) = AuditStore(stores.database).events(component="hour_ahead")
    assert event.metadata["rejected"] > 400
    assert "future_time" in event.message
    rows = stores.database.rows("SELECT sum(row_count)::int, count(*)::int FROM market_data.quarantine")
    total = sum(made.progress.rejected.values())
    assert total > 700
    assert rows == [(total, rows[0][1])]
    assert rows[0][1] < 40, "few are stored whole"
    assert made.progress.minutes == 0
    assert all(outage.state is OutageState.OPEN for outage in stores.outages.all())


def test_outages_follow_what_the_builder_decided(stores: Stores) -> None:
    """A feed that is up in the future and a clock that is put right: the outage ends where the bars begin."""
    clock = Clock()
    stores.outages.opened("kraken", ["BTCUSD"], START - MINUTE, "cut")
    made = pipeline(stores, clock, PipelineCallbacks())

    async def feed() -> AsyncIterator[Event]:
        for event in market(5):
            wrong = timedelta(seconds=8) if event.time < START + MINUTE else timedelta(0)
            clock.now = event.time - wrong
            yield event
            if event.time < START + MINUTE:
                assert stores.outages.all()[0].state is OutageState.OPEN or not isinstance(event, FeedUp)

    asyncio.run(made.run(feed()))
    (outage,) = stores.outages.all()
    first = stores.bars.read(["BTCUSD"], Timeframe.M1, Window(START, START + 5 * MINUTE))["time"].min()
    assert outage.up_at is not None
    assert outage.window() == Window(START - MINUTE, first)  # type: ignore[arg-type]


# Servers that die


def test_a_killed_server_is_started_again_and_both_are_said(
    new_settings: Callable[..., Settings], database_url: str, stores: Stores, caplog: pytest.LogCaptureFixture
) -> None:
    settings = new_settings(database_url=database_url)
    audit = AuditStore(stores.database)
    with running_redis(settings) as url:
        server = RedisServer(settings.root)

        async def work() -> None:
            clock = Clock()
            live, incidents = AsyncLiveStore(url), Incidents(audit, clock)
            database = DatabaseWatch(database_url, incidents, clock)
            checks = {"redis": live.check, "postgresql": database.check}
            watch = ServerWatch(checks, incidents, revive=lambda: revive(settings))
            await watch.look()
            process = server.running()
            assert process is not None
            await live.write_session({"state": "before"})
            process.send_signal(signal.SIGKILL)
            await until(lambda: server.running() is None, "its end")
            await watch.look()
            assert server.running() is not None
            clock.now += 2 * SECOND
            await watch.look()
            await live.check()
            assert incidents.is_open("server:redis") is False
            await incidents.flush()
            await database.close()
            await live.close()

        asyncio.run(work())
    over, began = audit.events(event_type="server_away")
    assert began.metadata["server"] == "redis"
    assert over.message == "Redis was started again by the stream. It lasted 2 s."
    assert "Redis had died; it is started again" in caplog.text


def test_an_external_server_that_does_not_answer_is_said_and_not_started(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        clock = Clock()
        incidents = Incidents(AuditStore(database), clock)
        nobody = DatabaseWatch("postgresql://postgres@127.0.0.1:9/x", incidents, clock)
        watch = ServerWatch({"postgresql": nobody.check}, incidents)
        for _ in range(3):
            await watch.look()
        assert incidents.is_open("server:postgresql")

    asyncio.run(work())
    assert "PostgreSQL does not answer and is waited for" in caplog.text


def test_servers_that_somebody_stopped_are_not_started_again(new_settings: Callable[..., Settings]) -> None:
    settings = new_settings(database_url="postgresql://postgres@127.0.0.1:9/x")
    with running_redis(settings):
        assert stop_stack(settings, force=True) == ("redis",)
        with pytest.raises(StoreUnavailable, match="stopped while they were in use"):
            revive(settings)
        assert stack_status(settings).servers[1].state == "stopped"
        with ExitStack() as other:
            other.enter_context(running_redis(settings))
            assert stack_status(settings).servers[1].state == "running"
        RedisServer(settings.root).running().kill()  # type: ignore[union-attr]
        asyncio.run(until(lambda: RedisServer(settings.root).running() is None, "its end"))
        assert revive(settings) == ("redis",), "somebody has started them since"
    assert revive(settings) == ("redis",)
    stop_stack(settings)
