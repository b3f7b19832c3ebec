"""Hours of the aggregate take their prices from minutes with trades; the DDL stands in the file beside."""

from trading_platform.stores.postgres.migrations import run_sql_beside

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Runs ``0010_traded_minutes.sql``."""
    run_sql_beside(__file__)
