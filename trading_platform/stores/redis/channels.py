"""Reads the messages of the channels: four from their Redis streams, without loss, and quotes by pub/sub.

A stream is read from a sequence number on, across interruptions; the numbers have no gaps, so no message is missed or
read twice. Quotes come by pub/sub, which does not store them for absent subscribers: their numbers show what was
missed, and the next quote supersedes the missed one anyway.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from trading_platform.domain.errors import StoreError, StoreUnavailable
from trading_platform.domain.time import Sleep
from trading_platform.stores.redis.live import redis_errors
from trading_platform.stores.redis.live_scripts import FIELD, QUOTES

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import PubSub

BATCH = 500
"""Entries read from each stream at once."""

_LONGEST_BACKOFF = 1.0


class Published(NamedTuple):
    """A message as it was received.

    Attributes:
        channel: its channel.
        seq: its number; None on a channel without a stream, where only the text contains it.
        text: the message.
    """

    channel: str
    seq: int | None
    text: str


class ChannelReader:
    """Reads channels from a position on, across restarts of Redis.

    Not thread-safe, except for :meth:`close`.

    Args:
        url: a Redis URL.
        streams: channels read from their streams, each with the number after which to begin: 0 for all stored
            messages, None for messages published from now on.
        quotes: whether quotes are received as well.
        sleep: waits while Redis is unavailable; an argument so that tests control time.
        monotonic: a clock in seconds that never goes back; streams are polled each second, notified or not.

    Raises:
        StoreUnavailable: if Redis does not answer for about five seconds; later outages are waited out.
        StoreError: if a stream ends before the number after which to read it.
    """

    def __init__(
        self,
        url: str,
        streams: Mapping[str, int | None],
        *,
        quotes: bool,
        sleep: Sleep = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self._redis: Redis = Redis.from_url(url, decode_responses=True, socket_timeout=5, retry=Retry(NoBackoff(), 0))
        self._sleep = sleep
        self._monotonic = monotonic
        self._quotes = quotes
        self._pubsub: PubSub | None = None
        self._newest: dict[str, str] = {}  # last text read of each stream, by which the stream is recognised
        self._failures = 0
        self._streams_read_at = -1.0
        self._reading = threading.Lock()
        self._closed = False
        self.position: dict[str, int] = {}
        try:
            self._open(streams)
        except BaseException:
            self.close()
            raise

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    def close(self) -> None:
        """Closes the connections, after a :meth:`read` in progress has ended."""
        self._closed = True
        with self._reading:
            self._drop_pubsub()
            self._redis.close()

    def read(self, wait: float) -> list[Published]:
        """The messages since the last call, after waiting up to ``wait`` seconds; none while Redis is unavailable.

        Raises:
            StoreError: if unread messages are lost, or the stream was replaced. After a loss the next call
                continues behind the lost messages; a replaced stream stays an error.
        """
        with self._reading:
            if self._closed:
                return []
            try:
                with redis_errors():
                    return self._read(wait)
            except StoreUnavailable:
                self._drop_pubsub()
                self._failures += 1
        self._sleep(_backoff(self._failures))
        return []

    def _read(self, wait: float) -> list[Published]:
        if self._failures:
            self._verify_streams()
            if self._quotes:
                self._subscribe(self.position)
            self._failures, self._streams_read_at = 0, -1.0
        if not self._quotes:
            return self._from_streams(wait)
        return self._from_both(wait)

    def _open(self, streams: Mapping[str, int | None], attempts: int = 8) -> None:
        """Determines where to begin, across a restart of about five seconds."""
        try:
            with redis_errors():
                if self._quotes:
                    self._subscribe(streams)
                last = {channel: self._last(channel) for channel in streams}
        except StoreUnavailable:
            if attempts == 1:
                raise
            self._sleep(_backoff(9 - attempts))
            self._open(streams, attempts - 1)
        else:
            self.position = {name: last[name] if after is None else after for name, after in streams.items()}
            _check(self.position, last)

    def _from_streams(self, wait: float) -> list[Published]:
        """The next batch of each stream; messages published between two calls are in the next one."""
        ids = {channel: f"{seq}-18446744073709551615" for channel, seq in self.position.items()}
        found: list[Any] = self._redis.xread(ids, count=BATCH, block=max(1, int(wait * 1000)) if wait else None)  # type: ignore[assignment,arg-type]
        if not found:
            self._verify_streams()
        taken: list[Published] = []
        for channel, entries in found or ():
            self._take(taken, channel, entries)
        return taken

    def _take(self, taken: list[Published], channel: str, entries: Sequence[tuple[str, Mapping[str, str]]]) -> None:
        """Adds entries up to the first gap in the numbers; a gap at the beginning is reported once, as an error."""
        for identifier, fields in entries:
            seq, position = int(identifier.partition("-")[0]), self.position[channel]
            if position and seq > position + 1:
                if not taken:
                    self.position[channel] = seq - 1
                    self._newest.pop(channel, None)
                    raise _messages_lost(channel, position + 1, seq - 1)
                break
            taken.append(Published(channel, seq, fields.get(FIELD, "")))
            self.position[channel], self._newest[channel] = seq, taken[-1].text

    def _from_both(self, wait: float) -> list[Published]:
        """Quotes by pub/sub; a message of another channel signals that its stream has new entries."""
        assert self._pubsub is not None  # noqa: S101 - for the type checker: subscribed if quotes are requested
        received = self._pubsub.get_message(timeout=wait)
        quotes: list[Published] = []
        has_entries = False
        while received is not None:
            if received["type"] == "message" and received["channel"] == QUOTES:
                quotes.append(Published(QUOTES, None, received["data"]))
            has_entries = has_entries or received["channel"] in self.position
            received = self._pubsub.get_message(timeout=0) if len(quotes) < BATCH else None
        now = self._monotonic()
        if self.position and (has_entries or now - self._streams_read_at >= 1.0):
            self._streams_read_at = now
            published = self._from_streams(0)
            if len(published) >= BATCH:
                self._streams_read_at = -1.0
            return [*published, *quotes]
        return quotes

    def _subscribe(self, streams: Mapping[str, object]) -> None:
        self._drop_pubsub()
        self._pubsub = self._redis.pubsub()  # type: ignore[no-untyped-call]
        self._pubsub.subscribe(QUOTES, *streams)
        for _ in range(1 + len(streams)):
            if self._pubsub.get_message(timeout=5) is None:
                raise StoreUnavailable(
                    "Redis does not confirm the subscription.", remedy="see `trading-platform doctor`"
                )

    def _drop_pubsub(self) -> None:
        if self._pubsub is not None:
            with suppress(Exception):  # the connection is broken already
                self._pubsub.close()
            self._pubsub = None

    def _verify_streams(self) -> None:
        """Verifies that the streams are those that were read so far."""
        for channel, position in self.position.items():
            text = self._newest.get(channel)
            there: list[Any] = self._redis.xrange(channel, f"{position}-0", f"{position}-0") if text else []  # type: ignore[assignment]
            if there and there[0][1].get(FIELD) == text:
                continue
            if there or self._last(channel) < position:
                raise _stream_replaced(channel, position)

    def _last(self, channel: str) -> int:
        """Number of the last message ever published to a stream."""
        if not self._redis.exists(channel):
            return 0
        info: Any = self._redis.xinfo_stream(channel)
        return int(info["last-generated-id"].partition("-")[0])


def _backoff(failures: int) -> float:
    return float(min(_LONGEST_BACKOFF, 0.02 * 2 ** min(failures, 10)))


def _check(position: Mapping[str, int], last: Mapping[str, int]) -> None:
    for channel, seq in position.items():
        if seq > last[channel]:
            raise _stream_replaced(channel, seq)


def _messages_lost(channel: str, first: int, last: int) -> StoreError:
    return StoreError(
        f"Unread messages of {channel} are lost.",
        expected=f"numbers {first} to {last}",
        received=f"a stream that begins with {last + 1}",
        remedy="reload the current state from its store, then read on; keep more entries or read more often",
    )


def _stream_replaced(channel: str, position: int) -> StoreError:
    return StoreError(
        f"The stream {channel} is not the one that was read.",
        expected=f"message {position} in it, or later ones",
        received="a stream that ends before it or has another message there",
        remedy="Redis was emptied or restored: subscribe again, with after=0 for all stored messages",
    )
