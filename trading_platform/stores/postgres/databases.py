"""Databases of a server: made if they are missing, and closed to everybody who has no right of its own there.

PostgreSQL lets every role connect to a new database and make temporary tables there, the platform's roles included.
Their rights within the trading database are in the migrations (:mod:`trading_platform.stores.postgres.roles`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from trading_platform.domain.errors import ConfigurationError, StoreUnavailable
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from psycopg import Connection


def ensure_database(server_url: str, name: str, also_close: Sequence[str] = ()) -> None:
    """Creates a database if it is missing, and closes it to PUBLIC.

    Args:
        server_url: libpq URL of any database of the server.
        name: the database.
        also_close: other databases of the server to close; on a server of the platform's own, those it came with.

    Raises:
        StoreUnavailable: if the server does not respond.
        ConfigurationError: if the user of the URL may not create databases.
    """
    import psycopg

    try:
        with psycopg.connect(server_url, autocommit=True, connect_timeout=10) as connection:
            _create(connection, name)
            _close(connection, [name, *also_close])
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigurationError(
            f"The database {name!r} does not exist and may not be created.",
            expected=f"a database {name!r}, or a user with the right CREATEDB",
            received=str(error).strip(),
            remedy=f"let an administrator run: CREATE DATABASE {name}",
        ) from error
    except psycopg.OperationalError as error:
        raise StoreUnavailable(
            "PostgreSQL does not answer.",
            received=str(error).strip(),
            remedy="check that the server runs and that DATABASE_URL is right",
        ) from error


def open_databases(url: str) -> list[str]:
    """The other databases of the server that one of the platform's roles may connect to."""
    import psycopg

    with psycopg.connect(url, connect_timeout=10) as connection:
        return [name for (name,) in connection.execute(query("postgres/databases/open_to_roles").encode()).fetchall()]


def _create(connection: Connection, name: str) -> None:
    from psycopg import errors, sql

    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
        return
    try:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    except (errors.DuplicateDatabase, errors.UniqueViolation):
        return  # created by another process at the same time


def _close(connection: Connection, names: Sequence[str]) -> None:
    """Takes from PUBLIC the right to connect to those of the databases that the user of the connection owns."""
    from psycopg import errors, sql

    found = connection.execute(query("postgres/databases/open_to_public").encode(), {"names": list(names)}).fetchall()
    for (name,) in found:
        try:
            connection.execute(
                sql.SQL("REVOKE CONNECT, TEMPORARY ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name))
            )
        except errors.InternalError_:
            continue  # another process does the same at this moment
