"""Brings a database to the schema in ``sql/migrations``, with Alembic.

Revisions are ordered and only go forward; each is a SQL file with a few lines of Python beside it.
All that are due run in one transaction, so an interrupted upgrade leaves nothing behind, and an
advisory lock lets one process at a time do it. Callers go through :mod:`trading_platform.stores.schema`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from trading_platform.domain.errors import ConfigurationError, StoreError
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.sql import sql_directory

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Connection

_LOCK = 7_406_001  # any number that nothing else of ours locks


def upgrade(database: Database, publish: Callable[[Connection], object]) -> tuple[str | None, str]:
    """Runs every revision that is due, and publishes what tables have from the code.

    Args:
        database: which, as the owner of its schema.
        publish: brings tables up to date that repeat definitions of the code; runs in the same transaction.

    Returns:
        The revision before and the one after; equal when nothing was due.

    Raises:
        ConfigurationError: if the database is at a revision that this version does not know, or its user
            may not do what is due.
    """
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
    """Raises what an administrator has to do, if the user who upgrades lacks the right to."""
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
    """The revision the database is at, or None where nothing was ever run."""
    with database.begin() as connection:
        return _current(connection)


def head() -> str:
    """The newest revision there is: the number that the last file begins with."""
    return _revisions()[-1]


def _revisions() -> list[str]:
    return sorted(path.stem.partition("_")[0] for path in (sql_directory() / "migrations" / "versions").glob("*.sql"))


def check_known(revision: str | None) -> None:
    """Raises a :class:`ConfigurationError` if this version of the platform does not know a revision."""
    if revision is not None and revision not in _revisions():
        raise ConfigurationError(
            "The database's schema is newer than this version of the platform, or another program's.",
            expected=f"revision {head()}",
            received=f"revision {revision}",
            remedy="use the version of the platform that made it, or another database",
        )


def run_sql_beside(revision_file: str) -> None:
    """Runs the SQL file that has the name of this revision; called by the revisions themselves."""
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
