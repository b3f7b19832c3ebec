"""Nonces: each private request has a larger one than all earlier requests with the same key.

They are microseconds since 1970, so that those of another process or of a later start are larger without
coordination. :class:`trading_platform.stores.redis.nonces.RedisNonces` guarantees the order across processes.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

Nonces = Callable[[], int]
"""Returns the next nonce of one key."""


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
        """The next nonce; larger than the last even if the clock goes back."""
        with self._lock:
            self._last = max(self._clock() // 1000, self._last + 1)
            return self._last
