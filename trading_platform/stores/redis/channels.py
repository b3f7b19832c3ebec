"""Reads the messages of the channels: four from their Redis streams, without loss, and quotes by pub/sub.

A stream is read from a position on, across interruptions: a sequence number and the epoch of that message. The numbers
have no gaps, so no message is missed or read twice; the epoch shows that a number is of the count that was read, and
not of one that began again when Redis was emptied or restored. Quotes come by pub/sub, which does not store them for
absent subscribers: their numbers show what was missed, and the next quote supersedes the missed one anyway.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from trading_platform.domain.errors import StoreError, StoreUnavailable
from trading_platform.domain.messages import MessagePosition, epoch_of
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
        position: its position; None on a channel without a stream.
    """

    channel: str
    seq: int | None
    text: str
    position: MessagePosition | None = None


class ChannelReader:
    """Reads channels from a position on, across restarts of Redis.

    Not thread-safe, except for :meth:`close`.

    Args:
        url: a Redis URL.
        streams: channels read from their streams, each with the position after which to begin: None for new
            messages only.
        quotes: whether to receive quotes as well.
        sleep: waits while Redis is away; an argument so that tests own time.
        monotonic: a clock in seconds that never goes back; streams are read at least once a second by it.

    Raises:
        StoreUnavailable: if Redis does not answer for about five seconds; later outages are waited out.
        StoreError: if a stream does not contain the message after which to read it.
    """

    def __init__(
        self,
        url: str,
        streams: Mapping[str, MessagePosition | None],
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
        self.position: dict[str, MessagePosition] = {}
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

    def _open(self, streams: Mapping[str, MessagePosition | None], attempts: int = 8) -> None:
        """Determines where to begin, across a restart of about five seconds."""
        try:
            with redis_errors():
                if self._quotes:
                    self._subscribe(streams)
                self.position = {
                    channel: self._newest_position(channel) if after is None else after
                    for channel, after in streams.items()
                }
                self._verify_streams()
        except StoreUnavailable:
            if attempts == 1:
                raise
            self._sleep(_backoff(9 - attempts))
            self._open(streams, attempts - 1)

    def _from_streams(self, wait: float) -> list[Published]:
        """The next batch of each stream; messages published between two calls are in the next one."""
        ids = {channel: f"{position.seq}-18446744073709551615" for channel, position in self.position.items()}
        found: list[Any] = self._redis.xread(ids, count=BATCH, block=max(1, int(wait * 1000)) if wait else None)  # type: ignore[assignment,arg-type]
        if not found:
            self._verify_streams()
        taken: list[Published] = []
        for channel, entries in found or ():
            self._take(taken, channel, entries)
        return taken

    def _take(self, taken: list[Published], channel: str, entries: Sequence[tuple[str, Mapping[str, str]]]) -> None:
        """Adds entries up to the first gap in the numbers; a gap at the beginning is reported once, as an error.

        Where the epoch changes, the entry that was read last must still be there: then the count goes on.
        """
        for identifier, fields in entries:
            text = fields.get(FIELD, "")
            position, following = self.position[channel], _position(identifier, text)
            has_gap = position.seq and following.seq > position.seq + 1
            if position.seq and (has_gap or following.epoch != position.epoch):
                if taken and (has_gap or taken[-1].channel != channel or not self._is_there(channel, position)):
                    break
                self._verify(channel, position)
                if has_gap:
                    self.position[channel] = MessagePosition(following.seq - 1, following.epoch)
                    self._newest.pop(channel, None)
                    raise _messages_lost(channel, position.seq + 1, following.seq - 1)
            taken.append(Published(channel, following.seq, text, following))
            self.position[channel], self._newest[channel] = following, text

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
            self._verify(channel, position)

    def _verify(self, channel: str, position: MessagePosition) -> None:
        """Verifies that a stream is the one of a position.

        Raises:
            StoreError: if it is not.
        """
        if not position.seq or self._is_there(channel, position):
            return
        entries = self._entries(channel, f"{position.seq}-0", "+")
        if entries:
            following = _position(entries[0][0], entries[0][1].get(FIELD, ""))
            is_lost = following.seq > position.seq + 1  # reported with their numbers when they are read
            follows = following.seq == position.seq + 1 and following.epoch == position.epoch
            if is_lost or follows:
                return
        elif self._last(channel) == position.seq:
            return  # it was the last one, and was deleted
        raise _stream_replaced(channel, position.seq)

    def _is_there(self, channel: str, position: MessagePosition) -> bool:
        """Whether a stream has the message of a position, with the text that was read there."""
        entries = self._entries(channel, f"{position.seq}-0", f"{position.seq}-0")
        text = entries[0][1].get(FIELD, "") if entries else None
        if text is None or epoch_of(text) != position.epoch:
            return False
        return bool(self._newest.get(channel, text) == text)

    def _entries(self, channel: str, first: str, last: str) -> list[Any]:
        """The first entry of a part of a stream, if there is any."""
        return self._redis.xrange(channel, first, last, count=1)  # type: ignore[return-value]

    def _newest_position(self, channel: str) -> MessagePosition:
        """The position of the last message ever published to a stream."""
        newest: list[Any] = self._redis.xrevrange(channel, count=1)  # type: ignore[assignment]
        last = self._last(channel)
        if newest and int(newest[0][0].partition("-")[0]) == last:
            return _position(newest[0][0], newest[0][1].get(FIELD, ""))
        return MessagePosition(last)

    def _last(self, channel: str) -> int:
        """Number of the last message ever published to a stream."""
        if not self._redis.exists(channel):
            return 0
        info: Any = self._redis.xinfo_stream(channel)
        return int(info["last-generated-id"].partition("-")[0])


def _position(identifier: str, text: str) -> MessagePosition:
    """The position of an entry of a stream."""
    return MessagePosition(int(identifier.partition("-")[0]), epoch_of(text))


def _backoff(failures: int) -> float:
    return float(min(_LONGEST_BACKOFF, 0.02 * 2 ** min(failures, 10)))


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
        remedy="Redis was emptied or restored to an earlier state, and messages may be lost: reload the current state "
        "from its store and subscribe again, with after=0 for all stored messages",
    )
