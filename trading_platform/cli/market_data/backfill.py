"""``backfill``: brings bars, indicators and features up to date with the sources.

It runs the Dagster jobs of the UI in this process. :mod:`trading_platform.workflows.bars.plan_backfill` plans the
work.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from trading_platform.cli.market_data.backfill_request import BackfillRequest, Reach, reach_of
from trading_platform.cli.output import err, out, print_json, progress_bars, table
from trading_platform.cli.parameters import in_capitals
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.time import Timeframe, Window, parse_timestamp, utc_now

if TYPE_CHECKING:
    from trading_platform.cli.market_data.dagster_runs import CheckOutcome, RunOutcome
    from trading_platform.domain.quality.completeness import CoverageCount
    from trading_platform.resources.platform import PlatformContext
    from trading_platform.settings import Settings
    from trading_platform.workflows.bars.plan_backfill import AvailableHistory


_SHOWN_FROM = 10.0  # estimated seconds of requests to a source
_CONFIRMED_FROM = 3600.0
_MINUTE = 60


@dataclass(frozen=True)
class Line:
    """The coverage of one symbol and timeframe after a backfill."""

    symbol: str
    timeframe: str
    partitions: int
    expected: int
    stored: int
    empty: int
    pending_confirmation: int
    rejected: int
    missing: int
    failed: str | None


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command()(backfill)


def backfill(
    symbols: Annotated[
        list[str] | None, typer.Argument(callback=in_capitals, help="Symbols. Default: the whole universe.")
    ] = None,
    timeframe: Annotated[
        list[str] | None, typer.Option("--timeframe", "-t", help="1m, 5m, 1h or 1d. Default: all that are available.")
    ] = None,
    start: Annotated[str | None, typer.Option(help="Start; its whole partition is backfilled.")] = None,
    end: Annotated[str | None, typer.Option(help="End, not included.")] = None,
    force: Annotated[
        bool, typer.Option("--force", "--again", help="Fetch and compute again, whatever is stored.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Bring bars, indicators and features up to date with the sources.

    What the sources do not have of the request is said; if that is all of it, the exit code is 2.
    Continues where an interrupted backfill stopped. Minutes of Kraken are rebuilt from its trades back to --start, or
    for KRAKEN_HISTORY_DAYS; the estimated duration is shown first.

    Example: [bold]trading-platform backfill SPY GOOG -t 1d[/]
    """
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings

    began = time.monotonic()
    request = BackfillRequest(
        tuple(symbols or ()),
        tuple(Timeframe.parse(text) for text in timeframe or ()),
        parse_timestamp(start) if start else None,
        parse_timestamp(end) if end else None,
    )
    request.window(utc_now)  # an impossible one is refused before a server is started
    settings = _with_history(load_settings(), request.start)
    with progress_bars(quiet=json) as progress, open_platform(settings, progress=progress, force=force) as platform:
        reach = reach_of(platform, request)
        if not json:
            _print_outside(reach)
        if not json and (start is not None or out.is_terminal):
            _print_efforts(platform, request)
        lines, runs = run_backfill(platform, reach, request.window(platform.clock))
    _report(lines, runs, reach, time.monotonic() - began, as_json=json)
    if any(line.failed for line in lines) or any(run.error for run in runs):
        raise typer.Exit(1)


def _with_history(settings: Settings, start: datetime | None) -> Settings:
    """The settings, with a history of Kraken's trades that reaches back to the start of the requested window."""
    from trading_platform.partitions import first_window

    if start is None:
        return settings
    first = max(start, first_window(Timeframe.M1).start)
    days = math.ceil((utc_now() - first) / timedelta(days=1))
    return settings.model_copy(update={"kraken_history_days": max(days, settings.kraken_history_days)})


def _print_outside(reach: Reach) -> None:
    """Prints what of the request is left out because the sources do not have it."""
    for less in reach.outside:
        err.print("[yellow]Not all is available:[/] ", end="")
        err.print(less.sentence, markup=False, highlight=False)


