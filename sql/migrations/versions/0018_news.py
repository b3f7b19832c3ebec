"""Articles have identities, versions and links, and feeds have a state; the DDL is in the file beside."""

from trading_platform.stores.postgres.migrations import run_sql_beside

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Runs ``0018_news.sql``."""
    run_sql_beside(__file__)
