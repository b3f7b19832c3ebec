"""What the live path keeps: positions, outages, notice of positions; the DDL stands in the file of the same name."""

from trading_platform.stores.postgres.migrations import run_sql_beside

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Runs ``0005_stream.sql``."""
    run_sql_beside(__file__)
