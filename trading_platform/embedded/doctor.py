"""What is well and what is broken in the stack, each with what to do about it.

``trading-platform doctor`` prints what :func:`examine` finds. The embedded servers are started for
the examination if they do not run, because whether they start is half of the question.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from trading_platform.domain.errors import TradingPlatformError
from trading_platform.embedded.folders import ROOT_STATE, nearest_existing
from trading_platform.embedded.postgres import OWNER_SUFFIX
from trading_platform.embedded.stack import Endpoints, running_stack
from trading_platform.settings import Settings

if TYPE_CHECKING:
    from redis import Redis

OLDEST_PYTHON, FIRST_PYTHON_TOO_NEW = (3, 11), (3, 14)
OLDEST_POSTGRES = 15
OLDEST_TIMESCALE = (2, 29)
SPACE_NEEDED = 500_000_000
SPACE_ADVISED = 5_000_000_000


class Verdict(StrEnum):
    """What a check found."""

    OK = "ok"
    NOTE = "note"
    BROKEN = "broken"


@dataclass(frozen=True)
class Check:
    """One part of the stack, examined.

    Attributes:
        part: what was looked at.
        verdict: ``ok``, ``note`` (works, worth knowing) or ``broken``.
        found: what is there, in words.
        remedy: what to do; empty where nothing is to be done.
    """

    part: str
    verdict: Verdict
    found: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        """JSON-able form."""
        return asdict(self)


def examine(settings: Settings) -> list[Check]:
    """Examine every part; never raises for a part that is broken."""
    checks = [check_python(sys.version_info[:3]), *check_disk(settings.root)]
    with ExitStack() as servers:
        endpoints = _open(servers, settings, "PostgreSQL", checks, need_redis=False)
        if endpoints is not None:
            checks.append(_guarded("PostgreSQL", check_postgres, endpoints.database_url))
            checks.append(_guarded("schema", check_schema, endpoints.database_url))
            if checks[-1].verdict is Verdict.OK:  # the schema brings the roles
                checks.append(_guarded("roles", partial(check_roles, settings=settings), endpoints.database_url))
            checks.append(_guarded("TimescaleDB", check_timescale, endpoints.database_url))
            if endpoints.dagster_database_url:
                checks.append(_guarded("Dagster's database", check_dagster, endpoints.dagster_database_url))
        checks.extend(_examine_redis(servers, settings, postgres_runs=endpoints is not None))
        checks.extend(check_permissions(settings.root))
        checks.extend(check_leftovers(ROOT_STATE))
    return checks


def _examine_redis(servers: ExitStack, settings: Settings, *, postgres_runs: bool) -> list[Check]:
    """The embedded servers start together, so an embedded Redis can be tried only once PostgreSQL runs."""
    if settings.redis_url is not None:
        return [_guarded("Redis", check_redis, settings.redis_url.get_secret_value())]
    if not postgres_runs:
        return [Check("Redis", Verdict.NOTE, "not examined, because PostgreSQL comes first", "mend PostgreSQL")]
    found: list[Check] = []
    endpoints = _open(servers, settings, "Redis", found, need_redis=True)
    if endpoints is not None:
        found.append(_guarded("Redis", check_redis, endpoints.redis_url))
    return found


def _open(
    servers: ExitStack, settings: Settings, part: str, checks: list[Check], *, need_redis: bool
) -> Endpoints | None:
    try:
        return servers.enter_context(running_stack(settings, need_redis=need_redis))
    except TradingPlatformError as error:
        checks.append(_broken(part, error))
        return None


def _guarded(part: str, check: Callable[[str], Check], url: str) -> Check:
    """The check's own finding, or what it failed with: an examination must reach its end."""
    try:
        return check(url)
    except TradingPlatformError as error:
        return _broken(part, error)
    except Exception as error:  # noqa: BLE001 - any driver's failure is a finding here
        said = str(error).strip() or type(error).__name__
        return Check(part, Verdict.BROKEN, said, "see that the server runs and accepts the user of its URL")


def _broken(part: str, error: TradingPlatformError) -> Check:
    found = error.message + (f" ({error.received})" if error.received else "")
    return Check(part, Verdict.BROKEN, found, error.remedy or "")


def check_python(version: tuple[int, ...]) -> Check:
    """The interpreter is one that all dependencies have wheels for."""
    shown = ".".join(map(str, version))
    if OLDEST_PYTHON <= version[:2] < FIRST_PYTHON_TOO_NEW:
        return Check("Python", Verdict.OK, shown)
    return Check("Python", Verdict.BROKEN, shown, "install the platform with Python 3.11, 3.12 or 3.13")


def check_disk(root: Path) -> list[Check]:
    """There is room to write."""
    free = shutil.disk_usage(nearest_existing(root)).free
    found = f"{free / 1e9:.1f} GB free at {root}"
    if free < SPACE_NEEDED:
        return [Check("disk space", Verdict.BROKEN, found, "free some space, or point DATA_DIR at a larger disk")]
    if free < SPACE_ADVISED:
        return [Check("disk space", Verdict.NOTE, found, "years of minute bars need more; keep an eye on it")]
    return [Check("disk space", Verdict.OK, found)]


def check_postgres(url: str) -> Check:
    """The trading database answers and is recent enough."""
    import psycopg

    with psycopg.connect(url, connect_timeout=10) as connection:
        row = connection.execute("SELECT current_setting('server_version'), current_database()").fetchone()
    version, database = row or ("", "")
    found = f"version {version}, database {database}"
    if int(version.split(".")[0]) < OLDEST_POSTGRES:
        return Check("PostgreSQL", Verdict.BROKEN, found, f"use PostgreSQL {OLDEST_POSTGRES} or newer")
    return Check("PostgreSQL", Verdict.OK, found)


