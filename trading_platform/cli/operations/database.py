"""``db``: the schema of the platform's database, and the retention of its tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from trading_platform.cli.output import out, print_json
from trading_platform.cli.output import table as shown

if TYPE_CHECKING:
    from trading_platform.stores.market_data.retention import TableStatus

_KILO = 1024

db = typer.Typer(help="Show or upgrade the database's schema.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(db, name="db")


@db.command()
def upgrade(json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False) -> None:
    """Upgrade the schema to the newest revision; a second run changes nothing.

    Example: trading-platform db upgrade
    """
    from trading_platform.embedded.stack import running_stack, upgrade_schema
    from trading_platform.settings import load_settings

    settings = load_settings()
    with running_stack(settings, need_redis=False) as endpoints:
        before, after = upgrade_schema(settings, endpoints)
    if json:
        print_json({"before": before, "after": after})
    elif before == after:
        out.print(f"The schema is already at revision {after}.")
    else:
        out.print(f"The schema was upgraded from {before or 'nothing'} to revision {after}.")


@db.command()
def status(json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False) -> None:
    """Show the schema's revision, and for each table of bars and indicators what is stored, compressed and due.

    Ends with exit code 1 if the schema is not at the newest revision. Example: trading-platform db status
    """
    from trading_platform.domain.time import utc_now
    from trading_platform.embedded.stack import running_stack
    from trading_platform.settings import load_settings
    from trading_platform.stores.market_data.retention import RetentionStore
    from trading_platform.stores.postgres import migrations
    from trading_platform.stores.postgres.database import Database

    with running_stack(load_settings(), need_redis=False) as endpoints:
        database = Database(endpoints.database_url)
        try:
            found, newest = migrations.current(database), migrations.head()
            tables: list[TableStatus] = []
            applied_by = "unknown"
            if found == newest:
                retention = RetentionStore(database, database)
                tables, applied_by = retention.status(utc_now()), retention.applied_by()
        finally:
            database.close()
    if json:
        schema = {"revision": found, "newest": newest, "current": found == newest}
        print_json(schema | {"retention_applied_by": applied_by, "tables": [asdict(table) for table in tables]})
    else:
        out.print(f"Revision {found or 'none'}; the newest is {newest}.")
        _print_tables(tables, applied_by)
    if found != newest:
        raise typer.Exit(1)


def _print_tables(tables: Sequence[TableStatus], applied_by: str) -> None:
    if not tables:
        return
    columns = ["table", "rows", "first", "last", "size", "chunks", "compressed", "compressed after", "to compress"]
    columns += ["kept", "to drop"]
    rows = [
        [
            table.table,
            table.rows,
            _day(table.first),
            _day(table.last),
            _size(table.bytes),
            table.chunks,
            table.compressed,
            table.compress_after if table.compressed is not None else None,
            table.due_to_compress,
            table.keep or "for ever",
            table.due_to_drop,
        ]
        for table in tables
    ]
    numbers = ["rows", "size", "chunks", "compressed", "to compress", "to drop"]
    out.print(shown("Bars and indicators", columns, rows, right=numbers))
    out.print(f"Retention is applied by {applied_by}.", highlight=False)
    runs = [timestamp for table in tables for timestamp in (table.next_compression, table.next_retention) if timestamp]
    if runs:
        out.print(f"The policies run next at {min(runs):%Y-%m-%d %H:%M} UTC.", highlight=False)


def _day(timestamp: datetime | None) -> str:
    return f"{timestamp:%Y-%m-%d}" if timestamp else ""


def _size(size: int) -> str:
    if size < _KILO**2:
        return f"{size / _KILO:.0f} kB"
    return f"{size / _KILO**2:,.1f} MB" if size < _KILO**3 else f"{size / _KILO**3:,.2f} GB"
