"""``check-files``: says what is wrong or suspect about files, and imports nothing (docs/checks.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trading_platform.cli.output import out, print_json, progress_bars, table
from trading_platform.domain.time import Timeframe, rfc3339, utc_now
from trading_platform.sources.files.content.options import DecimalSign, ImportOptions
from trading_platform.stores.postgres.roles import Role

if TYPE_CHECKING:
    from trading_platform.workflows.quality.check_files import CheckedFile

_MOST_REASONS = 4


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("check-files")(check_files_command)


def check_files_command(
    files: Annotated[list[Path], typer.Argument(help="Files to check: whatever `import` reads.")],
    *,
    symbol: Annotated[str | None, typer.Option(help="Symbol of the prices, as for `import`.")] = None,
    timeframe: Annotated[str | None, typer.Option(help="1m, 5m, 1h or 1d, as for `import`.")] = None,
    timezone: Annotated[str | None, typer.Option(help="Time zone of times without one, as for `import`.")] = None,
    decimal: Annotated[DecimalSign | None, typer.Option(help="Sign before the decimals, as for `import`.")] = None,
    alone: Annotated[
        bool,
        typer.Option("--alone", help="Without the database: no stored bars, instruments and splits to compare with."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Check files without importing them: rejected rows, and what is suspect, with the likely cause.

    Ends with exit code 0 if nothing is wrong, with 1 if a file would be rejected as a whole, has rejected rows, or bars
    that are suspect.

    Example: trading-platform check-files SPY_2008-2018_yahoo.csv
    """
    from trading_platform.workflows.quality.check_files import check_files

    options = ImportOptions(
        symbol=symbol.upper() if symbol else None,
        timeframe=Timeframe.parse(timeframe) if timeframe else None,
        timezone=timezone,
        decimal=decimal,
    )
    with progress_bars(quiet=as_json) as progress:
        if alone:
            found = check_files(files, options, clock=utc_now, progress=progress)
        else:
            found = _beside_stored(lambda given: check_files(files, options, progress=progress, **given))
    if as_json:
        print_json([_as_dict(each) for each in found])
    else:
        for each in found:
            _print(each)
        wrong = sum(not each.is_clean for each in found)
        out.print(f"{len(found):,} checked, {wrong:,} with something wrong or suspect. Nothing was imported.")
    if not all(each.is_clean for each in found):
        raise typer.Exit(1)


def _beside_stored(check: Callable[[dict[str, Any]], list[CheckedFile]]) -> list[CheckedFile]:
    """Checks with what the database knows."""
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings

    with open_platform(load_settings(), role=Role.DASHBOARD) as platform:
        stores = platform.stores
        splits = stores.corporate_actions.splits
        return check(
            {
                "clock": platform.clock,
                "known": stores.instruments.get,
                "stored": lambda name, length, window: stores.bars.read([name], length, window),
                "splits": lambda name: [time for time, _ in splits([name]).get(name, ())],
            }
        )


def _print(found: CheckedFile) -> None:
    name = Path(found.origin).name
    what = " ".join(filter(None, (found.symbol, found.timeframe)))
    if found.rejection is not None:
        out.print(f"{name} {what}: would be rejected. {found.rejection}", style="red", highlight=False)
        return
    state, style = ("clean", "green") if found.is_clean else ("suspect", "yellow")
    out.print(f"{name} {what}: {state}; {found.rows:,} rows, {found.bars:,} bars", style=style, highlight=False)
    if found.assumption:
        out.print(f"  assumed: {found.assumption}", highlight=False)
    if found.reasons:
        most = sorted(found.reasons.items(), key=lambda item: -item[1])[:_MOST_REASONS]
        words = ", ".join(f"{count:,} {reason}" for reason, count in most)
        out.print(f"  rejected rows: {words} (`trading-platform rules` explains them)", highlight=False)
    if found.findings:
        columns = ("rule", "from (UTC)", "to (UTC)", "bars", "measured", "likely cause")
        rows = [
            (
                each.rule.value,
                "" if each.first is None else f"{each.first:%Y-%m-%d %H:%M}",
                "" if each.last is None else f"{each.last:%Y-%m-%d %H:%M}",
                f"{each.bars:,}",
                each.evidence,
                each.cause,
            )
            for each in found.findings
        ]
        out.print(table(f"{name}: what is suspect", columns, rows, right=("bars",), keys=("rule",)))


def _as_dict(found: CheckedFile) -> dict[str, Any]:
    findings = [
        {
            **asdict(each),
            "first": None if each.first is None else rfc3339(each.first),
            "last": None if each.last is None else rfc3339(each.last),
        }
        for each in found.findings
    ]
    return {**asdict(found), "findings": findings, "is_clean": found.is_clean}