def check_schema(url: str) -> Check:
    """The tables are those of the newest migration."""
    from trading_platform.stores.postgres.database import Database
    from trading_platform.stores.postgres.migrations import current, head

    database = Database(url)
    try:
        present, newest = current(database), head()
    finally:
        database.close()
    if present == newest:
        return Check("schema", Verdict.OK, f"revision {present}, the newest")
    found = f"revision {present or 'none'}, the newest is {newest}"
    return Check("schema", Verdict.BROKEN, found, "run `trading-platform up` or `trading-platform db upgrade`")


def check_roles(url: str, settings: Settings) -> Check:
    """The roles exist, have no rights over the whole server, and whoever works as them gets in."""
    from trading_platform.stores.postgres.database import Database, execute
    from trading_platform.stores.postgres.roles import Role, as_role, role_of
    from trading_platform.stores.postgres.sql import query

    given = role_of(url)
    roles = [given] if given else list(Role)
    passwords = settings.role_passwords()
    for role in roles:
        own = as_role(url, role, passwords.get(role), trusted=settings.database_url is None)
        with closing(Database(own)) as database, database.begin() as connection:
            rights = dict(execute(connection, query("postgres/roles/rights"), {"roles": list(roles)}))
    mighty = [role for role in roles if rights[role]]
    if mighty:
        taken = "NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS"
        remedy = f"let an administrator run: {'; '.join(f'ALTER ROLE {role} {taken}' for role in mighty)}"
        return Check("roles", Verdict.BROKEN, f"with rights over the whole server: {', '.join(mighty)}", remedy)
    return Check("roles", Verdict.OK, f"{', '.join(roles)}: each gets in, with the rights of a role of this database")


def check_timescale(url: str) -> Check:
    """Whether time-series features of the database are there; the platform works without."""
    import psycopg

    with psycopg.connect(url, connect_timeout=10) as connection:
        row = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'").fetchone()
    if row is None:
        return Check("TimescaleDB", Verdict.OK, "not installed, plain PostgreSQL: same names and shapes")
    if tuple(int(part) for part in row[0].split(".")[:2]) < OLDEST_TIMESCALE:
        wanted = ".".join(map(str, OLDEST_TIMESCALE))
        return Check("TimescaleDB", Verdict.BROKEN, f"version {row[0]}", f"update the extension to {wanted} or newer")
    return Check("TimescaleDB", Verdict.OK, f"version {row[0]}")


def check_dagster(url: str) -> Check:
    """Dagster's database answers and has its tables."""
    import psycopg

    with psycopg.connect(url.replace("+psycopg2", "", 1), connect_timeout=10) as connection:
        row = connection.execute("SELECT current_database(), to_regclass('public.runs')").fetchone()
    database, runs = row or ("", None)
    state = "with its tables" if runs else "empty: Dagster makes its tables when it first runs"
    return Check("Dagster's database", Verdict.OK, f"database {database}, {state}")


def check_redis(url: str) -> Check:
    """Redis answers and keeps what it was given."""
    from redis import Redis

    with Redis.from_url(url, socket_timeout=10) as client:
        return _judge_redis(client)


def _judge_redis(client: Redis) -> Check:
    server, persistence = client.info("server"), client.info("persistence")
    found = f"version {server['redis_version']}"
    if not persistence["aof_enabled"]:
        remedy = "set `appendonly yes` on that server if quotes and messages should survive its restart"
        return Check("Redis", Verdict.NOTE, f"{found}, without an append-only file", remedy)
    if persistence["aof_last_write_status"] != "ok":
        remedy = "see that its disk has room; it refuses writes until it can keep them"
        return Check("Redis", Verdict.BROKEN, f"{found}, cannot write its append-only file", remedy)
    return Check("Redis", Verdict.OK, f"{found}, append-only file on")


def check_permissions(root: Path) -> list[Check]:
    """Nobody else may enter the servers' directories, which is what protects them."""
    open_to_others = [path for path in _private_paths(root) if stat.S_IMODE(path.stat().st_mode) & 0o077]
    if not open_to_others:
        return [Check("file permissions", Verdict.OK, f"the servers' directories under {root} are private")]
    names = " ".join(str(path) for path in open_to_others)
    return [Check("file permissions", Verdict.BROKEN, f"open to other users: {names}", f"run: chmod go= {names}")]


def _private_paths(root: Path) -> Iterator[Path]:
    wanted = ("run", "redis", "redis/password", "redis/redis.conf", "postgres")
    return (root / name for name in wanted if (root / name).exists())


def check_leftovers(state: Path) -> list[Check]:
    """Databases that root's servers left behind when their data directory was deleted."""
    if os.geteuid() != 0:
        return []
    found = []
    for note in sorted(state.glob(f"*{OWNER_SUFFIX}")):
        directory, owner = note.with_name(note.name.removesuffix(OWNER_SUFFIX)), Path(note.read_text().strip())
        pointer = owner / "postgres-location"
        if not pointer.exists() or pointer.read_text().strip() != str(directory):
            said = f"{directory} belongs to {owner}, which is gone"
            remedy = f"if it was not merely moved or unmounted, run: rm -r {directory} {note}"
            found.append(Check("left behind", Verdict.NOTE, said, remedy))
    return found
