"""Diagnosis of the stack: the state of each part, with a remedy for broken ones.

``trading-platform doctor`` prints the findings of :func:`examine`. It starts the embedded servers if they do not run,
because a server that does not start is a finding, too.
"""

from __future__ import annotations

import os
import shlex
import shutil
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from datetime import timedelta
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from trading_platform.domain.errors import TradingPlatformError
from trading_platform.embedded.folders import ROOT_STATE, nearest_existing
from trading_platform.embedded.postgres import OWNER_SUFFIX
from trading_platform.embedded.run_leases import RunLeases, RunProcess
from trading_platform.embedded.stack import Endpoints, running_stack
from trading_platform.settings import Settings
from trading_platform.stores.addresses import checked_redis

if TYPE_CHECKING:
    from redis import Redis

OLDEST_PYTHON, FIRST_PYTHON_TOO_NEW = (3, 11), (3, 14)
OLDEST_POSTGRES = 15
OLDEST_TIMESCALE = (2, 29)
SPACE_NEEDED = 500_000_000
SPACE_ADVISED = 5_000_000_000
LONGEST_TRANSACTION = timedelta(hours=2)
"""Longer than any transaction of the platform; a role that lifts its limits can hold locks as long as it likes."""


class Verdict(StrEnum):
    """The verdict of a check."""

    OK = "ok"
    NOTE = "note"
    BROKEN = "broken"


@dataclass(frozen=True)
class Check:
    """The finding for one part of the stack.

    Attributes:
        part: the part that was checked.
        verdict: ``ok``, ``note`` (works, worth knowing) or ``broken``.
        found: the state of the part, as text.
        remedy: what to do; empty if nothing is to be done.
    """

    part: str
    verdict: Verdict
    found: str
    remedy: str = ""

    def as_dict(self) -> dict[str, str]:
        """The check as a dictionary for JSON."""
        return asdict(self)


def examine(settings: Settings) -> list[Check]:
    """Check every part; a broken part is a finding and raises no error."""
    checks = [check_python(sys.version_info[:3]), *check_disk(settings.root)]
    with ExitStack() as servers:
        endpoints = _open(servers, settings, "PostgreSQL", checks, need_redis=False)
        if endpoints is not None:
            checks.append(_guarded("PostgreSQL", check_postgres, endpoints.database_url))
            checks.append(_guarded("schema", check_schema, endpoints.database_url))
            if checks[-1].verdict is Verdict.OK:  # the schema creates the roles
                checks.append(_guarded("roles", partial(check_roles, settings=settings), endpoints.database_url))
                checks.append(_guarded("other databases", check_other_databases, endpoints.database_url))
                checks.append(_guarded("sessions", check_sessions, endpoints.database_url))
                checks.append(_guarded("stored rows", check_rows, endpoints.database_url))
            checks.append(_guarded("TimescaleDB", check_timescale, endpoints.database_url))
            if endpoints.dagster_database_url:
                dagster_url = endpoints.dagster_database_url.replace("+psycopg2", "", 1)
                checks.append(_guarded("Dagster's database", check_dagster, dagster_url))
                checks.append(_guarded("runs", partial(check_runs, leases=RunLeases(settings.root)), dagster_url))
        checks.extend(_examine_redis(servers, settings, postgres_runs=endpoints is not None))
        checks.extend(check_permissions(settings.root))
        checks.extend(check_data_folders(settings))
        checks.extend(check_leftovers(ROOT_STATE))
    return checks


def _examine_redis(servers: ExitStack, settings: Settings, *, postgres_runs: bool) -> list[Check]:
    """The embedded servers start together, so an embedded Redis is checked only if PostgreSQL runs."""
    if settings.redis_url is not None:
        return [_guarded("Redis", check_redis, settings.redis_url.get_secret_value())]
    if not postgres_runs:
        return [Check("Redis", Verdict.NOTE, "not checked, because PostgreSQL does not run", "repair PostgreSQL first")]
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
    """The finding of a check, or its error as a finding, so that all parts are checked."""
    try:
        return check(url)
    except TradingPlatformError as error:
        return _broken(part, error)
    except Exception as error:  # noqa: BLE001 - any driver's failure is a finding here
        said = str(error).strip() or type(error).__name__
        return Check(part, Verdict.BROKEN, said, "check that the server runs and accepts the user of its URL")


def _broken(part: str, error: TradingPlatformError) -> Check:
    found = error.message + (f" ({error.received})" if error.received else "")
    return Check(part, Verdict.BROKEN, found, error.remedy or "")


