"""The roles ingest, agent and dashboard and what each may do; the DDL stands in the file of the same name."""

from trading_platform.stores.postgres.migrations import run_sql_beside

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Runs ``0003_roles.sql``."""
    run_sql_beside(__file__)
