"""Databases that begin as copies of one: the newest schema is made once for each server, and so is Dagster's."""

from __future__ import annotations

import atexit
import uuid
from contextlib import suppress
from functools import cache
from urllib.parse import urlsplit, urlunsplit

import psycopg
from dagster_postgres import DagsterPostgresStorage
from psycopg import sql

from trading_platform.stores.postgres.database import Database
from trading_platform.stores.schema import upgrade


def on_database(url: str, name: str) -> str:
    """The URL of another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


RIGHTS = """
UPDATE pg_database AS made SET datacl = original.datacl FROM pg_database AS original
WHERE made.datname = %(made)s AND original.datname = %(original)s
"""
SETTINGS = """
INSERT INTO pg_db_role_setting (setdatabase, setrole, setconfig)
SELECT made.oid, setrole, setconfig FROM pg_db_role_setting
JOIN pg_database AS original ON original.oid = setdatabase AND original.datname = %(original)s
JOIN pg_database AS made ON made.datname = %(made)s
"""
"""What PostgreSQL does not copy with a database: rights to it, and the settings of a role's sessions in it."""


def create(server_url: str, name: str, template: str = "template0") -> str:
    """Creates a database as a copy of another, to which nobody is connected; returns its URL."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        )
        if template != "template0":
            for statement in (RIGHTS, SETTINGS):
                connection.execute(statement, {"made": name, "original": template})
    return on_database(server_url, name)


def drop(server_url: str, *names: str) -> None:
    """Drops databases, with whoever is connected to them."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        for name in names:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def newest_schema(url: str) -> str:
    """Name of a database at the newest schema on the same server, to be copied."""
    return _newest_schema(on_database(url, "postgres"))


@cache
def _newest_schema(server_url: str) -> str:
    name = f"template_platform_{uuid.uuid4().hex[:8]}"
    upgraded(create(server_url, name))
    return _closed(server_url, name)


def _closed(server_url: str, name: str) -> str:
    """Nobody connects to a database any more, as TimescaleDB does by itself, so that it can be copied until the end."""
    atexit.register(_drop_if_there, server_url, name)
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
    return name


def _drop_if_there(server_url: str, name: str) -> None:
    with suppress(psycopg.OperationalError):  # the session's own server has ended by then
        drop(server_url, name)


def upgraded(url: str) -> str:
    """The same URL, of a database that is now at the newest schema."""
    database = Database(url)
    upgrade(database)
    database.close()
    return url


def dagster_schema(url: str) -> str:
    """Name of a database with the tables of Dagster on the same server, to be copied."""
    return _dagster_schema(on_database(url, "postgres"))


@cache
def _dagster_schema(server_url: str) -> str:
    name = f"template_dagster_{uuid.uuid4().hex[:8]}"
    url = create(server_url, name)
    DagsterPostgresStorage(url.replace("postgresql:", "postgresql+psycopg2:", 1), should_autocreate_tables=True)
    return _closed(server_url, name)


def without_durability(server_url: str) -> None:
    """Lets a server that is thrown away afterwards not wait for its disk."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(sql.SQL("ALTER SYSTEM SET {} = off").format(sql.Identifier(setting)))
        connection.execute("SELECT pg_reload_conf()")
