"""Rows that nobody can read are rejected, and roles are limited; the DDL is in the file beside."""

from trading_platform.stores.postgres.migrations import run_sql_beside

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Runs ``0013_readable_rows.sql``."""
    run_sql_beside(__file__)
