"""The live state in Redis: quotes, signals, regime, circuit breakers, positions and the session.

:class:`LiveStore` is the blocking client, for agents and commands, :class:`AsyncLiveStore` that of the streamer and the
MCP server; both run the scripts of :mod:`trading_platform.stores.redis.live_scripts`.
:mod:`trading_platform.stores.redis.channels` reads published messages;
:mod:`trading_platform.stores.redis.order_stream` publishes to the channel ``orders``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar
from uuid import uuid4

from trading_platform.domain.errors import StoreError, StoreFull, StoreUnavailable
from trading_platform.domain.market.live.events import Quote
from trading_platform.stores.redis import live_scripts as scripts
from trading_platform.stores.redis.live_scripts import KEPT, Call

if TYPE_CHECKING:
    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis
    from redis.commands.core import AsyncScript, Script

    from trading_platform.domain.features.latest import LatestRow

_Response = TypeVar("_Response")


@contextmanager
def redis_errors() -> Iterator[None]:
    """Converts errors of redis-py in the body to errors of the platform.

    Raises:
        StoreUnavailable: if Redis does not answer.
        StoreFull: if it has no memory left, or no disk space for its file.
        StoreError: if it rejects a command for another reason.
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
        remedy = "give Redis more memory, or find out what else fills it"
        raise StoreFull("Redis has no memory left.", received=str(error), remedy=remedy) from error
    except RedisError as error:
        if "MISCONF" in str(error):  # also in the error of a script that one of its commands was refused
            remedy = "free disk space; Redis goes on by itself"
            raise StoreFull(
                "Redis cannot write its file and takes no data.", received=str(error), remedy=remedy
            ) from error
        raise StoreError("Redis rejected a command.", received=str(error), remedy="see Redis's log") from error


class LiveStore:
    """The live state, as a blocking client.

    A call is retried for about five seconds while Redis is unavailable, so that a restart goes unnoticed. A message
    that was published before the connection broke is not published twice: Redis remembers the id of each publication.

    Args:
        url: a Redis URL.
        kept: approximate number of entries that each stream keeps.
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
        """Closes the connections."""
        self._redis.close()

    def write_quotes(self, quotes: Iterable[Quote]) -> int:
        """Writes and publishes quotes in one round trip; returns how many were not older than the stored ones."""
        return self._run(scripts.write_quotes(quotes))

    def quotes(self, symbols: Sequence[str] | None = None) -> dict[str, Quote]:
        """The quotes of the last minute by symbol, of these symbols or all."""
        return {} if symbols is not None and not symbols else self._run(scripts.read_quotes(symbols))

    def publish_signal(self, ts: datetime, payload: str, strategy: str, symbol: str, fields: Mapping[str, str]) -> int:
        """Publishes a signal and stores it for five minutes; returns its number.

        Args:
            ts: time of the signal.
            payload: payload of the message, JSON.
            strategy: strategy that emits it.
            symbol: symbol it is about.
            fields: fields of the hash ``signal:{strategy}:{symbol}``; the number is added.
        """
        publication = uuid4().hex
        return self._run(scripts.publish_signal(publication, ts, payload, strategy, symbol, fields, self._kept))

    def signal(self, strategy: str, symbol: str) -> dict[str, str]:
        """The hash of a strategy's last signal; empty if there was none within five minutes."""
        return self._run(scripts.read_signal(strategy, symbol))

    def publish_alert(self, ts: datetime, payload: str) -> int:
        """Publishes an alert with a JSON ``payload``; returns its number."""
        return self._run(scripts.publish_alert(uuid4().hex, ts, payload, self._kept))

    def set_regime(self, ts: datetime, regime: str) -> bool:
        """Stores the regime for one minute and publishes it if it has changed; returns whether it was published."""
        return self._run(scripts.set_regime(uuid4().hex, ts, regime, self._kept))

    def regime(self) -> str | None:
        """The regime stored within the last minute."""
        return self._run(scripts.read_regime())

    def set_circuit(self, ts: datetime, component: str, state: str, payload: str) -> bool:
        """As :meth:`AsyncLiveStore.set_circuit`."""
        return self._run(scripts.set_circuit(uuid4().hex, ts, component, state, payload, self._kept))

    def write_session(self, fields: Mapping[str, str]) -> None:
        """Sets fields of the session's state; other fields stay."""
        self._run(scripts.write_session(fields))

    def circuits(self) -> dict[str, str]:
        """The state of each circuit breaker, by its component."""
        return self._run(scripts.read_circuits())

    def circuit(self, component: str) -> str | None:
        """State of a circuit breaker, ``open``, ``half_open`` or ``closed``; None if the component has none."""
        return self._run(scripts.read_circuit(component))

    def session(self) -> dict[str, str]:
        """The state of the session."""
        return self._run(scripts.read_session())

    def latest_features(self, symbols: Sequence[str]) -> dict[str, LatestRow]:
        """Today's features of some symbols (:mod:`trading_platform.stores.redis.latest_features`)."""
        from trading_platform.stores.redis.latest_features import read_latest

        return read_latest(self._redis, symbols)

    def _run(self, call: Call[_Response]) -> _Response:
        script = self._scripts.get(call.script)
        if script is None:
            script = self._scripts[call.script] = self._redis.register_script(call.script)
        with redis_errors():
            return call.read(script(call.keys, call.arguments))


