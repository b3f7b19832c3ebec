"""Files of daily bars that a test writes, imports and stores, of an instrument that trades round the clock."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from pathlib import Path

from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe, month_window
from trading_platform.sources.files.content.options import ImportOptions
from trading_platform.sources.files.landing import LandingArea
from trading_platform.sources.files.source import FileSource
from trading_platform.stores.stores import Stores
from trading_platform.workflows.backfill.backfill_bars import backfill_bars
from trading_platform.workflows.imports.import_files import import_files


def line(day: int, close: str = "100", volume: str = "5", open_: str = "100") -> str:
    """A row of May 2024."""
    prices = (Decimal(open_), Decimal(close))
    return f"2024-05-{day:02d}T00:00:00Z,{open_},{max(prices)},{min(prices)},{close},{volume}"


def import_daily(stores: Stores, path: Path, symbol: str, lines: Iterable[str], now: datetime, *, force: bool) -> None:
    """Writes a file, imports it into ``imports`` beside it, and stores the bars of the month of ``now``."""
    instrument = Instrument(symbol, AssetClass.CRYPTO, "24/7", "file")
    stores.instruments.add(instrument)
    path.write_text("\n".join(["timestamp,open,high,low,close,volume", *lines]) + "\n")
    imports = path.parent / "imports"
    import_files(
        [path],
        ImportOptions(symbol=symbol, timeframe=Timeframe.D1),
        landing=LandingArea(imports),
        quarantine=stores.quarantine,
        coverage=stores.coverage,
        instruments=stores.instruments,
        clock=lambda: now,
    )
    sources = {"file": FileSource(imports)}
    backfill_bars(stores, sources, [instrument], Timeframe.D1, [month_window(now)], clock=lambda: now, force=force)
