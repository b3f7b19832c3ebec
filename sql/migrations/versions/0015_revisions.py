"""Bars, indicators and corporate actions as they were before they were corrected; the DDL is in the file beside."""

from trading_platform.stores.postgres.migrations import run_sql_beside

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Runs ``0015_revisions.sql``."""
    run_sql_beside(__file__)
