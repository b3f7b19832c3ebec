"""Live quotes of Interactive Brokers through the real ib_async: outages, renewed subscriptions, recorded ticks."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from ib_gateway import FakeGateway, Listing, fake_gateway
from waiting import DEADLINE, until

from trading_platform.domain.errors import ConfigurationError
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.market.live.event_validation import fault_of_quote
from trading_platform.domain.market.live.events import Event, FeedDown, FeedUp, Heartbeat, Quote
from trading_platform.sources.ibkr.connection import Absence, Link, Severity
from trading_platform.sources.ibkr.live.stream import IbkrFeed
from trading_platform.sources.ibkr.maintenance import parse_maintenance
from trading_platform.sources.ibkr.session import Gateway
from trading_platform.sources.live import Backoff

pytestmark = pytest.mark.slow

IBM = Instrument("IBM", AssetClass.EQUITY, "XNYS", "ibkr")
SPY = Instrument("SPY", AssetClass.ETF, "XNYS", "ibkr")
BOTH = frozenset({"IBM", "SPY"})
LOST = (1100, "Connectivity between IB and the TWS has been lost.")
RESTORED_LOST = (1101, "Connectivity between IB and TWS has been restored - data lost.")
RESTORED_KEPT = (1102, "Connectivity between IB and TWS has been restored - data maintained.")


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with fake_gateway() as made:
        made.listings = [Listing(101, "IBM"), Listing(102, "SPY", primary="ARCA")]
        yield made
        assert made.unexpected == []
        assert made.pacing.breaches == []


class Listener:
    """Takes a feed's events in a task, and waits for those that are wanted."""

    def __init__(self, feed: IbkrFeed) -> None:
        self.feed = feed
        self.events: list[Event] = []
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        async for event in self.feed:
            self.events.append(event)

    async def until(self, holds: Callable[[], object], what: str) -> None:
        await until(lambda: holds() or self._task.done(), what)
        assert holds(), self._task

    async def next(self, kind: type[Event], after: int = 0) -> Any:
        def found() -> list[Event]:
            return [event for event in self.events[after:] if isinstance(event, kind)]

        await self.until(found, kind.__name__)
        return found()[0]

    async def quoted(self, side: str, value: Decimal) -> None:
        def found() -> bool:
            return any(isinstance(event, Quote) and getattr(event, side) == value for event in self.events)

        await self.until(found, f"{side} {value}")

    async def while_asking(self, gateway: FakeGateway) -> None:
        """Until the gateway has sent its time some more times, and the feed has dealt with it."""
        sent = gateway.times
        await self.until(lambda: gateway.times > sent + 2, "the gateway's time")

    async def close(self) -> None:
        await self.feed.close()
        await asyncio.wait_for(self._task, DEADLINE)


def with_feed(gateway: FakeGateway, test: Callable[[Listener], Awaitable[None]], **options: Any) -> list[Event]:
    async def run() -> list[Event]:
        given = {"interval": 0.05, "backoff": Backoff(first=0.05, longest=0.1), **options}
        instruments = given.pop("instruments", [IBM, SPY])
        listener = Listener(IbkrFeed(Gateway("127.0.0.1", gateway.port), instruments, **given))
        try:
            await test(listener)
        finally:
            await listener.close()
        return listener.events

    return asyncio.run(run())


def in_order(events: list[Event]) -> bool:
    times = [event.time for event in events if not isinstance(event, FeedDown)]
    return times == sorted(times)


async def on_gateway(work: Callable[..., None], *arguments: object) -> None:
    await asyncio.to_thread(work, *arguments)


