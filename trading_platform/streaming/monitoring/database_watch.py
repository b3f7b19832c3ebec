"""Looks at PostgreSQL for the live process: whether it answers, whether it was down in between, who holds it up.

:mod:`trading_platform.streaming.monitoring.servers` looks again and again, and says what is found.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from trading_platform.domain.errors import StoreUnavailable
from trading_platform.domain.severity import Severity
from trading_platform.domain.time import Clock
from trading_platform.streaming.monitoring.incidents import Incidents

if TYPE_CHECKING:
    import psycopg

CONNECT_SECONDS = 10
"""Seconds that the server may take to answer."""

LONG_TRANSACTION = 60.0
"""Seconds after which a transaction of anybody is worth knowing of: it may hold locks, and no dead row goes away."""

TRANSACTIONS_EVERY = 5.0
"""Seconds between two looks at the transactions."""

_TRANSACTIONS = """
    SELECT locks.virtualtransaction, locks.pid, activity.usename
    FROM pg_locks AS locks JOIN pg_stat_activity AS activity USING (pid)
    WHERE locks.locktype = 'virtualxid' AND locks.granted AND locks.pid <> pg_backend_pid()
      AND activity.datname = current_database() AND activity.usename IS NOT NULL
"""
"""Running transactions of users, which every role may see; their beginning it may not."""


class DatabaseWatch:
    """Looks at one database, with a connection that it keeps and a new one at each look.

    The kept one breaks when the server starts again or all its sessions are ended, however short that was.

    Args:
        url: libpq URL.
        incidents: where long transactions are recorded.
        clock: the receiver's clock.
        monotonic: a clock in seconds that never goes back; by default the event loop's.
    """

    def __init__(
        self, url: str, incidents: Incidents, clock: Clock, *, monotonic: Callable[[], float] | None = None
    ) -> None:
        self._url = url
        self._clock = clock
        self._monotonic = monotonic
        self._incidents = incidents
        self._kept: psycopg.AsyncConnection[Any] | None = None
        self._seen: dict[tuple[str, int], tuple[float, datetime]] = {}
        self._looked = 0.0

    async def check(self) -> None:
        """Looks once.

        Raises:
            StoreUnavailable: if the server does not answer, or has ended its connections since the look before.
            StoreBusy: if it has no connection left.
            StoreFull: if it has no space left.
        """
        fresh = await _opened(self._url)
        if self._kept is None:
            self._kept = fresh
            return
        async with fresh:
            if not await _answers(self._kept):
                await self.close()
                raise StoreUnavailable(
                    "The database has ended its connections.",
                    received="an end of a connection, and an answer on a new one",
                    remedy="see the server's log; it was started again, or one of its processes was killed",
                )
            await self._look_at_transactions(fresh)

    async def close(self) -> None:
        """Closes the connection that is kept."""
        kept, self._kept = self._kept, None
        if kept is not None:
            await kept.close()

    async def _look_at_transactions(self, connection: psycopg.AsyncConnection[Any]) -> None:
        import psycopg

        from trading_platform.stores.postgres.errors import store_error

        now = (self._monotonic or asyncio.get_running_loop().time)()
        if now - self._looked < TRANSACTIONS_EVERY:
            return
        self._looked = now
        try:
            rows = await (await connection.execute(_TRANSACTIONS.encode())).fetchall()
        except psycopg.Error as error:
            raise store_error(error) from error
        running = {(str(number), int(pid)): str(user) for number, pid, user in rows}
        for number, pid in self._seen.keys() - running.keys():
            del self._seen[number, pid]
            self._incidents.end(f"transaction:{number}", f"The transaction of process {pid} is over.")
        for (number, pid), user in running.items():
            seen, since = self._seen.setdefault((number, pid), (now, self._clock()))
            if now - seen >= LONG_TRANSACTION:
                message = (
                    f"A transaction of the user {user} has been open for {now - seen:,.0f} s (process {pid} of "
                    "PostgreSQL). While it is, rows that it may see are not cleared away, and what it has locked waits."
                )
                name = f"transaction:{number}"
                self._incidents.begin(name, "transaction_long", Severity.INFO, message, at=since, pid=pid)


async def _opened(url: str) -> psycopg.AsyncConnection[Any]:
    """A new connection that has answered."""
    import psycopg

    from trading_platform.stores.postgres.errors import store_error

    connection = None
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            connection = await psycopg.AsyncConnection.connect(url, autocommit=True)
            await connection.execute("SELECT 1")
            return connection
    except (TimeoutError, psycopg.Error) as error:
        if connection is not None:
            await connection.close()
        if isinstance(error, psycopg.Error):
            raise store_error(error) from error
        raise StoreUnavailable(
            "The database does not answer.",
            received=f"nothing within {CONNECT_SECONDS} s",
            remedy="see `trading-platform doctor`",
        ) from None


async def _answers(connection: psycopg.AsyncConnection[Any]) -> bool:
    import psycopg

    with suppress(psycopg.Error, TimeoutError):
        async with asyncio.timeout(CONNECT_SECONDS):
            await connection.execute("SELECT 1")
            return True
    return False
