"""The live catalog against the user's document: tables, columns, types, keys and indexes are the document's.

The document is read, not retold: ``TRADING_SPEC`` names it, by default ``../shared/spec/data-architecture.es.md``.
What the database has beyond it stands here as a list, so that nothing is added unnoticed.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from processes import REPOSITORY
from schemas import bring_to

from trading_platform.domain.errors import StoreError
from trading_platform.stores import migrations
from trading_platform.stores.postgres import Database, execute

BEYOND_THE_DOCUMENT = {
    "indexes": {
        ("trading.trades", ("order_id",)),
        ("trading.trades", ("symbol", "executed_at", "id")),
        ("audit.decisions", ("timestamp",)),
        ("audit.system_events", ("timestamp",)),
    },
    "foreign keys": {("trading.orders", "strategy_id", "config.strategies")},
    "part of the primary key": {("audit.decisions", "timestamp"), ("audit.system_events", "timestamp")},
}
OPTIONAL = {
    "trading.orders": {"price", "broker_order_id", "strategy_id", "filled_at", "avg_fill_price"},
    "trading.trades": set(),
    "trading.positions": {"avg_entry_price", "current_price", "opened_at"},
    "config.strategies": {"allowed_symbols", "regime_filter", "max_positions"},
    "config.risk_limits": {"description"},
    "audit.decisions": {"symbol", "signals", "risk_check", "final_action", "reasoning", "order_id"},
    "audit.system_events": {"metadata"},
}
"""Columns that may be NULL; the document says so of the price alone, and the features' catalog leaves all open."""

TYPES = {
    "UUID": "uuid",
    "TIMESTAMPTZ": "timestamp with time zone",
    "BOOLEAN": "boolean",
    "JSONB": "jsonb",
    "INTEGER": "integer",
    "TEXT": "text",
    "TEXT[]": "text[]",
    "BIGSERIAL": "bigint",
}


@dataclass
class Table:
    """A table, as the document or as the database has it."""

    columns: dict[str, str] = field(default_factory=dict)
    primary_key: set[str] = field(default_factory=set)
    foreign_keys: set[tuple[str, str]] = field(default_factory=set)
    indexes: set[tuple[str, ...]] = field(default_factory=set)


def canonical(written: str) -> str:
    """A type of the document in the database's words; an enum by its labels."""
    if written.startswith("ENUM"):
        return "enum " + " ".join(re.findall(r"'(\w+)'", written))
    sized = re.fullmatch(r"(VARCHAR|DECIMAL)(\([\d,]+\))", written)
    if sized:
        return {"VARCHAR": "character varying", "DECIMAL": "numeric"}[sized[1]] + sized[2]
    return TYPES[written]


def tables_of(document: str) -> dict[str, Table]:
    """Every table of §2 and the features' catalog of §6.1."""
    found: dict[str, Table] = {}
    schema, table = "", Table()
    for line in document[document.index("## 2.") : document.index("## 3.")].splitlines():
        if heading := re.match(r"### .*Esquema `(\w+)`", line):
            schema = heading[1]
        elif heading := re.match(r"\*\*Tabla: `(\w+)`", line):
            table = found[f"{schema}.{heading[1]}"] = Table()
        elif row := re.match(r"\| (\w+) \| ([A-Z]{2,}\S*) \| (.*) \|$", line):
            name, written, said = row.groups()
            table.columns[name] = canonical(written)
            table.primary_key |= {name} if said.startswith("PK") else set()
            if key := re.match(r"FK → (\w+)", said):
                table.foreign_keys.add((name, f"trading.{key[1]}"))
        elif line.startswith("**Índices:**"):
            table.indexes = {tuple(each.split(", ")) for each in re.findall(r"`\((.*?)\)`", line)}
    catalog = re.search(r"CREATE TABLE features\.catalog \((.*?)\n\);", document, re.DOTALL)
    assert catalog is not None
    table = found["features.catalog"] = Table()
    for name, written, rest in re.findall(r"^    (\w+) +([A-Z]+\S*?),?(?: +(.*))?$", catalog[1], re.MULTILINE):
        table.columns[name] = canonical(written)
        table.primary_key |= {name} if rest.startswith("PRIMARY KEY") else set()
    return found


COLUMNS = """
SELECT a.attname, CASE t.typtype WHEN 'e'
    THEN 'enum ' || (
        SELECT string_agg(e.enumlabel, ' ' ORDER BY e.enumsortorder) FROM pg_enum AS e WHERE e.enumtypid = t.oid)
    ELSE format_type(a.atttypid, a.atttypmod) END
FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
WHERE a.attrelid = %(table)s::text::regclass AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
KEYS = """
SELECT c.contype, a.attname, CASE c.contype WHEN 'f' THEN c.confrelid::regclass::text END
FROM pg_constraint AS c JOIN pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
WHERE c.conrelid = %(table)s::text::regclass AND c.contype IN ('p', 'f')
"""
INDEXES = """
SELECT array_agg(a.attname::text ORDER BY k.place)
FROM pg_index AS i
CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (number, place)
JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number
WHERE i.indrelid = %(table)s::text::regclass AND NOT i.indisprimary
GROUP BY i.indexrelid
"""


def table_in(database: Database, name: str) -> Table:
    with database.begin() as connection:
        columns, keys, indexes = (execute(connection, each, {"table": name}) for each in (COLUMNS, KEYS, INDEXES))
    return Table(
        dict(columns),
        {column for kind, column, _ in keys if kind in ("p", b"p")},
        {(column, target) for kind, column, target in keys if kind in ("f", b"f")},
        {tuple(names) for (names,) in indexes},
    )


@pytest.fixture(scope="module")
def document() -> str:
    file = Path(os.environ.get("TRADING_SPEC", REPOSITORY.parent / "shared" / "spec" / "data-architecture.es.md"))
    if not file.exists():
        pytest.skip(f"the document is absent: no {file} (set TRADING_SPEC)")
    return file.read_text(encoding="utf-8")


def test_every_table_is_the_documents(document: str, database: Database):
    wanted = tables_of(document)
    assert set(wanted) == set(OPTIONAL) | {"features.catalog"}
    assert sum(len(table.columns) for table in wanted.values()) == 71
    for name, table in wanted.items():
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
    assert migrations.upgrade(database) == ("0001", migrations.head())
    assert migrations.upgrade(database) == (migrations.head(), migrations.head())
    with database.begin() as connection:
        assert execute(connection, "SELECT symbol FROM config.instruments") == [("SPY",)]
        assert execute(connection, "SELECT count(*) FROM trading.orders") == [(0,)]


def test_an_upgrade_that_breaks_off_leaves_nothing(database: Database):
    with database.begin() as connection:
        execute(connection, "DROP SCHEMA trading, audit, features, news, config, market_data CASCADE")
        execute(connection, "DROP TABLE public.alembic_version")
        execute(connection, "CREATE SCHEMA news")  # in the way of the second revision, in its middle
    with pytest.raises(StoreError):
        migrations.upgrade(database)
    with database.begin() as connection:
        left = execute(
            connection,
            "SELECT nspname FROM pg_namespace WHERE nspname IN ('trading', 'audit', 'config', 'market_data')",
        )
        assert left == []
        execute(connection, "DROP SCHEMA news")
    assert migrations.upgrade(database) == (None, migrations.head())
