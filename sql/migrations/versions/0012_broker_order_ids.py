"""A broker's id belongs to one order; the DDL is in the file beside."""

from trading_platform.stores.postgres.migrations import run_sql_beside

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Runs ``0012_broker_order_ids.sql``."""
    run_sql_beside(__file__)