def _print_efforts(platform: PlatformContext, request: BackfillRequest) -> None:
    """Prints the estimated requests and duration of long downloads before they begin."""
    from trading_platform.workflows.bars.plan_backfill import efforts_of

    chosen = platform.instruments(list(dict.fromkeys(request.symbols or platform.stores.instruments.all())))
    efforts = efforts_of(
        platform.stores,
        platform.sources,
        chosen,
        request.lengths,
        request.window(platform.clock),
        clock=platform.clock,
        force=platform.force,
    )
    shown = [effort for effort in efforts if effort.seconds >= _SHOWN_FROM]
    for effort in shown:
        out.print(
            f"{effort.symbol} {effort.timeframe}: {effort.window} from {effort.source}, about {effort.requests:,} "
            f"requests, {_duration(effort.seconds)}.",
            highlight=False,
        )
    total = sum(effort.seconds for effort in shown)
    if shown:
        out.print(
            f"In total {_duration(total)}. Interrupt it at any time: the same command continues where it stopped."
        )
    if total > _CONFIRMED_FROM and sys.stdin.isatty():
        typer.confirm("Continue?", default=True, abort=True)


def _duration(seconds: float) -> str:
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    minutes = round(seconds / _MINUTE)
    return f"{minutes} min" if minutes < 2 * _MINUTE else f"{minutes // _MINUTE} h {minutes % _MINUTE} min"


def run_backfill(
    platform: PlatformContext, reach: Reach, requested: Window | None
) -> tuple[list[Line], list[RunOutcome]]:
    """Runs a backfill of what the sources have on an open platform, and counts the coverage afterwards.

    Args:
        platform: the open platform.
        reach: what the sources have of the request.
        requested: the requested window; None means the whole available history.
    """
    available = reach.available
    runs: list[RunOutcome] = []
    for kind in (
        [available_history for available_history in available if available_history.timeframe.is_intraday],
        _daily(available),
    ):
        runs.extend(_run_kind(platform, kind, requested))
    return _count(platform, available, requested), runs


def _daily(available: Sequence[AvailableHistory]) -> list[AvailableHistory]:
    return [available_history for available_history in available if not available_history.timeframe.is_intraday]


def _run_kind(
    platform: PlatformContext, available: Sequence[AvailableHistory], requested: Window | None
) -> list[RunOutcome]:
    """Runs the job of one kind of partition; if symbols failed, runs it again without them."""
    from trading_platform.cli.market_data.dagster_runs import not_materialized, register_symbols, run_job
    from trading_platform.resources.dagster_instance import open_instance
    from trading_platform.settings import load_settings
    from trading_platform.workflows.bars.plan_backfill import unfinished_partitions

    if not available:
        return []
    timeframe = available[0].timeframe
    lengths = sorted({available_history.timeframe for available_history in available}, key=list(Timeframe).index)
    assets = [name for length in lengths for name in (f"ohlcv_{length}", f"indicators_{length}")]
    if not timeframe.is_intraday:
        assets.append("features")
    with open_instance(load_settings()) as instance:
        register_symbols(instance, sorted({available_history.instrument.symbol for available_history in available}))
        wanted = unfinished_partitions(platform.stores, platform.sources, available, requested, force=platform.force)
        missing = not_materialized(instance, assets, _all_partitions(available, requested), timeframe)
        for symbol, windows in missing.items():
            wanted[symbol] = sorted({*wanted.get(symbol, ()), *windows})
        _reject_out_of_history(wanted, timeframe)
        if not wanted:
            return []
        outcomes = run_job(instance, platform, timeframe, wanted, assets)
        failing = _failing(platform, available)
        rest = {symbol: windows for symbol, windows in wanted.items() if symbol not in failing}
        if any(outcome.error for outcome in outcomes) and failing and rest:
            outcomes = [outcome for outcome in outcomes if not outcome.error] + run_job(
                instance, platform, timeframe, rest, assets
            )
        return outcomes


def _all_partitions(available: Sequence[AvailableHistory], requested: Window | None) -> dict[str, list[Window]]:
    found: dict[str, set[Window]] = {}
    for available_history in available:
        found.setdefault(available_history.instrument.symbol, set()).update(available_history.partitions(requested))
    return {symbol: sorted(windows) for symbol, windows in found.items()}


def _reject_out_of_history(wanted: dict[str, list[Window]], timeframe: Timeframe) -> None:
    """Raises InvalidRequest for bars before the first partition, instead of leaving them out silently."""
    from trading_platform.partitions import first_window

    first = first_window(timeframe).start
    for symbol, windows in wanted.items():
        if windows[0].start < first:
            raise InvalidRequest(
                f"{symbol} has {timeframe} bars from {windows[0].start:%Y-%m-%d}, before the first partition.",
                expected=f"a start at or after {first:%Y-%m-%d}",
                received=f"{windows[0].start:%Y-%m-%d}",
                remedy=f"backfill with --start {first:%Y-%m-%d}",
            )


