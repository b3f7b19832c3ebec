"""Incidents, and the messages that tell people of them; the DDL is in the file beside."""

from trading_platform.stores.postgres.migrations import run_sql_beside

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Runs ``0019_alerts.sql``."""
    run_sql_beside(__file__)
