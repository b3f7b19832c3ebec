"""The live state in Redis: quotes, signals, regime, circuits, positions and the session, as the data architecture's §4.

:class:`LiveStore` is for agents and everything else that waits, :class:`AsyncLiveStore` for the streamer;
both make the calls of :mod:`trading_platform.stores.redis.live_scripts`. Messages that were told are read by
:mod:`trading_platform.stores.redis.channels`; the channel ``orders`` is told by
:mod:`trading_platform.stores.redis.order_stream`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

from trading_platform.domain.errors import StoreError, StoreFull, StoreUnavailable
from trading_platform.domain.market.events import Quote
from trading_platform.stores.redis import live_scripts as scripts
from trading_platform.stores.redis.live_scripts import KEPT, Call

if TYPE_CHECKING:
    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis
    from redis.commands.core import AsyncScript, Script

_Answer = TypeVar("_Answer")


@contextmanager
def redis_errors() -> Iterator[None]:
    """What redis-py raises inside, as the platform's own.

    Raises:
        StoreUnavailable: if Redis does not answer.
        StoreFull: if it has no memory left.
        StoreError: for anything else it refuses.
    """
    from redis.exceptions import ConnectionError as Disconnected
    from redis.exceptions import OutOfMemoryError, RedisError
    from redis.exceptions import TimeoutError as TimedOut

    try:
        yield
    except (Disconnected, TimedOut, OSError) as error:
        remedy = "see `trading-platform doctor`"
        raise StoreUnavailable("Redis does not answer.", received=str(error), remedy=remedy) from error
    except OutOfMemoryError as error:
        remedy = "give Redis more memory, or look what else fills it"
        raise StoreFull("Redis has no memory left.", received=str(error), remedy=remedy) from error
    except RedisError as error:
        raise StoreError("Redis refused a command.", received=str(error), remedy="see Redis's log") from error


class LiveStore:
    """The live state, for those who wait for an answer.

    A call that finds Redis away is made again for some five seconds, so that a restart goes unnoticed.
    What was told before the connection broke is not told again: each telling has an id that Redis knows.

    Args:
        url: a Redis URL.
        kept: about how many entries each stream keeps.
    """

    def __init__(self, url: str, *, kept: int = KEPT) -> None:
        from redis import Redis
        from redis.backoff import ExponentialBackoff
        from redis.retry import Retry

        retry = Retry(ExponentialBackoff(cap=1.0, base=0.05), 8)
        self._redis: Redis = Redis.from_url(url, decode_responses=True, socket_timeout=5, retry=retry)
        self._kept = kept
        self._scripts: dict[str, Script] = {}

    def close(self) -> None:
        """Gives the connections back."""
        self._redis.close()

    def write_quotes(self, quotes: Iterable[Quote]) -> int:
        """Writes and tells quotes in one round trip; how many were not older than those there."""
        return self._make(scripts.write_quotes(quotes))

    def quotes(self, symbols: Sequence[str] | None = None) -> dict[str, Quote]:
        """The quotes of the last minute, by symbol: of these symbols, or all."""
        return {} if symbols is not None and not symbols else self._make(scripts.read_quotes(symbols))

    def publish_signal(self, ts: datetime, payload: str, strategy: str, symbol: str, fields: Mapping[str, str]) -> int:
        """Tells a signal and notes it for five minutes; its number.

        Args:
            ts: when it came about.
            payload: of the message, in JSON.
            strategy: whose it is.
            symbol: of what.
            fields: of the hash ``signal:{strategy}:{symbol}``; the number is added.
        """
        publication = uuid4().hex
        return self._make(scripts.publish_signal(publication, ts, payload, strategy, symbol, fields, self._kept))

    def signal(self, strategy: str, symbol: str) -> dict[str, str]:
        """The hash of a strategy's last signal; empty if there was none within five minutes."""
        return self._make(scripts.read_signal(strategy, symbol))

    def publish_alert(self, ts: datetime, payload: str) -> int:
        """Tells an alert, ``payload`` in JSON; its number."""
        return self._make(scripts.publish_alert(uuid4().hex, ts, payload, self._kept))

    def set_regime(self, ts: datetime, regime: str) -> bool:
        """Notes the regime for a minute; whether it is another than was told last, and so was told."""
        return self._make(scripts.set_regime(uuid4().hex, ts, regime, self._kept))

    def regime(self) -> str | None:
        """The regime that was noted within the last minute."""
        return self._make(scripts.read_regime())

    def circuit(self, component: str) -> str | None:
        """State of a circuit, ``open`` or ``closed``; None if nobody watches there."""
        return self._make(scripts.read_circuit(component))

    def session(self) -> dict[str, str]:
        """The session's state."""
        return self._make(scripts.read_session())

    def _make(self, call: Call[_Answer]) -> _Answer:
        script = self._scripts.get(call.script)
        if script is None:
            script = self._scripts[call.script] = self._redis.register_script(call.script)
        with redis_errors():
            return call.read(script(call.keys, call.arguments))