def check_python(version: tuple[int, ...]) -> Check:
    """Checks that the interpreter has wheels of all dependencies."""
    shown = ".".join(map(str, version))
    if OLDEST_PYTHON <= version[:2] < FIRST_PYTHON_TOO_NEW:
        return Check("Python", Verdict.OK, shown)
    return Check("Python", Verdict.BROKEN, shown, "install the platform with Python 3.11, 3.12 or 3.13")


def check_disk(root: Path) -> list[Check]:
    """Checks the free disk space."""
    free = shutil.disk_usage(nearest_existing(root)).free
    found = f"{free / 1e9:.1f} GB free at {root}"
    if free < SPACE_NEEDED:
        return [Check("disk space", Verdict.BROKEN, found, "free some space, or point DATA_DIR at a larger disk")]
    if free < SPACE_ADVISED:
        return [Check("disk space", Verdict.NOTE, found, "years of minute bars need more; monitor it")]
    return [Check("disk space", Verdict.OK, found)]


def check_postgres(url: str) -> Check:
    """Checks that the trading database responds and has a supported version."""
    import psycopg

    with psycopg.connect(url, connect_timeout=10) as connection:
        row = connection.execute("SELECT current_setting('server_version'), current_database()").fetchone()
    version, database = row or ("", "")
    found = f"version {version}, database {database}"
    if int(version.split(".")[0]) < OLDEST_POSTGRES:
        return Check("PostgreSQL", Verdict.BROKEN, found, f"use PostgreSQL {OLDEST_POSTGRES} or newer")
    return Check("PostgreSQL", Verdict.OK, found)


def check_schema(url: str) -> Check:
    """Checks that the schema is at the newest migration."""
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
    """Checks that the roles exist, can log in, and have no rights on the whole server."""
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
        return Check("roles", Verdict.BROKEN, f"with rights on the whole server: {', '.join(mighty)}", remedy)
    return Check("roles", Verdict.OK, f"{', '.join(roles)}: each can log in, with rights on this database only")


def check_other_databases(url: str) -> Check:
    """Checks that the roles have no access to other databases of the server."""
    from trading_platform.stores.postgres.databases import open_databases

    found = open_databases(url)
    if not found:
        return Check("other databases", Verdict.OK, "the roles can connect to this one only")
    remedy = "; ".join(f'REVOKE CONNECT, TEMPORARY ON DATABASE "{name}" FROM PUBLIC' for name in found)
    return Check(
        "other databases",
        Verdict.NOTE,
        f"the roles can connect to: {', '.join(found)}",
        f"if these need no guests, let their owners run: {remedy}",
    )


def check_sessions(url: str) -> Check:
    """Checks that no session of a role holds its locks for longer than any work takes."""
    from trading_platform.stores.postgres.database import Database
    from trading_platform.stores.postgres.sql import query

    with closing(Database(url)) as database:
        found = database.rows(query("postgres/sessions/overlong"), {"age": LONGEST_TRANSACTION})
    if not found:
        return Check("sessions", Verdict.OK, "no role is in a transaction for hours")
    named = ", ".join(f"{role} (process {pid}) for {minutes:,} minutes" for pid, role, minutes in found)
    remedy = "; ".join(f"SELECT pg_terminate_backend({pid})" for pid, _, _ in found)
    return Check("sessions", Verdict.NOTE, f"in a transaction: {named}", f"find out what it is, or end it: {remedy}")


def check_rows(url: str) -> Check:
    """Checks that no stored row was set aside, and that no table has rows of before that cannot be read."""
    from trading_platform.stores.postgres.database import Database
    from trading_platform.stores.postgres.roles import Role, role_of
    from trading_platform.stores.postgres.sql import query

    if (role := role_of(url)) in (Role.INGEST, Role.AGENT):
        return Check("stored rows", Verdict.OK, f"not examined: the role {role} may not read what was set aside")
    with closing(Database(url)) as database:
        found = database.rows(query("audit/set_aside/count"))
    if not found:
        return Check("stored rows", Verdict.OK, "none was set aside")
    named = "; ".join(f"{relation}: {what}" for relation, what in found)
    remedy = "the system events rows_unreadable, rows_set_aside and messages_set_aside say more; see docs/ledger.md"
    return Check("stored rows", Verdict.NOTE, named, remedy)


def check_timescale(url: str) -> Check:
    """Checks the version of TimescaleDB; the platform works without it."""
    import psycopg

    with psycopg.connect(url, connect_timeout=10) as connection:
        row = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'").fetchone()
    if row is None:
        return Check("TimescaleDB", Verdict.OK, "not installed; plain PostgreSQL has the same tables and columns")
    if tuple(int(part) for part in row[0].split(".")[:2]) < OLDEST_TIMESCALE:
        wanted = ".".join(map(str, OLDEST_TIMESCALE))
        return Check("TimescaleDB", Verdict.BROKEN, f"version {row[0]}", f"update the extension to {wanted} or newer")
    return Check("TimescaleDB", Verdict.OK, f"version {row[0]}")


