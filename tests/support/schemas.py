"""Databases at one revision or another, and all that can be said of one: its catalog and its rows."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
from alembic import command
from commands import rows
from databases import create, drop
from psycopg import sql

from trading_platform.stores import schema
from trading_platform.stores.postgres import migrations
from trading_platform.stores.postgres.database import Database

CATALOG = """
WITH schemas AS (
    SELECT oid, nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'
), relations AS (
    SELECT c.*, c.oid::regclass::text AS name FROM pg_class AS c JOIN schemas ON schemas.oid = c.relnamespace
), functions AS (
    SELECT f.*, f.oid::regprocedure::text AS name FROM pg_proc AS f JOIN schemas ON schemas.oid = f.pronamespace
), granted AS (
    SELECT name, relowner AS owner, relacl AS acl FROM relations
    UNION ALL SELECT name, proowner, proacl FROM functions
    UNION ALL SELECT nspname, nspowner, nspacl FROM pg_namespace JOIN schemas USING (oid, nspname)
    WHERE nspname <> 'public'
    UNION ALL SELECT name || '.' || attname, relowner, attacl
    FROM pg_attribute JOIN relations ON relations.oid = attrelid WHERE attacl IS NOT NULL
)
SELECT 'schema', nspname, concat_ws(' | ', obj_description(oid, 'pg_namespace')) FROM schemas WHERE nspname <> 'public'
UNION ALL
SELECT 'relation', name, concat_ws(' | ', relkind, relreplident, relrowsecurity, reloptions,
    pg_get_partkeydef(oid), pg_get_expr(relpartbound, oid), obj_description(oid, 'pg_class'))
FROM relations
UNION ALL
SELECT 'column', name || '.' || attname, concat_ws(' | ', attnum, format_type(atttypid, atttypmod), attnotnull,
    attidentity, attgenerated, pg_get_expr(adbin, adrelid), col_description(relations.oid, attnum))
FROM relations JOIN pg_attribute ON attrelid = relations.oid AND attnum > 0 AND NOT attisdropped
LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
WHERE relkind <> 'i' AND relkind <> 'I' AND relkind <> 'S'
UNION ALL  -- that a column is not null is a constraint of its own from PostgreSQL 18 on; it stands with the column
SELECT 'constraint', name || '.' || conname, concat_ws(' | ', pg_get_constraintdef(c.oid), convalidated)
FROM pg_constraint AS c JOIN relations ON relations.oid = conrelid WHERE contype <> 'n'
UNION ALL
SELECT 'index', name, concat_ws(' | ', pg_get_indexdef(relations.oid), indisvalid)
FROM relations JOIN pg_index ON indexrelid = relations.oid
UNION ALL
SELECT 'view', name, pg_get_viewdef(oid) FROM relations WHERE relkind IN ('v', 'm')
UNION ALL
SELECT 'sequence', s.seqrelid::regclass::text, concat_ws(' | ', s.seqtypid::regtype, seqstart, seqincrement, seqmax)
FROM pg_sequence AS s JOIN relations ON relations.oid = s.seqrelid
UNION ALL
SELECT 'function', name, concat_ws(' | ', prokind, provolatile, prosecdef, pg_get_function_result(oid),
    proconfig, prosrc, obj_description(oid, 'pg_proc'))
