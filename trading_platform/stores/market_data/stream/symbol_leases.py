"""Symbol leases: each symbol of a source is streamed by one process at a time, as long as that is alive.

:mod:`trading_platform.stores.market_data.stream.store` stores what the streams deliver.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.time import Sleep
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.sql import query

_WAITS = (0.5, 1.0, 2.0)  # seconds between attempts: the server needs some time to detect a killed process
_FEW = 5  # symbols that a message can list


@contextmanager
def leased(database: Database, source: str, symbols: Iterable[str], *, sleep: Sleep = time.sleep) -> Iterator[None]:
    """Holds leases of these symbols of a source for the block, so that no other process streams them.

    If the server restarts in between, the leases are lost without further harm: two processes that write the
    same minutes do not corrupt each other's bars.

    Args:
        database: the database that the streams are stored in.
        source: source of the feed.
        symbols: the symbols.
        sleep: waits for a lease that may be about to end.

    Raises:
        InvalidRequest: naming the symbols that another process streams.
        StoreUnavailable, StoreError: if the database is unavailable or rejects the statement.
    """
    wanted = sorted(symbols)
    for wait in (*_WAITS, None):
        with database.session() as connection:
            taken = [
                row[0] for row in execute(connection, query("market_data/stream/lease"), _parameters(source, wanted))
            ]
            if not taken:
                yield
                return
        if wait is not None:
            sleep(wait)
    raise InvalidRequest(
        f"{', '.join(taken[:_FEW])} {'is' if len(taken) == 1 else 'are'} being streamed by another process.",
        expected="distinct symbols for each process",
        received=f"{len(taken)} of {len(wanted)} symbols of {source} leased by another process",
        remedy="stop the other process, or give each its own symbols or shard (`--shard 1/2`, `--shard 2/2`)",
    )


def _parameters(source: str, symbols: list[str]) -> dict[str, object]:
    return {"source": source, "symbols": symbols}
