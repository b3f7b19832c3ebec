"""Corrected and cancelled executions, stop prices of orders; the DDL is in the file beside."""

from trading_platform.stores.postgres.migrations import run_sql_beside

revision = "0013"
down_revision = "0009"


def upgrade() -> None:
    """Runs ``0013_corrected_fills.sql``."""
    run_sql_beside(__file__)
