"""``features backfill``: computes the features again of which definitions, bars or splits have changed."""

from __future__ import annotations

from typing import Annotated

import typer

from trading_platform.cli.output import out, print_json, progress_bars
from trading_platform.cli.parameters import in_capitals


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
    from trading_platform.domain.time import Timeframe, Window, partition_windows
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings
    from trading_platform.workflows.derived.build_features import DATASET, build_features
    from trading_platform.workflows.features.statistics import record_statistics

    with open_platform(load_settings()) as platform, progress_bars(quiet=json) as progress:
        stores = platform.stores
        stores.definitions.features.known(only)
        universe = stores.instruments.all()
        chosen = list(stores.instruments.require(symbols)) if symbols else list(universe)
        starts = {start for _, start in stores.input_versions.read(DATASET, chosen)}
        length = Timeframe.D1
        windows = sorted(
            {part for start in starts for part in partition_windows(length, Window(start, start + length.duration))}
        )
        report = build_features(
            stores, universe, chosen, windows, clock=platform.clock, force=force, names=only, progress=progress
        )
        record_statistics(stores.features, report.rows)
        errors = [str(error) for error in stores.definitions.errors]
    partitions, rows = len(report.rows), sum(report.rows.values())
    if json:
        print_json({"partitions": partitions, "rows": rows, "errors": errors})
    elif not windows:
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
