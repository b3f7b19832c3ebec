"""Nonces of an API key that several processes share, stored in Redis."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from trading_platform.domain.errors import StoreError
from trading_platform.stores.redis.live import redis_errors

if TYPE_CHECKING:
    from redis import Redis

log = logging.getLogger(__name__)

PREFIX = "nonce:"

_NEXT = """
local time = redis.call('TIME')
local last = tonumber(redis.call('GET', KEYS[1]) or '0')
local text = string.format('%.0f', math.max(time[1] * 1000000 + time[2], last + 1, tonumber(ARGV[1])))
redis.call('SET', KEYS[1], text)
return text
"""


class RedisNonces:
    """Generates increasing nonces: each is larger than all before it in any process, even if Redis's clock is set back.

    While Redis does not answer, nonces come from the fallback; the last one is sent to Redis afterwards.

    Args:
        url: a Redis URL.
        name: identifies the key without revealing it.
        fallback: generates nonces from this process's clock.
    """

    def __init__(self, url: str, name: str, fallback: Callable[[], int]) -> None:
        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self._redis: Redis = Redis.from_url(
            url, decode_responses=True, socket_timeout=2, socket_connect_timeout=2, retry=Retry(NoBackoff(), 0)
        )
        self._script = self._redis.register_script(_NEXT)
        self._key = f"{PREFIX}{name}"
        self._fallback = fallback
        self._last = 0

    def close(self) -> None:
        """Closes the connection."""
        self._redis.close()

    def __call__(self) -> int:
        """The next nonce."""
        try:
            with redis_errors():
                found = int(cast("str", self._script([self._key], [self._last + 1])))
        except StoreError as error:
            log.warning("A nonce is taken from this machine's clock: %s", error.message)
            found = max(self._fallback(), self._last + 1)
        self._last = max(found, self._last)
        return found
