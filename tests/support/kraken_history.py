"""Kraken's history for tests: a market that notes what it is asked for, and backfills and imports from it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import urllib.request
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path

import kraken_rebuild
import polars as pl
import pytest
from kraken_archives import pair_of
from waiting import LONG

from trading_platform.domain.market.bars import BAR_SCHEMA, PRICES
from trading_platform.domain.market.instruments import Instrument, guess_instrument
from trading_platform.domain.time import Timeframe, Window, partition_windows
from trading_platform.simulator.faults import Faults
from trading_platform.simulator.market import Candles, Market, Trades, nanoseconds
from trading_platform.simulator.pairs import LOT_DECIMALS, Pair
from trading_platform.sources.kraken.client import connect
from trading_platform.sources.kraken.http import Retries
from trading_platform.sources.kraken.landing_source import KrakenArchive
from trading_platform.sources.kraken.source import KrakenSource
from trading_platform.stores.stores import Stores
from trading_platform.workflows.backfill.backfill_bars import BackfillReport, backfill_bars
from trading_platform.workflows.imports.import_archives import import_archives
from trading_platform.workflows.imports.import_files import ImportedFile

NOW = datetime(2025, 3, 4, 15, 17, 42, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
VALUES = ["time", *PRICES, "volume"]
DAYS = 30
TRADES_PER_MINUTE = float(os.environ.get("TEST_KRAKEN_TRADES_PER_MINUTE", "1.25"))
INTERRUPTIONS = 10
KILLS = int(os.environ.get("TEST_KRAKEN_KILLS", "2"))
"""So many of them are kill -9 of a process; the others end the work at an interrupt from inside."""


def clock() -> datetime:
    return NOW


@dataclass
class Watched:
    """A market that notes each page of trades it is asked for, and can have the asker killed while it waits."""

    market: Market
    pages: list[tuple[int, int, int]] = field(default_factory=list)
    candles_asked: int = 0
    victim: subprocess.Popen[str] | None = None
    kill_at: int | None = None
    late: float | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def pairs(self) -> tuple[Pair, ...]:
        return self.market.pairs

    def trades_after(self, pair: Pair, since: int, until: int, limit: int) -> Trades:
        found = self.market.trades_after(pair, since, until, limit)
        with self.lock:
            first, last = (int(found.trade_id[0]), int(found.trade_id[-1])) if len(found) else (0, -1)
            self.pages.append((since, first, last))
            if self.victim is not None and self.kill_at is not None and len(self.pages) >= self.kill_at:
                self._kill(self.victim)
        return found

    def _kill(self, victim: subprocess.Popen[str]) -> None:
        """At once, or while it works on the page; before it has the next in any case."""
        if self.late is None:
            victim.send_signal(signal.SIGKILL)
            self.victim = None
        else:
            threading.Timer(self.late, victim.kill).start()
            self.late = None

    def latest_trades(self, pair: Pair, until: int, limit: int) -> Trades:
        return self.market.latest_trades(pair, until, limit)

    def candles(self, pair: Pair, minutes: int, first: int, until: int) -> Candles:
        self.candles_asked += 1
        return self.market.candles(pair, minutes, first, until)


def own_candles(market: Market, symbol: str, window: Window, minutes: int = 1) -> pl.DataFrame:
    """The exchange's own final candles, as the market has them."""
    pair = pair_of(market, symbol)
    found = market.candles(pair, minutes, int(window.start.timestamp()), nanoseconds(window.end) - 1)
    price, lot = Decimal(1).scaleb(-pair.price_decimals), Decimal(1).scaleb(-LOT_DECIMALS)
    return pl.DataFrame(
        {
            "time": [datetime.fromtimestamp(time, UTC) for time in found.time.tolist()],
            **{name: [value * price for value in getattr(found, name).tolist()] for name in PRICES},
            "volume": [value * lot for value in found.volume.tolist()],
        },
        schema={name: BAR_SCHEMA[name] for name in VALUES},
    )


def set_faults(url: str, faults: Faults) -> None:
    body = faults.model_dump_json().encode()
    with urllib.request.urlopen(urllib.request.Request(f"{url}/faults", data=body)) as response:  # noqa: S310
        assert response.status == 200


def source_of(url: str, imports: Path | None, *, days: float = 2) -> KrakenSource:
    client = connect(url, 100_000, retries=Retries(attempts=40, sleep=lambda _: None))
    return KrakenSource(client, imports_directory=imports, trades_history=timedelta(days=days), clock=clock)


def instrument(symbol: str = "BTCUSD") -> Instrument:
    return guess_instrument(symbol, "kraken")


def backfill(
    stores: Stores, source: KrakenSource, window: Window, timeframe: Timeframe = Timeframe.M1, *, force: bool = False
) -> BackfillReport:
    partitions = partition_windows(timeframe, window)
    report = backfill_bars(stores, {"kraken": source}, [instrument()], timeframe, partitions, clock=clock, force=force)
    assert report.failures == ()
    return report


_SECONDS = count(1)
"""No two imports are at the same moment."""


def import_(stores: Stores, imports: Path, *paths: Path, symbol: str | None = "BTCUSD") -> list[ImportedFile]:
    ticks = next(_SECONDS)
    return import_archives(
        paths,
        symbol=symbol,
        archive=KrakenArchive(imports),
        stores=stores,
        clock=lambda: NOW + timedelta(seconds=ticks),
    )


def stored(stores: Stores, window: Window, timeframe: Timeframe = Timeframe.M1) -> pl.DataFrame:
    return stores.bars.read(["BTCUSD"], timeframe, window)


def report(line: str) -> None:
    """A figure worth reading, shown with ``-s``."""
    sys.stderr.write(f"\n{line}\n")


def kill(watched: Watched, arguments: list[str], page: int, late: float | None) -> None:
    """A backfill in a process of its own, killed when it asks for that page, or at most so many seconds after."""
    script = kraken_rebuild.__file__
    with watched.lock:
        process = subprocess.Popen([sys.executable, script, *arguments], stderr=subprocess.PIPE, text=True)
        watched.kill_at, watched.late, watched.victim = page, late, process
    _, said = process.communicate(timeout=LONG)
    assert process.returncode == -signal.SIGKILL, said


def interrupt(stores: Stores, source: KrakenSource, window: Window, *, parts: int) -> None:
    """A backfill in this process, ended by Ctrl-C after so many parts."""
    done = 0

    def report_progress(what: str, _done: int, _total: int) -> None:
        nonlocal done
        done += what == "BTCUSD 1m"
        if done == parts:
            raise KeyboardInterrupt

    partitions = partition_windows(Timeframe.M1, window)
    with pytest.raises(KeyboardInterrupt):
        backfill_bars(
            stores, {"kraken": source}, [instrument()], Timeframe.M1, partitions, clock=clock, progress=report_progress
        )
