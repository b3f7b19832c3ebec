"""Duration of all checks of a year of daily bars, against the load of the same bars.

The load is what a backfill does with the responses of a source: it marks gaps, stores the bars and records coverage, in
one transaction for each symbol. The checks are those of the asset ``ohlcv_1d``.
"""

from __future__ import annotations

from datetime import timedelta

import polars as pl
import psycopg
from common import (
    EPOCH,
    SOURCE,
    Figure,
    arguments,
    empty_tables,
    instrument,
    new_stores,
    on_database,
    own_servers,
    random_bars,
    seconds,
    show,
    symbols,
)

from trading_platform.domain.quality.rules import empty_rejected
from trading_platform.domain.time import Timeframe, Window
from trading_platform.sources.base import BarResponse
from trading_platform.workflows.backfill.store_response import store_response
from trading_platform.workflows.quality.suites.verify import verify_asset

TARGET = 0.3
YEAR = Window(EPOCH, EPOCH + timedelta(days=366))


def main() -> None:
    """Measures and prints the result."""
    given = arguments(__doc__)
    count = 50 if given.quick else 500
    last = YEAR.end - timedelta(days=1)
    times = pl.datetime_range(YEAR.start, last, "1d", time_unit="us", eager=True).alias("time")
    frames = {symbol: random_bars(symbol, times, Timeframe.D1) for symbol in symbols(count)}
    took: dict[str, list[float]] = {"load": [], "checks": []}
    with own_servers() as (settings, endpoints), new_stores(endpoints, "bench", settings.root / "features") as stores:
        for symbol in frames:
            stores.instruments.add(instrument(symbol))

        def load() -> None:
            for symbol, bars in frames.items():
                response = BarResponse(bars, empty_rejected(), (YEAR,), "memory")
                store_response(stores, SOURCE, instrument(symbol), Timeframe.D1, YEAR, response, YEAR.end)

        def check() -> None:
            results = verify_asset(stores, {}, "ohlcv_1d", clock=lambda: YEAR.end)
            wrong = [result.check for result in results if not result.passed and result.severity == "error"]
            if wrong:
                raise SystemExit(f"The bars of the benchmark fail {', '.join(wrong)}.")

        with psycopg.connect(on_database(endpoints.database_url, "bench")) as connection:
            for number in range((given.rounds or (2 if given.quick else 3)) + 1):
                tables = ("market_data.bars_1d", "market_data.coverage", "market_data.coverage_requests")
                empty_tables(connection, *tables)
                for name, run in (("load", load), ("checks", check)):
                    elapsed = seconds(run)
                    if number:  # the first round warms caches and the server's files
                        took[name].append(elapsed)
    show(
        "Checks",
        [Figure(f"{count} symbols × 366 days; load", took["checks"], took["load"], TARGET, lower_is_better=True)],
        quick=given.quick,
    )


if __name__ == "__main__":
    main()
