"""The live feed against the local exchange's WebSocket, through a real socket, with everything that can go wrong.

Both are in one event loop of virtual time: how late something is, is what the exchange makes it, on any machine.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from kraken_stream import START, SYMBOLS, Exchange, Heard, account, check_bars, listen, on_exchange, set_faults
from waiting import DEADLINE

from trading_platform.domain.errors import ConfigurationError, SourceRejected, SourceUnavailable
from trading_platform.domain.market.instruments import guess_instrument
from trading_platform.domain.market.live.events import FeedDown, Quote, Trade
from trading_platform.simulator.faults import Fault, Faults
from trading_platform.simulator.market import nanoseconds
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import running_exchange, stream_url
from trading_platform.sources.kraken.client import KrakenClient, connect
from trading_platform.sources.kraken.http import Retries
from trading_platform.sources.kraken.live.feed import KrakenFeed
from trading_platform.sources.kraken.live.quotes import KrakenQuotes
from trading_platform.sources.live import LastEvent
from trading_platform.sources.polling import PollingFeed

pytestmark = pytest.mark.slow  # a feed is watched for as long as it takes


def test_every_trade_is_told_as_rest_has_it_and_makes_its_candles() -> None:
    async def scenario(exchange: Exchange) -> None:
        start = exchange.clock()
        feed = await exchange.feed(known=LastEvent(start))
        heard = await listen(feed, exchange, 3.2)
        assert account(heard, exchange, start) == 0
        assert not heard.of(FeedDown)
        assert check_bars(heard, exchange) >= 2
        assert feed.counts.received == feed.counts.accepted
        client = connect(exchange.url, 1_000)
        for symbol in SYMBOLS:
            emitted = {event.trade_id: event for event in heard.of(Trade) if event.symbol == symbol}
            page = await asyncio.to_thread(rest_trades, client, symbol, start, heard.until)
            common = [row for row in page.iter_rows(named=True) if row["trade_id"] in emitted]
            assert len(common) > 100
            for row in common:
                event = emitted[row["trade_id"]]
                assert (event.price, event.quantity, event.time) == (
                    Decimal(row["price"]), Decimal(row["quantity"]), row["time"]
                )  # fmt: skip

    on_exchange(scenario)


def rest_trades(client: KrakenClient, symbol: str, start: datetime, end: datetime) -> pl.DataFrame:
    pages = list(client.trade_pages(client.pairs().find(symbol), nanoseconds(start) - 1))
    return pl.concat([page.rows for page in pages]).filter(pl.col("time") < end)


@pytest.mark.exhaustive
def test_quotes_are_around_the_last_trade_and_never_crossed() -> None:
    async def scenario(exchange: Exchange) -> Heard:
        return await listen(await exchange.feed(), exchange, 1.5)

    heard = on_exchange(scenario)
    quotes = heard.of(Quote)
    assert {quote.symbol for quote in quotes} == set(SYMBOLS)
    assert len(quotes) > 60
    for quote in quotes:
        assert quote.bid < quote.last < quote.ask
        assert quote.volume > 0
        assert START <= quote.time <= heard.until


BROKEN: dict[str, dict[str, Any]] = {
    "duplicate": {"probability": {"duplicate": 0.4}},
    "reorder": {"probability": {"reorder": 0.4}, "late_seconds": 0.5},
    "late": {"probability": {"late": 0.2}, "late_seconds": 0.5},
    "too late": {"probability": {"late": 0.05}, "late_seconds": 6},
    "malformed": {"probability": {"malformed": 0.1}},
    "unknown": {"probability": {"unknown": 0.4}},
    "lag": {"probability": {"lag": 0.02}, "slow_seconds": 2},
    "stall": {"probability": {"stall": 0.005}},
    "reset": {"probability": {"reset": 0.01}},
    "all": {
        "probability": {
            "duplicate": 0.1, "reorder": 0.1, "late": 0.05, "malformed": 0.02, "unknown": 0.1, "stall": 0.001,
            "reset": 0.003, "refuse": 0.5,
        },
    },
}  # fmt: skip
IN_SHORT = ("reset",)
"""What `make test` tries of them."""


@pytest.mark.parametrize(
    "name", [name if name in IN_SHORT else pytest.param(name, marks=pytest.mark.exhaustive) for name in BROKEN]
)
def test_what_is_not_told_lies_in_a_recorded_outage(name: str) -> None:
    async def scenario(exchange: Exchange) -> None:
        start = exchange.clock()
        feed = await exchange.feed(known=LastEvent(start))
        await exchange.break_by(**BROKEN[name])
        heard = await listen(feed, exchange, 3)
        lost = account(heard, exchange, start)
        check_bars(heard, exchange)
        counts = feed.counts
        assert counts.received == counts.accepted + counts.rejected
        assert len(heard.of(Trade)) > 60
        match name:
            case "duplicate":
                assert counts.duplicates > 20
            case "reorder" | "late":
                assert (counts.lost, lost) == (0, 0)
            case "too late":
                assert counts.lost > 2
            case "lag":
                assert (counts.lost, lost, heard.of(FeedDown)) == (0, 0, [])
            case "malformed":
                assert counts.lost > 2
                assert counts.rejected > 2
            case "unknown":
                assert counts.rejected > 20
                assert lost == 0
            case "stall":
                assert "silent" in heard.of(FeedDown)[0].reason
            case "reset":
                assert any("connection ended" in event.reason for event in heard.of(FeedDown))

    on_exchange(scenario)


@pytest.mark.exhaustive
@pytest.mark.parametrize("skew", [-45.0, 4.0])
def test_clocks_that_disagree_lose_nothing(skew: float) -> None:
    """The market's trades carry the exchange's time; what is found missing is judged by it.

    Trades that are ahead by more than five seconds are rejected (tests/unit/sources/kraken/test_clocks.py).
    """

    async def scenario(exchange: Exchange) -> None:
        await exchange.break_by(clock_skew_seconds=skew)
        start = exchange.clock() + timedelta(seconds=skew)
        feed = await exchange.feed(known=LastEvent(start))
        reset = lambda: exchange.break_by(next={"reset": 1}, clock_skew_seconds=skew)  # noqa: E731
        reject = lambda: exchange.break_by(next={"reset": 1, "refuse": 6}, clock_skew_seconds=skew)  # noqa: E731
        heard = await listen(feed, exchange, 4.5, reset, reject)
        heard.until += timedelta(seconds=skew)
        assert account(heard, exchange, start) > 0
        assert len(heard.of(FeedDown)) >= 2
        assert check_bars(heard, exchange) > 0

    on_exchange(scenario)


def test_an_address_that_is_none_is_told() -> None:
    with pytest.raises(ConfigurationError, match="KRAKEN_WS_URL"):
        KrakenFeed("https://ws.kraken.com/v2", [])


def test_faults_of_the_stream_leave_answers_of_rest_alone() -> None:
    everything = dict.fromkeys((Fault.RESET, Fault.STALL, Fault.MALFORMED, Fault.REJECT), 1.0)
    with running_exchange(SeededMarket(7, SYMBOLS), Faults(probability=everything)) as url:
        assert connect(url, 1_000).pairs().find("BTCUSD").live_name == "BTC/USD"


def test_polling_the_ticker_says_what_the_stream_says() -> None:
    """The clock stands still, so that both speak of one moment."""
    with running_exchange(SeededMarket(7, SYMBOLS), clock=lambda: START) as url:
        client = connect(url, 1_000, retries=Retries(attempts=1))
        instruments = [guess_instrument(symbol, "kraken") for symbol in SYMBOLS]

        async def run() -> list[dict[str, Quote]]:
            pairs = [client.pairs().find(symbol) for symbol in SYMBOLS]
            polling = PollingFeed(KrakenQuotes(client, lambda: START), instruments, clock=lambda: START)
            found: list[dict[str, Quote]] = []
            for feed in (polling, KrakenFeed(stream_url(url), pairs, clock=lambda: START)):
                async with feed:
                    quotes: dict[str, Quote] = {}
                    while len(quotes) < len(SYMBOLS):
                        event = await asyncio.wait_for(anext(feed), DEADLINE)
                        if isinstance(event, Quote):
                            quotes[event.symbol] = event
                    found.append(quotes)
            return found

        polled, streamed = asyncio.run(run())
        assert polled == streamed
        set_faults(url, Faults(next={Fault.SERVER_ERROR: 1}))
        with pytest.raises(SourceUnavailable):
            KrakenQuotes(client).quotes(SYMBOLS)
        with pytest.raises(SourceRejected, match="NOSUCH"):
            KrakenQuotes(client).quotes(["NOSUCH"])
