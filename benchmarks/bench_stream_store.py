"""Speed of a stream's commits of 100 symbols' minutes, against a plain ``COPY`` and upsert of the same bars.

The platform's side is the whole commit: it compares bars with stored ones, checks them against the close before, and
writes coverage, versions, longer bars when they end, and the position. The baseline copies the same frame into a
temporary table and upserts it into another table of minutes, in one transaction, on an open connection. Both sides go
minute by minute, in turns.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from datetime import timedelta

import polars as pl
import psycopg
from common import (
    EPOCH,
    SOURCE,
    Figure,
    arguments,
    instrument,
    minutes,
    new_stores,
    on_database,
    own_servers,
    random_bars,
    seconds,
    show,
    symbols,
)

from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.postgres.database import Database
from trading_platform.stores.postgres.databases import ensure_database
from trading_platform.stores.schema import upgrade
from trading_platform.stores.stores import Stores

MINUTE = timedelta(minutes=1)
COLUMNS = ", ".join(BAR_SCHEMA)
VALUES = ("open", "high", "low", "close", "volume", "source", "quality")
OLD, NEW = (", ".join(f"{row}.{name}" for name in VALUES) for row in ("bar", "EXCLUDED"))
UPSERT = f"""
INSERT INTO market_data.bars_1m AS bar ({COLUMNS}) SELECT {COLUMNS} FROM incoming
ON CONFLICT (time, symbol, timeframe)
DO UPDATE SET {", ".join(f"{name} = EXCLUDED.{name}" for name in VALUES)}
WHERE ({OLD}) IS DISTINCT FROM ({NEW})
"""


def main() -> None:
    """Measures and prints the result."""
    given = arguments(__doc__)
    count, length = (10, 15) if given.quick else (100, given.rounds or 600)
    bars = pl.concat([random_bars(symbol, minutes(length), Timeframe.M1) for symbol in symbols(count)])
    frames = [part.sort("symbol") for part in bars.partition_by("time", maintain_order=True)]
    with own_servers() as (settings, endpoints), new_stores(endpoints, "bench", settings.root / "features") as stores:
        ensure_database(endpoints.database_url, "bare")
        url = on_database(endpoints.database_url, "bare")
        bare = Database(url)
        upgrade(bare)
        bare.close()
        for symbol in symbols(count):
            stores.instruments.add(instrument(symbol))
        with psycopg.connect(url) as connection:
            ours, theirs = _in_turns(stores, connection, frames)
    ends = [number % 5 == 4 for number in range(length)]
    plain = [number for number in range(5, length) if not ends[number]]  # the first ones warm caches
    longer = [number for number in range(5, length) if ends[number]]
    every = range(5, length)
    figures = [
        Figure(what, [ours[number] for number in which], [theirs[number] for number in which], None)
        for what, which in (
            (f"a minute of {count} symbols", plain),
            ("a minute that ends longer bars", longer),
            ("every minute", every),
        )
    ]
    rate = 1 / statistics.mean(ours[number] for number in every)
    note = f"{rate:.0f} commits a second on average; the longest took {max(ours[5:]) * 1e3:.0f} ms."
    show("Minutes of a stream committed", figures, [note], quick=given.quick)


def _in_turns(
    stores: Stores, connection: psycopg.Connection, frames: Sequence[pl.DataFrame]
) -> tuple[list[float], list[float]]:
    names = frames[0]["symbol"].to_list()
    connection.execute("CREATE TEMPORARY TABLE incoming (LIKE market_data.bars_1m) ON COMMIT DELETE ROWS")
    connection.commit()
    took: tuple[list[float], list[float]] = [], []
    for number, frame in enumerate(frames):
        window = Window(EPOCH + number * MINUTE, EPOCH + (number + 1) * MINUTE)

        def ours(frame: pl.DataFrame = frame, window: Window = window, number: int = number) -> None:
            stores.stream.commit(
                "benchmark",
                SOURCE,
                bars=frame,
                answered={name: [window] for name in names},
                until=window.end,
                position={"offset": number},
                now=window.end,
            )

        def theirs(frame: pl.DataFrame = frame) -> None:
            with connection.cursor() as cursor:
                with cursor.copy(f"COPY incoming ({COLUMNS}) FROM STDIN (FORMAT csv)") as copy:
                    copy.write(frame.write_csv(include_header=False).encode())
                cursor.execute(UPSERT)
            connection.commit()

        took[0].append(seconds(ours))
        took[1].append(seconds(theirs))
    return took


if __name__ == "__main__":
    main()
