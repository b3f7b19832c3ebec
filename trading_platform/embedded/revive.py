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
    if not _dead(stack, need_redis=need_redis):
        return ()
    with stack.leases.guard():
        _check_not_stopped(stack)
        dead = _dead(stack, need_redis=need_redis)
        if "postgresql" in dead:
            stack.postgres.ensure_running()
        if "redis" in dead:
            stack.redis.ensure_running()
        return dead


def _dead(stack: Stack, *, need_redis: bool) -> tuple[str, ...]:
    dead = []
    if stack.embeds_postgres and stack.postgres.running() is None:
        dead.append("postgresql")
    if need_redis and stack.embeds_redis and stack.redis.running() is None:
        dead.append("redis")
    return tuple(dead)


def _check_not_stopped(stack: Stack) -> None:
    """Raises if somebody has stopped the servers: starting them again would undo what they want."""
    purged = stack.embeds_postgres and not (stack.postgres.directory / "PG_VERSION").exists()
    if stack.leases.stopped or purged:
        raise StoreUnavailable(
            "The embedded servers were stopped while they were in use.",
            received="`trading-platform down --force`",
            remedy="start them with `trading-platform up`, or end the processes that use them",
        )
