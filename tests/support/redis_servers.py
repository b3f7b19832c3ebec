"""Emptying a Redis, only one that this run of the tests started, and waiting for its file.

A server is marked when it is started, by a key in a database that nothing of the platform uses. One without the
mark may be anybody's, however its address came here.
"""

from __future__ import annotations

import uuid
from typing import Any

from redis import Redis
from waiting import wait_until

from trading_platform.embedded.redis import RedisServer

MARK = "started-by-the-tests"
MARKED_DATABASE = 15
RUN = uuid.uuid4().hex
"""Of this run, and of no other that may go on beside it."""


def started(server: RedisServer) -> RedisServer:
    """Starts a server that is a test's own."""
    server.ensure_running()
    mark(server.url())
    return server


def mark(url: str) -> None:
    """Says of a server that was started just now that it is the tests'.

    Raises:
        AssertionError: if it holds something already.
    """
    with Redis.from_url(url) as client:
        held = client.info("keyspace")
        assert not held, f"a Redis that was started for tests holds keys: {held}"
        _mark(client)


def await_written(client: Redis) -> None:
    """Waits until all answered writes are with the system; Redis keeps them back while a sync of its file is slow."""
    wait_until(
        lambda: not any(client.info("persistence")[name] for name in ("aof_buffer_length", "aof_pending_bio_fsync")),
        "the append-only file",
    )


def flush(client: Redis) -> None:
    """Empties a server.

    Raises:
        AssertionError: if it is not one that this run of the tests started.
    """
    with _marked_database(client) as marked:
        found = marked.get(MARK)
    assert found in (RUN, RUN.encode()), (
        f"refused to empty a Redis that these tests did not start: {_address(client)} has no mark of this run, "
        "and its keys may be somebody's. Let the fixture `redis_url` or redis_servers.started() give the server."
    )
    client.flushall()
    _mark(client)


def _mark(client: Redis) -> None:
    with _marked_database(client) as marked:
        marked.set(MARK, RUN)


def _marked_database(client: Redis) -> Redis:
    pool = client.connection_pool
    other = type(pool)(connection_class=pool.connection_class, **pool.connection_kwargs | {"db": MARKED_DATABASE})
    return Redis.from_pool(other)


def _address(client: Redis) -> Any:
    known = client.connection_pool.connection_kwargs
    return known.get("path") or f"{known.get('host')}:{known.get('port')}"
