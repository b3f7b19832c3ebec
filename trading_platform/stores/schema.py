"""Brings the schema of all stores up to date: the revisions, and the tables that repeat definitions of the code.

The revisions themselves are run by :mod:`trading_platform.stores.postgres.migrations`.
"""

from __future__ import annotations

from trading_platform.domain.errors import ConfigurationError
from trading_platform.stores.features.catalog import publish_catalog
from trading_platform.stores.postgres import migrations
from trading_platform.stores.postgres.database import Database


def upgrade(database: Database) -> tuple[str | None, str]:
    """Runs every revision that is due, and brings the catalog of features up to date with the code.

    Returns:
        The revision before and the one after; equal when nothing was due.

    Raises:
        ConfigurationError: if the database is at a revision that this version does not know, or its user
            may not do what is due.
    """
    return migrations.upgrade(database, publish_catalog)


def ensure_schema(database: Database, *, may_upgrade: bool) -> None:
    """Makes sure that the database is at the newest revision.

    Args:
        database: which.
        may_upgrade: run what is due, as the embedded database wants; a database somebody else runs
            is brought up to date by its owner.

    Raises:
        ConfigurationError: if something is due and may not be run.
    """
    found = migrations.current(database)
    if found == migrations.head():
        return
    migrations.check_known(found)
    if not may_upgrade:
        raise ConfigurationError(
            "The database's schema is not the one this version works with.",
            expected=f"revision {migrations.head()}",
            received=f"revision {found}" if found else "a database without the platform's schema",
            remedy="`trading-platform db upgrade` brings it up to date",
        )
    upgrade(database)
