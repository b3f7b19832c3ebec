"""The live catalog against the user's document: tables, columns, types, keys and indexes are the document's.

What the database has beyond it stands here as a list, so that nothing is added unnoticed.
"""

from __future__ import annotations

import re

import pytest
from schema_document import OPTIONAL, document, table_in, tables_of
from schemas import bring_to

from trading_platform.domain.errors import StoreError
from trading_platform.stores.postgres import migrations
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.schema import upgrade

__all__ = ["document"]  # the fixture

BEYOND_THE_DOCUMENT = {
    "columns": (
        ("trading.orders", "stop_price", "numeric(18,8)"),
        ("features.catalog", "kind", "character varying(10)"),
        ("features.catalog", "version", "integer"),
        ("features.catalog", "definition_hash", "character varying(64)"),
        ("features.catalog", "needed_by", "text[]"),
        ("features.catalog", "warm_up_bars", "integer"),
        ("features.catalog", "horizon_bars", "integer"),
        ("features.catalog", "availability", "text"),
        ("features.catalog", "awaits", "text"),
        ("features.catalog", "defined_in", "text"),
        ("features.catalog", "frequency", "character varying(5)"),
    ),
    "indexes": {
        ("trading.orders", ("broker", "broker_order_id")),
        ("trading.trades", ("order_id",)),
        ("trading.trades", ("symbol", "executed_at", "id")),
        ("audit.decisions", ("timestamp",)),
        ("audit.system_events", ("timestamp",)),
    },
    "foreign keys": {("trading.orders", "strategy_id", "config.strategies")},
    "part of the primary key": {("audit.decisions", "timestamp"), ("audit.system_events", "timestamp")},
}


def test_every_table_is_the_documents(document: str, database: Database):
    wanted = tables_of(document)
    assert set(wanted) == set(OPTIONAL) | {"features.catalog"}
    assert sum(len(table.columns) for table in wanted.values()) == 71
    for name, table in wanted.items():
        table.columns |= {column: kind for owner, column, kind in BEYOND_THE_DOCUMENT["columns"] if owner == name}
        table.indexes |= {columns for owner, columns in BEYOND_THE_DOCUMENT["indexes"] if owner == name}
        table.foreign_keys |= {
            (column, to) for owner, column, to in BEYOND_THE_DOCUMENT["foreign keys"] if owner == name
        }
        table.primary_key |= {
            column for owner, column in BEYOND_THE_DOCUMENT["part of the primary key"] if owner == name
        }
        found = table_in(database, name)
        assert found == table
        assert list(found.columns) == list(table.columns), f"{name} has another order of columns"


def test_the_schemas_and_enums_are_the_documents(document: str, database: Database):
    with database.begin() as connection:
        schemas = {name for (name,) in execute(connection, "SELECT nspname FROM pg_namespace")}
        enums = dict(
            execute(
                connection,
                "SELECT enumtypid::regtype::text, array_agg(enumlabel::text ORDER BY enumsortorder)"
                " FROM pg_enum GROUP BY 1",
            )
        )
    script = document[document.index("### 9.4") : document.index("### 9.5")]
    assert set(re.findall(r"CREATE SCHEMA IF NOT EXISTS (\w+);", script)) <= schemas
    declared = re.findall(r"CREATE TYPE ([\w.]+) AS ENUM\s+\((.*?)\);", script, re.DOTALL)
    assert len(declared) == 4
    for name, labels in declared:
        assert enums.pop(name) == re.findall(r"'(\w+)'", labels)
    assert set(enums) == {"trading.order_type"}


def test_what_may_be_missing(database: Database):
    for name, optional in OPTIONAL.items():
        with database.begin() as connection:
            found = execute(
                connection,
                "SELECT attname FROM pg_attribute WHERE attrelid = %(table)s::text::regclass AND attnum > 0"
                " AND NOT attnotnull",
                {"table": name},
            )
        assert {column for (column,) in found} == optional, name


def test_every_table_and_column_is_explained(database: Database):
    with database.begin() as connection:
        missing = execute(
            connection,
            """
            SELECT c.oid::regclass::text, a.attname
            FROM pg_class AS c
            JOIN pg_namespace AS n ON n.oid = c.relnamespace
            LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            WHERE c.relkind IN ('r', 'p', 'v')
              AND n.nspname IN ('trading', 'audit', 'features', 'news', 'config', 'market_data')
              AND (obj_description(c.oid, 'pg_class') IS NULL OR
                   col_description(c.oid, a.attnum) IS NULL AND NOT c.relispartition)
            """,
        )
    assert missing == []


@pytest.mark.exhaustive
def test_the_ledger_comes_to_a_database_that_has_data(database: Database, database_url: str):
    with database.begin() as connection:
        execute(connection, "DROP SCHEMA trading, audit, features, news, config, market_data CASCADE")
        execute(connection, "DROP TABLE public.alembic_version")
    bring_to(database_url, "0001")
    with database.begin() as connection:
        execute(
            connection,
            "INSERT INTO config.instruments (symbol, asset_class, calendar, source)"
            " VALUES ('SPY', 'etf', 'XNYS', 'file')",
        )
    assert upgrade(database) == ("0001", migrations.head())
    assert upgrade(database) == (migrations.head(), migrations.head())
    with database.begin() as connection:
        assert execute(connection, "SELECT symbol FROM config.instruments") == [("SPY",)]
        assert execute(connection, "SELECT count(*) FROM trading.orders") == [(0,)]


def test_an_upgrade_that_breaks_off_leaves_nothing(database: Database):
    with database.begin() as connection:
        execute(connection, "DROP SCHEMA trading, audit, features, news, config, market_data CASCADE")
        execute(connection, "DROP TABLE public.alembic_version")
        execute(connection, "CREATE SCHEMA news")  # in the way of the second revision, in its middle
    with pytest.raises(StoreError):
        upgrade(database)
    with database.begin() as connection:
        left = execute(
            connection,
            "SELECT nspname FROM pg_namespace WHERE nspname IN ('trading', 'audit', 'config', 'market_data')",
        )
        assert left == []
        execute(connection, "DROP SCHEMA news")
    assert upgrade(database) == (None, migrations.head())