def test_quotes_say_what_has_changed(gateway: FakeGateway) -> None:
    async def test(feed: Listener) -> None:
        up = await feed.next(FeedUp)
        assert up.symbols == BOTH
        await until(lambda: gateway.subscriptions == 2, "2 subscriptions")
        sides = [("bid", 1, "150.25", "300"), ("ask", 2, "150.27", "100"), ("last", 4, "150.26", "50")]
        for side, kind, price, size in [*sides, ("volume", 8, "", "123400")]:
            await on_gateway(gateway.tick, "IBM", kind, price, size)
            await feed.quoted(side, Decimal(price or size))  # or a slow reader would have several in one
        await on_gateway(gateway.tick, "IBM", 1, "-1", "0")  # no bid
        await on_gateway(gateway.tick, "IBM", 67, "151", "10")  # delayed data
        await on_gateway(gateway.tick, "IBM", 0, "", "700")  # the same bid, in another size
        await on_gateway(gateway.tick, "IBM", 2, "150.2800000001", "100")
        await feed.quoted("ask", Decimal("150.28"))
        await feed.next(Heartbeat, len(feed.events))

    events = with_feed(gateway, test)
    quotes = [event for event in events if isinstance(event, Quote)]
    said = [
        (name, value)
        for quote in quotes
        for name in ("bid", "ask", "last", "volume")
        if (value := getattr(quote, name)) is not None
    ]
    assert said == [
        ("bid", Decimal("150.25")),
        ("ask", Decimal("150.27")),
        ("last", Decimal("150.26")),
        ("volume", Decimal(123400)),
        ("ask", Decimal("150.28")),
    ]
    assert in_order(events)


def test_1101_subscribes_again_and_tells_the_outage(gateway: FakeGateway) -> None:
    async def test(feed: Listener) -> None:
        await feed.next(FeedUp)
        await until(lambda: gateway.subscriptions == 2, "2 subscriptions")
        await on_gateway(gateway.tick, "IBM", 1, "150.25", "300")
        before = await feed.next(Quote)
        await on_gateway(gateway.tell, *LOST)
        down = await feed.next(FeedDown)
        assert down.symbols == BOTH
        assert "1100" in down.reason
        assert down.time >= before.time
        assert feed.feed.machine.link is Link.FARM_DOWN
        seen = len(feed.events)
        await feed.while_asking(gateway)
        assert len(feed.events) == seen  # no heartbeat while nothing can be heard of the market
        await on_gateway(gateway.tell, *RESTORED_LOST)
        up = await feed.next(FeedUp, seen)
        assert up.symbols == BOTH
        assert up.time > down.time
        assert feed.feed.machine.link is Link.CONNECTED
        await until(lambda: gateway.subscriptions == 4, "4 subscriptions")
        await on_gateway(gateway.tick, "SPY", 1, "500.5", "3")
        assert (await feed.next(Quote, seen)).bid == Decimal("500.5")

    assert in_order(with_feed(gateway, test))


def test_1101_alone_is_an_outage_too(gateway: FakeGateway) -> None:
    async def test(feed: Listener) -> None:
        await feed.next(FeedUp)
        seen = len(feed.events)
        await on_gateway(gateway.tell, *RESTORED_LOST)
        assert (await feed.next(FeedDown, seen)).symbols == BOTH
        assert (await feed.next(FeedUp, seen)).symbols == BOTH
        await until(lambda: gateway.subscriptions == 4, "4 subscriptions")

    with_feed(gateway, test)


def test_1102_keeps_the_subscriptions(gateway: FakeGateway) -> None:
    async def test(feed: Listener) -> None:
        await feed.next(FeedUp)
        await on_gateway(gateway.tell, *LOST)
        await feed.next(FeedDown)
        seen = len(feed.events)
        await on_gateway(gateway.tell, *RESTORED_KEPT)
        assert (await feed.next(FeedUp, seen)).symbols == BOTH
        assert gateway.subscriptions == 2

    with_feed(gateway, test)


def test_a_lost_farm_is_an_outage(gateway: FakeGateway) -> None:
    async def test(feed: Listener) -> None:
        await feed.next(FeedUp)
        await on_gateway(gateway.tell, 2103, "Market data farm connection is broken:usfarm")
        assert "usfarm" in (await feed.next(FeedDown)).reason
        seen = len(feed.events)
        await on_gateway(gateway.tell, 2104, "Market data farm connection is OK:usfarm")
        assert (await feed.next(FeedUp, seen)).symbols == BOTH

    with_feed(gateway, test)


@pytest.mark.parametrize("fault", ["drop", "shut"])
def test_a_connection_that_ends_is_made_again(gateway: FakeGateway, fault: str) -> None:
    async def test(feed: Listener) -> None:
        await feed.next(FeedUp)
        seen = len(feed.events)
        await on_gateway(getattr(gateway, fault))
        down = await feed.next(FeedDown)
        assert down.symbols == BOTH
        if fault == "shut":
            await feed.until(lambda: "Refused" in feed.feed.machine.reason, "a refused connection")
            await on_gateway(gateway.listen)
        up = await feed.next(FeedUp, seen)
        assert up.symbols == BOTH
        await until(lambda: gateway.subscriptions == 4, "4 subscriptions")
        await on_gateway(gateway.tick, "IBM", 1, "150.25", "300")
        assert (await feed.next(Quote, seen)).bid == Decimal("150.25")

    events = with_feed(gateway, test)
    assert in_order(events)
    assert len([event for event in events if isinstance(event, FeedDown)]) == 1


