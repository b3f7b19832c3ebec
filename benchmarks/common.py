"""What the benchmarks share: servers of their own, bars from a seed, interleaved runs and the table at the end.

A figure is a ratio of two things measured in the same process, turn by turn (A B A B …), so that a
busy machine slows both alike; reported is the median of the ratios. Each ``bench_*.py`` is a figure.
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
from trading_platform.embedded.stack import Endpoints, ensure_database, running_stack, stop_stack
from trading_platform.settings import SETTINGS_FILE, Settings, load_settings
from trading_platform.stores.postgres.roles import Role, as_role
from trading_platform.stores.stores import Stores, open_stores

SEED = 20_240_102
SOURCE = "benchmark"
EPOCH = datetime(2024, 1, 1, tzinfo=UTC)

Run = Callable[[], object]


@dataclass(frozen=True)
class Figure:
    """A line of the table at the end.

    Attributes:
        what: was measured.
        ours: seconds of the platform, one a round.
        baseline: seconds of what it is compared with, one a round.
        target: the ratio that is asked for; None where the line is there for information.
        lower_is_better: ratio is ours / baseline and at most ``target``; else baseline / ours and at least that.
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
        """Whether the target is met; None where there is none."""
        if self.target is None:
            return None
        return self.ratio <= self.target if self.lower_is_better else self.ratio >= self.target


def arguments(description: str) -> argparse.Namespace:
    """The command line of a benchmark: ``--quick`` and ``--rounds``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="small sizes: shows that it runs, not what it costs")
    parser.add_argument("--rounds", type=int, default=None, help="how often each side is measured")
    return parser.parse_args()


def seconds(run: Run) -> float:
    """How long something takes, with the garbage of what was before collected."""
    gc.collect()
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def show(title: str, figures: Sequence[Figure], notes: Sequence[str] = (), *, quick: bool = False) -> None:
    """Prints the figures; says nothing of targets where small sizes were run, which fixed costs rule."""
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
    # At the very end, because Dagster's storage lets go of the servers only when the process ends.
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
    """Stores over a new database of that name, as the role whose work is measured."""
    url = on_database(endpoints.database_url, name)
    ensure_database(endpoints.database_url, name)
    own = as_role(url, Role.INGEST, trusted=True)
    with open_stores(own, features, owner_url=url, may_upgrade=True) as stores:
        yield stores


def on_database(url: str, name: str) -> str:
    """The same server's address with another database."""
    base, _, query = url.partition("?")
    return f"{base.rpartition('/')[0]}/{name}" + (f"?{query}" if query else "")


def empty_tables(connection: psycopg.Connection, *tables: str) -> None:
    """Empties tables, and has the server write down what it owes, so that no run pays for the one before it."""
    connection.execute(f"TRUNCATE {', '.join(tables)}")
    connection.commit()
    with psycopg.connect(connection.info.dsn, autocommit=True) as server:
        server.execute("CHECKPOINT")


def symbols(count: int) -> list[str]:
    """Names that no market has."""
    return [f"S{number:03d}" for number in range(count)]


def instrument(symbol: str) -> Instrument:
    """An instrument that trades without pause."""
    return Instrument(symbol, AssetClass.CRYPTO, "24/7", SOURCE)


def random_bars(symbol: str, times: pl.Series, timeframe: Timeframe, source: str = SOURCE) -> pl.DataFrame:
    """Bars of one symbol at these times, a random walk in whole cents; the same ones each time."""
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
    """That many minutes, one after the other."""
    end = EPOCH + count * timedelta(minutes=1)
    return pl.datetime_range(EPOCH, end, "1m", closed="left", time_unit="us", eager=True).alias("time")


def minutes_window(count: int) -> Window:
    """The window of these minutes."""
    return Window(EPOCH, EPOCH + count * timedelta(minutes=1))
