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
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from trading_platform.cli.output import err, out, print_json, progress_bars, table
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.time import DAILY_START, Timeframe, Window, parse_timestamp
from trading_platform.settings import Settings, load_settings

if TYPE_CHECKING:
    from trading_platform.cli.market_data.dagster_runs import CheckOutcome, RunOutcome
    from trading_platform.domain.quality.completeness import CoverageCount
    from trading_platform.resources.platform import PlatformContext
    from trading_platform.workflows.bars.plan_backfill import AvailableHistory


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
    symbols: Annotated[list[str] | None, typer.Argument(help="Symbols. Default: the whole universe.")] = None,
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

    Continues where an interrupted backfill stopped. Minutes of Kraken are rebuilt from its trades back to --start, or
    for KRAKEN_HISTORY_DAYS; the estimated duration is shown first.

    Example: [bold]trading-platform backfill SPY GOOG -t 1d[/]
    """
    from trading_platform.resources.platform import open_platform

    began = time.monotonic()
    lengths = [Timeframe.parse(text) for text in timeframe] if timeframe else list(Timeframe)
    requested = _requested_window(start, end)
    settings = _with_history(load_settings(), requested if start is not None else None)
    with progress_bars(quiet=json) as progress, open_platform(settings, progress=progress, force=force) as platform:
        if not json and (start is not None or out.is_terminal):
            _print_efforts(platform, symbols or [], lengths, requested)
        lines, runs = run_backfill(platform, symbols or [], lengths, requested)
    _report(lines, runs, time.monotonic() - began, as_json=json)
    if any(line.failed for line in lines) or any(run.error for run in runs):
        raise typer.Exit(1)


def _with_history(settings: Settings, requested: Window | None) -> Settings:
    """The settings, with a history of Kraken's trades that reaches back to the start of the requested window."""
    from trading_platform.domain.time import utc_now

    if requested is None:
        return settings
    first = max(requested.start, Timeframe.M1.stored_from)
    days = math.ceil((utc_now() - first) / timedelta(days=1))
    return settings.model_copy(update={"kraken_history_days": max(days, settings.kraken_history_days)})


def _print_efforts(
    platform: PlatformContext, symbols: Sequence[str], timeframes: Sequence[Timeframe], requested: Window | None
) -> None:
    """Prints the estimated requests and duration of long downloads before they begin."""
    from trading_platform.workflows.bars.plan_backfill import efforts_of

    chosen = platform.instruments(list(dict.fromkeys(symbols or platform.stores.instruments.all())))
    efforts = efforts_of(
        platform.stores, platform.sources, chosen, timeframes, requested, clock=platform.clock, force=platform.force
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
    platform: PlatformContext, symbols: Sequence[str], timeframes: Sequence[Timeframe], requested: Window | None
) -> tuple[list[Line], list[RunOutcome]]:
    """Plans and runs a backfill on an open platform, and counts the coverage afterwards.

    Raises:
        InvalidRequest: unknown symbols, an empty universe, or a symbol without available history.
    """
    from trading_platform.cli.market_data.backfill_runs import run_kind
    from trading_platform.workflows.bars.plan_backfill import available_history_of

    chosen = list(symbols) or list(platform.stores.instruments.all())
    if not chosen:
        raise InvalidRequest(
            "There is nothing to backfill: the universe is empty.",
            expected="at least one instrument",
            remedy="`trading-platform import FILE` or `trading-platform instruments add SYMBOL` adds one",
        )
    available = []
    for instrument in platform.instruments(list(dict.fromkeys(chosen))):
        found = [
            available_history
            for length in timeframes
            if (
                available_history := available_history_of(
                    platform.stores, platform.sources, instrument, length, platform.clock
                )
            )
        ]
        if not found and symbols:
            raise InvalidRequest(
                f"No {', '.join(timeframes)} bars of {instrument.symbol} are available.",
                expected=f"bars from its source, {instrument.source}",
                remedy="import a file with such bars, choose another timeframe, or change the instrument's source",
            )
        available.extend(found)
    runs: list[RunOutcome] = []
    for kind in (
        [available_history for available_history in available if available_history.timeframe.is_intraday],
        _daily(available),
    ):
        runs.extend(run_kind(platform, kind, requested))
    return _count(platform, available, requested), runs


def _daily(available: Sequence[AvailableHistory]) -> list[AvailableHistory]:
    return [available_history for available_history in available if not available_history.timeframe.is_intraday]


def _requested_window(start: str | None, end: str | None) -> Window | None:
    if start is None and end is None:
        return None
    from trading_platform.domain.time import utc_now

    return Window(parse_timestamp(start) if start else DAILY_START, parse_timestamp(end) if end else utc_now())


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


def _report(lines: Sequence[Line], runs: Sequence[RunOutcome], seconds: float, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "seconds": round(seconds, 1),
                "symbols": [asdict(line) for line in lines],
                "runs": [asdict(run) for run in runs],
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
            out.print(f"{line.symbol} {line.timeframe}: {line.left_out}.", markup=False, highlight=False)
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
        out.print(f"Everything was up to date ({seconds:.1f} s).")
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
