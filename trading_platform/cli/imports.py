"""The command ``import``: files of bars, trades and quotes into the platform.

What it does is in :mod:`trading_platform.workflows.import_files`; here it is asked for and printed.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.time import Timeframe, utc_now
from trading_platform.sources.files.options import DateOrder, FileFormat, ImportOptions, PriceSide

if TYPE_CHECKING:
    from trading_platform.workflows.import_files import ImportedFile, ImportReport

_MOST_LINES = 60
"""Files shown one by one in the table; of more only those that were refused or are worth a look."""


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("import")(import_command)


def import_command(
    files: Annotated[
        list[Path], typer.Argument(help="Files to import: CSV, JSON, Parquet, Feather; also .gz and .zip.")
    ],
    *,
    symbol: Annotated[
        str | None, typer.Option(help="Whose prices they are. Default: told by each file's name.")
    ] = None,
    timeframe: Annotated[
        str | None, typer.Option(help="1m, 5m, 1h or 1d. Default: the commonest step between the rows.")
    ] = None,
    format_: Annotated[
        FileFormat | None, typer.Option("--format", help="Shape of the files. Default: recognised.")
    ] = None,
    price: Annotated[PriceSide, typer.Option(help="Which price of bid-and-ask files is used.")] = PriceSide.MID,
    timezone: Annotated[
        str | None, typer.Option(help="Zone of times written without one, for example America/New_York.")
    ] = None,
    dates: Annotated[
        DateOrder | None, typer.Option(help="Order in dates like 01/03/2017, where they do not tell themselves.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Import files of bars or ticks, whatever their format; refused rows are quarantined with their reason.

    Ends with 0 if every file gave rows or was imported before, with 1 if a file was refused as a whole.

    Example: trading-platform import SPY_2008-2018_yahoo.csv XBTUSD_1440.csv
    """
    from trading_platform.cli.output import progress_bars
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings
    from trading_platform.sources.files.landing import LandingArea
    from trading_platform.workflows.import_files import import_files

    options = ImportOptions(
        symbol=symbol.upper() if symbol else None,
        timeframe=Timeframe.parse(timeframe) if timeframe else None,
        format=format_,
        price=price,
        timezone=timezone,
        dates=dates,
    )
    settings = load_settings()
    _check_exist(files)
    with open_platform(settings) as platform, progress_bars(quiet=as_json) as progress:
        report = import_files(
            files,
            options,
            landing=LandingArea(settings.imports_directory),
            quarantine=platform.stores.quarantine,
            coverage=platform.stores.coverage,
            instruments=platform.stores.instruments,
            clock=utc_now,
            progress=progress,
        )
    _print(report, as_json=as_json)
    if not report.every_file_usable:
        raise typer.Exit(1)


def _check_exist(files: list[Path]) -> None:
    """Before any server is started for them."""
    from trading_platform.sources.files.contents import check_exists

    if not files:
        raise InvalidRequest("There is nothing to import.", expected="one file or more", remedy="name the files")
    for file in files:
        check_exists(file.expanduser())


def _print(report: ImportReport, *, as_json: bool) -> None:
    from trading_platform.cli.output import out, print_json, table

    if as_json:
        print_json(
            {
                "files": [asdict(file) for file in report.files],
                "reasons": report.reasons,
                "next": [_backfill(*series) for series in report.series],
            }
        )
        return
    out.print(_files_table(report))
    if report.reasons:
        rows = list(report.reasons.items())
        out.print(table("Refused rows by reason", ("reason", "rows"), rows, right=("rows",)))
    for symbol in sorted({file.symbol for file in report.files if file.registered and file.symbol}):
        out.print(
            f"{symbol} was unknown and has been added to the instruments; `trading-platform instruments` changes it."
        )
    for series in report.series:
        out.print(f"next: {_backfill(*series)}", highlight=False)


def _files_table(report: ImportReport) -> object:
    from trading_platform.cli.output import table

    counts = ("rows", "accepted", "quarantined")
    columns = ("file", "format", "symbol", "timeframe", *counts, "span", "note")
    shown = report.files
    if len(shown) > _MOST_LINES:
        shown = tuple(file for file in report.files if file.quarantined)[:_MOST_LINES]
    title = f"{len(report.files)} files" + (
        f", the {len(shown)} with refused rows shown" if shown != report.files else ""
    )
    rows = [_row(file) for file in shown]
    totals = (sum(getattr(file, name) for file in report.files) for name in counts)
    rows.append(("all", "", "", "", *totals, "", ""))
    return table(title, columns, rows, right=counts)


def _row(file: ImportedFile) -> tuple[object, ...]:
    precise = "%Y-%m-%d" if file.timeframe == Timeframe.D1.value else "%Y-%m-%d %H:%M"
    span = f"{file.start:{precise}} to {file.end:{precise}}" if file.start and file.end else None
    said = file.assumption if file.accepted else file.detail
    note = said if file.status == "imported" else f"{file.status}: {said}"
    counts = (file.rows, file.accepted, file.quarantined)
    return (Path(file.origin).name, file.format, file.symbol, file.timeframe, *counts, span, note)


def _backfill(symbol: str, timeframe: str) -> str:
    return f"trading-platform backfill {symbol} --timeframe {timeframe}"
