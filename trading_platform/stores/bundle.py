"""All stores over one database and one feature folder, opened together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trading_platform.stores.bars import BarStore
from trading_platform.stores.coverage import CoverageStore
from trading_platform.stores.derivations import DerivationStore
from trading_platform.stores.features import FeatureStore
from trading_platform.stores.indicators import IndicatorStore
from trading_platform.stores.instruments import InstrumentStore
from trading_platform.stores.postgres import Database
from trading_platform.stores.quarantine import QuarantineStore


@dataclass(frozen=True)
class Stores:
    """What workflows read from and write to."""

    database: Database
    bars: BarStore
    indicators: IndicatorStore
    coverage: CoverageStore
    derivations: DerivationStore
    quarantine: QuarantineStore
    instruments: InstrumentStore
    features: FeatureStore


@contextmanager
def open_stores(database_url: str, features_directory: Path) -> Iterator[Stores]:
    """The stores over a database that is at the newest schema; closed on leaving."""
    database = Database(database_url)
    try:
        yield Stores(
            database=database,
            bars=BarStore(database),
            indicators=IndicatorStore(database),
            coverage=CoverageStore(database),
            derivations=DerivationStore(database),
            quarantine=QuarantineStore(database),
            instruments=InstrumentStore(database),
            features=FeatureStore(features_directory),
        )
    finally:
        database.close()