class AsyncLiveStore:
    """The live state, for the streamer: what Redis does not take at once is its caller's to keep.

    Args:
        url: a Redis URL.
        kept: about how many entries each stream keeps.
        timeout: seconds after which Redis counts as away.
    """

    def __init__(self, url: str, *, kept: int = KEPT, timeout: float = 2.0) -> None:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import ConnectionError as Disconnected

        # One more attempt is for connections that Redis closed since the last call.
        retry = Retry(NoBackoff(), 1, supported_errors=(Disconnected,))
        # Its own timeouts are off: up to Python 3.11 they go by asyncio.wait_for, which loses a cancellation
        # that comes together with the answer, and whoever cancelled waits for ever.
        self._redis: AsyncRedis = Redis.from_url(
            url, decode_responses=True, socket_timeout=None, socket_connect_timeout=None, retry=retry
        )
        self._timeout = timeout
        self._kept = kept
        self._scripts: dict[str, AsyncScript] = {}

    async def close(self) -> None:
        """Gives the connections back."""
        await self._redis.aclose()

    async def write_quotes(self, quotes: Iterable[Quote]) -> int:
        """As :meth:`LiveStore.write_quotes`."""
        return await self._make(scripts.write_quotes(quotes))

    async def publish_alert(self, ts: datetime, payload: str, publication: str) -> int:
        """As :meth:`LiveStore.publish_alert`; the same ``publication`` is told once, for ten minutes."""
        return await self._make(scripts.publish_alert(publication, ts, payload, self._kept))

    async def set_circuit(self, ts: datetime, component: str, state: str, payload: str, publication: str) -> bool:
        """Notes a circuit's state, and tells the alert if it changed; whether it did.

        Args:
            ts: since when.
            component: whose circuit.
            state: ``open`` or ``closed``; nobody is alerted to the first ``closed``.
            payload: of the alert, in JSON.
            publication: the same one is told once, for ten minutes.
        """
        return await self._make(scripts.set_circuit(publication, ts, component, state, payload, self._kept))

    async def circuit(self, component: str) -> str | None:
        """As :meth:`LiveStore.circuit`."""
        return await self._make(scripts.read_circuit(component))

    async def write_positions(self, positions: Mapping[str, Mapping[str, str]], *, whole: bool) -> None:
        """Writes the hashes ``position:{symbol}``.

        Args:
            positions: columns by symbol; one without columns is deleted.
            whole: these are all; what else is there is deleted.
        """
        await self._make(scripts.write_positions(positions, whole=whole))

    async def write_session(self, fields: Mapping[str, str]) -> None:
        """Writes fields of the session's state, beside those that are there."""
        await self._make(scripts.write_session(fields))

    async def _make(self, call: Call[_Answer]) -> _Answer:
        script = self._scripts.get(call.script)
        if script is None:
            script = self._scripts[call.script] = self._redis.register_script(call.script)
        with redis_errors():
            async with asyncio.timeout(self._timeout):
                return call.read(await script(call.keys, call.arguments))


@contextmanager
def open_live_store(url: str) -> Iterator[LiveStore]:
    """The live state of a Redis; closed on leaving."""
    store = LiveStore(url)
    try:
        yield store
    finally:
        store.close()
