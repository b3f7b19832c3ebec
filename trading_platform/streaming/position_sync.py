"""Syncs ``position:{symbol}`` in Redis with ``trading.positions``: by notifications of changes, and by full reads.

PostgreSQL notifies on its channel ``positions`` which symbol has changed, so a change is in Redis some milliseconds
after its commit. Notifications during a disconnection are lost; a read of the whole table every five seconds corrects
that, and whatever Redis has lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Protocol

from trading_platform.domain.errors import StoreError, StoreUnavailable
from trading_platform.domain.money import plain_text
from trading_platform.domain.time import AsyncSleep, rfc3339
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.rows import DictRow

CHANNEL = "positions"
"""PostgreSQL's notification channel for the symbols of changed positions."""

EVERY = 5.0
"""Seconds between two reads of the whole table."""

PAUSE = 0.5
"""Seconds between two attempts while a server is unavailable."""


class PositionWriter(Protocol):
    """The store that positions are synced to."""

    async def write_positions(self, positions: Mapping[str, Mapping[str, str]], *, whole: bool) -> None:
        """Writes positions by symbol; deletes those without columns, and with ``whole`` all that are not given."""


class PositionSync:
    """Syncs positions until it is cancelled.

    Args:
        database_url: libpq URL of a user that may read ``trading.positions``: any of the roles.
        writer: the live store.
        every: seconds between two reads of the whole table.
        sleep: waits while a server is unavailable.
    """

    def __init__(
        self,
        database_url: str,
        writer: PositionWriter,
        *,
        every: float = EVERY,
        sleep: AsyncSleep = asyncio.sleep,
    ) -> None:
        self.full_syncs = 0
        """Number of syncs of the whole table."""
        self.error: StoreError | None = None
        """Why the sync does not progress; None while it does."""
        self._url = database_url
        self._writer = writer
        self._every = every
        self._sleep = sleep

    async def run(self) -> None:
        """Syncs, across restarts of PostgreSQL and Redis."""
        import psycopg

        while True:
            try:
                await self._sync()
            except StoreError as error:
                self.error = error
            except psycopg.Error as error:
                self.error = StoreUnavailable(
                    "The positions cannot be read from PostgreSQL.", received=str(error).strip()
                )
            await self._sleep(PAUSE)

    async def _sync(self) -> None:
        import psycopg
        from psycopg.rows import dict_row

        async with await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, connect_timeout=10, row_factory=dict_row
        ) as connection:
            await connection.execute(f"LISTEN {CHANNEL}")
            while True:
                await self._write(connection, None)
                self.full_syncs += 1
                self.error = None
                await self._follow(connection)

    async def _follow(self, connection: AsyncConnection[DictRow]) -> None:
        """Syncs changed positions until the next read of the whole table is due."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._every
        while (left := end - loop.time()) > 0:
            changed = {notification.payload async for notification in connection.notifies(timeout=left, stop_after=1)}
            changed |= {notification.payload async for notification in connection.notifies(timeout=0)}
            if changed:
                await self._write(connection, sorted(changed))

    async def _write(self, connection: AsyncConnection[DictRow], symbols: Iterable[str] | None) -> None:
        wanted = None if symbols is None else list(symbols)
        cursor = await connection.execute(query("trading/ledger/positions_of").encode(), {"symbols": wanted})
        found: dict[str, dict[str, str]] = {symbol: {} for symbol in wanted or ()}
        async for row in cursor:
            found[row["symbol"]] = {name: _text(value) for name, value in row.items() if value is not None}
        await self._writer.write_positions(found, whole=wanted is None)


def _text(value: Any) -> str:
    if isinstance(value, Decimal):
        return plain_text(value)
    return rfc3339(value) if isinstance(value, datetime) else str(value)
