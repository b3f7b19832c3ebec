"""Hypertables or partitions, their rules, the hourly aggregate; the DDL stands in the file of the same name."""

from trading_platform.stores.postgres.migrations import run_sql_beside

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Runs ``0004_lifecycle.sql``."""
    run_sql_beside(__file__)
