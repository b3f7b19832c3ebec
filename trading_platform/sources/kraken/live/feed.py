"""Kraken's WebSocket v2 as a live feed: connects, detects a dead connection, reconnects.

:mod:`trading_platform.sources.kraken.live.stream` interprets the messages; docs/sources/kraken.md describes
the vendor's behaviour.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar, Literal
from urllib.parse import urlsplit

from trading_platform.domain.errors import ConfigurationError
from trading_platform.domain.texts import shown, storable
from trading_platform.domain.time import AsyncSleep, Clock, utc_now
from trading_platform.sources.kraken.live.stream import KrakenStream
from trading_platform.sources.kraken.pairs import KrakenPair
from trading_platform.sources.live import (
    LOOKS,
    Backoff,
    EventBuffer,
    LastEvent,
    MessageCounts,
    RejectedMessage,
    RejectMessage,
    until_closing,
)

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

log = logging.getLogger(__name__)

INACTIVITY_SECONDS = 5.0
"""Kraken sends something every second; a connection without a message for this long is dead, closed or not."""

_LARGEST_MESSAGE = 2 * 2**20  # bytes, decompressed; a snapshot of fifty trades has 10 KB
_HANDSHAKE_SECONDS = 10.0
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def _log_rejected(message: RejectedMessage) -> None:
    log.warning("message rejected (%s): %s", message.reason, message.detail)


class KrakenFeed(EventBuffer):
    """Trades and quotes of Kraken, emitted as they arrive; see :class:`trading_platform.sources.live.LiveFeed`.

    At most a few messages are read ahead of the consumer, so memory stays bounded and a slow
    consumer slows Kraken's sending. No behaviour of a server makes it raise.

    Args:
        url: address, ``Settings.kraken_ws_url``.
        pairs: pairs to follow (:meth:`trading_platform.sources.kraken.pairs.PairBook.find`).
        clock: the receiver's clock.
        sleep: waits.
        known: the last events before a restart; trades since then that Kraken still sends are emitted at the start.
        rejected: called for messages that cannot be used; by default they are logged.
        silence: seconds without any message after which a connection is closed.
        backoff: the waits between attempts to connect.

    Raises:
        ConfigurationError: if the address is not that of a WebSocket.
    """

    source: ClassVar[str] = "kraken"

    def __init__(
        self,
        url: str,
        pairs: Iterable[KrakenPair],
        *,
        clock: Clock = utc_now,
        sleep: AsyncSleep = asyncio.sleep,
        known: LastEvent | None = None,
        rejected: RejectMessage = _log_rejected,
        silence: float = INACTIVITY_SECONDS,
        backoff: Backoff | None = None,
    ) -> None:
        super().__init__()
        _check_address(url)
        self._url = url
        self._clock = clock
        self._sleep = sleep
        self._silence = silence
        self._backoff = backoff or Backoff()
        self._stream = KrakenStream(pairs, clock=clock, known=known or LastEvent(), rejected=rejected)
        self._connection: ClientConnection | None = None
        self._watchman: asyncio.Task[None] | None = None
        self._is_listening = False
        self._connected_at = clock()
        self._was_inactive = False
        self._wait: float | None = None

    @property
    def counts(self) -> MessageCounts:
        """Counts of the messages so far."""
        return self._stream.counts

    def take_delay(self) -> float | None:
        """How many seconds Kraken's times were behind the receiver's clock since the last call, at least."""
        return self._stream.take_delay()

    @property
    def symbols_down(self) -> frozenset[str]:
        """The symbols that are not fully received at present."""
        return self._stream.symbols_down

    async def close(self) -> None:
        """Ends the feed; events not yet taken are still emitted, then the iteration ends."""
        self._closing.set()
        await self._disconnect()

    async def _advance(self) -> None:
        """One step: a message, an attempt to connect, or the wait before one."""
        if self._connection is not None:
            await self._listen(self._connection)
        elif self._wait is not None:
            await until_closing(self._sleep(self._wait), self._closing)
            self._wait = None
        else:
            await self._connect()

    async def _connect(self) -> None:
        from websockets.exceptions import WebSocketException

        self._stream.counts.connections += 1
        try:
            self._connection = await until_closing(self._open(), self._closing)
        except (OSError, TimeoutError, WebSocketException, ValueError, EOFError) as error:
            self._failed(f"no connection: {type(error).__name__}: {error}")
            return
        if self._connection is None or self._closing.is_set():
            await self._disconnect()
            return
        self._was_inactive = False
        self._is_listening = True
        self._connected_at = self._clock()
        self._watchman = asyncio.create_task(self._watch(self._connection), name="kraken-feed-watch")
        await self._send(self._connection, self._stream.connected())

    async def _open(self) -> ClientConnection:
        from websockets.asyncio.client import connect

        class Unredirected(connect):
            """Connects to the address alone; elsewhere might be anyone."""

            def process_redirect(self, exc: Exception) -> Exception | str:
                return exc

        is_ours = urlsplit(self._url).hostname in _LOOPBACK
        proxy: Literal[True] | None = None if is_ours else True  # no proxy for this machine's own address
        return await Unredirected(
            self._url,
            proxy=proxy,
            open_timeout=_HANDSHAKE_SECONDS,
            close_timeout=1,
            ping_interval=None,  # heartbeats are messages, and missing ones are detected
            max_size=_LARGEST_MESSAGE,
        )

    async def _listen(self, connection: ClientConnection) -> None:
        from websockets.exceptions import ConnectionClosed

        self._is_listening = True
        try:
            data = await connection.recv(decode=False)
        except ConnectionClosed as error:
            await self._disconnect()
            if not self._closing.is_set():
                self._failed(f"silent for {self._silence:g} s" if self._was_inactive else _why_closed(error))
            return
        finally:
            self._is_listening = False
        self._ready.extend(self._stream.receive(data))
        unanswered = self._stream.unanswered()
        if unanswered:
            await self._send(connection, unanswered)

    async def _send(self, connection: ClientConnection, messages: list[str]) -> None:
        from websockets.exceptions import ConnectionClosed

        with suppress(ConnectionClosed):  # the next read reports it
            for message in messages:
                await connection.send(message)

    async def _watch(self, connection: ClientConnection) -> None:
        """Cuts the connection after a silence; not while nobody listens, for messages may be waiting then.

        What is counted are looks at a connection that was listened to since the look before. By a clock, a process
        that was stopped or busy for so long would take its own pause for silence.
        """
        silent, before, looked = 0, self._received(), self._clock()
        while silent < LOOKS:
            await self._sleep(self._silence / LOOKS)
            received = self._received()
            if received is not None and received == before:
                silent += 1
                self._stream.idle(looked)  # what had come by then would have been read
            else:
                silent = 0
            before, looked = received, self._clock()
        self._was_inactive = True
        connection.transport.abort()

    def _received(self) -> int | None:
        """How many messages have come, if it is being listened for the next one."""
        return self._stream.counts.received if self._is_listening else None

    def _failed(self, cause: str) -> None:
        reason = storable(cause)  # it quotes the server, and is stored with the outage
        self._wait = self._backoff.next_wait()
        log.warning("the feed from Kraken is down (%s), next attempt in %.1f s", reason, self._wait)
        self._ready.extend(self._stream.broken(reason))

    async def _disconnect(self) -> None:
        watchman, self._watchman = self._watchman, None
        connection, self._connection = self._connection, None
        if watchman is not None:
            watchman.cancel()
            await asyncio.gather(watchman, return_exceptions=True)
        if connection is not None:
            self._backoff.ended((self._clock() - self._connected_at).total_seconds())
            await connection.close()


def _why_closed(error: Exception) -> str:
    return f"connection ended: {error}"


def _check_address(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"ws", "wss"} or not parts.hostname:
        raise ConfigurationError(
            "The address of Kraken's live feed cannot be used.",
            expected="wss://ws.kraken.com/v2, or ws://… of a local exchange",
            received=shown(url),
            remedy="correct KRAKEN_WS_URL",
        )
