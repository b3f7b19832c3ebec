"""The Redis channel and stream ``orders``: each sequence number is published once, however often it is sent.

One script, which Redis runs atomically, appends a message to the stream under the id ``<seq>-0`` and publishes it on
the channel; a second attempt finds the id taken and does neither. It adds the epoch of the stream to the message
(:data:`trading_platform.stores.redis.live_scripts.EPOCH`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trading_platform.domain.errors import StoreError, StoreUnavailable
from trading_platform.stores.redis.live_scripts import EPOCH

if TYPE_CHECKING:
    from redis import Redis

NAME = "orders"
"""Name of the channel and of the stream."""

FIELD = "message"
"""The field of a stream entry with the message."""

KEPT = 100_000
"""Approximate number of entries that the stream keeps; the outbox has all of the last 30 days."""

_PUBLISH = (
    EPOCH
    + """
local function content(text)
    local rest = string.gsub(text, '^{"v":%d+,', '', 1)
    rest = string.gsub(rest, '^"epoch":"%w+",', '', 1)
    return rest
end
local epoch = epoch_of(KEYS[1], redis.call('EXISTS', KEYS[1]) == 0)
local text = string.gsub(ARGV[2], '^{"v":2,', '{"v":2,"epoch":"' .. epoch .. '",', 1)
local added = redis.pcall('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], ARGV[1], 'message', text)
if type(added) == 'table' and added.err then
    if string.find(added.err, 'equal or smaller', 1, true) then
        local there = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])
        if there[1] and content(there[1][2][2]) == content(ARGV[2]) then return 0 end
        return -1
    end
    return redis.error_reply(added.err)
end
redis.call('PUBLISH', KEYS[1], text)
return 1
"""
)


class OrderStream:
    """Publishes messages about orders.

    Args:
        url: a Redis URL.
    """

    def __init__(self, url: str) -> None:
        from redis import Redis

        self._redis: Redis = Redis.from_url(url, decode_responses=True, socket_timeout=10)

    def close(self) -> None:
        """Closes the connection."""
        self._redis.close()

    def publish(self, seq: int, message: str) -> bool:
        """Appends and publishes a message, unless its number was published already.

        Returns:
            Whether this call published it.

        Raises:
            StoreUnavailable: if Redis does not answer.
            StoreError: if the stream has another message under this number, or is past it without it.
        """
        from redis.exceptions import ConnectionError as Disconnected
        from redis.exceptions import RedisError
        from redis.exceptions import TimeoutError as TimedOut

        try:
            response = self._redis.eval(_PUBLISH, 1, NAME, f"{seq}-0", message, str(KEPT))
        except (Disconnected, TimedOut) as error:
            raise StoreUnavailable(
                "Redis does not answer; unpublished messages will be published later.",
                received=str(error),
                remedy="see `trading-platform doctor`",
            ) from error
        except RedisError as error:
            raise StoreError("Redis rejected a message.", received=str(error), remedy="see Redis's log") from error
        if response == -1:
            raise StoreError(
                f"The stream {NAME} is ahead of the ledger: it has another message where number {seq} belongs.",
                expected="one ledger per Redis database, and neither restored to an earlier state than the other",
                received=f"number {seq}, which the stream does not accept",
                remedy=f"if this Redis served another ledger or this ledger was restored, delete the stream {NAME}",
            )
        return bool(response == 1)


@contextmanager
def open_order_stream(url: str) -> Iterator[OrderStream]:
    """The stream of a Redis; closed on leaving."""
    stream = OrderStream(url)
    try:
        yield stream
    finally:
        stream.close()
