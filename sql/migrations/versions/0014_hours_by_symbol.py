"""Hours are refreshed symbol by symbol where minutes may have been dropped; the DDL is in the file beside."""

from trading_platform.stores.postgres.migrations import run_sql_beside

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Runs ``0014_hours_by_symbol.sql``."""
    run_sql_beside(__file__)
