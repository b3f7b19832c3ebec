"""The ledger as it was recorded at a time, and limits of orders; the DDL is in the file beside."""

from trading_platform.stores.postgres.migrations import run_sql_beside

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Runs ``0022_recorded_ledger.sql``."""
    run_sql_beside(__file__)
