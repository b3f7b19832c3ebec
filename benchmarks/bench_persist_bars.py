"""Speed of storing bars in the platform, against a plain ``COPY`` of the same rows into the same table.

The platform's side is what a backfill does with a source's response: it marks gaps, compares and replaces the window,
and records coverage, in one transaction for each symbol. The baseline writes the same Polars frame as CSV and copies
it, in one transaction; in a second line that text is prepared beforehand.
"""

from __future__ import annotations

import polars as pl
import psycopg
from common import (
    EPOCH,
    SOURCE,
    Figure,
    arguments,
    empty_tables,
    instrument,
    minutes,
    minutes_window,
    new_stores,
    on_database,
    own_servers,
    random_bars,
    seconds,
    show,
    symbols,
)

from trading_platform.domain.quality.rules import empty_rejected
from trading_platform.domain.time import Timeframe
from trading_platform.sources.base import BarResponse
from trading_platform.stores.stores import Stores
from trading_platform.workflows.backfill.store_response import store_response

TARGET = 0.7
TABLE = "market_data.bars_1m"


def main() -> None:
    """Measures and prints the result."""
    given = arguments(__doc__)
    sizes = [(5, 2_000), (1, 20_000)] if given.quick else [(50, 10_000), (1, 500_000)]
    figures: list[Figure] = []
    with own_servers() as (settings, endpoints), new_stores(endpoints, "bench", settings.root / "features") as stores:
        url = on_database(endpoints.database_url, "bench")
        for count, length in sizes:
            figures += _compare(stores, url, count, length, rounds=given.rounds or (2 if given.quick else 5))
    show("Bars persisted", figures, quick=given.quick)


def _compare(stores: Stores, url: str, count: int, length: int, *, rounds: int) -> list[Figure]:
    times = minutes(length)
    frames = {symbol: random_bars(symbol, times, Timeframe.M1) for symbol in symbols(count)}
    whole = pl.concat(frames.values())
    text = whole.write_csv(include_header=False).encode()

    def ours() -> None:
        window = minutes_window(length)
        for symbol, bars in frames.items():
            response = BarResponse(bars, empty_rejected(), (window,), "memory")
            store_response(stores, SOURCE, instrument(symbol), Timeframe.M1, window, response, EPOCH)

    took: dict[str, list[float]] = {"ours": [], "frame": [], "text": []}
    with psycopg.connect(url) as connection:
        for number in range(rounds + 1):
            for name, run in (
                ("ours", ours),
                ("frame", lambda: _copy(connection, whole.write_csv(include_header=False).encode())),
                ("text", lambda: _copy(connection, text)),
            ):
                empty_tables(connection, TABLE, "market_data.coverage", "market_data.coverage_requests")
                elapsed = seconds(run)
                if number:  # the first round warms caches and the server's files
                    took[name].append(elapsed)
    what = f"{count} × {length:,} bars"
    return [
        Figure(f"{what}; COPY of the frame", took["ours"], took["frame"], TARGET),
        Figure(f"{what}; COPY of prepared text", took["ours"], took["text"], None),
    ]


def _copy(connection: psycopg.Connection, body: bytes) -> None:
    with connection.cursor() as cursor, cursor.copy(f"COPY {TABLE} FROM STDIN (FORMAT csv)") as copy:
        copy.write(body)
    connection.commit()


if __name__ == "__main__":
    main()