def _failing(platform: PlatformContext, available: Sequence[AvailableHistory]) -> set[str]:
    return {
        failure.symbol
        for length in {available_history.timeframe for available_history in available}
        for failure in platform.stores.coverage.failures(
            [available_history.instrument.symbol for available_history in available], length
        )
    }


def _count(platform: PlatformContext, available: Sequence[AvailableHistory], requested: Window | None) -> list[Line]:
    lines = []
    for available_history in available:
        partitions = available_history.partitions(requested)
        if not partitions:
            continue
        counts = coverage_counts(platform, available_history, partitions)
        failures = platform.stores.coverage.failures([available_history.instrument.symbol], available_history.timeframe)
        lines.append(
            Line(
                symbol=available_history.instrument.symbol,
                timeframe=available_history.timeframe.value,
                partitions=len(partitions),
                expected=sum(count.expected for count in counts),
                stored=sum(count.bars for count in counts),
                empty=sum(count.empty for count in counts),
                pending_confirmation=sum(count.pending_confirmation for count in counts),
                rejected=sum(count.rejected for count in counts),
                missing=sum(count.missing for count in counts),
                failed=failures[-1].note if failures else None,
            )
        )
    return lines


def coverage_counts(
    platform: PlatformContext, available_history: AvailableHistory, partitions: Sequence[Window]
) -> list[CoverageCount]:
    """The coverage counts of some partitions of an available history."""
    from trading_platform.workflows.bars.count_coverage import count_coverage

    symbol = available_history.instrument.symbol
    stores, sources, windows = platform.stores, platform.sources, {symbol: partitions}
    return list(
        count_coverage(
            stores, sources, [available_history.instrument], available_history.timeframe, windows, clock=platform.clock
        )
    )


def _report(lines: Sequence[Line], runs: Sequence[RunOutcome], reach: Reach, seconds: float, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "seconds": round(seconds, 1),
                "symbols": [asdict(line) for line in lines],
                "runs": [asdict(run) for run in runs],
                "not_available": [less.as_dict() for less in reach.outside],
            }
        )
        return
    columns = ["symbol", "timeframe", "partitions", "expected", "stored", "empty", "rejected", "missing"]
    if any(line.pending_confirmation for line in lines):
        columns.insert(columns.index("rejected"), "pending_confirmation")
    rows = [[getattr(line, name) for name in columns] for line in lines]
    out.print(table("Bars", columns, rows, right=columns[2:]))
    for line in lines:
        if line.failed:
            err.print(f"[bold red]{line.symbol} {line.timeframe} failed:[/] ", end="")
            err.print(line.failed, markup=False, highlight=False)
    for run in runs:
        if run.error:
            err.print("[bold red]A run failed:[/] ", end="")
            err.print(run.error, markup=False, highlight=False)
    checks = [check for run in runs for check in run.checks]
    warned = [check for check in checks if not check.passed]
    if not runs:
        what = "What is available" if reach.outside else "Everything"
        out.print(f"{what} was up to date ({seconds:.1f} s).")
        return
    partitions = sum(run.partitions for run in runs)
    out.print(
        f"{len(runs)} Dagster runs over {partitions} partitions in {seconds:.1f} s; "
        f"{len(checks) - len(warned)} of {len(checks)} checks passed."
    )
    print_warnings(warned)


def print_warnings(checks: Sequence[CheckOutcome]) -> None:
    """Prints the checks that did not pass, each once, however many runs evaluated it."""
    by_check: dict[tuple[str, str, str], list[CheckOutcome]] = {}
    for check in checks:
        by_check.setdefault((check.severity.lower(), check.asset, check.check), []).append(check)
    for (severity, asset, name), found in by_check.items():
        times = f" (and in {len(found) - 1} more runs)" if len(found) > 1 else ""
        out.print(f"  {severity}: {asset} {name}: {found[0].description}{times}", highlight=False, markup=False)
    if by_check:
        out.print("  `trading-platform verify` shows every check with its findings.")
