"""``stream``: the live process, from a feed to Redis and the database."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trading_platform.cli.output import out, print_json, table
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.time import Clock, utc_now
from trading_platform.settings import Settings, load_settings

if TYPE_CHECKING:
    from trading_platform.resources.platform import PlatformContext
    from trading_platform.sources.live import RefuseMessage
    from trading_platform.streaming.pipeline import OnEvent
    from trading_platform.streaming.process import StreamProcess, Surroundings

SOURCE = "kraken"
_REFRESH = 0.5


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(stream)


def stream(
    symbols: Annotated[
        list[str] | None, typer.Argument(help="Which symbols; by default all that come from Kraken.")
    ] = None,
    record: Annotated[Path | None, typer.Option(help="Record what the feed says, for `replay`.")] = None,
    seconds: Annotated[float | None, typer.Option("--for", min=1, help="Stop by itself after so many seconds.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON at the end.")] = False,
) -> None:
    """Stream quotes to Redis and one-minute bars to the database, until Ctrl-C or SIGTERM.

    Example: [bold]trading-platform stream BTCUSD ETHUSD[/]
    """
    settings = load_settings()
    with open_stream(settings, symbols or [], record) as process:
        asyncio.run(run_until_stopped(process, seconds, watch=not json and out.is_terminal))
    summary = _summary(process)
    if json:
        print_json(summary)
    else:
        out.print(
            f"{summary['events']:,} events, {summary['quotes_written']:,} quotes written, "
            f"{summary['bars']:,} bars of minutes stored, until {summary['stored_until'] or 'none'}."
        )


@contextmanager
def open_stream(
    settings: Settings, symbols: list[str], record: Path | None, *, clock: Clock = utc_now
) -> Iterator[StreamProcess]:
    """The live process over the configured servers, ready to run.

    Args:
        settings: which servers.
        symbols: what to stream; none means all that come from Kraken.
        record: where to record what the feed says; None: nowhere.
        clock: the receiver's clock.

    Raises:
        InvalidRequest: unknown symbols, or none that come from Kraken.
    """
    from trading_platform.embedded.stack import running_stack, url_as
    from trading_platform.resources.platform import open_platform
    from trading_platform.stores.roles import Role

    with ExitStack() as opened:
        endpoints = opened.enter_context(running_stack(settings, need_redis=True))
        platform = opened.enter_context(open_platform(settings, clock=clock))
        chosen = _chosen(platform, symbols)
        database_url = url_as(settings, endpoints, Role.INGEST)
        around = opened.enter_context(_surroundings(platform, database_url, endpoints.redis_url, chosen, record))
        yield _process(settings, platform, chosen, around)


def _chosen(platform: PlatformContext, symbols: list[str]) -> list[str]:
    known = platform.stores.instruments.require(symbols) if symbols else platform.stores.instruments.all()
    chosen = [symbol for symbol, instrument in known.items() if instrument.source == SOURCE]
    strange = [symbol for symbol in symbols if symbol not in chosen]
    if strange or not chosen:
        raise InvalidRequest(
            f"{', '.join(strange)} cannot be streamed." if strange else "There is nothing to stream.",
            expected="instruments whose source is kraken",
            received=", ".join(f"{symbol} from {known[symbol].source}" for symbol in strange) or "none in the universe",
            remedy="`trading-platform instruments add BTCUSD` adds one",
        )
    return sorted(chosen)


@contextmanager
def _surroundings(
    platform: PlatformContext, database_url: str, redis_url: str, symbols: list[str], record: Path | None
) -> Iterator[Surroundings]:
    from trading_platform.domain.bar_series import Basis
    from trading_platform.stores.live import AsyncLiveStore
    from trading_platform.stores.order_stream import OrderStream
    from trading_platform.streaming.process import Surroundings
    from trading_platform.streaming.recording import RecordingWriter

    with ExitStack() as opened:
        on_event: OnEvent | None = None
        if record is not None:
            basis = dict.fromkeys(symbols, Basis.TRADE)
            on_event = opened.enter_context(
                RecordingWriter(record, source=SOURCE, basis=basis, fill_silent=True, clock=platform.clock)
            ).write
        orders = OrderStream(redis_url)
        opened.callback(orders.close)
        live = AsyncLiveStore(redis_url)
        yield Surroundings(
            platform.stores, platform.sources, live, orders, platform.clock, database_url, on_event=on_event
        )


def _process(settings: Settings, platform: PlatformContext, symbols: list[str], around: Surroundings) -> StreamProcess:
    from trading_platform.sources.kraken.client import connect
    from trading_platform.sources.kraken.live import KrakenFeed
    from trading_platform.streaming.process import StreamProcess

    book = connect(settings.kraken_api_url, settings.kraken_requests_per_second).pairs()
    pairs = [book.find(symbol) for symbol in symbols]

    def make_feed(since: datetime | None, refused: RefuseMessage) -> KrakenFeed:
        return KrakenFeed(settings.kraken_ws_url, pairs, clock=platform.clock, since=since, refused=refused)

    return StreamProcess(SOURCE, make_feed, frozenset(symbols), around)


async def run_until_stopped(process: StreamProcess, seconds: float | None = None, *, watch: bool = False) -> None:
    """Streams until Ctrl-C, SIGTERM or so many seconds; with a live table on the terminal if wanted."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    if seconds is not None:
        loop.call_later(seconds, stop.set)
    watching = asyncio.create_task(_watch(process)) if watch else None
    try:
        await process.run(stop)
    finally:
        if watching is not None:
            watching.cancel()


async def _watch(process: StreamProcess) -> None:
    """A live table until it is cancelled."""
    from rich.live import Live

    with Live(_shown(process), console=out, transient=True, auto_refresh=False) as live:
        while True:
            await asyncio.sleep(_REFRESH)
            live.update(_shown(process), refresh=True)


def _shown(process: StreamProcess) -> Any:
    quotes = process.latest
    rows = [
        [symbol, quote.bid, quote.ask, quote.last, f"{quote.time:%H:%M:%S.%f}"[:-3]]
        for symbol, quote in sorted(quotes.items())
    ]
    progress = process.pipeline.progress if process.pipeline else None
    title = "Waiting for the feed"
    if progress is not None:
        until = f"{progress.until:%H:%M}" if progress.until else "none yet"
        title = f"{progress.events:,} events · {progress.minutes:,} minute bars, stored until {until} UTC"
        if progress.failing:
            title += f" · waiting: {progress.failing}"
    return table(title, ["symbol", "bid", "ask", "last", "time (UTC)"], rows, right=["bid", "ask", "last"])


def _summary(process: StreamProcess) -> dict[str, Any]:
    progress = process.pipeline.progress if process.pipeline else None
    return {
        "events": progress.events if progress else 0,
        "quotes": progress.quotes if progress else 0,
        "bars": progress.minutes if progress else 0,
        "stored_until": progress.until if progress else None,
        "quotes_written": process.sink.counts.written,
        "quotes_conflated": process.sink.counts.conflated,
        "parts": [asdict(part) for part in process.supervisor.parts.values()],
    }
