"""Which process streams which symbols: each symbol of a source is one process's, as long as that is alive.

Where streams are kept is :mod:`trading_platform.stores.market_data.stream.store`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.time import Sleep
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.sql import query

_WAITS = (0.5, 1.0, 2.0)  # seconds between attempts: the server notices a killed process not quite at once
_FEW = 5  # symbols that a sentence can still name


@contextmanager
def leased(database: Database, source: str, symbols: Iterable[str], *, sleep: Sleep = time.sleep) -> Iterator[None]:
    """Makes sure that no other process streams these symbols of a source, for the length of the block.

    A server that goes away in between forgets the claim, and nothing else: two processes that write the same
    minutes do not harm each other.

    Args:
        database: where the streams are kept.
        source: whose feed.
        symbols: which.
        sleep: waits for a claim that may be about to end.

    Raises:
        InvalidRequest: naming the symbols that another process streams.
        StoreUnavailable, StoreError: if the database does not answer, or refuses.
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
        expected="symbols of its own for each process",
        received=f"{len(taken)} of {len(wanted)} symbols of {source} that are taken",
        remedy="stop the other process, or give each its own symbols or share (`--shard 1/2`, `--shard 2/2`)",
    )


def _parameters(source: str, symbols: list[str]) -> dict[str, object]:
    return {"source": source, "symbols": symbols}
