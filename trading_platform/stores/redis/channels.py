"""Reads what was told on the channels: four from their streams, where nothing is forgotten, quotes as they pass.

A stream is read from a number on, whatever happens meanwhile; that nothing is missed and nothing comes
twice follows from the numbers, which have no gaps. Quotes come by pub/sub, which forgets them for who
is not there: the numbers in them show it, and the next quote supersedes the missed one anyway.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
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
    """A message as it came.

    Attributes:
        channel: on which channel.
        seq: its number; None on a channel without a stream, where the text alone has it.
        text: the message.
    """

    channel: str
    seq: int | None
    text: str


class ChannelReader:
    """Reads channels from a position on, over restarts of Redis.

    Not for several threads at once, but for :meth:`close`.

    Args:
        url: a Redis URL.
        streams: channels read from their streams, each with the number after which to begin: 0 for all
            that is kept, None for what is told from now on.
        quotes: whether quotes are heard as well.
        sleep: waits while Redis is away; an argument so that tests own time.

    Raises:
        StoreUnavailable: if Redis does not answer for some five seconds; later it is waited for.
        StoreError: if a stream ends before the number it is to be read after.
    """

    def __init__(self, url: str, streams: Mapping[str, int | None], *, quotes: bool, sleep: Sleep = time.sleep) -> None:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self._redis: Redis = Redis.from_url(url, decode_responses=True, socket_timeout=5, retry=Retry(NoBackoff(), 0))
        self._sleep = sleep
        self._quotes = quotes
        self._pubsub: PubSub | None = None
        self._newest: dict[str, str] = {}  # last text read of each stream, to be known again
        self._failures = 0
        self._rows_checked = -1.0
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
        """Gives the connections back; a :meth:`read` under way ends first."""
        self._closed = True
        with self._reading:
            self._drop_pubsub()
            self._redis.close()

    def read(self, wait: float) -> list[Published]:
        """What was told since, waiting up to ``wait`` seconds for something; nothing while Redis is away.

        Raises:
            StoreError: if messages are gone that were not read, or the stream is another. The next call
                goes on after what is gone; a stream that is another stays an error.
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
            self._know_again()
            if self._quotes:
                self._listen(self.position)
            self._failures, self._rows_checked = 0, -1.0
        if not self._quotes:
            return self._from_streams(wait)
        return self._from_both(wait)

    def _open(self, streams: Mapping[str, int | None], attempts: int = 8) -> None:
        """Finds out where to begin, over a restart of some five seconds."""
        try:
            with redis_errors():
                if self._quotes:
                    self._listen(streams)
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
        """Whole batches of the streams; what is told while nobody waits is there the next time."""
        ids = {channel: f"{seq}-18446744073709551615" for channel, seq in self.position.items()}
        found: list[Any] = self._redis.xread(ids, count=BATCH, block=max(1, int(wait * 1000)) if wait else None)  # type: ignore[assignment,arg-type]
        if not found:
            self._know_again()
        taken: list[Published] = []
        for channel, entries in found or ():
            self._take(taken, channel, entries)
        return taken

    def _take(self, taken: list[Published], channel: str, entries: Sequence[tuple[str, Mapping[str, str]]]) -> None:
        """Adds entries up to the first gap; a gap with nothing read before it is an error, once."""
        for identifier, fields in entries:
            seq, position = int(identifier.partition("-")[0]), self.position[channel]
            if position and seq > position + 1:
                if not taken:
                    self.position[channel] = seq - 1
                    self._newest.pop(channel, None)
                    raise _gone(channel, position + 1, seq - 1)
                break
            taken.append(Published(channel, seq, fields.get(FIELD, "")))
            self.position[channel], self._newest[channel] = seq, taken[-1].text

    def _from_both(self, wait: float) -> list[Published]:
        """Quotes as they pass; a message of another channel says that its stream has something."""
        assert self._pubsub is not None  # noqa: S101 - for the type checker: it listens whenever quotes are wanted
        received = self._pubsub.get_message(timeout=wait)
        quotes: list[Published] = []
        look = False
        while received is not None:
            if received["type"] == "message" and received["channel"] == QUOTES:
                quotes.append(Published(QUOTES, None, received["data"]))
            look = look or received["channel"] in self.position
            received = self._pubsub.get_message(timeout=0) if len(quotes) < BATCH else None
        now = time.monotonic()
        if self.position and (look or now - self._rows_checked >= 1.0):
            self._rows_checked = now
            published = self._from_streams(0)
            if len(published) >= BATCH:
                self._rows_checked = -1.0
            return [*published, *quotes]
        return quotes

    def _listen(self, streams: Mapping[str, object]) -> None:
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
            with suppress(Exception):  # its connection is broken already
                self._pubsub.close()
            self._pubsub = None

    def _know_again(self) -> None:
        """Makes sure that the streams are those that were read so far."""
        for channel, position in self.position.items():
            text = self._newest.get(channel)
            there: list[Any] = self._redis.xrange(channel, f"{position}-0", f"{position}-0") if text else []  # type: ignore[assignment]
            if there and there[0][1].get(FIELD) == text:
                continue
            if there or self._last(channel) < position:
                raise _set_back(channel, position)

    def _last(self, channel: str) -> int:
        """Number of the last message that was ever told in a stream."""
        if not self._redis.exists(channel):
            return 0
        info: Any = self._redis.xinfo_stream(channel)
        return int(info["last-generated-id"].partition("-")[0])


def _backoff(failures: int) -> float:
    return float(min(_LONGEST_BACKOFF, 0.02 * 2 ** min(failures, 10)))


def _check(position: Mapping[str, int], last: Mapping[str, int]) -> None:
    for channel, seq in position.items():
        if seq > last[channel]:
            raise _set_back(channel, seq)


def _gone(channel: str, first: int, last: int) -> StoreError:
    return StoreError(
        f"Messages of {channel} are gone that were not read.",
        expected=f"numbers {first} to {last}",
        received=f"a stream that begins with {last + 1}",
        remedy="take the present state from where it is kept, and read on; keep more entries or come more often",
    )


def _set_back(channel: str, position: int) -> StoreError:
    return StoreError(
        f"The stream {channel} is not the one that was read.",
        expected=f"message {position} in it, or later ones",
        received="a stream that ends before it or has another message there",
        remedy="Redis was emptied or set back: subscribe anew, with after=0 for all that it has",
    )
