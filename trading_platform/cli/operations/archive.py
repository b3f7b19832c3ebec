"""``archive``: moves decisions and system events older than a year to files, or lists the archived months."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from trading_platform.cli.output import as_rows, out, print_json, print_labelled, progress_bars, table

if TYPE_CHECKING:
    from trading_platform.stores.audit.archive import AuditArchive
    from trading_platform.workflows.audit.archive_audit import ArchiveReport


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(archive)


def archive(
    show: Annotated[bool, typer.Option("--list", help="Only list the archived months.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Move decisions and system events older than a year from the database to files.

    A month is dropped from the database only after its file was read back and compared. A second run has nothing to
    do. Needs a DATABASE_URL of the schema's owner; --list needs no database.
    Example: [bold]trading-platform archive --list[/]
    """
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings
    from trading_platform.stores.audit.archive import AuditArchive
    from trading_platform.workflows.audit.archive_audit import archive_audit

    settings = load_settings()
    if show:
        _show(AuditArchive(settings.archive_directory), as_json=json)
        return
    with progress_bars(quiet=json) as progress, open_platform(settings) as platform:
        report = archive_audit(platform.stores.owner, platform.stores.archive, clock=platform.clock, progress=progress)
    _report(report, as_json=json)
    if report.failed:
        raise typer.Exit(1)


def _report(report: ArchiveReport, *, as_json: bool) -> None:
    months = [month.as_dict() for month in report.months]
    if as_json:
        print_json({"partitions_made": report.partitions_made, "months": months})
        return
    if months:
        columns = ("table", "month", "outcome", "rows", "archived_rows", "bytes")
        out.print(table("Archived", columns, as_rows(months, columns), right=("rows", "archived_rows", "bytes")))
    else:
        out.print("Nothing in the database is older than a year.")
    for month in report.failed:
        print_labelled(out, f"{month.table} {month.month}:", str(month.error), "bold red")


def _show(audit: AuditArchive, *, as_json: bool) -> None:
    from trading_platform.stores.audit.archive import month_name

    months = [
        {"table": found.table.value, "month": month_name(found.window), "bytes": found.size}
        | found.record.manifest.as_dict()
        | {"archived_at": found.record.archived_at.isoformat()}
        for found in audit.months()
    ]
    if as_json:
        print_json({"directory": str(audit.directory), "months": months})
    elif months:
        columns = ("table", "month", "rows", "first", "last", "bytes")
        out.print(table("The audit archive", columns, as_rows(months, columns), right=("rows", "bytes")))
    else:
        out.print(f"Nothing is archived in {audit.directory}.", highlight=False, soft_wrap=True)
