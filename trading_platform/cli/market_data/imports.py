"""The command ``import``: imports files of bars, trades and quotes.

:mod:`trading_platform.workflows.imports.import_files` does the work; this module parses the options and prints the
result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.time import Timeframe, utc_now
from trading_platform.sources.files.content.options import DateOrder, DecimalSign, FileFormat, ImportOptions, PriceSide

if TYPE_CHECKING:
    from trading_platform.stores.stores import Stores
    from trading_platform.workflows.imports.import_files import ImportedFile, ImportReport
    from trading_platform.workflows.progress import Progress


class ImportSource(StrEnum):
    """The source of imported bars."""

    FILE = "file"
    KRAKEN = "kraken"


RejectedRow = tuple[str, int | None, str, str | None, str | None]
"""Origin, line, reason, detail and the row itself."""

_FIRST_REJECTED = 5
_LONGEST_ROW = 120  # characters of a row that are shown
_FEW = 3  # files that a note names
_MOST_LINES = 60
"""Maximum number of files in the table; of more files only those with rejected rows are shown."""


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command("import")(import_command)


def import_command(
    files: Annotated[
        list[Path], typer.Argument(help="Files to import: CSV, JSON, Parquet, Feather; also .gz and .zip.")
    ],
    *,
    symbol: Annotated[
        str | None,
        typer.Option(
            help="Symbol of the prices. Default: each symbol in a file's column of symbols or header, else the one in "
            "its name; for Kraken's archives, all pairs of the "
            "universe."
        ),
    ] = None,
    ticker: Annotated[
        str | None,
        typer.Option(
            help="What a file of several instruments calls the one to import, where that is not its symbol: "
            "--ticker US500 --symbol SPX."
        ),
    ] = None,
    timeframe: Annotated[
        str | None, typer.Option(help="1m, 5m, 1h or 1d. Default: the most frequent step between the rows.")
    ] = None,
    format_: Annotated[
        FileFormat | None, typer.Option("--format", help="Format of the files. Default: detected.")
    ] = None,
    price: Annotated[PriceSide, typer.Option(help="Price to use from files with bid and ask.")] = PriceSide.MID,
    timezone: Annotated[
        str | None, typer.Option(help="Time zone of times without one, for example America/New_York.")
    ] = None,
    dates: Annotated[
        DateOrder | None, typer.Option(help="Order in dates like 01/03/2017, where the file leaves it ambiguous.")
    ] = None,
    any_price_level: Annotated[
        bool, typer.Option(help="Import prices a thousand times the stored ones, or a thousandth, which is refused.")
    ] = False,
    decimal: Annotated[
        DecimalSign | None, typer.Option(help="Sign before the decimals, where the file leaves it ambiguous.")
    ] = None,
    volume: Annotated[
        str | None, typer.Option(help="Name of the column of volumes, where the file leaves it ambiguous.")
    ] = None,
    source: Annotated[
        ImportSource | None,
        typer.Option(
            help="Source of the bars: kraken for files from Kraken's bulk downloads, which get the highest priority in "
            "its history. Default: kraken for archives named Kraken_*.zip, file for all others."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Import files of bars or ticks in any supported format; rejected rows are quarantined with their reason.

    Ends with exit code 0 if every file had usable rows or was imported before, and with 1 if a file was rejected as a
    whole.

    Kraken's bulk archives (Kraken_OHLCVT.zip, Kraken_Trading_History.zip) are read member by member, whatever their
    size.

    Example: trading-platform import SPY_2008-2018_yahoo.csv Kraken_OHLCVT_Q1_2024.zip
    """
    from trading_platform.cli.output import progress_bars
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings

    options = ImportOptions(
        symbol=symbol.upper() if symbol else None,
        ticker=ticker,
        timeframe=Timeframe.parse(timeframe) if timeframe else None,
        format=format_,
        price=price,
        timezone=timezone,
        dates=dates,
        any_price_level=any_price_level,
        decimal=decimal,
        volume=volume,
    )
    settings = load_settings()
    _check_exist(files)
    with open_platform(settings) as platform, progress_bars(quiet=as_json) as progress:
        report = _import(files, source, options, settings.imports_directory, platform.stores, progress)
        rejected = platform.stores.quarantine.first_of(
            [file.origin for file in report.files if file.quarantined], _FIRST_REJECTED
        )
    _print(report, rejected, as_json=as_json)
    if not report.every_file_usable:
        raise typer.Exit(1)


def _import(
    files: list[Path],
    source: ImportSource | None,
    options: ImportOptions,
    imports: Path,
    stores: Stores,
    progress: Progress,
) -> ImportReport:
    """Imports Kraken's archives by member, and all other files."""
    from trading_platform.sources.files.landing import LandingArea
    from trading_platform.sources.kraken.archives.archive import is_archive
    from trading_platform.sources.kraken.landing_source import KrakenArchive
    from trading_platform.workflows.imports.import_archives import import_archives
    from trading_platform.workflows.imports.import_files import ImportReport, import_files

    krakens = [file for file in files if source is ImportSource.KRAKEN or (source is None and is_archive(file))]
    members = (
        import_archives(
            krakens,
            symbol=options.symbol,
            timeframe=options.timeframe,
            archive=KrakenArchive(imports),
            stores=stores,
            clock=utc_now,
            progress=progress,
        )
        if krakens
        else []
    )
    others = import_files(
        [file for file in files if file not in krakens],
        options,
        landing=LandingArea(imports),
        quarantine=stores.quarantine,
        coverage=stores.coverage,
        instruments=stores.instruments,
        bars=stores.bars,
        clock=utc_now,
        progress=progress,
    )
    return ImportReport((*members, *others.files))


