"""A feed that asks each second while markets are open."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from trading_platform.domain.errors import RateLimited, SourceUnavailable
from trading_platform.domain.market.calendars import OpeningHours
from trading_platform.domain.market.instruments import guess_instrument
from trading_platform.domain.market.live.events import Event, FeedDown, FeedUp, Heartbeat, Quote
from trading_platform.sources.live import Backoff
from trading_platform.sources.polling import PollingFeed

SECOND = timedelta(seconds=1)


class Vendor:
    """The far side: answers unless it is the turn of a failure."""

    name = "vendor"

    def __init__(self, clock: Clockwork, fails: range = range(0)) -> None:
        self.asked: list[tuple[datetime, tuple[str, ...]]] = []
        self._clock = clock
        self._fails = fails

    def quotes(self, symbols: Sequence[str]) -> list[Quote]:
        self.asked.append((self._clock(), tuple(symbols)))
        if len(self.asked) - 1 in self._fails:
            raise SourceUnavailable("no answer") if len(self.asked) % 2 else RateLimited("slower")
        return [Quote(symbol, self._clock(), Decimal(1), Decimal(2)) for symbol in symbols]


class Clockwork:
    """A clock that only sleeping moves."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        await asyncio.sleep(0)


def follow(feed: PollingFeed, count: int) -> list[Event]:
    async def run() -> list[Event]:
        async with feed:
            return [await anext(feed) for _ in range(count)]

    return asyncio.run(run())


def feed_of(clock: Clockwork, vendor: Vendor, *symbols: str) -> PollingFeed:
    instruments = [guess_instrument(symbol, "vendor") for symbol in symbols]
    backoff = Backoff(lasting=0, jitter=lambda: 0.0)
    return PollingFeed(vendor, instruments, clock=clock, sleep=clock.sleep, backoff=backoff)


@pytest.mark.parametrize(
    ("calendar", "timestamp", "is_open"),
    [
        ("24/7", "2024-07-06T03:00:00", True),
        ("FX", "2024-07-05T20:59:59", True),
        ("FX", "2024-07-05T21:00:00", False),
        ("FX", "2024-07-07T20:59:59", False),
        ("FX", "2024-07-07T21:00:00", True),
        ("XNYS", "2024-07-03T16:59:59", True),
        ("XNYS", "2024-07-03T17:00:00", False),
        ("XNYS", "2024-07-04T15:00:00", False),
        ("XNYS", "2024-07-05T13:29:59", False),
        ("XNYS", "2024-07-05T13:30:00", True),
    ],
)
def test_markets_are_open_by_their_calendars(calendar: str, timestamp: str, *, is_open: bool) -> None:
    hours = OpeningHours(calendar)
    asked = datetime.fromisoformat(timestamp).replace(tzinfo=UTC)
    assert hours.is_open(asked - timedelta(days=30)) in {True, False}  # what is known by then must not stay
    assert hours.is_open(asked) is is_open


def test_each_second_only_what_is_open_is_asked_for() -> None:
    clock = Clockwork(datetime(2024, 7, 5, 19, 59, 58, tzinfo=UTC))  # New York closes at 20:00, FX at 21:00
    vendor = Vendor(clock)
    events = follow(feed_of(clock, vendor, "AAPL", "EURUSD"), 12)
    assert isinstance(events[0], FeedUp)
    assert events[0].symbols == {"AAPL", "EURUSD"}
    seconds = [(timestamp.second, symbols) for timestamp, symbols in vendor.asked]
    assert seconds == [
        (58, ("AAPL", "EURUSD")),
        (59, ("AAPL", "EURUSD")),
        (0, ("EURUSD",)),
        (1, ("EURUSD",)),
        (2, ("EURUSD",)),
    ]


