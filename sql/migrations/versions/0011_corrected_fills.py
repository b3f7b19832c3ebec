"""Corrected and cancelled executions, stop prices of orders; the DDL is in the file beside."""

from trading_platform.stores.postgres.migrations import run_sql_beside

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Runs ``0011_corrected_fills.sql``."""
    run_sql_beside(__file__)
