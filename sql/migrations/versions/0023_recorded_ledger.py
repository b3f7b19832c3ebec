"""The ledger as it was recorded at a time, and limits of orders; the DDL is in the file beside."""

from trading_platform.stores.postgres.migrations import run_sql_beside

revision = "0023"
down_revision = "0018"


def upgrade() -> None:
    """Runs ``0023_recorded_ledger.sql``."""
    run_sql_beside(__file__)
