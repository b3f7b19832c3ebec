"""The ledger is compared with brokers, and orders can be paused; the DDL is in the file beside."""

from trading_platform.stores.postgres.migrations import run_sql_beside

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Runs ``0020_reconciliation.sql``."""
    run_sql_beside(__file__)
