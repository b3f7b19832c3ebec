"""``limits``: shows the rate limits of sources and what is left of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated

import typer

from trading_platform.cli.output import out, print_json, table

if TYPE_CHECKING:
    from trading_platform.stores.redis.rate_limiters import Standing

_COLUMNS = ["limit", "of", "allows", "left", "waiting", "full again (UTC)"]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(limits)


def limits(
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Show the rate limits of sources, what is left of them, and when they are full again.

    The streamer, Dagster's runs and commands share the same rate limiters. Example: trading-platform limits
    """
    from trading_platform.resources.rate_limiters import standings
    from trading_platform.settings import load_settings

    found = standings(load_settings())
    if json:
        print_json([_as_dict(each) for each in found])
        return
    rows = [
        [
            each.limit.name,
            each.key,
            str(each.limit),
            f"{math.floor(each.left * 100) / 100:g}",
            each.waiting,
            f"{each.full_at:%Y-%m-%d %H:%M:%S}" if each.full_at else "now",
        ]
        for each in found
    ]
    out.print(table("Limits of sources", _COLUMNS, rows, right=["left", "waiting"]))


def _as_dict(each: Standing) -> dict[str, object]:
    return {
        "limit": each.limit.name,
        "key": each.key,
        "allows": str(each.limit),
        "most": each.limit.most,
        "left": each.left,
        "waiting": each.waiting,
        "full_at": each.full_at,
    }
