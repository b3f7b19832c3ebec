"""``stream``: the live process, from feeds to Redis and the database."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from trading_platform.cli.live.stream_feeds import Wanted, plan_feeds
from trading_platform.cli.output import out, print_json, table
from trading_platform.cli.parameters import in_capitals
from trading_platform.domain.errors import InvalidRequest, StoreFull, TradingPlatformError
from trading_platform.domain.market.live.bar_series import Basis
from trading_platform.domain.time import Clock, Sleep, utc_now
from trading_platform.sources.live import Backoff
from trading_platform.streaming.feeds import FeedPlan, Shard
from trading_platform.streaming.log_lines import LogLines, log_lines

if TYPE_CHECKING:
    from trading_platform.resources.platform import PlatformContext
    from trading_platform.settings import Settings
    from trading_platform.streaming.pipeline import Progress
    from trading_platform.streaming.process import StreamProcess, Surroundings
    from trading_platform.streaming.replay.recording import RecordingWriter

_Opened = TypeVar("_Opened")

_REFRESH = 0.5
_SWEEP = 5.0


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(stream)


def stream(
    symbols: Annotated[
        list[str] | None, typer.Argument(callback=in_capitals, help="Symbols. Default: all with a live feed.")
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            "--shard",
            "--share",
            help="NUMBER/OF: stream only this shard of the symbols: 1/4 to 4/4 for four processes.",
        ),
    ] = None,
    basis: Annotated[
        Basis | None, typer.Option(help="Build bars from this side of the quotes, or their mid. Default: from trades.")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="Record the events of the feed to this file, for `replay`.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option("--duration", "--for", min=1, help="Stop after this many seconds.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON at the end.")] = False,
) -> None:
    """Stream quotes to Redis and one-minute bars to the database, until Ctrl-C or SIGTERM.

    Example: [bold]trading-platform stream BTCUSD ETHUSD[/]
    """
    from trading_platform.embedded.stack import running_stack
    from trading_platform.settings import load_settings

    settings = load_settings()
    wanted = Wanted(tuple(symbols or ()), Shard.parse(shard) if shard else None, basis)
    with (
        log_lines() as log,
        when_possible(partial(running_stack, settings), seconds),  # held, so that no attempt stops the servers again
        when_possible(partial(open_stream, settings, wanted, record), seconds) as process,
    ):
        asyncio.run(run_until_stopped(process, seconds, watch=not json and out.is_terminal, log=log))
    summary = _summary(process)
    if json:
        print_json(summary)
    else:
        out.print(
            f"{summary['events']:,} events, {summary['quotes_written']:,} quotes written, "
            f"{summary['bars']:,} bars of minutes stored, until {summary['stored_until'] or 'none'}."
        )


@contextmanager
def when_possible(
    opening: Callable[[], AbstractContextManager[_Opened]],
    seconds: float | None = None,
    *,
    sleep: Sleep = time.sleep,
    backoff: Backoff | None = None,
) -> Iterator[_Opened]:
    """Opens something as soon as what it needs is available: a server that recovers, an exchange that is away.

    Args:
        opening: opens it.
        seconds: how long to wait at most; None for as long as it takes.
        sleep: waits between two attempts.
        backoff: the waits.

    Raises:
        TradingPlatformError: if it cannot be opened and trying again cannot help, or the seconds have passed.
    """
    waits, waited = backoff or Backoff(longest=15.0), 0.0
    with ExitStack() as opened:
        while True:
            try:
                found = opened.enter_context(opening())
                break
            except TradingPlatformError as error:
                wait = waits.next_wait()
                waited += wait
                if not (error.retryable or isinstance(error, StoreFull)) or waited > (seconds or waited):
                    raise
                logging.getLogger(__name__).warning(
                    "the stream cannot begin yet and tries again in %.0f s: %s", wait, error
                )
            sleep(wait)
        yield found


@contextmanager
def open_stream(
    settings: Settings, wanted: Wanted, record: Path | None = None, *, clock: Clock = utc_now
) -> Iterator[StreamProcess]:
    """Opens the live process on the configured servers, ready to run.

    Args:
        settings: addresses of servers.
        wanted: symbols, shard and basis to stream.
        record: file for a recording of the feed; None for no recording.
        clock: the receiver's clock.

    Raises:
        InvalidRequest: unknown symbols, no symbol with a live feed, or symbols that another process streams.
    """
    from trading_platform.embedded.revive import revive
    from trading_platform.embedded.stack import running_stack, url_as
    from trading_platform.resources.alerts import alert_watch
    from trading_platform.resources.platform import open_platform
    from trading_platform.stores.market_data.stream.symbol_leases import leased
    from trading_platform.stores.postgres.roles import Role
    from trading_platform.streaming.process import StreamProcess

    with ExitStack() as opened:
        endpoints = opened.enter_context(running_stack(settings, need_redis=True))
        platform = opened.enter_context(open_platform(settings, endpoints=endpoints, clock=clock))
        plans, part = plan_feeds(settings, platform, wanted)
        for plan in plans:
            opened.enter_context(leased(platform.stores.database, plan.source, plan.symbols))
        database_url = url_as(settings, endpoints, Role.INGEST)
        around = opened.enter_context(_surroundings(platform, database_url, endpoints.redis_url, plans, record))
        if settings.database_url is None or settings.redis_url is None:
            around = replace(around, revive=partial(revive, settings))
        watch = alert_watch(settings, platform.stores.database, lambda: endpoints.redis_url, clock)
        yield StreamProcess(plans, replace(around, alerts=watch), part=part)


@contextmanager
def _surroundings(
    platform: PlatformContext, database_url: str, redis_url: str, plans: Sequence[FeedPlan], record: Path | None
) -> Iterator[Surroundings]:
    from trading_platform.stores.redis.live import AsyncLiveStore
    from trading_platform.stores.redis.order_stream import OrderStream
    from trading_platform.streaming.process import Surroundings

    with ExitStack() as opened:
        on_event = opened.enter_context(_recorder(plans, record, platform.clock)).write if record is not None else None
        orders = OrderStream(redis_url)
        opened.callback(orders.close)
        live = AsyncLiveStore(redis_url)
        yield Surroundings(
            platform.stores,
            platform.sources,
            live,
            orders,
            platform.clock,
            database_url,
            on_event=on_event,
            abort=platform.abort,
        )


def _recorder(plans: Sequence[FeedPlan], file: Path, clock: Clock) -> RecordingWriter:
    from trading_platform.streaming.replay.recording import RecordingWriter

    if len(plans) > 1:
        raise InvalidRequest(
            "A recording can have one source only.",
            expected="symbols of one source",
            received=f"symbols of {' and '.join(plan.source for plan in plans)}",
            remedy="name the symbols to record",
        )
    if not plans:
        raise InvalidRequest(
            "There is nothing to record.",
            expected="a shard with at least one symbol",
            received="a shard without one",
            remedy="record another shard, or name the symbols to record",
        )
    (plan,) = plans
    basis = plan.basis or dict.fromkeys(plan.quoted, Basis.MID)
    return RecordingWriter(file, source=plan.source, basis=basis, fill_no_trade=plan.fill_no_trade, clock=clock)


async def run_until_stopped(
    process: StreamProcess, seconds: float | None = None, *, watch: bool = False, log: LogLines | None = None
) -> None:
    """Streams until Ctrl-C, SIGTERM or the end of ``seconds``; with ``watch``, shows a live table on the terminal."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        loop.add_signal_handler(number, stop.set)
    if seconds is not None:
        loop.call_later(seconds, stop.set)
    beside = [asyncio.create_task(_watch(process))] if watch else []
    if log is not None:
        beside.append(asyncio.create_task(_sweep(log)))
    try:
        await process.run(stop)
    finally:
        for task in beside:
            task.cancel()
        for number, handler in before.items():  # the loop would leave SIGTERM to kill what is yet to be put in order
            loop.remove_signal_handler(number)
            signal.signal(number, handler)


