"""Five weeks of hours of two coins and of days of a third instrument, stored and ready to build features of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from definition_files import write

from trading_platform.domain.features.latest import LatestFeatures
from trading_platform.domain.market.calendars import expected_times
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe, Window, month_window
from trading_platform.sources.files.content.options import ImportOptions
from trading_platform.sources.files.landing import LandingArea
from trading_platform.sources.files.source import FileSource
from trading_platform.stores.features.definitions import load_definitions
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.backfill.backfill_bars import backfill_bars
from trading_platform.workflows.derived.build_features import build_features
from trading_platform.workflows.derived.build_hourly_features import build_hourly_features
from trading_platform.workflows.imports.import_files import import_files

NOW = datetime(2024, 4, 20, tzinfo=UTC)
MONTHS = [month_window(datetime(2024, month, 1, tzinfo=UTC)) for month in (3, 4)]
WHOLE = Window(MONTHS[0].start, MONTHS[-1].end)
HOURS = Window(datetime(2024, 3, 16, 7, tzinfo=UTC), datetime(2024, 4, 19, 18, tzinfo=UTC))
CALENDARS = {"AAA": "24/7", "BBB": "24/7", "STOCK": "FX"}
UNIVERSE = {
    symbol: Instrument(symbol, AssetClass.CRYPTO, calendar, "file", sector="coins", benchmark="BBB")
    for symbol, calendar in CALENDARS.items()
}

YEAR = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))

DEFINITIONS = """import polars as pl
from trading_platform.domain.features import Feature, bars

returns_1h = Feature(
    name="returns_1h", category="technical", description="Return of an hour", formula="close_t / close_(t-1) - 1",
    inputs=[bars("close", timeframe="1h")], lookback_days=1, warm_up=1, frequency="1h",
    compute=pl.col("close") / pl.col("close").shift(1) - 1,
)
"""


def length_of(symbol: str) -> Timeframe:
    return Timeframe.H1 if CALENDARS[symbol] == "24/7" else Timeframe.D1


def bars_of(symbol: str) -> pl.DataFrame:
    times = expected_times(CALENDARS[symbol], length_of(symbol), HOURS)
    random = np.random.default_rng(sum(map(ord, symbol)))
    close = pl.Series("close", np.round(100 * np.exp(np.cumsum(random.normal(0, 0.01, len(times)))), 4))
    frame = pl.DataFrame({"time": times, "open": close, "high": close * 1.01, "low": close * 0.99, "close": close})
    volume = pl.Series(np.round(random.lognormal(5, 1, len(times)), 2))
    return frame.with_columns(pl.col("high", "low").round(4), volume=volume)


@dataclass
class Store:
    """A database with five weeks of hours of two coins and of days of a third instrument."""

    url: str
    root: Path
    latest: LatestFeatures | None = None
    now: datetime = NOW

    @contextmanager
    def opened(self) -> Iterator[Stores]:
        definitions = load_definitions(self.root / "definitions")
        with open_stores(
            self.url, self.root / "features", may_upgrade=True, definitions=definitions, latest_features=self.latest
        ) as stores:
            yield stores

    def load(self, symbol: str, bars: pl.DataFrame) -> None:
        with self.opened() as stores:
            file = self.root / f"{symbol}{len(list(self.root.glob('*.csv')))}.csv"
            bars.with_columns(pl.col("time").dt.strftime("%Y-%m-%dT%H:%M:%SZ")).write_csv(file)
            import_files(
                [file],
                ImportOptions(symbol=symbol, timeframe=length_of(symbol)),
                landing=LandingArea(self.root / "imports"),
                quarantine=stores.quarantine,
                coverage=stores.coverage,
                instruments=stores.instruments,
                clock=lambda: NOW,
            )
            source = {"file": FileSource(self.root / "imports")}
            windows = MONTHS if length_of(symbol) is Timeframe.H1 else [YEAR]
            backfill_bars(stores, source, [UNIVERSE[symbol]], length_of(symbol), windows, clock=lambda: NOW)

    def build(
        self, symbols: list[str] | None = None, months: list[Window] | None = None, *, force: bool = False
    ) -> list[tuple[str, int]]:
        """Builds what is stale; returns symbol and month of each partition that was built."""
        with self.opened() as stores:
            report = build_hourly_features(
                stores, UNIVERSE, symbols or list(UNIVERSE), months or MONTHS, clock=lambda: self.now, force=force
            )
        return sorted((symbol, window.start.month) for symbol, window in report.rows)

    def rows(self, symbol: str) -> pl.DataFrame:
        with self.opened() as stores:
            return stores.hourly_features.read([symbol], WHOLE)

    def build_days(self) -> None:
        """Builds the daily features of all symbols with daily bars."""
        with self.opened() as stores:
            build_features(stores, UNIVERSE, list(UNIVERSE), [YEAR], clock=lambda: self.now)


def loaded(url: str, root: Path, latest: LatestFeatures | None = None, now: datetime = NOW) -> Store:
    """A store with the bars of all symbols, and nothing built."""
    (root / "definitions").mkdir()
    store = Store(url, root, latest, now)
    write(root / "definitions", "mine.py", DEFINITIONS)
    with store.opened() as stores:
        for each in UNIVERSE.values():
            stores.instruments.add(each)
    for symbol in UNIVERSE:
        store.load(symbol, bars_of(symbol))
    return store
