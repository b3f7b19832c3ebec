"""The catalog says of which bars a feature is; the DDL is in the file beside."""

from trading_platform.stores.postgres.migrations import run_sql_beside

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Runs ``0017_feature_frequency.sql``."""
    run_sql_beside(__file__)
