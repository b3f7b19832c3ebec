"""Duration of a backfill of daily bars in Dagster, against the sum of its two parts.

The platform's side is ``trading-platform backfill -t 1d`` with imported files: bars, indicators and features of 50
symbols and ten years, with checks. The baseline is the sum of the same workflows called without Dagster, and of
Dagster's own bookkeeping: the same partitions with empty assets and checks. Each side starts in every round from an
empty database, an empty feature store and an empty Dagster instance.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from common import Figure, arguments, new_stores, on_database, own_servers, random_bars, seconds, show, symbols
from dagster import (
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSpec,
    AssetsDefinition,
    BackfillPolicy,
    Definitions,
    JobDefinition,
    asset,
    define_asset_job,
    in_process_executor,
    multi_asset_check,
)

from trading_platform.cli.market_data.backfill import run_backfill
from trading_platform.cli.market_data.backfill_request import BackfillRequest, reach_of
from trading_platform.cli.market_data.dagster_runs import execute_range, register_symbols
from trading_platform.domain.market.calendars import expected_times
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Timeframe, Window, partition_windows, utc_now
from trading_platform.embedded.stack import Endpoints
from trading_platform.partitions import daily, ranges_of
from trading_platform.resources.dagster_instance import open_instance
from trading_platform.resources.platform import PlatformContext
from trading_platform.settings import load_settings
from trading_platform.sources.files.content.options import ImportOptions
from trading_platform.sources.files.landing import LandingArea
from trading_platform.sources.files.source import FileSource
from trading_platform.stores.market_data.checks import Scope
from trading_platform.stores.postgres.databases import ensure_database
from trading_platform.stores.stores import Stores
from trading_platform.workflows.backfill.backfill_bars import backfill_bars
from trading_platform.workflows.derived.build_features import build_features
from trading_platform.workflows.derived.compute_indicators import compute_indicators_of
from trading_platform.workflows.imports.import_files import import_files
from trading_platform.workflows.quality.suites.verify import CHECKED_ASSETS, verify_asset

TARGET = 1.3
DAY = Timeframe.D1
ASSETS = ("ohlcv_1d", "indicators_1d", "features")
SECTORS = ("Technology", "Energy", "Health Care", "Utilities", "Financials")


@dataclass(frozen=True)
class Bench:
    """The inputs that all rounds share."""

    endpoints: Endpoints
    folder: Path
    files: Sequence[Path]
    window: Window

    @property
    def symbols(self) -> list[str]:
        """The symbols of the files."""
        return [file.name.partition("_")[0] for file in self.files]

    @property
    def partitions(self) -> list[Window]:
        """The yearly partitions."""
        return partition_windows(DAY, self.window)


def main() -> None:
    """Measures and prints the result."""
    given = arguments(__doc__)
    count, years = (4, 2) if given.quick else (50, 10)
    rounds = given.rounds or (1 if given.quick else 3)
    took: dict[str, list[float]] = {"ours": [], "workflows": [], "dagster": []}
    window = Window(datetime(2024 - years, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC))
    with own_servers() as (settings, endpoints):
        warm = Bench(endpoints, settings.root / "warm", _files(settings.root / "warm", 2, window), window)
        bench = Bench(endpoints, settings.root / "bench", _files(settings.root / "bench", count, window), window)
        for number, (which, runs) in enumerate([(warm, 1), (bench, rounds)]):
            for turn in range(runs):
                name = f"{'bench' if number else 'warm'}_{turn}"
                found = {
                    "ours": _through_dagster(which, f"{name}_ours"),
                    "workflows": _workflows(which, f"{name}_workflows"),
                    "dagster": _bookkeeping(which, f"{name}_dagster"),
                }
                if number:  # the first round, with two symbols, loads modules and calendars
                    for part, elapsed in found.items():
                        took[part].append(elapsed)
    whole = [work + books for work, books in zip(took["workflows"], took["dagster"], strict=True)]
    what = f"{count} symbols × {years} years"
    show(
        "Backfill of daily bars, indicators and features, with checks",
        [
            Figure(f"{what}, against the sum of both below", took["ours"], whole, TARGET, lower_is_better=True),
            Figure("the workflows without Dagster", took["ours"], took["workflows"], None, lower_is_better=True),
            Figure("Dagster with empty assets and checks", took["ours"], took["dagster"], None, lower_is_better=True),
        ],
        [f"{count * years} partitions of each of {len(ASSETS)} assets"],
        quick=given.quick,
    )


def _files(folder: Path, count: int, window: Window) -> list[Path]:
    folder.mkdir()
    times = expected_times("XNYS", DAY, window)
    files = []
    for name in symbols(count):
        file = folder / f"{name}_1d.csv"
        random_bars(name, times, DAY).select("time", "open", "high", "low", "close", "volume").write_csv(
            file, datetime_format="%Y-%m-%d"
        )
        files.append(file)
    return files


@contextmanager
def _imported(bench: Bench, name: str) -> Iterator[PlatformContext]:
    """A platform with only the imported files and their instruments."""
    imports = bench.folder / name / "imports"
    with new_stores(bench.endpoints, name, bench.folder / name / "features") as stores:
        report = import_files(
            bench.files,
            ImportOptions(timeframe=DAY),
            landing=LandingArea(imports),
            quarantine=stores.quarantine,
            coverage=stores.coverage,
            instruments=stores.instruments,
            clock=utc_now,
        )
        if any(file.quarantined for file in report.files):
            raise RuntimeError(f"rows were rejected: {report.reasons}")
        _classify(stores, bench.symbols)
        yield PlatformContext(stores, {FileSource.name: FileSource(imports)})


def _classify(stores: Stores, names: Sequence[str]) -> None:
    for number, name in enumerate(names):
        stored: Instrument = stores.instruments.require([name])[name]
        stores.instruments.add(replace(stored, sector=SECTORS[number % len(SECTORS)], benchmark=names[0]))


def _new_dagster_database(bench: Bench, name: str) -> None:
    ensure_database(bench.endpoints.database_url, f"{name}_storage")
    os.environ["DAGSTER_DATABASE_URL"] = on_database(bench.endpoints.dagster_database_url, f"{name}_storage")


def _through_dagster(bench: Bench, name: str) -> float:
    _new_dagster_database(bench, name)
    with _imported(bench, name) as platform:
        with open_instance(load_settings()):  # creates Dagster's tables
            pass

        request = BackfillRequest(tuple(bench.symbols), (DAY,))

        def run() -> None:
            lines, runs = run_backfill(platform, reach_of(platform, request), None)
            if any(line.missing for line in lines) or any(run.error for run in runs):
                raise RuntimeError(f"the backfill failed: {lines} {runs}")

        return seconds(run)


def _workflows(bench: Bench, name: str) -> float:
    with _imported(bench, name) as platform:
        stores, sources, names = platform.stores, platform.sources, bench.symbols
        universe = stores.instruments.all()
        scopes = (Scope(tuple(names), bench.window),)

        def run() -> None:
            backfill_bars(stores, sources, [universe[each] for each in names], DAY, bench.partitions, clock=utc_now)
            compute_indicators_of(stores, names, DAY, bench.partitions, clock=utc_now)
            build_features(stores, universe, names, bench.partitions, clock=utc_now)
            for checked in ASSETS:
                verify_asset(stores, sources, checked, scopes, clock=utc_now)

        return seconds(run)


def _bookkeeping(bench: Bench, name: str) -> float:
    _new_dagster_database(bench, name)
    job = _empty_job()
    with open_instance(load_settings()) as instance:

        def run() -> None:
            registered = register_symbols(instance, bench.symbols)
            wanted = dict.fromkeys(bench.symbols, bench.partitions)
            for first, last in ranges_of(registered, wanted, DAY):
                if not execute_range(instance, job, first, last, ASSETS).success:
                    raise RuntimeError("the empty run failed")

        return seconds(run)


def _empty_job() -> JobDefinition:
    assets = [
        _empty_asset("ohlcv_1d", []),
        _empty_asset("indicators_1d", ["ohlcv_1d"]),
        _empty_asset("features", ["ohlcv_1d"]),
    ]
    job = define_asset_job("empty", list(ASSETS))
    definitions = Definitions(
        assets=assets, asset_checks=[_empty_checks(name) for name in ASSETS], jobs=[job], executor=in_process_executor
    )
    return definitions.resolve_job_def("empty")


def _empty_asset(name: str, deps: list[str]) -> AssetsDefinition:
    @asset(name=name, deps=deps, partitions_def=daily, backfill_policy=BackfillPolicy.single_run())
    def nothing() -> None:
        pass

    return nothing


def _empty_checks(name: str) -> AssetChecksDefinition:
    checks = [check.name for check in CHECKED_ASSETS[name].checks]

    @multi_asset_check(
        name=f"{name}_checks",
        specs=[AssetCheckSpec(check, asset=name, blocking=True) for check in checks],
        can_subset=True,
    )
    def nothing() -> Iterator[AssetCheckResult]:
        yield from (AssetCheckResult(passed=True, asset_key=name, check_name=check) for check in checks)

    return nothing


if __name__ == "__main__":
    main()
