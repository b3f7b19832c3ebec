"""Code that the benchmarks share: separate servers, bars from a seed, interleaved runs and the result table.

A figure is the ratio of two durations measured in the same process, in turns (A B A B …), so that load on the machine
slows both equally; the median of the ratios is reported. Each ``bench_*.py`` is a benchmark.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import psycopg
from rich.console import Console
from rich.table import Table

from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe, Window
from trading_platform.embedded.stack import Endpoints, running_stack, stop_stack
from trading_platform.settings import SETTINGS_FILE, Settings, load_settings
from trading_platform.stores.postgres.databases import ensure_database
from trading_platform.stores.postgres.roles import Role, as_role
from trading_platform.stores.stores import Stores, open_stores

SEED = 20_240_102
SOURCE = "benchmark"
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)

Run = Callable[[], object]


@dataclass(frozen=True)
class Figure:
    """A line of the result table.

    Attributes:
        what: what was measured.
        ours: seconds of the platform, one value per round.
        baseline: seconds of the baseline, one value per round.
        target: the target of the ratio; None for a line for information only.
        lower_is_better: if True, the ratio is ours / baseline and at most ``target``; else baseline / ours and at
            least ``target``.
    """

    what: str
    ours: Sequence[float]
    baseline: Sequence[float]
    target: float | None
    lower_is_better: bool = False

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios."""
        pairs = zip(self.ours, self.baseline, strict=True)
        return statistics.median(own / base if self.lower_is_better else base / own for own, base in pairs)

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without a target."""
        if self.target is None:
            return None
        return self.ratio <= self.target if self.lower_is_better else self.ratio >= self.target


def arguments(description: str) -> argparse.Namespace:
    """Parses the command line of a benchmark: ``--quick`` and ``--rounds``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--quick", action="store_true", help="small sizes: a test that the benchmark runs, without valid durations"
    )
    parser.add_argument("--rounds", type=int, default=None, help="number of measurements of each side")
    return parser.parse_args()


def seconds(run: Run) -> float:
    """Seconds of a run, after a garbage collection."""
    gc.collect()
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def show(title: str, figures: Sequence[Figure], notes: Sequence[str] = (), *, quick: bool = False) -> None:
    """Prints the figures; without targets for small sizes, where fixed costs dominate."""
    table = Table(title=title, title_justify="left")
    table.add_column("what")
    for name in ("ours", "baseline", "ratio", "target"):
        table.add_column(name, justify="right")
    table.add_column("met")
    for figure in figures:
        sign = "≤" if figure.lower_is_better else "≥"
        table.add_row(
            figure.what,
            _duration(statistics.median(figure.ours)),
            _duration(statistics.median(figure.baseline)),
            f"{figure.ratio:.2f}",
            "" if figure.target is None else f"{sign} {figure.target}",
            "" if quick else {True: "yes", False: "NO", None: ""}[figure.met],
        )
    console = Console(width=110)
    console.print(table)
    for note in notes:
        console.print(note, highlight=False)


def _duration(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"


@contextmanager
def own_servers() -> Iterator[tuple[Settings, Endpoints]]:
    """An embedded PostgreSQL in a folder of its own, gone afterwards, and settings for it, whatever is configured."""
    folder = Path(tempfile.mkdtemp(prefix="tp-bench-"))
    folder.chmod(0o755)
    # At the end of the process, because Dagster's storage releases the servers only then.
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name in list(os.environ):
        if name.lower() in {*Settings.model_fields, "dagster_home"}:
            del os.environ[name]
    os.environ |= {"DATA_DIR": str(folder), SETTINGS_FILE: ""}
    settings = load_settings()
    try:
        with running_stack(settings, need_redis=False) as endpoints:
            yield settings, endpoints
    finally:
        with suppress(Exception):
            stop_stack(settings, force=True, purge=True)


@contextmanager
def new_stores(endpoints: Endpoints, name: str, features: Path) -> Iterator[Stores]:
    """Opens stores on a new database of this name, in the role ``ingest``."""
    url = on_database(endpoints.database_url, name)
    ensure_database(endpoints.database_url, name)
    own = as_role(url, Role.INGEST, trusted=True)
    with open_stores(own, features, owner_url=url, may_upgrade=True) as stores:
        yield stores


def on_database(url: str, name: str) -> str:
    """The address of another database on the same server."""
    base, _, query = url.partition("?")
    return f"{base.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")


def empty_tables(connection: psycopg.Connection, *tables: str) -> None:
    """Empties tables and forces a checkpoint, so that a run does not pay for the one before it."""
    connection.execute(f"TRUNCATE {', '.join(tables)}")
    connection.commit()
    with psycopg.connect(connection.info.dsn, autocommit=True) as server:
        server.execute("CHECKPOINT")


def symbols(count: int) -> list[str]:
    """Invented symbols."""
    return [f"S{number:03d}" for number in range(count)]


def instrument(symbol: str) -> Instrument:
    """An instrument that trades around the clock."""
    return Instrument(symbol, AssetClass.CRYPTO, "24/7", SOURCE)


def random_bars(symbol: str, times: pl.Series, timeframe: Timeframe, source: str = SOURCE) -> pl.DataFrame:
    """Bars of one symbol at these times: a random walk in whole cents, the same at each call."""
    random = np.random.default_rng([SEED, *symbol.encode()])
    step = 0.0005 if timeframe.is_intraday else 0.012
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0, step, times.len())))
    opened = np.concatenate([[100.0], close[:-1]])
    spread = np.abs(random.normal(0.0, step, (2, times.len())))
    prices = {
        "open": opened,
        "high": np.maximum(opened, close) * (1 + spread[0]),
        "low": np.minimum(opened, close) * (1 - spread[1]),
        "close": close,
    }
    return pl.DataFrame({"time": times, **{name: np.round(values, 2) for name, values in prices.items()}}).select(
        pl.col("time"),
        symbol=pl.lit(symbol),
        timeframe=pl.lit(timeframe.value),
        **{name: pl.col(name).cast(BAR_SCHEMA[name]) for name in prices},
        volume=pl.Series(random.integers(100, 1_000_000, times.len())).cast(BAR_SCHEMA["volume"]),
        source=pl.lit(source),
        quality=pl.lit("traded"),
    )


def minutes(count: int) -> pl.Series:
    """A series of consecutive minutes."""
    end = EPOCH + count * timedelta(minutes=1)
    return pl.datetime_range(EPOCH, end, "1m", closed="left", time_unit="us", eager=True).alias("time")


def minutes_window(count: int) -> Window:
    """The window of the series :func:`minutes`."""
    return Window(EPOCH, EPOCH + count * timedelta(minutes=1))