def _check_exist(files: list[Path]) -> None:
    """Checks the files before any server is started."""
    from trading_platform.sources.files.content.contents import check_exists

    if not files:
        raise InvalidRequest("There is nothing to import.", expected="one file or more", remedy="name the files")
    for file in files:
        check_exists(file.expanduser())


def _print(report: ImportReport, rejected: Sequence[RejectedRow], *, as_json: bool) -> None:
    from trading_platform.cli.output import out, print_json, table

    if as_json:
        print_json(
            {
                "files": [asdict(file) for file in report.files],
                "reasons": report.reasons,
                "next": _backfills(report),
            }
        )
        return
    out.print(_files_table(report))
    if report.reasons:
        rows = list(report.reasons.items())
        out.print(table("Rejected rows by reason", ("reason", "rows"), rows, right=("rows",)))
    if rejected:
        _print_rejected(report, rejected)
    _print_notes(report)
    for file in report.files:
        if not file.hours_fit:
            out.print(f"Warning, {file.symbol}: {file.hours}.", style="bold yellow", highlight=False)
    added = sorted({file.symbol for file in report.files if file.registered and file.symbol})
    if added:
        out.print(
            f"Added to the instruments: {', '.join(added)}. `trading-platform instruments` shows and changes them."
        )
    for command in _backfills(report):
        out.print(f"Next: {command}", highlight=False)


def _print_rejected(report: ImportReport, rows: Sequence[RejectedRow]) -> None:
    """Prints the first rejected rows with their line and reason, and the command that writes all of them to a file."""
    from trading_platform.cli.output import out
    from trading_platform.domain.quality.listed_rows import MOST_LISTED

    total = sum(file.quarantined for file in report.files)
    out.print(f"The first {len(rows)} of {total:,} rejected rows:" if total > len(rows) else "The rejected rows:")
    for origin, line, reason, detail, record in rows:
        where = f"{Path(origin).name}{f', line {line}' if line is not None else ''}"
        words = f"{reason}{f', {detail}' if detail else ''}{f': {record[:_LONGEST_ROW]}' if record else ''}"
        out.print(f"  {where}: {words}", highlight=False)
    if total > len(rows):
        symbols = sorted({file.symbol for file in report.files if file.quarantined and file.symbol})
        named = "".join(f" -s {symbol}" for symbol in symbols)
        listed = (
            "All of them" if total <= MOST_LISTED else f"{MOST_LISTED:,} of each file, and the number of the others"
        )
        out.print(f"{listed}: trading-platform export quarantine rejected.csv{named}", highlight=False)


def _print_notes(report: ImportReport) -> None:
    """Prints each note once, with the files that it applies to."""
    from trading_platform.cli.output import out

    noted: dict[str, list[str]] = {}
    for file in report.files:
        noted.setdefault(_note(file), []).append(Path(file.origin).name)
    for note, names in noted.items():
        named = ", ".join(names) if len(names) <= _FEW else f"{', '.join(names[:_FEW])} and {len(names) - _FEW} more"
        out.print(f"{named}: {note}", highlight=False)


def _files_table(report: ImportReport) -> object:
    from trading_platform.cli.output import table

    counts = ("rows", "accepted", "quarantined")
    columns = ("file", "symbol", "bars", "rows", "accepted", "rejected", "from", "to")
    shown = report.files
    if len(shown) > _MOST_LINES:
        shown = tuple(file for file in report.files if file.quarantined)[:_MOST_LINES]
    title = f"{len(report.files)} files" + (
        f", the {len(shown)} with rejected rows shown" if shown != report.files else ""
    )
    rows = [_row(file) for file in shown]
    totals = (sum(getattr(file, name) for file in report.files) for name in counts)
    rows.append(("all", "", "", *totals, "", ""))
    return table(title, columns, rows, right=("rows", "accepted", "rejected"))


def _row(file: ImportedFile) -> tuple[object, ...]:
    span = [f"{timestamp:%Y-%m-%d}" if timestamp else None for timestamp in (file.start, file.end)]
    counts = (file.rows, file.accepted, file.quarantined)
    return (Path(file.origin).name, file.symbol, file.timeframe, *counts, *span)


def _note(file: ImportedFile) -> str:
    detail = file.assumption if file.accepted else (file.detail or "")
    note = f"{file.format}, {detail}" if file.format else detail
    if file.compared:
        note += f"; {file.compared:,} bars were already stored and were compared: {file.different:,} differ"
    if file.hours and file.hours_fit:
        note += f"; {file.hours}"
    return note if file.status == "imported" else f"{file.status}: {note}"


def _backfills(report: ImportReport) -> list[str]:
    """The commands that store the imported bars in the database, one for each timeframe."""
    by_timeframe: dict[str, list[str]] = {}
    for symbol, timeframe in report.series:
        by_timeframe.setdefault(timeframe, []).append(symbol)
    return [
        f"trading-platform backfill {' '.join(symbols)} --timeframe {timeframe}"
        for timeframe, symbols in by_timeframe.items()
    ]
