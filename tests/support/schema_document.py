"""The tables of the user's document and those of the live catalog, in one form, so that tests can compare them.

The document is read, not retold: ``TEST_SPEC`` names it, by default ``../shared/spec/data-architecture.es.md``.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from processes import REPOSITORY

from trading_platform.stores.postgres.database import Database, execute

OPTIONAL = {
    "trading.orders": {"price", "stop_price", "broker_order_id", "strategy_id", "filled_at", "avg_fill_price"},
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
    file = Path(os.environ.get("TEST_SPEC", REPOSITORY.parent / "shared" / "spec" / "data-architecture.es.md"))
    if not file.exists():
        pytest.skip(f"the document is absent: no {file} (set TEST_SPEC)")
    return file.read_text(encoding="utf-8")