async def _sweep(log: LogLines) -> None:
    """Writes counts of repeated log messages when they are due, until it is cancelled."""
    while True:
        await asyncio.sleep(_SWEEP)
        log.sweep()


async def _watch(process: StreamProcess) -> None:
    """Shows a live table until it is cancelled."""
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
    progress = list(process.progress.values())
    title = "Waiting for the feed"
    if progress:
        stored = _stored_until(progress)
        minutes = sum(each.minutes for each in progress)
        until = f"{stored:%H:%M}" if stored else "none yet"
        title = f"{sum(each.events for each in progress):,} events · {minutes:,} minute bars, stored until {until} UTC"
        title += "".join(f" · waiting: {each.failing}" for each in progress if each.failing)
    return table(title, ["symbol", "bid", "ask", "last", "time (UTC)"], rows, right=["bid", "ask", "last"])


def _stored_until(progress: Sequence[Progress]) -> datetime | None:
    """The time until which the events of all feeds are stored."""
    return min((each.until for each in progress if each.until), default=None)


def _summary(process: StreamProcess) -> dict[str, Any]:
    progress = list(process.progress.values())
    return {
        "events": sum(each.events for each in progress),
        "quotes": sum(each.quotes for each in progress),
        "bars": sum(each.minutes for each in progress),
        "rejected": sum(sum(each.rejected.values()) for each in progress),
        "stored_until": _stored_until(progress),
        "quotes_written": process.sink.counts.written,
        "quotes_conflated": process.sink.counts.conflated,
        "parts": [asdict(part) for part in process.supervisor.parts.values()],
    }
