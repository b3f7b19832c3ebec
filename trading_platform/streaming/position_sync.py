"""Keeps ``position:{symbol}`` in Redis in step with ``trading.positions``: told of changes, and looking for itself.

PostgreSQL tells on its channel ``positions`` which symbol has changed, so a change is in Redis some
milliseconds after its commit. What is told while the mirror is away is lost; a look at the whole table
every five seconds makes up for it, and for whatever Redis lost.
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
"""Of PostgreSQL, on which the symbols of changed positions are told."""

EVERY = 5.0
"""Seconds between two looks at the whole table (data architecture §4.1)."""

PAUSE = 0.5
"""Seconds between two attempts while a server is away."""


class PositionWriter(Protocol):
    """Where positions are mirrored."""

    async def write_positions(self, positions: Mapping[str, Mapping[str, str]], *, whole: bool) -> None:
        """Writes positions by symbol; without columns: deletes. Whole: what else is there goes."""


class PositionSync:
    """Mirrors positions until it is cancelled.

    Args:
        database_url: libpq URL of a user that may read ``trading.positions``: any of the roles.
        writer: the live store.
        every: seconds between two looks at the whole table.
        sleep: waits while a server is away.
    """

    def __init__(
        self,
        database_url: str,
        writer: PositionWriter,
        *,
        every: float = EVERY,
        sleep: AsyncSleep = asyncio.sleep,
    ) -> None:
        self.looks = 0
        """How often the whole table was mirrored."""
        self.error: StoreError | None = None
        """Why the mirror stands still; None while it does not."""
        self._url = database_url
        self._writer = writer
        self._every = every
        self._sleep = sleep

    async def run(self) -> None:
        """Mirrors; over restarts of PostgreSQL and Redis."""
        import psycopg

        while True:
            try:
                await self._sync()
            except StoreError as error:
                self.error = error
            except psycopg.Error as error:
                self.error = StoreUnavailable("PostgreSQL does not tell of positions.", received=str(error).strip())
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
                self.looks += 1
                self.error = None
                await self._follow(connection)

    async def _follow(self, connection: AsyncConnection[DictRow]) -> None:
        """Mirrors what is told until it is time to look at everything again."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._every
        while (left := end - loop.time()) > 0:
            changed = {told.payload async for told in connection.notifies(timeout=left, stop_after=1)}
            changed |= {told.payload async for told in connection.notifies(timeout=0)}
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