def check_dagster(url: str) -> Check:
    """Checks that Dagster's database responds and has its tables."""
    import psycopg

    with psycopg.connect(url, connect_timeout=10) as connection:
        row = connection.execute("SELECT current_database(), to_regclass('public.runs')").fetchone()
    database, runs = row or ("", None)
    state = "with its tables" if runs else "empty: Dagster creates its tables at its first run"
    return Check("Dagster's database", Verdict.OK, f"database {database}, {state}")


def check_runs(url: str, leases: RunLeases) -> Check:
    """Checks that a process works on each run that Dagster takes for one under way."""
    import psycopg

    with psycopg.connect(url, connect_timeout=10) as connection:
        if connection.execute("SELECT to_regclass('public.runs')").fetchone() == (None,):
            return Check("runs", Verdict.OK, "none yet")
        found = connection.execute(
            "SELECT run_id, to_char(create_timestamp, 'YYYY-MM-DD HH24:MI') FROM runs"
            " WHERE status IN ('NOT_STARTED', 'STARTING', 'STARTED') ORDER BY create_timestamp"
        ).fetchall()
    processes = {(run_id, since): leases.process_of(run_id) for run_id, since in found}
    ended = [f"{run_id[:8]}" for (run_id, _), process in processes.items() if process is RunProcess.ENDED]
    unknown = [
        f"{run_id[:8]} of {since} UTC" for (run_id, since), each in processes.items() if each is RunProcess.UNKNOWN
    ]
    if ended:
        remedy = "the next `trading-platform backfill` fails them, and so does `trading-platform dev` within a minute"
        return Check("runs", Verdict.NOTE, f"their process has ended without reporting it: {', '.join(ended)}", remedy)
    if unknown:
        remedy = "if no other machine works on them, end them in the Dagster UI: Runs, Terminate, Force termination"
        return Check("runs", Verdict.NOTE, f"no process of this machine works on them: {', '.join(unknown)}", remedy)
    return Check("runs", Verdict.OK, f"{len(found)} under way" if found else "none under way")


def check_redis(url: str) -> Check:
    """Checks that Redis responds and persists its data."""
    from redis import Redis

    with Redis.from_url(checked_redis(url), socket_timeout=10) as client:
        return _judge_redis(client)


def _judge_redis(client: Redis) -> Check:
    server, persistence = client.info("server"), client.info("persistence")
    found = f"version {server['redis_version']}"
    if not persistence["aof_enabled"]:
        remedy = "set `appendonly yes` on that server if quotes and messages should survive its restart"
        return Check("Redis", Verdict.NOTE, f"{found}, without an append-only file", remedy)
    if persistence["aof_last_write_status"] != "ok":
        remedy = "free space on its disk; it rejects writes until it can persist them"
        return Check("Redis", Verdict.BROKEN, f"{found}, cannot write its append-only file", remedy)
    return Check("Redis", Verdict.OK, f"{found}, append-only file on")


def check_permissions(root: Path) -> list[Check]:
    """Checks that no other user can access the servers' directories, which protects the servers."""
    open_to_others = [path for path in _private_paths(root) if stat.S_IMODE(path.stat().st_mode) & 0o077]
    if not open_to_others:
        return [Check("file permissions", Verdict.OK, f"the servers' directories under {root} are private")]
    names = " ".join(str(path) for path in open_to_others)
    return [Check("file permissions", Verdict.BROKEN, f"open to other users: {names}", f"run: chmod go= {names}")]


def check_data_folders(settings: Settings) -> list[Check]:
    """Checks that no other user can read the platform's files; those of earlier versions were readable."""
    folders = [
        *(settings.root / name for name in ("calendars", "dagster", "imports", "yahoo")),
        settings.archive_directory,
        settings.features_directory,
        settings.logs_directory,
    ]
    found = [folder for folder in folders if folder.is_dir() and stat.S_IMODE(folder.stat().st_mode) & 0o077]
    if not found:
        return [
            Check("data folders", Verdict.OK, f"those of {settings.root}, the archive and the features are private")
        ]
    names = " ".join(shlex.quote(str(folder)) for folder in found)
    return [Check("data folders", Verdict.NOTE, f"open to other users: {names}", f"run: chmod -R go= {names}")]


def _private_paths(root: Path) -> Iterator[Path]:
    wanted = ("run", "redis", "redis/password", "redis/redis.conf", "postgres")
    return (root / name for name in wanted if (root / name).exists())


def check_leftovers(state: Path) -> list[Check]:
    """Lists databases that root's servers left behind when their data directory was deleted."""
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
