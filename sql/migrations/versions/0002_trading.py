"""The ledger, audit, strategies and limits, feature catalog, news; the DDL stands in the file of the same name."""

from trading_platform.stores.postgres.migrations import run_sql_beside

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Runs ``0002_trading.sql``."""
    run_sql_beside(__file__)
