"""A backfill of Kraken's minutes as a process of its own, to be killed.

Arguments: database, imports directory, the exchange's address, present, start.
"""

from __future__ import annotations

import sys
from datetime import datetime, timedelta
from pathlib import Path

from trading_platform.domain.market.instruments import guess_instrument
from trading_platform.domain.time import Timeframe, Window, partition_windows
from trading_platform.sources.kraken.client import connect
from trading_platform.sources.kraken.http import Retries
from trading_platform.sources.kraken.source import KrakenSource
from trading_platform.stores.stores import open_stores
from trading_platform.workflows.backfill.backfill_bars import backfill_bars


def main(database: str, imports: str, url: str, present: str, start: str) -> None:
    """Backfills BTCUSD from ``start`` on."""
    now, first = datetime.fromisoformat(present), datetime.fromisoformat(start)
    client = connect(url, 100_000, retries=Retries(attempts=60, sleep=lambda _: None), timeout=(5.0, 5.0))
    history = timedelta(days=(now - first).days)
    source = KrakenSource(client, imports_directory=Path(imports), trades_history=history, clock=lambda: now)
    with open_stores(database, Path(imports).parent / "features") as stores:
        report = backfill_bars(
            stores,
            {"kraken": source},
            [guess_instrument("BTCUSD", "kraken")],
            Timeframe.M1,
            partition_windows(Timeframe.M1, Window(first, now)),
            clock=lambda: now,
        )
    for failure in report.failures:
        sys.stderr.write(f"{failure.error}\n")
    sys.exit(bool(report.failures))


if __name__ == "__main__":
    main(*sys.argv[1:])