def test_silence_is_the_end_of_a_connection(gateway: FakeGateway) -> None:
    async def test(feed: Listener) -> None:
        await feed.next(FeedUp)
        seen = len(feed.events)
        gateway.is_deaf = True
        assert "silent" in (await feed.next(FeedDown)).reason
        gateway.is_deaf = False
        assert (await feed.next(FeedUp, seen)).symbols == BOTH

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(0 if gateway.is_deaf else seconds)  # who hears nothing need not be waited for in earnest

    with_feed(gateway, test, sleep=sleep)


def test_what_is_refused_is_told_and_the_others_go_on(gateway: FakeGateway) -> None:
    gateway.no_quotes["SPY"] = (354, "Requested market data is not subscribed.")

    async def test(feed: Listener) -> None:
        down = await feed.next(FeedDown)
        assert down.symbols == {"SPY"}
        assert "354" in down.reason
        await feed.until(lambda: feed.feed.symbols_down == {"SPY"}, "the other symbol")
        await until(lambda: gateway.subscriptions == 1, "1 subscriptions")
        await on_gateway(gateway.tick, "IBM", 1, "150.25", "300")
        assert (await feed.next(Quote)).symbol == "IBM"

    with_feed(gateway, test)


def test_an_unknown_contract_is_told(gateway: FakeGateway) -> None:
    nobody = Instrument("NOSUCH", AssetClass.EQUITY, "XNYS", "ibkr")

    async def test(feed: Listener) -> None:
        assert (await feed.next(FeedDown)).symbols == {"NOSUCH"}
        await feed.until(lambda: feed.feed.symbols_down == {"NOSUCH"}, "the other symbol")

    with_feed(gateway, test, instruments=[IBM, nobody])


def test_more_than_the_account_has_lines_is_said_before_anything_is_opened() -> None:
    many = [Instrument(f"S{number}", AssetClass.EQUITY, "XNYS", "ibkr") for number in range(104)]
    with pytest.raises(ConfigurationError, match="104 instruments are 4 more"):
        IbkrFeed(Gateway("127.0.0.1", 1), many)


def test_an_absence_is_told_when_it_outlives_its_maintenance(gateway: FakeGateway) -> None:
    night = datetime(2024, 7, 2, 5, 0, tzinfo=UTC)  # 01:00 in New York
    now = [night]
    absences: list[Absence | None] = []

    async def test(feed: Listener) -> None:
        await feed.next(FeedUp)
        await on_gateway(gateway.tell, *LOST)
        await feed.next(FeedDown)
        now[0] = night + timedelta(minutes=44)
        await feed.while_asking(gateway)
        assert absences == []
        now[0] = night + timedelta(minutes=48)
        await feed.until(lambda: len(absences) == 1, "the absence")
        now[0] = night + timedelta(hours=3)
        await feed.while_asking(gateway)
        await on_gateway(gateway.tell, *RESTORED_KEPT)
        await feed.until(lambda: len(absences) == 2, "its end")

    maintenance = parse_maintenance("daily 00:15-01:45 America/New_York")
    with_feed(gateway, test, clock=lambda: now[0], maintenance=maintenance, on_absence=absences.append)
    absence, over = absences
    assert absence is not None
    assert (absence.severity, absence.since, over) == (Severity.CRITICAL, night, None)


@pytest.mark.parametrize(("quiet", "noticed_late"), [(30, 30), (3600, 120)])
def test_a_lost_market_is_an_outage_from_the_last_tick(gateway: FakeGateway, quiet: int, noticed_late: int) -> None:
    now = [datetime(2024, 7, 2, 15, tzinfo=UTC)]

    async def test(feed: Listener) -> None:
        await feed.next(FeedUp)
        await until(lambda: gateway.subscriptions == 2, "2 subscriptions")
        await on_gateway(gateway.tick, "IBM", 1, "150.25", "300")
        await feed.next(Quote)
        now[0] += timedelta(seconds=quiet)
        seen = len(feed.events)
        await feed.next(Heartbeat, seen)  # the gateway goes on answering
        await on_gateway(gateway.tell, *LOST)
        assert (await feed.next(FeedDown)).time == now[0] - timedelta(seconds=noticed_late)

    with_feed(gateway, test, clock=lambda: now[0])


