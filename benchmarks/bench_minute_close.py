"""Delay from the end of a minute to the commit of its bars: from the event that ends it, after the grace.

The stream's own pipeline, with a hundred symbols and 2,000 trades a second in total. Event time runs sixty times as
fast as real time, so that each real second ends a minute and its bars of all symbols, and every few minutes the longer
bars. The baseline is the same pipeline with a store that commits a ``SELECT 1`` in a transaction of the same database:
the cost of the event loop, the thread and the connection.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast

from common import EPOCH, Figure, arguments, instrument, new_stores, own_servers, show, symbols

from trading_platform.domain.market.live.bar_builder import GRACE, BarBuilder
from trading_platform.domain.market.live.bar_series import MINUTE, Basis
from trading_platform.domain.market.live.events import Event, FeedUp, Heartbeat, Trade
from trading_platform.sources.live import LastEvent, LiveFeed, RejectMessage
from trading_platform.stores.market_data.stream.store import StreamPosition, StreamStore
from trading_platform.stores.postgres.database import execute
from trading_platform.stores.stores import Stores
from trading_platform.streaming.feeds import FeedPlan
from trading_platform.streaming.pipeline import Pipeline, PipelineStores

SYMBOLS = symbols(100)
TRADES_A_SECOND = 2_000


def main() -> None:
    """Measures and prints the result."""
    given = arguments(__doc__)
    minutes = 5 if given.quick else given.rounds or 120
    with own_servers() as (settings, endpoints), new_stores(endpoints, "bench", settings.root / "features") as stores:
        for symbol in SYMBOLS:
            stores.instruments.add(instrument(symbol))
        ours = asyncio.run(_delays(stores, stores.stream, minutes))
        nothing = asyncio.run(_delays(stores, cast("StreamStore", _CommitsNothing(stores)), minutes))
    figures = [
        Figure(f"a minute's end to its bars stored, {name}", [part(ours)], [part(nothing)], None, lower_is_better=True)
        for name, part in (("median", statistics.median), ("p99", _p99), ("longest", max))
    ]
    show(f"{len(SYMBOLS)} symbols, {minutes} minutes", figures, quick=given.quick)


class _CommitsNothing:
    """A stream store that commits an empty transaction."""

    def __init__(self, stores: Stores) -> None:
        self._database = stores.database

    def positions_of(self, _source: str) -> dict[str, StreamPosition]:
        return {}

    def commit(self, *_: Any, **__: Any) -> None:
        with self._database.begin() as connection:
            execute(connection, "SELECT 1")


class _Timed:
    """A stream store that records when the commit of a minute returned."""

    def __init__(self, store: StreamStore, stored: dict[datetime, float]) -> None:
        self.positions_of = store.positions_of
        self._store = store
        self._stored = stored

    def commit(self, *given: Any, **named: Any) -> None:
        self._store.commit(*given, **named)
        self._stored.setdefault(named["until"], time.perf_counter())


async def _delays(stores: Stores, store: StreamStore, minutes: int) -> list[float]:
    """Seconds for each minute except the first two, which prepare statements and partitions."""
    ended: dict[datetime, float] = {}
    stored: dict[datetime, float] = {}
    plan = FeedPlan("benchmark", "benchmark", dict.fromkeys(SYMBOLS, Basis.TRADE), _never)
    builder = BarBuilder("benchmark", basis=plan.basis, fill_no_trade=True)
    where = PipelineStores(cast("StreamStore", _Timed(store, stored)), stores.outages, stores.quarantine)
    await Pipeline(plan, builder, where).run(_feed(minutes, ended))
    return [stored[minute] - ended[minute] for minute in sorted(ended)[2:]]


def _never(_known: LastEvent, _rejected: RejectMessage) -> LiveFeed:
    raise AssertionError("the pipeline is given its feed")


async def _feed(minutes: int, ended: dict[datetime, float]) -> AsyncIterator[Event]:
    """Trades at an even pace, and the heartbeat that ends a minute and its grace."""
    yield FeedUp(EPOCH, frozenset(SYMBOLS))
    began = time.perf_counter()
    for number in range(minutes):
        start = EPOCH + number * MINUTE
        for timestamp, event in _trades(start, number * TRADES_A_SECOND):
            await asyncio.sleep(max(0.0, began + number + timestamp - time.perf_counter()))
            yield event
        end = start + MINUTE
        ended[end] = time.perf_counter()
        yield Heartbeat(end + GRACE)


def _trades(start: datetime, first: int) -> Iterator[tuple[float, Event]]:
    step = MINUTE / TRADES_A_SECOND
    for number in range(TRADES_A_SECOND):
        late = timedelta(0) if number * step > GRACE else GRACE  # no trade is earlier than the heartbeat before it
        price = Decimal(10_000 + (first + number) % 97) / 100
        symbol = SYMBOLS[number % len(SYMBOLS)]
        yield number / TRADES_A_SECOND, Trade(symbol, start + number * step + late, price, Decimal(1), first + number)


def _p99(delays: list[float]) -> float:
    return statistics.quantiles(delays, n=100)[98]


if __name__ == "__main__":
    main()
