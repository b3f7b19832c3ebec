"""Bars, indicators, coverage, quarantine and the universe; the DDL stands in the file of the same name."""

from trading_platform.stores.postgres.migrations import run_sql_beside

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Runs ``0001_market_data.sql``."""
    run_sql_beside(__file__)