def recorded(test_data: Path) -> list[tuple[str, int, str, str]]:
    """Recorded bid and ask ticks of a thin instrument, as they go over the wire."""
    folder = test_data / "payloads" / "nautilus_ib"
    lines = gzip.decompress((folder / "responses_historic_bid_ask_ticks.json.gz").read_bytes()).decode().splitlines()
    ticks = []
    for line in map(json.loads, lines):
        ticks.append(("IBM", 1, repr(line["priceBid"]), repr(line["sizeBid"])))
        ticks.append(("IBM", 2, repr(line["priceAsk"]), repr(line["sizeAsk"])))
    return ticks


def test_recorded_ticks_are_sane_quotes(gateway: FakeGateway, test_data: Path) -> None:
    ticks = recorded(test_data)
    assert len(ticks) > 2000
    ticks += [("IBM", 8, "", "3373"), ("IBM", 9, "14.2", "0"), ("IBM", 1, "0.5", "77")]

    async def test(feed: Listener) -> None:
        await feed.next(FeedUp)
        await until(lambda: gateway.subscriptions == 1, "1 subscriptions")
        for first in range(0, len(ticks), 200):
            await on_gateway(gateway.ticks, ticks[first : first + 200])
        await feed.quoted("bid", Decimal("0.5"))

    quotes = [event for event in with_feed(gateway, test, instruments=[IBM]) if isinstance(event, Quote)]
    prices = {Decimal(price) for _, kind, price, _ in ticks if kind in (1, 2) and Decimal(price) > 0}
    assert [quote for quote in quotes if fault_of_quote(quote) is not None] == []
    assert {quote.bid for quote in quotes} | {quote.ask for quote in quotes} <= prices | {None}
    assert [quote.volume for quote in quotes if quote.volume is not None] == [Decimal(3373)]


def test_a_recorded_stream_is_sane_quotes(gateway: FakeGateway, test_data: Path) -> None:
    """Recorded live ticks: in all those of a volume the price is -1, which is none."""
    file = test_data / "payloads" / "nautilus_ib" / "streaming_tick_data.json"
    if not file.exists():
        pytest.skip(f"{file.name} is not among the test data")
    ticks = json.loads(file.read_text())
    assert {tick["price"] for tick in ticks if tick["tickType"] == 8} == {-1.0}

    def http(tick: dict[str, Any]) -> tuple[str, int, str, str]:
        has_price = tick["tickType"] in (1, 2, 4)
        return ("IBM", tick["tickType"], repr(tick["price"]) if has_price else "", repr(tick["size"]))

    of = {kind: [Decimal(repr(tick["price"])) for tick in ticks if tick["tickType"] == kind] for kind in (1, 2, 4)}
    volumes = [Decimal(repr(tick["size"])) for tick in ticks if tick["tickType"] == 8]
    last = Decimal(1_000_000_000)  # a volume that tells the end

    async def test(feed: Listener) -> None:
        await feed.next(FeedUp)
        await until(lambda: gateway.subscriptions == 1, "1 subscriptions")
        for first in range(0, len(ticks), 20):
            await on_gateway(gateway.ticks, [http(tick) for tick in ticks[first : first + 20]])
        await on_gateway(gateway.tick, "IBM", 8, "", str(last))
        await feed.quoted("volume", last)

    quotes = [event for event in with_feed(gateway, test, instruments=[IBM]) if isinstance(event, Quote)]
    assert len(quotes) > 100
    assert [quote for quote in quotes if fault_of_quote(quote) is not None] == []
    for kind, side in ((1, "bid"), (2, "ask"), (4, "last")):
        received = [getattr(quote, side) for quote in quotes if getattr(quote, side) is not None]
        assert set(received) <= set(of[kind]), side
        assert received[-1] == of[kind][-1], side
    received = [quote.volume for quote in quotes if quote.volume is not None]
    assert received == sorted(received)
    assert set(received) <= {*volumes, last}
