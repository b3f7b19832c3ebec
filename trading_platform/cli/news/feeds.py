"""``news feeds`` and ``news aliases``: the feeds that are fetched, and a user's own names of instruments."""

from __future__ import annotations

from typing import Annotated

import typer

from trading_platform.cli.output import out, print_json, table
from trading_platform.cli.parameters import in_capitals
from trading_platform.domain.errors import InvalidRequest
from trading_platform.stores.postgres.roles import Role

feeds = typer.Typer(
    help="The feeds that news are fetched from. Example: trading-platform news feeds list.", no_args_is_help=True
)
aliases = typer.Typer(
    help="Names by which texts call an instrument. Example: trading-platform news aliases add ZZZ 'Zeta Zinc'.",
    no_args_is_help=True,
)


@feeds.command("add")
def add_feed(
    name: Annotated[str, typer.Argument(help="Name of the feed, the source of its articles.")],
    url: Annotated[str, typer.Argument(help="Address of RSS or Atom, or newsapi:q=… for a query to NewsAPI.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Add a feed, or change its address.

    Example: trading-platform news feeds add fed https://www.federalreserve.gov/feeds/press_all.xml
    """
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings

    with open_platform(load_settings()) as platform:
        is_new = platform.stores.feeds.add(name, url)
    if json:
        print_json({"name": name, "url": url, "is_new": is_new})
    else:
        out.print(f"{'Added' if is_new else 'Changed'} {name}. `trading-platform news fetch` fetches it.")


@feeds.command("list")
def list_feeds(json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False) -> None:
    """List the feeds and how their last fetch ended. Example: trading-platform news feeds list."""
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings

    with open_platform(load_settings(), role=Role.DASHBOARD) as platform:
        found = platform.stores.feeds.all()
    if json:
        print_json([vars(feed) for feed in found.values()])
        return
    if not found:
        out.print("There are no feeds. `trading-platform news feeds add NAME URL` adds one.")
        return
    columns = ("feed", "status", "last fetch (UTC)", "fetches", "unchanged", "failed", "address", "error")
    rows = [
        (
            feed.name,
            feed.status.replace("_", " "),
            "" if feed.fetched_at is None else f"{feed.fetched_at:%Y-%m-%d %H:%M}",
            feed.fetches,
            feed.not_modified,
            feed.failed,
            feed.url,
            feed.error or "",
        )
        for feed in found.values()
    ]
    out.print(table("Feeds", columns, rows, right=("fetches", "unchanged", "failed"), keys=("feed",)))


@feeds.command("remove")
def remove_feed(
    name: Annotated[str, typer.Argument(help="Name of the feed.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Remove a feed; its articles stay. Example: trading-platform news feeds remove fed."""
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings

    with open_platform(load_settings()) as platform:
        removed = platform.stores.feeds.remove(name)
    if not removed:
        raise InvalidRequest(
            f"There is no feed {name!r}.", received=name, remedy="`trading-platform news feeds list` shows them"
        )
    if json:
        print_json({"removed": name})
    else:
        out.print(f"Removed {name}; its articles stay.")


@aliases.command("add")
def add_alias(
    symbol: Annotated[str, typer.Argument(callback=in_capitals, help="Symbol of the instrument.")],
    alias: Annotated[str, typer.Argument(help="Name by which texts call it.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Add a name of an instrument. Example: trading-platform news aliases add ZZZ 'Zeta Zinc'."""
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings

    with open_platform(load_settings()) as platform:
        platform.stores.instruments.require([symbol])
        is_new = platform.stores.sentiment.add_alias(symbol, alias)
    if json:
        print_json({"symbol": symbol, "alias": alias, "is_new": is_new})
    else:
        out.print(f"{alias} is {symbol}. `trading-platform news score` links stored articles by it.")


@aliases.command("list")
def list_aliases(json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False) -> None:
    """List the names that were added. Example: trading-platform news aliases list."""
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings

    with open_platform(load_settings(), role=Role.DASHBOARD) as platform:
        found = platform.stores.sentiment.aliases()
    if json:
        print_json(found)
    else:
        rows = [(symbol, ", ".join(names)) for symbol, names in found.items()]
        out.print(table("Names of instruments", ("symbol", "names"), rows) if rows else "No names were added.")
