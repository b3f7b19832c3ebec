"""Bars and indicators against §3 of the user's document, with and without TimescaleDB: the same names and shapes.

The rest of the document's tables: ``test_schema.py``. Here too is the table of all of them for people, docs/schema.md.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator

import pytest
from processes import REPOSITORY
from schema_document import OPTIONAL, canonical, document, table_in

from trading_platform.domain.derived.indicators import INDICATOR_NAMES
from trading_platform.domain.time import Timeframe
from trading_platform.stores.postgres.database import Database, execute

__all__ = ["document"]  # the fixture

PAGE = REPOSITORY / "docs" / "schema.md"
INTRODUCTION = """# Tables

The tables of the design, as the database has them. A test writes this page from the live catalog and compares it with
the one that is here, and the catalog with the user's document.
"""
MARKET_DATA = ["market_data.ohlcv", "market_data.indicators", "market_data.ohlcv_1h"]
NEWS = (
    "news.raw_news",
    "news.versions",
    "news.identities",
    "news.sightings",
    "news.links",
    "news.aliases",
    "news.news_sentiment",
    "news.feeds",
)


@pytest.fixture(params=["plain", "timescaledb"], scope="module")
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    opened = Database(request.getfixturevalue("database_url" if request.param == "plain" else "timescale_url"))
    yield opened
    opened.close()


RECORDED = ("recorded_at", "timestamp with time zone")


def declared(document: str, table: str) -> tuple[dict[str, str], list[str]]:
    """Columns and primary key of a ``CREATE TABLE`` of the document."""
    found = re.search(rf"CREATE TABLE {re.escape(table)} \((.*?)\n\);", document, re.DOTALL)
    assert found is not None
    written = re.findall(r"^    ([a-z]\w*) +([A-Z]+\S*?),?(?: .*)?$", found[1], re.MULTILINE)
    columns = {name: canonical(kind) for name, kind in written}
    key = re.search(r"PRIMARY KEY \((.*?)\)", found[1])
    assert key is not None
    return columns, key[1].split(", ")


@pytest.mark.parametrize("name", ["market_data.ohlcv", "market_data.indicators"])
def test_what_is_read_has_the_documents_columns(document: str, database: Database, name: str) -> None:
    columns, _ = declared(document, name)
    found = table_in(database, name).columns
    assert list(found.items()) == list(columns.items())


@pytest.mark.parametrize("timeframe", list(Timeframe))
def test_the_tables_behind_have_the_documents_columns_and_key(
    document: str, database: Database, timeframe: Timeframe
) -> None:
    columns, key = declared(document, "market_data.ohlcv")
    bars = table_in(database, f"market_data.bars_{timeframe}")
    assert list(bars.columns.items()) == [
        *columns.items(),
        ("quality", "character varying(10)"),
        RECORDED,
    ]
    assert bars.primary_key == set(key)
    assert bars.indexes == {("symbol", "time")}
    _, key = declared(document, "market_data.indicators")
    indicators = table_in(database, f"market_data.indicators_{timeframe}")
    wide = dict.fromkeys(INDICATOR_NAMES, "double precision")
    assert indicators.columns == {name: columns[name] for name in ("time", "symbol", "timeframe")} | wide | dict(
        [RECORDED]
    )
    assert indicators.primary_key | {"indicator"} == set(key)  # there it is a column each
    assert indicators.indexes == {("symbol", "time")}


def test_the_document_names_the_indicators(document: str) -> None:
    part = document[document.index("**Indicadores almacenados") : document.index("### 3.3")]
    rows = re.findall(r"^\| ([a-z0-9_, ]+) \|", part, re.MULTILINE)
    assert sorted(name for row in rows for name in row.split(", ")) == sorted(INDICATOR_NAMES)


def test_the_aggregate_has_the_documents_columns(document: str, database: Database) -> None:
    text = document[document.index("CREATE MATERIALIZED VIEW market_data.ohlcv_1h") :]
    selected = text[text.index("SELECT") : text.index("FROM")]
    names = [item.split()[-1].strip() for item in re.split(r",\s*\n", selected.removeprefix("SELECT").strip())]
    found = table_in(database, "market_data.ohlcv_1h").columns
    assert list(found) == names
    assert found["bucket"] == "timestamp with time zone"
    assert found["symbol"] == "character varying(20)"
    assert {found[name] for name in names[2:]} == {"numeric"}


def test_the_rules_are_the_documents(document: str, database: Database) -> None:
    part = document[document.index("**Políticas de retención:**") : document.index("### 3.2")]
    words = {"meses": "months", "mes": "month", "años": "years", "año": "year"}
    rules = {}
    for timeframe, keep, compress in re.findall(r"^\| (\d[mhd]) \| (.+?) \| (.+?) \|", part, re.MULTILINE):
        spans = [
            re.sub(r"[a-zñ]+$", lambda found: words[found[0]], text) for text in (keep, compress) if text[0] != "I"
        ]
        rules[timeframe] = (spans[0] if len(spans) == 2 else None, spans[-1])
    assert set(rules) == set(Timeframe)
    with database.begin() as connection:
        for timeframe, (keep, compress) in rules.items():
            same = execute(
                connection,
                "SELECT table_name FROM config.retention WHERE timeframe = %(timeframe)s"
                " AND keep IS NOT DISTINCT FROM %(keep)s::interval AND compress_after = %(compress)s::interval",
                {"timeframe": timeframe, "keep": keep, "compress": compress},
            )
            found = {table for (table,) in same}
            assert {f"bars_{timeframe}", f"indicators_{timeframe}"} <= found
            assert len(found) == (3 if timeframe == "1h" else 2)


def described(database: Database) -> str:
    """All tables of the document as a page for people, from the live catalog."""
    parts = [INTRODUCTION]
    for name in [*OPTIONAL, "features.catalog", *NEWS, *MARKET_DATA]:
        table = table_in(database, name)
        with database.begin() as connection:
            ((said,),) = execute(
                connection, "SELECT obj_description(%(table)s::text::regclass, 'pg_class')", {"table": name}
            )
            comments = dict(
                execute(
                    connection,
                    "SELECT attname, col_description(attrelid, attnum) FROM pg_attribute"
                    " WHERE attrelid = %(table)s::text::regclass AND attnum > 0 AND NOT attisdropped",
                    {"table": name},
                )
            )
        parts.append(f"\n## {name}\n\n{said}.\n\n| column | type | key | meaning |\n|---|---|---|---|\n")
        targets = dict(table.foreign_keys)
        for column, kind in table.columns.items():
            key = "primary" if column in table.primary_key else f"→ {targets[column]}" if column in targets else ""
            parts.append(f"| {column} | {kind} | {key} | {comments[column] or ''} |\n")
        if table.indexes:
            indexes = "; ".join(f"({', '.join(columns)})" for columns in sorted(table.indexes))
            parts.append(f"\nIndexes: {indexes}\n")
    return "".join(parts)


def test_the_page_of_tables_is_the_live_catalog(database: Database) -> None:
    found = described(database)
    if os.environ.get("TEST_WRITE_SCHEMA_PAGE"):
        PAGE.write_text(found, encoding="utf-8")
    written = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    difference = "\n".join(difflib.unified_diff(written.splitlines(), found.splitlines(), "docs/schema.md", "database"))
    assert not difference, f"TEST_WRITE_SCHEMA_PAGE=1 writes the page again\n{difference}"
