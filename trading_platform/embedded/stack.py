"""The servers of the platform, started and stopped as needed.

:func:`running_stack` is for code that needs the stores for a limited time: it attaches to running servers and starts
the others; the last process to leave stops the embedded servers. :func:`start_stack` and :func:`stop_stack` implement
``trading-platform up`` and ``down``; between them the servers keep running. A server named in the settings is used as
it is and never started or stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit, urlunsplit

from trading_platform.domain.errors import StoreUnavailable
from trading_platform.embedded.leases import Holder, LeaseBook
from trading_platform.embedded.postgres import PostgresServer
from trading_platform.embedded.redis import RedisServer
from trading_platform.settings import Settings
from trading_platform.stores.addresses import checked_redis, shown_address, with_scheme
from trading_platform.stores.postgres.databases import ensure_database
from trading_platform.stores.postgres.roles import Role, as_owner, as_role, role_of, set_passwords

if TYPE_CHECKING:
    import psutil

TRADING_DATABASE = "trading"
DAGSTER_DATABASE = "dagster"

_Started = TypeVar("_Started")


@dataclass(frozen=True)
class Endpoints:
    """Addresses of the stores.

    Attributes:
        database_url: libpq URL (``postgresql://…``) of the trading database, for the owner of its schema unless
            the user of DATABASE_URL is a role; :func:`url_as` returns the URL for a role.
        dagster_database_url: SQLAlchemy URL (``postgresql+psycopg2://…``) of Dagster's own database; empty if it is
            not configured and the user of DATABASE_URL is a role, which has no access to it. The URL names the
            driver because a plain ``postgresql://`` means psycopg 3 since SQLAlchemy 2.1, with which Dagster's
            event notifications fail.
        redis_url: URL for redis-py; empty if Redis was not requested.
    """

    database_url: str
    dagster_database_url: str
    redis_url: str


def url_as(settings: Settings, endpoints: Endpoints, role: Role) -> str:
    """The trading database's URL for a process in a role.

    Raises:
        ConfigurationError: if the user of DATABASE_URL is another role.
    """
    password = settings.role_passwords().get(role)
    return as_role(endpoints.database_url, role, password, trusted=settings.database_url is None)


@dataclass(frozen=True)
class ServerStatus:
    """The status of one server.

    Attributes:
        part: ``postgresql`` or ``redis``.
        kind: ``embedded``, or ``external`` for a server named in the settings.
        where: data directory, or host of an external server (never a password).
        state: ``running``, ``stopped``, or ``external`` (not checked here; ``doctor`` connects to it).
        pid: process id of a running embedded server.
        since: start time, UTC, ISO 8601.
    """

    part: str
    kind: str
    where: str
    state: str
    pid: int | None = None
    since: str | None = None


@dataclass(frozen=True)
class StackStatus:
    """The status of the whole stack.

    Attributes:
        servers: PostgreSQL, then Redis.
        stays: whether the embedded servers keep running until ``down``, because of ``up``.
        users: holders of the present leases.
    """

    servers: tuple[ServerStatus, ...]
    stays: bool
    users: tuple[Holder, ...]

    def as_dict(self) -> dict[str, object]:
        """The status as a dictionary for JSON."""
        return asdict(self)


class Stack:
    """The stack of one settings object; other modules use this module's functions."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.leases = LeaseBook(settings.root / "run")
        self.postgres = PostgresServer(settings.root)
        self.redis = RedisServer(settings.root)

    @property
    def embeds_postgres(self) -> bool:
        """Whether the trading database, and Dagster's unless configured, are on the embedded server."""
        return self.settings.database_url is None

    @property
    def embeds_redis(self) -> bool:
        """Whether Redis is the embedded one."""
        return self.settings.redis_url is None

    def start(self, *, need_redis: bool) -> Endpoints:
        """Attach to or start the embedded servers, with their databases. Call it under the guard."""
        if self.embeds_postgres or (need_redis and self.embeds_redis):
            self.leases.stopped = False
        if self.embeds_postgres:
            self.postgres.ensure_running()
        database_url = self._database_url()
        if self.embeds_postgres:
            ensure_database(self.postgres.url("postgres"), TRADING_DATABASE, also_close=("postgres", "template1"))
        dagster_url = self._dagster_database_url(database_url)
        redis_url = ""
        if self.settings.redis_url is not None:
            redis_url = checked_redis(self.settings.redis_url.get_secret_value())
        elif need_redis:
            self.redis.ensure_running()
            redis_url = self.redis.url()
        return Endpoints(database_url, dagster_url, redis_url)

    def stop(self, *, at_once: bool = False) -> tuple[str, ...]:
        """Stop the embedded servers; returns the names of those that were running. Call it under the guard.

        Args:
            at_once: do not wait for an orderly stop, because their data is deleted afterwards.
        """
        stopped = []
        if self.redis.running() is not None:
            self.redis.stop()
            stopped.append("redis")
        if self.postgres.running() is not None:
            self.postgres.stop(at_once=at_once)
            stopped.append("postgresql")
        return tuple(stopped)

    def stop_if_unused(self) -> None:
        """Stop the servers if no process uses them and they are not to stay. Call it under the guard."""
        self.leases.prune()
        if not self.leases.stays and not self.leases.holders():
            self.stop()

    def _database_url(self) -> str:
        if self.settings.database_url is not None:
            return with_scheme(self.settings.database_url.get_secret_value(), "postgresql")
        return self.postgres.url(TRADING_DATABASE)

    def _dagster_database_url(self, database_url: str) -> str:
        if self.settings.dagster_database_url is not None:
            return with_scheme(self.settings.dagster_database_url.get_secret_value(), "postgresql+psycopg2")
        if role_of(database_url) is not None:
            return ""
        ensure_database(database_url, DAGSTER_DATABASE)
        parts = urlsplit(database_url)
        return urlunsplit(("postgresql+psycopg2", parts.netloc, f"/{DAGSTER_DATABASE}", parts.query, ""))


def upgrade_schema(settings: Settings, endpoints: Endpoints) -> tuple[str | None, str]:
    """Upgrade the trading database to the newest schema, and set the configured passwords of its roles.

    Returns:
        The revision before and the revision after.

    Raises:
        ConfigurationError: if the user of DATABASE_URL is not the owner, or lacks a right for the upgrade.
    """
    from trading_platform.stores.postgres.database import Database
    from trading_platform.stores.schema import upgrade

    owner_url = as_owner(endpoints.database_url)
    database = Database(owner_url)
    try:
        revisions = upgrade(database)
    finally:
        database.close()
    set_passwords(owner_url, {Role(name): password for name, password in settings.role_passwords().items()})
    return revisions


@contextmanager
def running_stack(settings: Settings, *, need_redis: bool = True) -> Iterator[Endpoints]:
    """Run the stack until the block ends.

    Cheap when the servers are running: a lock, a lease and one query. Can be called from any number of processes and
    threads at once, and nested.

    Args:
        settings: the data directory, and the addresses of external servers.
        need_redis: whether Redis is needed; if False, ``redis_url`` is empty unless the settings name one.

    Raises:
        ConfigurationError: if the machine or the settings do not allow the servers.
        StoreUnavailable: if a server does not start.
        StoreFull: if the disk is full.
    """
    stack = Stack(settings)
    if not stack.embeds_postgres and not (need_redis and stack.embeds_redis):
        yield stack.start(need_redis=need_redis)
        return
    with _held(stack, lambda: stack.start(need_redis=need_redis)) as endpoints:
        yield endpoints


@contextmanager
def running_redis(settings: Settings) -> Iterator[str]:
    """Run Redis alone until the block ends, as :func:`running_stack` does, without a database.

    Yields:
        URL for redis-py.

    Raises:
        ConfigurationError: if the machine does not allow the server.
        StoreUnavailable: if it does not start.
        StoreFull: if the disk is full.
    """
    if settings.redis_url is not None:
        yield checked_redis(settings.redis_url.get_secret_value())
        return
    stack = Stack(settings)

    def start() -> str:
        stack.leases.stopped = False
        stack.redis.ensure_running()
        return stack.redis.url()

    with _held(stack, start) as url:
        yield url


_STARTED: set[Path] = set()  # data directories whose servers this process has started


def started_servers(settings: Settings) -> bool:
    """Whether this process has started embedded servers that stop when it ends."""
    return settings.root in _STARTED and not LeaseBook(settings.root / "run").stays


@contextmanager
def _held(stack: Stack, start: Callable[[], _Started]) -> Iterator[_Started]:
    """Yields the result of ``start`` and holds a lease until the block ends."""
    with stack.leases.guard():
        lease = stack.leases.take()
        try:
            running = stack.postgres.running() is not None
            started = start()
            if not running and stack.postgres.running() is not None:
                _STARTED.add(stack.settings.root)
        except BaseException:
            lease.release()
            stack.stop_if_unused()
            raise
    try:
        yield started
    finally:
        if lease.is_ours:
            with stack.leases.guard():
                lease.release()
                stack.stop_if_unused()


def start_stack(settings: Settings) -> Endpoints:
    """Start everything and leave it running until :func:`stop_stack`.

    Raises:
        ConfigurationError, StoreUnavailable, StoreFull: as raised by :func:`running_stack`.
    """
    stack = Stack(settings)
    with stack.leases.guard():
        try:
            endpoints = stack.start(need_redis=True)
        except BaseException:
            stack.stop_if_unused()
            raise
        stack.leases.stays = stack.embeds_postgres or stack.embeds_redis
    return endpoints


def stop_stack(settings: Settings, *, force: bool = False, purge: bool = False) -> tuple[str, ...]:
    """Stop the embedded servers, or let the last process that uses them stop them.

    Args:
        settings: settings of the servers.
        force: stop them even if a process uses them.
        purge: also delete their data.

    Returns:
        The stopped servers: of ``postgresql`` and ``redis``. Empty if none was running, or if processes use the
        servers and ``force`` is False: the servers then stop when the last of these ends.

    Raises:
        StoreUnavailable: if data is to be deleted while a process uses it, or a server does not stop.
    """
    stack = Stack(settings)
    if not settings.root.exists():
        return ()
    with stack.leases.guard():
        stack.leases.prune()
        users = stack.leases.holders()
        if purge and users and not force:
            raise StoreUnavailable(
                "The embedded servers are in use, so their data was not deleted.",
                expected="no users",
                received="; ".join(f"{user.command} (process {user.pid})" for user in users),
                remedy="end these, or add --force",
            )
        stack.leases.stays = False
        stack.leases.stopped = force and bool(users)
        stopped = stack.stop(at_once=purge) if force or not users else ()
        if purge:
            stack.redis.remove()
            stack.postgres.remove()
        return stopped


def stop_unused(settings: Settings) -> None:
    """Stop the embedded servers if nobody uses them and nobody asked them to stay.

    For who has killed users of them: a user that is killed lets go of them, but does not stop them.

    Raises:
        StoreUnavailable: if a server does not stop.
    """
    stack = Stack(settings)
    if not settings.root.exists():
        return
    with stack.leases.guard():
        stack.stop_if_unused()


def stack_status(settings: Settings) -> StackStatus:
    """The status of the servers and their users; starts nothing and connects to nothing."""
    stack = Stack(settings)
    postmaster = stack.postgres.running() if stack.embeds_postgres else None
    database = _describe(
        "postgresql",
        settings.database_url.get_secret_value() if settings.database_url else None,
        str(stack.postgres.directory),
        postmaster.process if postmaster else None,
    )
    cache = _describe(
        "redis",
        settings.redis_url.get_secret_value() if settings.redis_url else None,
        str(stack.redis.directory),
        stack.redis.running() if stack.embeds_redis else None,
    )
    return StackStatus((database, cache), stack.leases.stays, tuple(stack.leases.holders()))


def _describe(part: str, url: str | None, directory: str, process: psutil.Process | None) -> ServerStatus:
    if url is not None:
        return ServerStatus(part, "external", shown_address(url), "external")
    if process is None:
        return ServerStatus(part, "embedded", directory, "stopped")
    since = datetime.fromtimestamp(process.create_time(), UTC).isoformat(timespec="seconds")
    return ServerStatus(part, "embedded", directory, "running", process.pid, since)
