"""The last part of the demonstration: a live feed for two minute bars.

The invented market and the platform share a clock that runs faster than real time, and a separate data directory that
is removed afterwards, so that the demonstration's stored data do not change.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from trading_platform.cli.live.stream import open_stream, run_until_stopped
from trading_platform.cli.live.stream_feeds import Wanted
from trading_platform.cli.output import out, table
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Clock, Timeframe, Window, utc_now

if TYPE_CHECKING:
    import polars as pl

    from trading_platform.settings import Settings
    from trading_platform.simulator.market import Market

SPEED = 15.0
"""Seconds of the market in one second of real time."""

MINUTES = 2
TRADES_PER_MINUTE = 60.0


@dataclass(frozen=True)
class LiveOutcome:
    """The result of the live part.

    Attributes:
        events: number of events that the feed emitted.
        quotes: number of quotes written to Redis.
        bars: the minute bars, a frame of ``BAR_SCHEMA``.
    """

    events: int
    quotes: int
    bars: pl.DataFrame

    def as_dict(self) -> dict[str, Any]:
        """The result for ``--json``."""
        return {"events": self.events, "quotes_written": self.quotes, "bars": self.bars.height}


def run_live(settings: Settings, market: Market, instruments: Sequence[Instrument], *, watch: bool) -> LiveOutcome:
    """Streams an invented market for two of its minutes.

    Args:
        settings: settings of the demonstration; the live part uses a subfolder for its data and removes it.
        market: the invented market.
        instruments: instruments to stream.
        watch: whether to show the quotes on the terminal.
    """
    from trading_platform.embedded.stack import stop_stack
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import Settings
    from trading_platform.simulator.server import running_exchange, stream_url

    clock = _fast_clock()
    with running_exchange(market, clock=clock) as url:
        own = Settings(
            data_dir=settings.root / "live",
            kraken_api_url=url,
            kraken_ws_url=stream_url(url),
            kraken_requests_per_second=1000.0,
        )
        try:
            with open_platform(own, clock=clock) as platform:
                for instrument in instruments:
                    platform.stores.instruments.add(instrument)
            with open_stream(own, Wanted(), clock=clock) as process:
                began = clock()
                asyncio.run(run_until_stopped(process, _seconds(began), watch=watch))
                events = sum(each.events for each in process.progress.values())
                written = process.sink.counts.written
            with open_platform(own, clock=clock) as platform:
                symbols = [instrument.symbol for instrument in instruments]
                bars = platform.stores.bars.read(symbols, Timeframe.M1, Window(began - timedelta(days=1), clock()))
        finally:
            stop_stack(own, force=True, purge=True)
            shutil.rmtree(own.root, ignore_errors=True)
    return LiveOutcome(events, written, bars)


def print_live(outcome: LiveOutcome) -> None:
    """Prints the minute bars and the counts."""
    columns = ["time (UTC)", "symbol", "open", "high", "low", "close", "volume"]
    rows = [
        [f"{row['time']:%H:%M}", row["symbol"], *(f"{row[name].normalize():f}" for name in columns[2:])]
        for row in outcome.bars.sort("time", "symbol").iter_rows(named=True)
    ]
    out.print(table("Minute bars of the live feed", columns, rows, right=columns[2:]))
    out.print(f"{outcome.events:,} events of the feed, {outcome.quotes:,} quotes written to Redis.")


def _fast_clock() -> Clock:
    start = utc_now()
    return lambda: start + (utc_now() - start) * SPEED


def _seconds(now: datetime) -> float:
    """Real seconds until two whole minutes are final: the current one is incomplete, and a grace follows."""
    rest = 60 - now.second
    return (rest + 60 * MINUTES + 10) / SPEED
