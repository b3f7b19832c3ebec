"""``gaps`` and ``repair``: shows what is missing and why, and repairs it now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from trading_platform.cli.output import as_rows, out, print_json, progress_bars, table
from trading_platform.cli.parameters import in_capitals
from trading_platform.domain.quality.gaps import SlotClass
from trading_platform.domain.time import Timeframe
from trading_platform.stores.postgres.roles import Role

if TYPE_CHECKING:
    from trading_platform.resources.platform import PlatformContext
    from trading_platform.workflows.gaps.gap_report import GapInterval

_COLUMNS = ["symbol", "timeframe", "what", "from", "to", "bars", "attempts", "next attempt", "note"]
_TO_REPAIR = (SlotClass.PENDING_CONFIRMATION, SlotClass.MISSING, SlotClass.FAILED_PERMANENTLY)
_MANY = 100_000
_NO_GAP = "There is no gap: every bar that the calendars expect is stored."

_Symbols = Annotated[list[str] | None, typer.Argument(callback=in_capitals, help="Symbols. Default: all.")]
_Timeframes = Annotated[list[str] | None, typer.Option("--timeframe", "-t", help="1m, 5m, 1h or 1d. Default: all.")]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(gaps)
    app.command()(repair)


def gaps(
    symbols: _Symbols = None,
    timeframe: _Timeframes = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also show intervals in which the market was closed.")
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="Maximum number to show for each symbol and timeframe.")
    ] = 50,
    json: _Json = False,
) -> None:
    """Show each interval without bars: no trades, pending confirmation, missing, rejected, failed or expired.

    Ends with exit code 1 if a gap failed permanently: it is not retried automatically.
    Example: trading-platform gaps BTCUSD -t 1m
    """
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings

    with open_platform(load_settings(), role=Role.DASHBOARD) as platform:
        found = _intervals(platform, symbols, _lengths(timeframe), closed=everything)
        unknown = _unknown(platform, symbols, _lengths(timeframe))
    if json:
        print_json([_row(each) | {"window": str(each.window)} for each in found])
    else:
        _print(found, limit, unknown if symbols or timeframe else {})
    if any(each.what is SlotClass.FAILED_PERMANENTLY for each in found):
        raise typer.Exit(1)


def repair(symbols: _Symbols = None, timeframe: _Timeframes = None, json: _Json = False) -> None:
    """Detect all gaps, compare stored bars with what was committed, and repair now what is possible.

    Also retries gaps that failed permanently. Ends with exit code 1 if a gap is left that is neither filled nor
    confirmed empty. Example: trading-platform repair SPY -t 1d
    """
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings
    from trading_platform.workflows.gaps.detect_gaps import detect_gaps
    from trading_platform.workflows.gaps.repair_gaps import repair_gaps
    from trading_platform.workflows.gaps.verify_integrity import Proof

    lengths = _lengths(timeframe)
    with progress_bars(quiet=json) as progress, open_platform(load_settings(), progress=progress) as platform:
        stores, sources, clock = platform.stores, platform.sources, platform.clock
        chosen = platform.instruments(symbols or list(stores.instruments.all()))
        detected = detect_gaps(
            stores,
            sources,
            chosen,
            clock=clock,
            timeframes=lengths,
            proof=Proof.ALL,
            publish=platform.publish,
            progress=lambda _what, done, total: progress("timeframes", done, total),
        )
        done = repair_gaps(
            stores,
            sources,
            clock=clock,
            only=[gap.id for gap in detected.gaps],
            limit=_MANY,
            whatever=True,
            publish=platform.publish,
            progress=progress,
        )
        left = [each for each in _intervals(platform, symbols, lengths, closed=False) if each.what in _TO_REPAIR]
    states = Counter(each.state for each in done)
    if json:
        print_json(
            {
                "missing_or_modified": [
                    asdict(each) | {"window": str(each.window)} for each in detected.missing_or_modified
                ],
                "repairs": dict(states),
                "left": [_row(each) for each in left],
            }
        )
    else:
        if detected.missing_or_modified:
            out.print(f"{len(detected.missing_or_modified)} periods are missing or modified since they were committed.")
        summary = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in sorted(states.items()))
        out.print(f"{len(done)} gaps were processed: {summary}." if done else "There is no gap to repair.")
        if left:
            _print(left, 50, {})
    if left:
        raise typer.Exit(1)


def _lengths(timeframe: Sequence[str] | None) -> list[Timeframe]:
    return [Timeframe.parse(text) for text in timeframe] if timeframe else list(Timeframe)


def _intervals(
    platform: PlatformContext, symbols: Sequence[str] | None, lengths: Sequence[Timeframe], *, closed: bool
) -> list[GapInterval]:
    from trading_platform.workflows.gaps.gap_report import gap_report

    chosen = platform.instruments(list(symbols or platform.stores.instruments.all()))
    return [
        each
        for instrument in chosen
        for length in lengths
        for each in gap_report(
            platform.stores, platform.sources, instrument, length, clock=platform.clock, closed=closed
        )
    ]


def _row(each: GapInterval) -> dict[str, object]:
    return {
        "symbol": each.symbol,
        "timeframe": each.timeframe.value,
        "what": each.what.value,
        "from": each.window.start.isoformat(),
        "to": each.window.end.isoformat(),
        "bars": each.bars,
        "attempts": each.attempts,
        "next attempt": each.next_attempt_at.isoformat() if each.next_attempt_at else None,
        "note": each.note,
    }


def _unknown(
    platform: PlatformContext, symbols: Sequence[str] | None, lengths: Sequence[Timeframe]
) -> dict[str, list[Timeframe]]:
    """The timeframes of each symbol of which nothing was ever requested or stored, so that nothing can be missing."""
    from trading_platform.stores.market_data.checks import CheckStore

    chosen = list(symbols or platform.stores.instruments.all())
    checks = CheckStore(platform.stores.database)
    known = {length: checks.recorded_spans(chosen, length) for length in lengths}
    unknown = {symbol: [length for length in lengths if symbol not in known[length]] for symbol in chosen}
    return {symbol: absent for symbol, absent in unknown.items() if absent}


def _print(found: Sequence[GapInterval], limit: int, unknown: Mapping[str, Sequence[Timeframe]]) -> None:
    for symbol, absent in unknown.items():
        out.print(
            f"{symbol}: no {', '.join(absent)} bars were ever requested or stored, so none can be missing.",
            highlight=False,
        )
    if not found:
        out.print("There is no gap: every other bar that the calendars expect is stored." if unknown else _NO_GAP)
        return
    by_kind: dict[tuple[str, Timeframe], list[GapInterval]] = {}
    for each in found:
        by_kind.setdefault((each.symbol, each.timeframe), []).append(each)
    shown = []
    for intervals in by_kind.values():
        urgent = sorted(intervals, key=lambda each: (each.what not in _TO_REPAIR, each.window))[:limit]
        shown += sorted(urgent, key=lambda each: each.window)
    rows = [
        {
            **_row(each),
            "from": _time(each.window.start),
            "to": _time(each.window.end),
            "next attempt": _time(each.next_attempt_at),
        }
        for each in shown
    ]
    out.print(
        table(
            "Gaps", _COLUMNS, as_rows(rows, _COLUMNS), right=["bars", "attempts"], keys=["symbol", "timeframe", "from"]
        )
    )
    for (symbol, length), intervals in by_kind.items():
        counts: Counter[str] = Counter()
        for each in intervals:
            counts[each.what.value] += 1
        summary = ", ".join(f"{count:,} {what}" for what, count in counts.items())
        out.print(f"{symbol} {length}: {summary}", highlight=False)


def _time(timestamp: datetime | None) -> str:
    return f"{timestamp:%Y-%m-%d %H:%M}" if timestamp else ""
