"""Memory of a stream's process over time: 24 hours of real ticks, day after day without a pause.

The EURUSD ticks of 2014-05-05 (``TRADING_TEST_DATA``, by default ``../shared/data``) go as quotes through the stream's
own pipeline to PostgreSQL and its sink to Redis, as fast as possible; each further day has the same ticks a day later.
The benchmark prints the resident memory of this process every six hours, and the ratio of the last day to the second;
by then pools, caches, prepared statements and the allocator's reserves are filled.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from common import arguments, new_stores, own_servers
from rich.console import Console
from rich.table import Table

from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.market.live.bar_builder import BarBuilder
from trading_platform.domain.market.live.bar_series import Basis
from trading_platform.domain.market.live.events import Event, FeedUp, Heartbeat, Quote
from trading_platform.embedded.stack import running_stack
from trading_platform.sources.files.content.options import ImportOptions
from trading_platform.sources.live import LastEvent, LiveFeed, RejectMessage
from trading_platform.stores.redis.live import AsyncLiveStore
from trading_platform.stores.stores import Stores
from trading_platform.streaming.feeds import FeedPlan
from trading_platform.streaming.pipeline import Pipeline, PipelineCallbacks, PipelineStores
from trading_platform.streaming.quote_sink import QuoteSink
from trading_platform.streaming.replay.inputs import open_inputs

FILE = "tick/EURUSD_oanda_ticks_2014-05.csv.gz"
DAY = datetime(2014, 5, 5, tzinfo=UTC)
EVERY = timedelta(hours=6)
TARGET = 1.05
"""Maximum ratio of the last day's memory to that of the second."""


def main() -> None:
    """Measures and prints the result."""
    given = arguments(__doc__)
    days = given.rounds or (3 if given.quick else 8)
    file = Path(os.environ.get("TRADING_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")) / FILE
    if not file.exists():
        sys.exit(f"The file of ticks does not exist: {file} (set TRADING_TEST_DATA).")
    ticks = [event for event in _ticks(file) if DAY <= event.time < DAY + timedelta(days=1)]
    seen: list[tuple[datetime, int]] = []
    with (
        own_servers() as (settings, endpoints),
        running_stack(settings) as both,
        new_stores(endpoints, "bench", settings.root / "features") as stores,
    ):
        stores.instruments.add(Instrument("EURUSD", AssetClass.FX, "FX", "kraken"))
        asyncio.run(_stream(stores, both.redis_url, _feed(ticks, days, seen)))
    _show(seen, len(ticks), days)


def _ticks(file: Path) -> Iterator[Quote]:
    (found,) = open_inputs(file, basis=Basis.MID, options=ImportOptions(), zone_of=lambda _: "UTC")
    for recorded in found.events(-1):
        if isinstance(recorded.event, Quote):
            yield recorded.event


async def _feed(ticks: list[Quote], days: int, seen: list[tuple[datetime, int]]) -> AsyncIterator[Event]:
    process = psutil.Process()
    yield FeedUp(DAY, frozenset({"EURUSD"}))
    due = DAY + EVERY
    for day in range(days):
        later = timedelta(days=day)
        for number, tick in enumerate(ticks):
            timestamp = tick.time + later
            if timestamp >= due:
                seen.append((due, process.memory_info().rss))
                due += EVERY
            yield replace(tick, time=timestamp)
            if number % 100 == 0:
                await asyncio.sleep(0)  # the sink's turn
        yield Heartbeat(DAY + later + timedelta(days=1))
    seen.append((due, process.memory_info().rss))


async def _stream(stores: Stores, url: str, feed: AsyncIterator[Event]) -> None:
    store = AsyncLiveStore(url)
    sink = QuoteSink(store)
    running = asyncio.create_task(sink.run())
    plan = FeedPlan("kraken", "kraken", {"EURUSD": Basis.MID}, _never)
    where = PipelineStores(stores.stream, stores.outages, stores.quarantine)
    await Pipeline(
        plan, BarBuilder("kraken", basis=plan.basis), where, callbacks=PipelineCallbacks(quote=sink.offer)
    ).run(feed)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    await store.close()


def _never(_known: LastEvent, _rejected: RejectMessage) -> LiveFeed:
    raise AssertionError("the pipeline is given its feed")


def _show(seen: list[tuple[datetime, int]], ticks: int, days: int) -> None:
    table = Table(title=f"{days} days of {ticks:,} ticks each", title_justify="left")
    table.add_column("hours")
    table.add_column("resident", justify="right")
    for timestamp, size in seen:
        table.add_row(f"{(timestamp - DAY) / timedelta(hours=1):.0f}", f"{size / 1e6:.1f} MB")
    second, last = (max(size for timestamp, size in seen if _day(timestamp) == number) for number in (2, days))
    ratio = last / second
    console = Console(width=110)
    met = "yes" if ratio <= TARGET else "NO"
    console.print(table)
    console.print(f"The last day needs {ratio:.3f} times the memory of the second; target ≤ {TARGET}: {met}.")


def _day(timestamp: datetime) -> int:
    """The number of the day, from 1, that contains or ends at a timestamp."""
    return -(-(timestamp - DAY) // timedelta(days=1))


if __name__ == "__main__":
    main()
