"""What makes gaps repair themselves: fingerprints, doubtful answers, attempts; the DDL stands in the file beside."""

from trading_platform.stores.postgres.migrations import run_sql_beside

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Runs ``0008_repair.sql``."""
    run_sql_beside(__file__)
