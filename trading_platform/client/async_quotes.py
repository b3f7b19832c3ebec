"""``Platform.async_quotes``: live quotes for callers in an event loop, which may not wait for Redis.

``Platform.quotes`` is the blocking read. The store is :mod:`trading_platform.stores.redis.live`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from trading_platform.client.names import listed
from trading_platform.domain.market.instruments import check_symbol
from trading_platform.domain.market.live.events import Quote


class AsyncQuotes:
    """Reads quotes without a thread; its connection belongs to the event loop that uses it.

    Callers that come while a read is under way share the next one, so that many cost few commands, and each gets
    quotes that were read after it asked.

    ::

        quotes = await platform.async_quotes.read(["BTCUSD"])

    Args:
        url: finds the URL of Redis; it may take a while, because it may start Redis.
    """

    def __init__(self, url: Callable[[], str]) -> None:
        self._url = url
        self._reader: _Reader | None = None

    async def read(self, symbols: Sequence[str]) -> dict[str, Quote]:
        """Quotes of the last minute by symbol; symbols without a quote are left out.

        Raises:
            InvalidRequest: for an invalid symbol.
            StoreUnavailable: if Redis does not respond within two seconds; a retry can help.
        """
        names = [check_symbol(symbol) for symbol in listed(symbols)]
        loop = asyncio.get_running_loop()
        if self._reader is None or self._reader.loop is not loop:
            url = await asyncio.to_thread(self._url)
            if self._reader is None or self._reader.loop is not loop:
                self._reader = _Reader(url, loop)
        return await self._reader.read(names) if names else {}

    async def close(self) -> None:
        """Closes the connection; the next read opens another. Call it in the event loop that read."""
        reader, self._reader = self._reader, None
        if reader is not None:
            await reader.close()


class _Reader:
    """The reads of one event loop."""

    def __init__(self, url: str, loop: asyncio.AbstractEventLoop) -> None:
        from trading_platform.stores.redis.live import AsyncLiveStore

        self.loop = loop
        self._store = AsyncLiveStore(url)
        self._one_at_a_time = asyncio.Lock()
        self._next: tuple[set[str], asyncio.Task[dict[str, Quote]]] | None = None

    async def read(self, symbols: Sequence[str]) -> dict[str, Quote]:
        if self._next is None:
            gathered: set[str] = set()
            self._next = gathered, self.loop.create_task(self._read(gathered))
        asked, reading = self._next
        asked.update(symbols)
        found = await asyncio.shield(reading)  # a caller that goes away takes the answer from nobody else
        return {symbol: found[symbol] for symbol in symbols if symbol in found}

    async def _read(self, asked: set[str]) -> dict[str, Quote]:
        async with self._one_at_a_time:
            self._next = None
            return await self._store.quotes(sorted(asked))

    async def close(self) -> None:
        async with self._one_at_a_time:
            await self._store.close()
