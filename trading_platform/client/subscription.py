"""``Platform.subscribe``: messages as they are published, and those that were published before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.texts import shown

if TYPE_CHECKING:
    from trading_platform.domain.messages import Channel, Message
    from trading_platform.stores.redis.channels import ChannelReader, Published

_WAIT = 0.5
"""Seconds of one wait, after which a subscription checks whether it was closed."""

_LARGEST = 2**63

_Clock = Callable[[], float]


class Subscription:
    """Iterates over the messages of some channels; ends when it is closed.

    ::

        with platform.subscribe("signals", "orders", after=last_seen) as messages:
            for message in messages:
                act_on(message)
                last_seen = messages.position

    The messages of ``signals``, ``orders``, ``alerts`` and ``regime`` are read from their streams: in the order of
    their sequence numbers, each exactly once, across restarts of Redis. Those of ``quotes`` are received only while
    subscribed. The order between channels is not preserved. A subscription is for one thread; only :meth:`close` may
    be called from another.

    Attributes:
        position: sequence number of the last message returned from each stream; pass it to ``subscribe(after=…)`` to
            continue from there.
    """

    def __init__(self, reader: ChannelReader, monotonic: _Clock) -> None:
        self._reader = reader
        self._monotonic = monotonic
        self._waiting: deque[Published] = deque()
        self.position: dict[str, int] = dict(reader.position)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the subscription, also from another thread."""
        self._reader.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Message:
        message = self.receive()
        if message is None:
            raise StopIteration
        return message

    def receive(self, timeout: float | None = None) -> Message | None:
        """The next message; None when ``timeout`` seconds have passed or the subscription was closed.

        Raises:
            StoreError: if messages were removed before they were read, if Redis was emptied or restored to an older
                state, or if a message does not match its channel's schema. After the first and the last of these the
                next call continues with the message that follows.
        """
        from trading_platform.domain.messages import read_message

        published = self._next(timeout)
        if published is None:
            return None
        if published.seq is not None:
            self.position[published.channel] = published.seq
        return read_message(cast("Channel", published.channel), published.text)

    def _next(self, timeout: float | None) -> Published | None:
        end = None if timeout is None else self._monotonic() + timeout
        while not self._reader.closed:
            if self._waiting:
                return self._waiting.popleft()
            left = _WAIT if end is None else end - self._monotonic()
            self._waiting.extend(self._reader.read(max(0.0, min(_WAIT, left))))
            if not self._waiting and end is not None and self._monotonic() >= end:
                return None
        return None


def positions_of(channels: Sequence[str], after: int | Mapping[str, int] | None) -> tuple[dict[str, int | None], bool]:
    """The streams that a subscription reads, with the number after which each begins, and whether it receives quotes.

    Raises:
        InvalidRequest: for no channel, an unknown one, or an invalid number.
    """
    from trading_platform.domain.messages import MESSAGES, check_channel

    names = list(dict.fromkeys(check_channel(channel) for channel in channels))
    streams = [name for name in names if name != "quotes"]
    given = dict(after) if isinstance(after, Mapping) else {} if after is None else dict.fromkeys(streams, after)
    if not names:
        raise InvalidRequest(
            "No channel was given.", expected=f"some of {', '.join(MESSAGES)}", remedy="name the channels you want"
        )
    if isinstance(after, int) and len(streams) != 1:
        raise InvalidRequest(
            "One number cannot be the position in several channels.",
            expected="a number for one stream, or a number for each channel",
            received=f"after={shown(after)} for {', '.join(names)}",
            remedy="give after={'signals': 17, 'orders': 40}, for example another subscription's position",
        )
    for name, seq in given.items():
        if name not in streams or isinstance(seq, bool) or not isinstance(seq, int) or not 0 <= seq < _LARGEST:
            raise InvalidRequest(
                "A subscription cannot begin there.",
                expected=f"numbers from 0 on, for {', '.join(streams) or 'no channel: quotes are not retained'}",
                received=f"{shown(seq)} for {name}",
                remedy="pass the position of the subscription to continue",
            )
    return {name: given.get(name) for name in streams}, "quotes" in names
