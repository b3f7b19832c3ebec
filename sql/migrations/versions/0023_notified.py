"""Columns of incidents by the field's words, and who looks for problems to agents; the DDL is in the file beside."""

from trading_platform.stores.postgres.migrations import run_sql_beside

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Runs ``0023_notified.sql``."""
    run_sql_beside(__file__)
