"""Brings a database to the schema in ``sql/migrations``, with Alembic.

Revisions are ordered and only go forward; each is a SQL file with a few lines of Python beside it. All due revisions
run in one transaction, so an interrupted upgrade changes nothing, and an advisory lock lets only one process upgrade
at a time. Callers use :mod:`trading_platform.stores.schema`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from trading_platform.domain.errors import ConfigurationError, StoreBusy, StoreError
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.sql import sql_directory

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

_LOCK = 7_406_001  # key of the advisory lock; no other lock of the platform uses it
_ATTEMPTS = 3  # autovacuum looks at tables in an order of its own, and ends in a deadlock with a long revision


def upgrade(database: Database, publish: Callable[[Connection], object]) -> tuple[str | None, str]:
    """Runs every due revision, and publishes definitions from the code to tables.

    Args:
        database: the database, as the owner of its schema.
        publish: updates the tables that repeat definitions of the code; runs in the same transaction.

    Returns:
        The revision before and the one after; equal if nothing was due.

    Raises:
        ConfigurationError: if the database is at a revision that this version does not know, or its user
            lacks a privilege for the upgrade.
        StoreBusy: if another transaction was in the way of each attempt.
    """
    for _ in range(_ATTEMPTS - 1):
        with suppress(StoreBusy):
            return _upgrade_once(database, publish)
        database.close()  # a session in which CREATE EXTENSION timescaledb was rolled back cannot use it any more
    return _upgrade_once(database, publish)


def _upgrade_once(database: Database, publish: Callable[[Connection], object]) -> tuple[str | None, str]:
    try:
        with database.begin() as connection:
            return _upgrade(connection, publish)
    except StoreError as error:
        _explain_privileges(error)
        raise


def _upgrade(connection: Connection, publish: Callable[[Connection], object]) -> tuple[str | None, str]:
    execute(connection, "SELECT pg_advisory_xact_lock(%(key)s)", {"key": _LOCK})
    before = _current(connection)
    check_known(before)
    if before != head():
        from alembic import command

        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
    publish(connection)
    return before, head()


def _explain_privileges(error: StoreError) -> None:
    """Raises an error with the statements for an administrator, if the user lacks a privilege."""
    from psycopg.errors import InsufficientPrivilege

    rejected = getattr(error.__cause__, "orig", error.__cause__)
    if isinstance(rejected, InsufficientPrivilege):
        statements = rejected.diag.message_hint
        raise ConfigurationError(
            "The user of DATABASE_URL may not bring the schema up to date.",
            expected="the owner of the database, and roles that exist or that it may create",
            received=rejected.diag.message_primary,
            remedy=f"let an administrator run: {statements}" if statements else "use the owner of the database",
        ) from error


def current(database: Database) -> str | None:
    """The revision of the database, or None if no revision was ever run."""
    if database.rows("SELECT to_regclass('public.alembic_version')") == [(None,)]:
        return None
    found = database.rows("SELECT version_num FROM public.alembic_version")
    return str(found[0][0]) if found else None


def head() -> str:
    """The newest revision: the number at the start of the last file's name."""
    return _revisions()[-1]


def _revisions() -> list[str]:
    return sorted(path.stem.partition("_")[0] for path in (sql_directory() / "migrations" / "versions").glob("*.sql"))


def check_known(revision: str | None) -> None:
    """Raises a :class:`ConfigurationError` if this version of the platform does not know a revision."""
    if revision is not None and revision not in _revisions():
        raise ConfigurationError(
            "The database's schema is newer than this version of the platform, or belongs to another program.",
            expected=f"revision {head()}",
            received=f"revision {revision}",
            remedy="use the version of the platform that created it, or another database",
        )


def run_sql_beside(revision_file: str) -> None:
    """Runs the SQL file with the name of this revision; called by the revisions."""
    from alembic import op

    statements = Path(revision_file).with_suffix(".sql").read_text(encoding="utf-8")
    driver = op.get_bind().connection.driver_connection
    if driver is None:
        raise RuntimeError("a migration needs a live connection")
    with driver.cursor() as cursor:
        cursor.execute(statements)


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(sql_directory() / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def _current(connection: Connection) -> str | None:
    if execute(connection, "SELECT to_regclass('public.alembic_version')") == [(None,)]:
        return None
    found = execute(connection, "SELECT version_num FROM public.alembic_version")
    return str(found[0][0]) if found else None
