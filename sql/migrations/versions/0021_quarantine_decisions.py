"""What people decide about rejected rows; the DDL is in the file beside."""

from trading_platform.stores.postgres.migrations import run_sql_beside

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Runs ``0021_quarantine_decisions.sql``."""
    run_sql_beside(__file__)
