"""A feed's way into the database: resumed, held up, cut off; and what keeps the parts running."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import polars as pl
import psycopg
import pytest
from databases import on_database
from psycopg import sql
from waiting import DEADLINE

from trading_platform.domain.errors import StoreUnavailable
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.market.live.bar_builder import BarBuilder
from trading_platform.domain.market.live.bar_series import Basis
from trading_platform.domain.market.live.events import Event, FeedUp, Heartbeat, Quote, Trade
from trading_platform.domain.time import Timeframe, Window
from trading_platform.sources.live import Backoff, LastEvent, LiveFeed, RejectMessage
from trading_platform.stores.market_data.completeness.outages import OutageState, OutageStore
from trading_platform.stores.market_data.stream.store import StreamStore
from trading_platform.stores.postgres.database import execute
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.streaming.feeds import FeedPlan
from trading_platform.streaming.pipeline import NOT_RUNNING, Pipeline, PipelineCallbacks, PipelineStores
from trading_platform.streaming.supervisor import PartState, Supervisor

START = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)
SYMBOLS = frozenset({"BTCUSD", "ETHUSD"})
DAY = Window(START - timedelta(hours=1), START + timedelta(hours=3))


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path / "features", may_upgrade=True) as opened:
        for symbol in SYMBOLS:
            opened.instruments.add(Instrument(symbol, AssetClass.CRYPTO, "24/7", "kraken"))
        with opened.owner.begin() as connection:
            execute(
                connection,
                "TRUNCATE market_data.bars_1m, market_data.bars_5m, market_data.bars_1h, market_data.coverage,"
                " market_data.coverage_requests, market_data.stream_positions, market_data.outages,"
                " market_data.quarantine",
            )
        yield opened


def trades(minutes: int, seed: int = 1) -> list[Event]:
    """An hour or less of two markets, a heartbeat each second; one is silent every fifth minute."""
    chance = random.Random(seed)
    events: list[Event] = [FeedUp(START, SYMBOLS)]
    for second in range(minutes * 60):
        timestamp = START + timedelta(seconds=second)
        events.append(Heartbeat(timestamp))
        for number, symbol in enumerate(sorted(SYMBOLS)):
            if chance.random() < 0.3 and not (number and second // 60 % 5 == 4):
                price = Decimal(100 + number * 50) + Decimal(chance.randrange(-500, 500)) / 100
                quantity = Decimal(chance.randrange(1, 9))
                events.append(Trade(symbol, timestamp + timedelta(microseconds=number), price, quantity, second))
    return events


async def emitted(events: Sequence[Event]) -> AsyncIterator[Event]:
    for event in events:
        yield event


def never(_known: LastEvent, _rejected: RejectMessage) -> LiveFeed:
    raise AssertionError("a pipeline is given its feed")


PLAN = FeedPlan("kraken", "kraken", dict.fromkeys(SYMBOLS, Basis.TRADE), never)


def pipeline(stores: Stores, plan: FeedPlan = PLAN, **options: object) -> Pipeline:
    where = PipelineStores(StreamStore(stores.database), OutageStore(stores.database), stores.quarantine)
    builder = BarBuilder("kraken", basis=plan.basis)
    return Pipeline(plan, builder, where, clock=lambda: START + timedelta(days=1), **options)  # type: ignore[arg-type]


def bars(stores: Stores) -> pl.DataFrame:
    return stores.bars.read(sorted(SYMBOLS), Timeframe.M1, DAY)


def expected(events: Sequence[Event], until: datetime) -> dict[tuple[str, datetime], tuple[Decimal, ...]]:
    """Open, high, low, close and volume of each minute, in the plainest way."""
    found: dict[tuple[str, datetime], list[Trade]] = {}
    for event in events:
        if isinstance(event, Trade) and event.time < until:
            found.setdefault((event.symbol, event.time.replace(second=0, microsecond=0)), []).append(event)
    return {
        key: (
            group[0].price,
            max(each.price for each in group),
            min(each.price for each in group),
            group[-1].price,
            sum((each.quantity for each in group), Decimal(0)),
        )
        for key, group in found.items()
    }


def stored(stores: Stores) -> dict[tuple[str, datetime], tuple[Decimal, ...]]:
    columns = ["open", "high", "low", "close", "volume"]
    return {(row[0], row[1]): row[2:] for row in bars(stores).select("symbol", "time", *columns).iter_rows()}


def test_minutes_arrive_and_silent_ones_are_proven_empty(stores: Stores) -> None:
    events = trades(21)
    made = pipeline(stores)
    asyncio.run(made.run(emitted(events)))
    until = START + timedelta(minutes=20)
    assert stored(stores) == expected(events, until)
    assert made.progress.until == until
    assert made.progress.minutes == len(stored(stores))
    answered = stores.coverage.answered("ETHUSD", Timeframe.M1)["kraken"]
    assert answered == [Window(START, until)]
    fives = stores.bars.read(sorted(SYMBOLS), Timeframe.M5, DAY)
    assert fives.height == 8


def test_after_a_stop_the_gap_is_an_outage_and_the_rest_is_exact(stores: Stores) -> None:
    events = trades(30)
    first = [event for event in events if event.time < START + timedelta(minutes=10, seconds=30)]
    later = [event for event in events if event.time >= START + timedelta(minutes=14, seconds=20)]
    asyncio.run(pipeline(stores).run(emitted(first)))
    force = [FeedUp(START + timedelta(minutes=14, seconds=20), SYMBOLS), *later]
    asyncio.run(pipeline(stores).run(emitted(force)))
    until = START + timedelta(minutes=29)
    gap = Window(START + timedelta(minutes=10), START + timedelta(minutes=15))
    assert stored(stores) == {key: values for key, values in expected(events, until).items() if key[1] not in gap}
    outages = OutageStore(stores.database).all()
    assert {outage.symbol for outage in outages} == SYMBOLS
    for outage in outages:
        assert (outage.state, outage.reason, outage.window()) == (OutageState.CLOSED, NOT_RUNNING, gap)
    answered = stores.coverage.answered("BTCUSD", Timeframe.M1)["kraken"]
    assert answered == [Window(START, gap.start), Window(gap.end, until)]


def allow(database_url: str, *, connections: bool) -> None:
    """Lets nobody connect to a database, and throws out who is there; or lets them again."""
    server, name = on_database(database_url, "postgres"), urlsplit(database_url).path.lstrip("/")
    with psycopg.connect(server, autocommit=True) as connection:
        allowed = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        connection.execute(allowed.format(sql.Identifier(name), sql.Literal(connections)))
        if not connections:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])


def test_a_database_that_stays_away_is_not_waited_for_after_the_end(stores: Stores, database_url: str) -> None:
    """Asked to stop, it leaves; what was not stored is an outage for the next start."""
    events, paused = trades(6), []
    half = [event for event in events if event.time < START + timedelta(minutes=3, seconds=30)]
    asyncio.run(pipeline(stores).run(emitted(half)))

    def on_event(_event: Event, _received: datetime) -> None:
        if not paused:
            allow(database_url, connections=False)
            paused.append(0.0)

    async def sleep(seconds: float) -> None:
        paused.append(seconds)

    try:
        with pytest.raises(StoreUnavailable):
            asyncio.run(
                pipeline(stores, sleep=sleep, callbacks=PipelineCallbacks(event=on_event)).run(
                    emitted(events[len(half) :])
                )
            )
    finally:
        allow(database_url, connections=True)
    later = [FeedUp(START + timedelta(minutes=7), SYMBOLS), *(Heartbeat(START + timedelta(minutes=m)) for m in (8, 9))]
    asyncio.run(pipeline(stores).run(emitted(later)))
    outages = OutageStore(stores.database).all()
    assert {outage.reason for outage in outages} == {NOT_RUNNING}
    position = StreamStore(stores.database).position("kraken")
    assert position is not None
    (window,) = {outage.window() for outage in outages}
    assert window is not None
    assert {key[1] for key in stored(stores)} <= {
        START + timedelta(minutes=m) for m in range(6) if START + timedelta(minutes=m) not in window
    }


def test_a_database_that_is_away_holds_up_nothing_but_itself(stores: Stores, database_url: str) -> None:
    """The feed is read to its end meanwhile, and all is stored once the database is back."""
    events = trades(12)
    read: list[Event] = []
    paused: list[float] = []
    back = asyncio.Event()

    def on_event(event: Event, _received: datetime) -> None:
        read.append(event)
        if len(read) == len(events) // 3:
            allow(database_url, connections=False)

    async def sleep(seconds: float) -> None:
        paused.append(seconds)
        await asyncio.sleep(0.01)
        if len(paused) == 12:
            assert len(read) == len(events)
            allow(database_url, connections=True)
            back.set()

    async def emitted_and_held() -> AsyncIterator[Event]:
        async for event in emitted(events):
            yield event
        await back.wait()  # the feed goes on, with nothing to tell

    made = pipeline(stores, sleep=sleep, callbacks=PipelineCallbacks(event=on_event))
    try:
        asyncio.run(made.run(emitted_and_held()))
    finally:
        allow(database_url, connections=True)
    assert paused[:4] == [0.2, 0.4, 0.8, 1.6]
    assert paused[11] == 15.0
    assert made.progress.failing is None
    assert stored(stores) == expected(events, START + timedelta(minutes=11))


def test_a_write_that_waits_for_a_lock_is_said_with_its_end(stores: Stores, database_url: str) -> None:
    """The database answers everybody else, so that nothing but the write shows it."""
    waiting: list[str | None] = []
    with psycopg.connect(database_url) as other:
        other.execute("LOCK TABLE market_data.bars_1m IN ACCESS EXCLUSIVE MODE")

        def on_waiting(error: object) -> None:
            waiting.append(None if error is None else str(error))
            if error is not None:
                other.rollback()

        made = pipeline(stores, callbacks=PipelineCallbacks(waiting=on_waiting), slow_write=0.1)
        asyncio.run(made.run(emitted(trades(3))))
    assert waiting[-1] is None
    assert "no answer to a write within 0.1 s" in str(waiting[0])
    assert made.progress.failing is None
    assert bars(stores).height > 0


def test_told_to_stop_while_the_database_is_away_from_the_start_it_stops(stores: Stores, database_url: str) -> None:
    paused: list[float] = []

    async def sleep(seconds: float) -> None:
        paused.append(seconds)
        if len(paused) == 20:
            made.stop()

    made = pipeline(stores, sleep=sleep)
    allow(database_url, connections=False)
    try:
        with pytest.raises(StoreUnavailable):
            asyncio.run(made.run(emitted(trades(1))))
    finally:
        allow(database_url, connections=True)
    assert len(paused) == 20


def of(name: str, *symbols: str, quoted: Sequence[str] = ()) -> FeedPlan:
    return FeedPlan("kraken", name, dict.fromkeys(symbols, Basis.TRADE), never, quoted=frozenset(quoted))


def told_of(events: Sequence[Event], symbols: set[str], since: datetime, until: datetime) -> list[Event]:
    """What a feed of those symbols says of a stretch of time."""
    return [
        FeedUp(since, frozenset(symbols)),
        *(
            event
            for event in events
            if since <= event.time < until
            and not isinstance(event, FeedUp)
            and getattr(event, "symbol", "") in {"", *symbols}
        ),
    ]


def test_a_symbol_that_moves_to_another_process_is_missing_only_while_nobody_streamed_it(stores: Stores) -> None:
    """One process has both, then each has one of its own, then one has both again."""
    events = trades(31)
    at = [START + timedelta(minutes=minutes, seconds=30) for minutes in (0, 8, 10, 18, 20, 30)]
    first = told_of(events, {"BTCUSD", "ETHUSD"}, START, at[1])
    asyncio.run(pipeline(stores).run(emitted(first)))
    asyncio.run(pipeline(stores, of("kraken 1/2", "ETHUSD")).run(emitted(told_of(events, {"ETHUSD"}, at[2], at[3]))))
    force = told_of(events, {"BTCUSD", "ETHUSD"}, at[4], at[5])
    asyncio.run(pipeline(stores).run(emitted(force)))

    def missing(symbol: str) -> list[Window]:
        return sorted(
            outage.window() or DAY
            for outage in OutageStore(stores.database).all()
            if outage.symbol == symbol and outage.state is OutageState.CLOSED
        )

    def minutes(start: int, end: int) -> Window:
        return Window(START + timedelta(minutes=start), START + timedelta(minutes=end))

    assert missing("BTCUSD") == [minutes(8, 21)]
    assert missing("ETHUSD") == [minutes(8, 11), minutes(18, 21)]
    left_out = {"BTCUSD": [minutes(8, 21)], "ETHUSD": [minutes(8, 11), minutes(18, 21)]}
    whole = expected(events, START + timedelta(minutes=30))
    assert stored(stores) == {
        key: values for key, values in whole.items() if not any(key[1] in window for window in left_out[key[0]])
    }


def test_of_symbols_that_are_quoted_only_neither_bars_nor_outages_are_told(stores: Stores) -> None:
    events = trades(5)
    quotes = [Quote("XRPUSD", event.time, Decimal(1), Decimal(2)) for event in events if isinstance(event, Heartbeat)]
    mixed = sorted([*events, *quotes], key=lambda event: event.time)
    mixed[0] = FeedUp(START, frozenset({*SYMBOLS, "XRPUSD"}))
    seen: list[Quote] = []
    plan = of("kraken", *SYMBOLS, quoted=["XRPUSD"])
    asyncio.run(pipeline(stores, plan, callbacks=PipelineCallbacks(quote=seen.append)).run(emitted(mixed)))
    asyncio.run(pipeline(stores, plan).run(emitted([FeedUp(START + timedelta(minutes=7), plan.symbols)])))
    assert seen == quotes
    assert stored(stores) == expected(events, START + timedelta(minutes=4))
    assert not stores.coverage.answered("XRPUSD", Timeframe.M1)
    assert {outage.symbol for outage in OutageStore(stores.database).all()} == SYMBOLS
    assert stores.quarantine.read("XRPUSD").is_empty()


def test_another_basis_begins_again_and_what_was_between_is_missing(stores: Stores) -> None:
    asyncio.run(pipeline(stores).run(emitted(trades(4))))
    other = FeedPlan("kraken", "kraken", dict.fromkeys(SYMBOLS, Basis.MID), never)
    later = START + timedelta(minutes=6)
    quotes = [Quote("BTCUSD", later + timedelta(seconds=second), Decimal(4), Decimal(6)) for second in range(150)]
    asyncio.run(pipeline(stores, other).run(emitted([FeedUp(later, SYMBOLS), *quotes])))
    assert bars(stores).filter(pl.col("time") >= later)["close"].to_list() == [Decimal(5)] * 2
    (window,) = {outage.window() for outage in OutageStore(stores.database).all()}
    assert window == Window(START + timedelta(minutes=3), later)


def test_what_cannot_be_is_quarantined(stores: Stores) -> None:
    wrong = Trade("BTCUSD", START + timedelta(seconds=5), Decimal(-1), Decimal(1), 7)
    quote = Quote("BTCUSD", START + timedelta(seconds=6), Decimal(5), Decimal(6))
    seen: list[Quote] = []
    made = pipeline(stores, callbacks=PipelineCallbacks(quote=seen.append))
    asyncio.run(made.run(emitted([FeedUp(START, SYMBOLS), wrong, quote, *trades(3)[1:]])))
    rejected = stores.quarantine.read("BTCUSD")
    assert rejected.height == 1
    assert "Decimal('-1')" in rejected["record"][0]
    assert seen == [quote]
    assert made.progress.quotes == 1


def test_a_part_that_fails_is_started_again_and_the_others_do_not_notice() -> None:
    told_of: list[tuple[str, str]] = []
    pauses: list[float] = []

    async def run() -> dict[str, PartState]:
        stop, tries = asyncio.Event(), []

        async def fails() -> None:
            tries.append(1)
            if len(tries) < 4:
                raise ValueError(f"the {len(tries)}th time")
            stop.set()
            await asyncio.Event().wait()

        async def main() -> None:
            await stop.wait()

        async def sleep(seconds: float) -> None:
            pauses.append(seconds)

        def make_backoff() -> Backoff:
            return Backoff(jitter=lambda: 0.0)

        supervisor = Supervisor(lambda part, error: told_of.append((part.name, str(error))), sleep, make_backoff)
        await asyncio.wait_for(supervisor.run({"main": main, "fails": fails}, stop, main=["main"]), DEADLINE)
        return supervisor.parts

    parts = asyncio.run(run())
    assert told_of == [("fails", f"the {number}th time") for number in (1, 2, 3)]
    assert pauses == [1.0, 2.0, 4.0]
    assert parts["fails"].restarts == 3
    assert not parts["fails"].running
    assert not parts["main"].running


def test_who_waits_to_be_started_again_does_not_hold_up_the_stop() -> None:
    async def run() -> PartState:
        stop = asyncio.Event()

        async def fails() -> None:
            raise ValueError("for ever")

        async def sleep(_seconds: float) -> None:
            stop.set()
            await asyncio.Event().wait()

        supervisor = Supervisor(lambda _part, _error: None, sleep)
        await asyncio.wait_for(supervisor.run({"feed": fails}, stop, main=["feed"]), DEADLINE)
        return supervisor.parts["feed"]

    state = asyncio.run(run())
    assert (state.running, state.restarts, state.error) == (False, 0, "ValueError: for ever")
