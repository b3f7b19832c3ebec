"""The terms of the field for tables, columns and states with names of our own; the DDL stands in the file beside."""

from trading_platform.stores.postgres.migrations import run_sql_beside

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Runs ``0009_terms.sql``."""
    run_sql_beside(__file__)
