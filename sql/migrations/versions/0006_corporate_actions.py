"""Splits and dividends, and across which each partition is derived; the DDL stands in the file of the same name."""

from trading_platform.stores.postgres.migrations import run_sql_beside

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Runs ``0006_corporate_actions.sql``."""
    run_sql_beside(__file__)
