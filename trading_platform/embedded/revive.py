"""Starts embedded servers again that have died while they are used.

A process that uses the servers for long, as the stream does, calls :func:`revive` when one does not answer.
:mod:`trading_platform.embedded.stack` starts and stops the servers otherwise.
"""

from __future__ import annotations

from trading_platform.domain.errors import StoreUnavailable
from trading_platform.embedded.stack import Stack
from trading_platform.settings import Settings


def revive(settings: Settings, *, need_redis: bool = True) -> tuple[str, ...]:
    """Starts the embedded servers that are used and do not run.

    Args:
        settings: the data directory, and the addresses of external servers, which are never started.
        need_redis: whether Redis is used.

    Returns:
        The names of the servers that were started: of ``postgresql`` and ``redis``.

    Raises:
        StoreUnavailable: if a server does not start, or was stopped on purpose.
        StoreFull: if the disk is full.
        ConfigurationError: if the machine does not allow the server any more.
    """
    stack = Stack(settings)
    dead = [
        name
        for name, used, running in (
            ("postgresql", stack.embeds_postgres, lambda: stack.postgres.running()),
            ("redis", stack.embeds_redis and need_redis, lambda: stack.redis.running()),
        )
        if used and running() is None
    ]
    if not dead:
        return ()
    with stack.leases.guard():
        _check_not_stopped(stack)
        started = []
        if "postgresql" in dead and stack.postgres.running() is None:
            stack.postgres.ensure_running()
            started.append("postgresql")
        if "redis" in dead and stack.redis.running() is None:
            stack.redis.ensure_running()
            started.append("redis")
        return tuple(started)


def _check_not_stopped(stack: Stack) -> None:
    """Raises if somebody has stopped the servers: starting them again would undo what they want."""
    purged = stack.embeds_postgres and not (stack.postgres.directory / "PG_VERSION").exists()
    if stack.leases.stopped or purged:
        raise StoreUnavailable(
            "The embedded servers were stopped while they were in use.",
            received="`trading-platform down --force`",
            remedy="start them with `trading-platform up`, or end the processes that use them",
        )
