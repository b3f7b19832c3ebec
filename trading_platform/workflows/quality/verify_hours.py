"""Checks that bars lie in the hours of their market, as far as they can: wrong time zones and filled nights are found.

Bars outside the session are normal where a vendor has extended hours. They are wrong where they only repeat a price,
and where another reading of the times puts them into the session
(:mod:`trading_platform.domain.quality.closed_time`).
"""

from __future__ import annotations

from trading_platform.domain.quality.closed_time import judge_hours, split_off_fillers
from trading_platform.stores.market_data.checks import SAMPLE_ROWS
from trading_platform.workflows.quality.check_results import CheckResult, Examination, Row, finding
from trading_platform.workflows.quality.verify_completeness import counts_of


def check_hours(examination: Examination) -> CheckResult:
    """The check ``in_session``: an error where bars lie outside the session for a wrong reason."""
    universe = examination.stores.instruments.all()
    timeframe = examination.timeframe
    partitions = counts_of(examination)
    counts = {"out of session": sum(partition.out_of_session for partition in partitions), "repeated prices": 0}
    counts["doubtful hours"] = 0
    sample: list[Row] = []
    for partition in partitions:
        if not partition.out_of_session:
            continue
        calendar = universe[partition.symbol].calendar
        bars = examination.stores.bars.read([partition.symbol], timeframe, partition.window)
        rest, repeated = split_off_fillers(bars, calendar, timeframe)
        counts["repeated prices"] += bars.height - rest.height
        found = [
            {"detail": detail, "time": time.isoformat()} for detail, time in repeated.select("detail", "time").rows()
        ]
        hours = judge_hours(bars, calendar, timeframe)
        if hours is not None and not hours.fits:
            counts["doubtful hours"] += hours.outside
            found.append({"detail": hours.as_text()})
        sample += [{"symbol": partition.symbol, "partition": str(partition.window), **row} for row in found]
    return finding(
        rows_checked=sum(partition.bars for partition in partitions),
        failing_rows=counts["repeated prices"] + counts["doubtful hours"],
        what="bars",
        wrong="lie outside the session: they repeat a price of closed time, or another reading of their times fits",
        remedy="import the file again with its --timezone, or correct the instrument's calendar; then "
        "`trading-platform backfill --force`",
        sample=sample[:SAMPLE_ROWS],
        counts=counts,
    )
