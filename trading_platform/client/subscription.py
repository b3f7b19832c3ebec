"""``Platform.subscribe``: messages as they are told, and those that were told while nobody listened."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, cast

from trading_platform.domain.errors import InvalidRequest

if TYPE_CHECKING:
    from trading_platform.domain.messages import Channel, Message
    from trading_platform.stores.redis.channels import ChannelReader, Published

_WAIT = 0.5
"""Seconds of one wait, after which a subscription looks whether it was closed."""

_Clock = Callable[[], float]


class Subscription:
    """Messages of some channels, one after the other; ends when it is closed.

    ::

        with platform.subscribe("signals", "orders", after=last_seen) as messages:
            for message in messages:
                act_on(message)
                last_seen = messages.position

    The messages of ``signals``, ``orders``, ``alerts`` and ``regime`` are read from their streams: in the
    order of their numbers, none missed, none twice, over restarts of Redis. Those of ``quotes`` are heard
    while they pass. Of several channels no order between them is kept. For one thread, but for :meth:`close`.

    Attributes:
        position: number of the last message that was handed out of each stream, to be given to
            ``subscribe(after=…)`` by who comes back.
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
            StoreError: if messages are gone that were not read, if Redis was emptied or set back, or if a
                message does not have its channel's form. After the first and the last of these the next
                call goes on behind them.
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
    """What a subscription reads: streams with the number after which they begin, and whether it hears quotes.

    Raises:
        InvalidRequest: for no channel, an unknown one, or a number that cannot be.
    """
    from trading_platform.domain.messages import MESSAGES, check_channel

    names = list(dict.fromkeys(check_channel(channel) for channel in channels))
    streams = [name for name in names if name != "quotes"]
    given = dict(after) if isinstance(after, Mapping) else {} if after is None else dict.fromkeys(streams, after)
    if not names:
        raise InvalidRequest(
            "No channel was asked for.", expected=f"some of {', '.join(MESSAGES)}", remedy="name the channels you want"
        )
    if isinstance(after, int) and len(streams) != 1:
        raise InvalidRequest(
            "One number cannot be the position in several channels.",
            expected="a number for one stream, or a number for each channel",
            received=f"after={after} for {', '.join(names)}",
            remedy="give after={'signals': 17, 'orders': 40}, for example another subscription's position",
        )
    for name, seq in given.items():
        if name not in streams or isinstance(seq, bool) or not isinstance(seq, int) or seq < 0:
            raise InvalidRequest(
                "A subscription cannot begin there.",
                expected=f"numbers from 0 on, for {', '.join(streams) or 'no channel: quotes are not kept'}",
                received=f"{seq!r} for {name}",
                remedy="give the position of the subscription that you go on with",
            )
    return {name: given.get(name) for name in streams}, "quotes" in names
