"""Brings the schema of all stores up to date: revisions, and tables that repeat definitions of the code.

:mod:`trading_platform.stores.postgres.migrations` runs the revisions.
"""

from __future__ import annotations

from trading_platform.domain.errors import ConfigurationError
from trading_platform.stores.features.catalog import publish_catalog
from trading_platform.stores.postgres import migrations
from trading_platform.stores.postgres.database import Database


def upgrade(database: Database) -> tuple[str | None, str]:
    """Runs every due revision, and brings the catalog of features up to date with the code.

    Returns:
        The revision before and the one after; equal if nothing was due.

    Raises:
        ConfigurationError: if the database is at a revision that this version does not know, or its user
            lacks a privilege for the upgrade.
    """
    return migrations.upgrade(database, publish_catalog)


def ensure_schema(database: Database, *, may_upgrade: bool) -> None:
    """Ensures that the database is at the newest revision.

    Args:
        database: the database.
        may_upgrade: run due revisions, as for the embedded database; an external database is upgraded by its
            owner.

    Raises:
        ConfigurationError: if a revision is due and may not be run.
    """
    found = migrations.current(database)
    if found == migrations.head():
        return
    migrations.check_known(found)
    if not may_upgrade:
        raise ConfigurationError(
            "The database's schema does not match this version of the platform.",
            expected=f"revision {migrations.head()}",
            received=f"revision {found}" if found else "a database without the platform's schema",
            remedy="`trading-platform db upgrade` brings it up to date",
        )
    upgrade(database)
