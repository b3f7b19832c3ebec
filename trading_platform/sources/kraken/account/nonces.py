"""Nonces: each private request has a larger one than all before it with the same key.

They are microseconds since 1970, so that those of another process or of a later start are larger without
knowing of these. :class:`trading_platform.stores.redis.nonces.RedisNonces` makes sure of it over processes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

Nonces = Callable[[], int]
"""Gives the next nonce of one key."""


class LocalNonces:
    """Nonces of one process.

    Args:
        clock: nanoseconds since 1970.
    """

    def __init__(self, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._last = 0
        self._lock = threading.Lock()

    def __call__(self) -> int:
        """The next one; larger than the last whatever the clock does."""
        with self._lock:
            self._last = max(self._clock() // 1000, self._last + 1)
            return self._last
