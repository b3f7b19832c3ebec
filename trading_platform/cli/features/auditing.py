"""``features audit``: recomputes a sample of the stored features from what could be known at each time."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from trading_platform.cli.output import out, print_json, progress_bars, table
from trading_platform.cli.parameters import in_capitals
from trading_platform.stores.postgres.roles import Role

if TYPE_CHECKING:
    from trading_platform.domain.features.audit.compare import AuditFinding
    from trading_platform.workflows.features.audit import AuditReport

_SHOWN = 20


def audit(
    symbols: Annotated[
        list[str] | None,
        typer.Option("--symbols", "-s", callback=in_capitals, help="Audit these, with commas between. Default: all."),
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", min=1, max=1_000_000, help="Times as of which features are recomputed.")
    ] = 200,
    seed: Annotated[
        int | None, typer.Option("--seed", min=0, help="Draws the sample. Default: another one each day.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Audit only this feature; may be given several times.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Recompute a sample of the stored features from only what could be known at each time, and compare.

    Known are the bars that had closed, each by its own market's calendar, and the splits that were announced. A stored
    value that differs has used something else, such as a later bar: it is listed with its likely cause. Changes
    nothing. The exit code is 1 if a value differs.

    Example: trading-platform features audit --symbols SPY,GOOG --samples 500 --only rsi_14
    """
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings
    from trading_platform.workflows.features.audit import audit_features

    chosen = sorted({name for text in symbols or () for name in text.split(",") if name})
    with progress_bars(quiet=json) as progress, open_platform(load_settings(), role=Role.DASHBOARD) as platform:
        if chosen:
            platform.instruments(chosen)
        report = audit_features(
            platform.stores,
            platform.stores.instruments.all(),
            clock=platform.clock,
            seed=platform.clock().toordinal() if seed is None else seed,
            symbols=chosen or None,
            samples=samples,
            names=only,
            progress=progress,
        )
    if json:
        print_json(asdict(report))
    else:
        _print(report)
    if report.findings:
        raise typer.Exit(1)


def _print(report: AuditReport) -> None:
    if report.findings:
        causes = Counter((each.feature, each.symbol, each.cause.value, each.detail) for each in report.findings)
        rows = [(*key, count) for key, count in causes.most_common(_SHOWN)]
        columns = ("feature", "symbol", "likely cause", "explanation", "values")
        out.print(table("Stored values that could not be known", columns, rows, right=("values",), keys=columns[:2]))
        first = [_row(each) for each in report.findings[:_SHOWN]]
        names = ("feature", "symbol", "time", "as of", "stored", "recomputed")
        out.print(table("The first of them", names, first, right=names[4:], keys=names[:3]))
    for reason, count in report.not_audited.items():
        out.print(f"Not compared, {reason}: {count:,}", highlight=False)
    if not report.partitions:
        out.print("Nothing was compared: no features are stored. `trading-platform backfill` computes them.")
        return
    found = f"{len(report.findings):,} values could not be known" if report.findings else "all are what could be known"
    out.print(
        f"{report.values:,} comparisons of stored values in {report.partitions:,} partitions, as of {report.times:,} "
        f"times, seed {report.seed}: {found}.",
        highlight=False,
    )


def _row(each: AuditFinding) -> tuple[str, ...]:
    values = (_value(each.stored), _value(each.recomputed))
    return each.feature, each.symbol, f"{each.time:%Y-%m-%d}", f"{each.as_of:%Y-%m-%d %H:%M}", *values


def _value(value: float | datetime | None) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    return "NULL" if value is None else f"{value:.10g}"
