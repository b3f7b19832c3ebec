"""The catalog holds all of a feature's declaration; the DDL is in the file beside."""

from trading_platform.stores.postgres.migrations import run_sql_beside

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Runs ``0016_feature_definitions.sql``."""
    run_sql_beside(__file__)
