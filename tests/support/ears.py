"""Who hears a channel of Redis from a moment on, and knows when all has been heard."""

from __future__ import annotations

from redis import Redis
from waiting import DEADLINE

_END = "all messages before this were received"


class Ear:
    """Hears a channel from when it is made; Redis keeps what is published until it is asked for."""

    def __init__(self, redis: Redis, channel: str) -> None:
        self._redis, self._name = redis, channel
        self._channel = redis.pubsub()
        self._channel.subscribe(channel)
        assert self._next()["type"] == "subscribe"

    def all(self) -> list[str]:
        """What was published until now and not asked for yet."""
        self._redis.publish(self._name, _END)
        heard = []
        while (text := self._next()["data"]) != _END:
            heard.append(text)
        return heard

    def close(self) -> None:
        self._channel.close()

    def _next(self) -> dict[str, str]:
        message = self._channel.get_message(timeout=DEADLINE)
        assert message is not None, f"nothing was published in {self._name}"
        return dict(message)
