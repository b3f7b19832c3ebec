"""``db``: the schema of the platform's database."""

from __future__ import annotations

from typing import Annotated

import typer

from trading_platform.cli.output import out, print_json
from trading_platform.settings import load_settings

db = typer.Typer(help="Show or upgrade the database's schema.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(db, name="db")


@db.command()
def upgrade(json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False) -> None:
    """Bring the schema up to the newest revision; a second time changes nothing.

    Example: trading-platform db upgrade
    """
    from trading_platform.embedded.stack import running_stack, upgrade_schema

    settings = load_settings()
    with running_stack(settings, need_redis=False) as endpoints:
        before, after = upgrade_schema(settings, endpoints)
    if json:
        print_json({"before": before, "after": after})
    elif before == after:
        out.print(f"The schema was at revision {after} already.")
    else:
        out.print(f"The schema went from {before or 'nothing'} to revision {after}.")


@db.command()
def status(json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False) -> None:
    """Show which revision the database is at, and which is the newest. Example: trading-platform db status."""
    from trading_platform.embedded.stack import running_stack
    from trading_platform.stores import migrations
    from trading_platform.stores.postgres import Database

    with running_stack(load_settings(), need_redis=False) as endpoints:
        database = Database(endpoints.database_url)
        found, newest = migrations.current(database), migrations.head()
        database.close()
    if json:
        print_json({"revision": found, "newest": newest, "current": found == newest})
    else:
        out.print(f"Revision {found or 'none'}; the newest is {newest}.")
    if found != newest:
        raise typer.Exit(1)