class AsyncLiveStore:
    """The live state, as an asynchronous client; the caller retries what Redis did not accept.

    Args:
        url: a Redis URL.
        kept: approximate number of entries that each stream keeps.
        timeout: seconds after which Redis counts as unavailable.
    """

    def __init__(self, url: str, *, kept: int = KEPT, timeout: float = 2.0) -> None:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
        from redis.exceptions import ConnectionError as Disconnected

        # One retry, for connections that Redis closed since the last call.
        retry = Retry(NoBackoff(), 1, supported_errors=(Disconnected,))
        # The client's own timeouts are off: up to Python 3.11 they use asyncio.wait_for, which loses a cancellation
        # that arrives together with the response, so that the canceller waits for ever.
        self._redis: AsyncRedis = Redis.from_url(
            url, decode_responses=True, socket_timeout=None, socket_connect_timeout=None, retry=retry
        )
        self._timeout = timeout
        self._kept = kept
        self._scripts: dict[str, AsyncScript] = {}

    async def close(self) -> None:
        """Closes the connections."""
        await self._redis.aclose()

    async def check(self) -> None:
        """Checks that Redis answers and takes data.

        Raises:
            StoreUnavailable: if it does not answer.
            StoreFull: if it has no disk space for its file; it refuses PING then, as it does all writes.
        """
        with redis_errors():
            async with asyncio.timeout(self._timeout):
                await self._redis.ping()

    async def write_quotes(self, quotes: Iterable[Quote]) -> int:
        """As :meth:`LiveStore.write_quotes`."""
        return await self._run(scripts.write_quotes(quotes))

    async def quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        """The quotes of the last minute of these symbols."""
        return await self._run(scripts.read_quotes(symbols)) if symbols else {}

    async def publish_alert(self, ts: datetime, payload: str, publication: str) -> int:
        """As :meth:`LiveStore.publish_alert`; within ten minutes the same ``publication`` is published once."""
        return await self._run(scripts.publish_alert(publication, ts, payload, self._kept))

    async def set_circuit(self, ts: datetime, component: str, state: str, payload: str, publication: str) -> bool:
        """Stores the state of a circuit breaker and publishes the alert if it changed; returns whether it changed.

        Args:
            ts: start of the state.
            component: component of the circuit breaker.
            state: ``open`` or ``closed``; the first ``closed`` publishes no alert.
            payload: payload of the alert, JSON.
            publication: id of the publication; within ten minutes the same one is published once.
        """
        return await self._run(scripts.set_circuit(publication, ts, component, state, payload, self._kept))

    async def circuit(self, component: str) -> str | None:
        """As :meth:`LiveStore.circuit`."""
        return await self._run(scripts.read_circuit(component))

    async def write_positions(self, positions: Mapping[str, Mapping[str, str]], *, whole: bool) -> None:
        """Writes the hashes ``position:{symbol}``.

        Args:
            positions: columns by symbol; a symbol without columns is deleted.
            whole: these are all positions; others are deleted.
        """
        await self._run(scripts.write_positions(positions, whole=whole))

    async def write_session(self, fields: Mapping[str, str]) -> None:
        """Sets fields of the session's state; other fields stay."""
        await self._run(scripts.write_session(fields))

    async def _run(self, call: Call[_Response]) -> _Response:
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
