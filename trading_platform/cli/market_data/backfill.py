"""``backfill``: brings bars, indicators and features up to date with the sources.

It runs the Dagster jobs of the UI in this process. :mod:`trading_platform.workflows.backfill.plan_backfill` plans the
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
from trading_platform.cli.output import err, out, print_json, print_labelled, progress_bars, table
from trading_platform.cli.parameters import in_capitals
from trading_platform.domain.time import Timeframe, Window, parse_timestamp, utc_now

if TYPE_CHECKING:
    from trading_platform.cli.market_data.dagster_runs import CheckOutcome, RunOutcome
    from trading_platform.domain.quality.completeness import CoverageCount
    from trading_platform.resources.platform import PlatformContext
    from trading_platform.settings import Settings
    from trading_platform.workflows.backfill.plan_backfill import AvailableHistory


_SHOWN_FROM = 10.0  # estimated seconds of requests to a source
_CONFIRMED_FROM = 3600.0
_MINUTE = 60


@dataclass(frozen=True)
class Line:
    """The coverage of one symbol and timeframe after a backfill: expected bars, and the bars beyond those.

    ``left_out`` names bars that are too old to store.
    """

    symbol: str
    timeframe: str
    partitions: int
    expected: int
    stored: int
    empty: int
    pending_confirmation: int
    rejected: int
    missing: int
    out_of_session: int
    failed: str | None
    left_out: str | None = None


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
    if start is None:
        return settings
    first = max(start, Timeframe.M1.stored_from)
    days = math.ceil((utc_now() - first) / timedelta(days=1))
    return settings.model_copy(update={"kraken_history_days": max(days, settings.kraken_history_days)})


def _print_outside(reach: Reach) -> None:
    """Prints what of the request is left out because the sources do not have it."""
    for less in reach.outside:
        print_labelled(err, "Not all is available:", less.sentence, "yellow")


def _print_efforts(platform: PlatformContext, request: BackfillRequest) -> None:
    """Prints the estimated requests and duration of long downloads before they begin."""
    from trading_platform.workflows.backfill.plan_backfill import efforts_of

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
    from trading_platform.cli.market_data.backfill_runs import run_kind

    available = reach.available
    runs: list[RunOutcome] = []
    for kind in (
        [available_history for available_history in available if available_history.timeframe.is_intraday],
        _daily(available),
    ):
        runs.extend(run_kind(platform, kind, requested))
    return _count(platform, available, requested), runs


def _daily(available: Sequence[AvailableHistory]) -> list[AvailableHistory]:
    return [available_history for available_history in available if not available_history.timeframe.is_intraday]


def _left_out(available_history: AvailableHistory, requested: Window | None) -> str | None:
    """The available bars that are not stored because of their age, in words."""
    left_out = available_history.left_out
    if left_out is not None and requested is not None:
        left_out = left_out.intersect(requested)
    if left_out is None:
        return None
    length = available_history.timeframe
    return (
        f"bars of {left_out.start:%Y-%m-%d} to {left_out.end:%Y-%m-%d} are left out: {length} bars are stored from "
        f"{length.stored_from:%Y-%m-%d}"
    )


def _count(platform: PlatformContext, available: Sequence[AvailableHistory], requested: Window | None) -> list[Line]:
    lines = []
    for available_history in available:
        partitions = available_history.partitions(requested)
        left_out = _left_out(available_history, requested)
        if not partitions and left_out is None:
            continue
        counts = coverage_counts(platform, available_history, partitions) if partitions else []
        failures = platform.stores.coverage.failures([available_history.instrument.symbol], available_history.timeframe)
        lines.append(
            Line(
                symbol=available_history.instrument.symbol,
                timeframe=available_history.timeframe.value,
                partitions=len(partitions),
                expected=sum(count.expected for count in counts),
                stored=sum(count.stored for count in counts),
                empty=sum(count.empty for count in counts),
                pending_confirmation=sum(count.pending_confirmation for count in counts),
                rejected=sum(count.rejected for count in counts),
                missing=sum(count.missing for count in counts),
                out_of_session=sum(count.out_of_session for count in counts),
                failed=failures[-1].note if failures else None,
                left_out=left_out,
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
    if any(line.out_of_session for line in lines):
        columns.append("out_of_session")
    rows = [[getattr(line, name) for name in columns] for line in lines]
    out.print(table("Bars", columns, rows, right=columns[2:]))
    for line in lines:
        if line.left_out:
            out.print(f"{line.symbol} {line.timeframe}: {line.left_out}.", highlight=False)
        if line.failed:
            print_labelled(err, f"{line.symbol} {line.timeframe} failed:", line.failed, "bold red")
    for run in runs:
        if run.error:
            print_labelled(err, "A run failed:", run.error, "bold red")
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
        out.print(f"  {severity}: {asset} {name}: {found[0].description}{times}", highlight=False)
    if by_check:
        out.print("  `trading-platform verify` shows every check with its findings.")
