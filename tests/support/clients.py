"""The client over open stores and a Redis that a test names, which it can kill."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from trading_platform.client import Platform
from trading_platform.stores.stores import Stores


@contextmanager
def platform_on(stores: Stores, url: str) -> Iterator[Platform]:
    """The client, until the block ends."""

    @contextmanager
    def redis() -> Iterator[str]:
        yield url

    made = Platform(stores, redis)
    yield made
    made.disconnect_redis()
