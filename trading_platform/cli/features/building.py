"""``features backfill``: computes the features again of which definitions, bars or splits have changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from trading_platform.cli.output import out, print_json, progress_bars
from trading_platform.cli.parameters import in_capitals

if TYPE_CHECKING:
    from trading_platform.domain.time import Timeframe
    from trading_platform.resources.platform import PlatformContext
    from trading_platform.workflows.derived.compute_indicators import ComputeReport
    from trading_platform.workflows.progress import Progress


def backfill(
    symbols: Annotated[
        list[str] | None, typer.Argument(callback=in_capitals, help="Symbols. Default: the whole universe.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Compute only this feature; may be given several times.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Compute what is up to date again, too.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Compute the features again of which definitions, bars or splits have changed, where there were features before.

    Where only definitions have changed, only their features are computed; other columns of the files stay as they are.
    With --only, other features with a changed definition are left for later; where bars or splits have changed as well,
    all features are computed. New bars and partitions are the work of `trading-platform backfill`.

    Example: trading-platform features backfill --only rsi_14
    """
    from trading_platform.domain.features.inputs import FREQUENCIES
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings

    with open_platform(load_settings()) as platform, progress_bars(quiet=json) as progress:
        stores = platform.stores
        stores.definitions.features.known(only)
        chosen = list(stores.instruments.require(symbols) if symbols else stores.instruments.all())
        reports = [
            report
            for frequency in FREQUENCIES
            if (report := _build(platform, frequency, chosen, only, progress, force=force)) is not None
        ]
        errors = [str(error) for error in stores.definitions.errors]
    partitions = sum(len(report.rows) for report in reports)
    rows = sum(count for report in reports for count in report.rows.values())
    if json:
        print_json({"partitions": partitions, "rows": rows, "errors": errors})
    elif not reports:
        out.print("No features are computed yet. `trading-platform backfill` computes them.")
    elif not partitions:
        out.print("Everything is up to date.")
    else:
        what = ", ".join(only) if only else "all that was out of date"
        out.print(f"Computed {what} in {partitions:,} partitions, {rows:,} rows.", highlight=False)
    if not json:
        for error in errors:
            out.print(f"Left out: {error}", highlight=False)
    if errors:
        raise typer.Exit(1)


def _build(
    platform: PlatformContext,
    frequency: Timeframe,
    symbols: Sequence[str],
    only: Sequence[str] | None,
    progress: Progress,
    *,
    force: bool,
) -> ComputeReport | None:
    """Builds the features of one frequency where there were some before; None if there were none, or none is asked."""
    from trading_platform.domain.time import Timeframe, Window, partition_windows
    from trading_platform.workflows.derived import build_features as daily
    from trading_platform.workflows.derived import build_hourly_features as hourly
    from trading_platform.workflows.features.statistics import record_statistics

    stores = platform.stores
    dataset, build = (
        (hourly.DATASET, hourly.build_hourly_features)
        if frequency is Timeframe.H1
        else (daily.DATASET, daily.build_features)
    )
    known = stores.features_of(frequency).definitions.features.features
    names = None if only is None else [name for name in only if name in known]
    starts = {start for _, start in stores.input_versions.read(dataset, symbols)}
    if not starts or names == []:
        return None
    windows = sorted(
        {part for start in starts for part in partition_windows(frequency, Window(start, start + frequency.duration))}
    )
    universe = stores.instruments.all()
    report = build(
        stores, universe, symbols, windows, clock=platform.clock, force=force, names=names, progress=progress
    )
    if frequency is Timeframe.D1:
        record_statistics(stores.features, report.rows)
    return report
