"""``Platform.subscribe``: messages as they are published, and those that were published before."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.texts import shown

if TYPE_CHECKING:
    from trading_platform.domain.messages import Channel, Message, MessagePosition
    from trading_platform.stores.redis.channels import ChannelReader, Published

_WAIT = 0.5
"""Seconds of one wait, after which a subscription checks whether it was closed."""


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
        position: position of the last message returned from each stream, as text; pass it to ``subscribe(after=…)``
            to continue from there.
    """

    def __init__(self, reader: ChannelReader, monotonic: _Clock) -> None:
        self._reader = reader
        self._monotonic = monotonic
        self._waiting: deque[Published] = deque()
        self.position: dict[str, str] = {channel: str(position) for channel, position in reader.position.items()}

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
        if published.position is not None:
            self.position[published.channel] = str(published.position)
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


def positions_of(
    channels: Sequence[str], after: str | int | Mapping[str, str | int] | None
) -> tuple[dict[str, MessagePosition | None], bool]:
    """The streams that a subscription reads, with the position after which each begins, and whether it receives quotes.

    Raises:
        InvalidRequest: for no channel, an unknown one, or an invalid position.
    """
    from trading_platform.domain.messages import MESSAGES, check_channel

    names = list(dict.fromkeys(check_channel(channel) for channel in channels))
    streams = [name for name in names if name != "quotes"]
    given = dict(after) if isinstance(after, Mapping) else {} if after is None else dict.fromkeys(streams, after)
    if not names:
        raise InvalidRequest(
            "No channel was given.", expected=f"some of {', '.join(MESSAGES)}", remedy="name the channels you want"
        )
    if after is not None and not isinstance(after, Mapping) and len(streams) != 1:
        raise InvalidRequest(
            "One position cannot be that of several channels.",
            expected="a position for one stream, or one for each channel",
            received=f"after={shown(after)} for {', '.join(names)}",
            remedy="give after={'signals': 0, 'orders': 0}, or another subscription's position",
        )
    for name, position in given.items():
        if name not in streams:
            raise InvalidRequest(
                "A subscription cannot begin there.",
                expected=f"positions of {', '.join(streams) or 'no channel: quotes are not retained'}",
                received=f"{shown(position)} for {name}",
                remedy="pass the position of the subscription to continue",
            )
    return {name: _position(given[name], name) if name in given else None for name in streams}, "quotes" in names


def _position(given: object, channel: str) -> MessagePosition:
    from trading_platform.domain.messages import MessagePosition

    if isinstance(given, int) and not isinstance(given, bool) and given == 0:
        return MessagePosition()
    try:
        return MessagePosition.parse(given if isinstance(given, str) else "")
    except ValueError:
        raise InvalidRequest(
            "A subscription cannot begin there.",
            expected="0 for all stored messages, or a position such as '17@5e0f7c31a9d2'",
            received=f"{shown(given)} for {channel}",
            remedy="pass the position of the subscription, or of the message, to continue after: a number alone may "
            "be of a count that ended when Redis was emptied or restored",
        ) from None