def test_while_all_is_closed_time_goes_on_and_nobody_is_asked() -> None:
    clock = Clockwork(datetime(2024, 7, 6, 12, 0, tzinfo=UTC))
    vendor = Vendor(clock)
    events = follow(feed_of(clock, vendor, "AAPL", "EURUSD"), 6)
    assert [event.time for event in events[1:]] == [
        datetime(2024, 7, 6, 12, 0, tzinfo=UTC) + n * SECOND for n in range(5)
    ]
    assert all(isinstance(event, Heartbeat) for event in events[1:])
    assert vendor.asked == []


def test_failures_are_one_outage_asked_again_after_growing_waits() -> None:
    start = datetime(2024, 7, 6, 12, 0, tzinfo=UTC)
    clock = Clockwork(start)
    vendor = Vendor(clock, fails=range(2, 6))
    events = follow(feed_of(clock, vendor, "BTCUSD"), 10)
    kinds = [type(event) for event in events]
    assert kinds == [FeedUp, Quote, Heartbeat, Quote, Heartbeat, FeedDown, FeedUp, Quote, Heartbeat, Quote]
    down, up = events[5], events[6]
    assert (down.time, up.time) == (start + SECOND, start + (2 + 1 + 2 + 4 + 8) * SECOND)
    waits = [after - before for (before, _), (after, _) in zip(vendor.asked, vendor.asked[1:], strict=False)]
    assert [wait.total_seconds() for wait in waits] == [1, 1, 1, 2, 4, 8, 1]


def test_closing_ends_a_wait_and_leaves_no_task() -> None:
    async def run() -> set[asyncio.Task[object]]:
        clock = Clockwork(datetime(2024, 7, 6, 12, 0, tzinfo=UTC))
        instruments = [guess_instrument("BTCUSD", "vendor")]
        feed = PollingFeed(Vendor(clock), instruments, interval=3600)
        reading = asyncio.create_task(_drain(feed))
        await asyncio.sleep(0.1)
        await feed.close()
        assert len(await asyncio.wait_for(reading, 5)) == 3
        return asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]

    assert asyncio.run(run()) == set()


async def _drain(feed: PollingFeed) -> list[Event]:
    return [event async for event in feed]


def test_a_symbol_without_a_quote_is_down_alone() -> None:
    """Its outage is from the last round that had one to the next."""

    class Partial(Vendor):
        def quotes(self, symbols: Sequence[str]) -> list[Quote]:
            found = super().quotes(symbols)
            return found[:1] if len(self.asked) in (3, 4) else found

    clock = Clockwork(datetime(2024, 7, 6, 3, tzinfo=UTC))
    began = clock.now
    events = follow(feed_of(clock, Partial(clock), "BTCUSD", "ETHUSD"), 19)
    changes = [event for event in events if isinstance(event, FeedUp | FeedDown)]
    one = frozenset({"ETHUSD"})
    assert changes == [
        FeedUp(began, frozenset({"BTCUSD", "ETHUSD"})),
        FeedDown(began + SECOND, one, "no usable quote"),
        FeedUp(began + 4 * SECOND, one),
    ]
    quoted = [event.symbol for event in events if isinstance(event, Quote)]
    assert (quoted.count("BTCUSD"), quoted.count("ETHUSD")) == (6, 4)


def test_a_symbol_without_a_first_quote_stays_down() -> None:
    class Partial(Vendor):
        def quotes(self, symbols: Sequence[str]) -> list[Quote]:
            return super().quotes(symbols)[: len(self.asked)]

    clock = Clockwork(datetime(2024, 7, 6, 3, tzinfo=UTC))
    events = follow(feed_of(clock, Partial(clock), "BTCUSD", "ETHUSD"), 7)
    ups = [(event.time - clock.now, event.symbols) for event in events if isinstance(event, FeedUp)]
    assert [symbols for _, symbols in ups] == [frozenset({"BTCUSD"}), frozenset({"ETHUSD"})]
    assert not any(isinstance(event, FeedDown) for event in events)
