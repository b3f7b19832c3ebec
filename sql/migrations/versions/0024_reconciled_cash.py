"""Cash and open orders in comparisons with brokers; the DDL is in the file beside."""

from trading_platform.stores.postgres.migrations import run_sql_beside

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Runs ``0024_reconciled_cash.sql``."""
    run_sql_beside(__file__)
