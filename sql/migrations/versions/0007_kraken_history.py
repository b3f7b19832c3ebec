"""Where long requests go on, and what was heard twice; the DDL stands in the file of the same name."""

from trading_platform.stores.postgres.migrations import run_sql_beside

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Runs ``0007_kraken_history.sql``."""
    run_sql_beside(__file__)
