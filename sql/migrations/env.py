"""Alembic's entry: runs the revisions on the connection that ``stores/postgres/migrations.py`` hands over.

For ``alembic revision`` and friends from a shell, use ``trading-platform db`` instead.
"""

from alembic import context

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    version_table_schema="public",
    transaction_per_migration=False,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