FROM functions
UNION ALL
SELECT 'trigger', name || '.' || tgname, concat_ws(' | ', pg_get_triggerdef(t.oid), tgenabled)
FROM pg_trigger AS t JOIN relations ON relations.oid = tgrelid WHERE NOT tgisinternal
UNION ALL
SELECT 'enum', t.oid::regtype::text, concat_ws(' | ', obj_description(t.oid, 'pg_type'),
    (SELECT string_agg(enumlabel, ' ' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid))
FROM pg_type AS t JOIN schemas ON schemas.oid = typnamespace WHERE typtype = 'e'
UNION ALL  -- an owner may do everything, and from PostgreSQL 17 on there is more of that
SELECT 'grant', name, concat_ws(' | ', COALESCE(NULLIF(grantee, 0)::regrole::text, 'everybody'), privilege_type)
FROM granted, aclexplode(acl) WHERE grantee <> owner
ORDER BY 1, 2, 3
"""


def catalog(url: str) -> list[tuple[str, str, str]]:
    """Everything in a database that is not the server's own, as (kind, name, what it says of it)."""
    return [(kind, name, said) for kind, name, said in rows(url, CATALOG)]


def shape(url: str) -> dict[str, list[str]]:
    """The columns of every table of the platform; the catalog of features, which follows the code, is left out."""
    found: dict[str, list[str]] = {}
    statement = """
        SELECT nspname || '.' || relname, attname FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = relnamespace
            AND nspname IN ('market_data', 'config', 'trading', 'audit', 'features', 'news')
        JOIN pg_attribute ON attrelid = c.oid AND attnum > 0 AND NOT attisdropped
        WHERE relkind IN ('r', 'p', 'v') AND NOT relispartition AND nspname || '.' || relname <> 'features.catalog'
        ORDER BY 1, attnum
        """
    for table, column in rows(url, statement):
        found.setdefault(table, []).append(column)
    return found


def contents(url: str, columns: Mapping[str, list[str]] | None = None) -> dict[str, list[str]]:
    """All rows of every table and view as text, sorted.

    Args:
        url: which database.
        columns: of which columns of which tables; all if not given.
    """
    with psycopg.connect(url, options="-c timezone=UTC") as connection:
        return {
            table: sorted(
                row
                for (row,) in connection.execute(
                    sql.SQL("SELECT ROW({})::text FROM {}").format(
                        sql.SQL(", ").join(map(sql.Identifier, names)), sql.Identifier(*table.split("."))
                    )
                )
            )
            for table, names in (shape(url) if columns is None else columns).items()
        }


RENAMED_TABLES = {
    "market_data.derivations": "market_data.input_versions",
    "market_data.resume_points": "market_data.checkpoints",
    "market_data.overlaps": "market_data.source_comparisons",
    "market_data.overlap_differences": "market_data.conflicting_versions",
    "config.lifecycle": "config.retention",
}
RENAMED_COLUMNS = {
    "market_data.coverage": {"unconfirmed": "pending_confirmation"},
    "market_data.coverage_requests": {"refused": "rejected"},
    "market_data.source_comparisons": {"tier": "compared_with"},
    "market_data.conflicting_versions": {"tier": "compared_with", "heard": "received"},
}
RENAMED_STATES = {
    "market_data.outages": {"given_up": "failed_permanently"},
    "market_data.gaps": {
        "given_up": "failed_permanently",
        "unconfirmed": "pending_confirmation",
        "vanished": "missing_or_modified",
    },
}


COMPUTED_AGAIN = ("market_data.ohlcv_1h", "market_data.ohlcv_1h_changes")
"""Whose rows revision 0010 changes: tests/integration/stores/market_data/test_retention.py."""


def renamed_columns(columns: dict[str, list[str]]) -> dict[str, list[str]]:
    """Where the columns of an earlier schema are since revision 0009."""
    tables = {RENAMED_TABLES.get(table, table): names for table, names in columns.items()}
    return {
        table: [RENAMED_COLUMNS.get(table, {}).get(name, name) for name in names] for table, names in tables.items()
    }


def renamed_rows(rows_of: dict[str, list[str]]) -> dict[str, list[str]]:
    """Rows of an earlier schema as they are to read since revision 0009."""
    tables = {RENAMED_TABLES.get(table, table): lines for table, lines in rows_of.items()}
    return {table: sorted(_renamed_states(line, table) for line in lines) for table, lines in tables.items()}


def without_computed(
    columns: dict[str, list[str]], lines: dict[str, list[str]]
) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """Columns and rows without those of the tables that are computed again."""
    return (
        {table: names for table, names in columns.items() if table not in COMPUTED_AGAIN},
        {table: rows for table, rows in lines.items() if table not in COMPUTED_AGAIN},
    )


def _renamed_states(line: str, table: str) -> str:
    for before, after in RENAMED_STATES.get(table, {}).items():
        line = line.replace(before, after)
    return line


@contextmanager
def new_database(server_url: str, template: str = "template0") -> Iterator[str]:
    """URL of a database that is dropped afterwards: empty, or a copy of another."""
    name = f"schema_{uuid.uuid4().hex[:10]}"
    try:
        yield create(server_url, name, template)
    finally:
        drop(server_url, name)


def bring_to(url: str, revision: str) -> None:
    """Runs the revisions up to one, as a version of the platform did that had no later ones."""
    database = Database(url)
    try:
        with database.begin() as connection:
            config = migrations._config()
            config.attributes["connection"] = connection
            command.upgrade(config, revision)
    finally:
        database.close()


def upgrade(url: str) -> tuple[str | None, str]:
    """As ``trading-platform db upgrade``, on connections of its own."""
    database = Database(url)
    try:
        return schema.upgrade(database)
    finally:
        database.close()
