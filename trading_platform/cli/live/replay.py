"""The command ``replay``: builds bars from files of ticks and recordings as the live path does.

:mod:`trading_platform.streaming.replay.replay` does the work; this module parses the options and prints the result.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.texts import shown
from trading_platform.domain.time import utc_now
from trading_platform.sources.files.content.options import DateOrder

if TYPE_CHECKING:
    from trading_platform.domain.market.instruments import Instrument
    from trading_platform.domain.market.live.bar_series import Basis
    from trading_platform.streaming.replay.inputs import ReplayInput
    from trading_platform.streaming.replay.replay import ReplayReport
    from trading_platform.streaming.replay.sinks import FinalMinutesSink, MemorySink

_MOST_ROWS = 20
"""Number of bars shown by a dry run; --to writes all of them to a file."""


def register(app: typer.Typer) -> None:
    """Adds the command to the application."""
    app.command()(replay)


def replay(
    files: Annotated[
        list[Path], typer.Argument(help="Files of trades or quotes, or recordings made by stream --record.")
    ],
    *,
    basis: Annotated[
        str | None, typer.Option(help="Price of the bars: trade, mid, bid or ask. Default: as in the file.")
    ] = None,
    symbol: Annotated[
        str | None,
        typer.Option(help="Symbol of the prices; for a recording, the symbol to replay. Default: as in the file."),
    ] = None,
    speed: Annotated[str, typer.Option(help="Factor to the original speed: 1, 100, …, or max.")] = "max",
    timezone: Annotated[
        str | None, typer.Option(help="Time zone of times without one, for example America/New_York.")
    ] = None,
    dates: Annotated[
        DateOrder | None, typer.Option(help="Order in dates like 01/03/2017, where the file leaves it ambiguous.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Store nothing; show the bars.")] = False,
    to: Annotated[Path | None, typer.Option(help="Store nothing; write the bars to a .parquet or .csv file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Build 1m bars from recorded ticks, event by event, as the live stream would have built them.

    Continues where it was interrupted; a second run changes nothing. Longer bars are rolled up as in the live stream.

    Example: trading-platform replay EURUSD_ticks.csv.gz --basis bid --dry-run
    """
    from trading_platform.sources.files.content.options import ImportOptions

    factor = _speed(speed)
    price = _basis(basis)
    _check_target(to)
    options = ImportOptions(symbol=symbol.upper() if symbol else None, timezone=timezone, dates=dates)
    if dry_run or to is not None:
        reports, sink = _without_storing(files, options, price, factor, quiet=as_json)
        _print(reports, sink, to, as_json=as_json)
        return
    _print(_storing(files, options, price, factor, quiet=as_json), None, None, as_json=as_json)


def _without_storing(
    files: list[Path], options: Any, basis: Basis | None, speed: float | None, *, quiet: bool
) -> tuple[list[ReplayReport], MemorySink]:
    from trading_platform.streaming.replay.sinks import MemorySink

    sink = MemorySink()
    inputs = _open(files, options, basis, lambda _symbol: None)
    return _replay_all(inputs, sink, speed, quiet=quiet), sink


def _storing(
    files: list[Path], options: Any, basis: Basis | None, speed: float | None, *, quiet: bool
) -> list[ReplayReport]:
    from trading_platform.domain.market.instruments import guess_instrument
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings
    from trading_platform.sources.files.content.contents import check_exists
    from trading_platform.streaming.replay.sinks import StoreSink

    for file in files:
        check_exists(file.expanduser())
    with open_platform(load_settings()) as platform:
        stores = platform.stores
        instruments = stores.instruments
        inputs = _open(files, options, basis, instruments.get)
        for each in inputs:
            for symbol in each.basis:
                if instruments.get(symbol) is None:
                    instruments.add(guess_instrument(symbol, each.source))
        sink = StoreSink(stores.stream, stores.quarantine, platform.clock)
        return _replay_all(inputs, sink, speed, quiet=quiet)


def _open(files: list[Path], options: Any, basis: Basis | None, registered: Any) -> list[ReplayInput]:
    from trading_platform.domain.market.calendars import timezone_of
    from trading_platform.domain.market.instruments import guess_instrument
    from trading_platform.streaming.replay.inputs import open_inputs

    def zone_of(symbol: str) -> str:
        instrument: Instrument = registered(symbol) or guess_instrument(symbol, "file")
        return timezone_of(instrument.calendar).key

    return [
        found
        for file in files
        for found in open_inputs(
            file.expanduser(), basis=basis, options=options, zone_of=zone_of, registered=registered
        )
    ]


def _replay_all(
    inputs: list[ReplayInput], sink: FinalMinutesSink, speed: float | None, *, quiet: bool
) -> list[ReplayReport]:
    from trading_platform.cli.output import progress_bars
    from trading_platform.streaming.replay.replay import MINUTES_AT_ONCE
    from trading_platform.streaming.replay.replay import replay as run

    with progress_bars(quiet=quiet) as progress:
        return [
            run(
                each,
                sink,
                speed=speed,
                clock=utc_now,
                sleep=time.sleep,
                progress=progress,
                minutes_at_once=MINUTES_AT_ONCE if speed is None else 1,
            )
            for each in inputs
        ]


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        speed = float(text)
    except ValueError:
        speed = 0.0
    if not 0 < speed < float("inf"):
        raise InvalidRequest(
            f"A replay cannot have the speed {text!r}.",
            expected="a number above zero, or max",
            received=shown(text),
            remedy="use --speed 1 for the original speed, or --speed max for the highest speed",
        )
    return speed


def _basis(text: str | None) -> Basis | None:
    from trading_platform.domain.market.live.bar_series import Basis

    if text is None:
        return None
    try:
        return Basis(text.lower())
    except ValueError:
        raise InvalidRequest(
            f"Bars cannot be built from {text!r}.",
            expected=f"one of {', '.join(Basis)}",
            received=shown(text),
            remedy="choose one of the expected values, or omit --basis",
        ) from None


def _check_target(to: Path | None) -> None:
    if to is not None and to.suffix not in (".parquet", ".csv"):
        raise InvalidRequest(
            "The file name does not have a supported extension.",
            expected="a name that ends in .parquet or .csv",
            received=to.name,
            remedy="choose a name with one of these extensions",
        )


def _print(reports: list[ReplayReport], sink: MemorySink | None, to: Path | None, *, as_json: bool) -> None:
    from trading_platform.cli.exports import write_frame
    from trading_platform.cli.output import out, print_json, table

    bars = sink.bars() if sink is not None else None
    if to is not None and bars is not None:
        write_frame(bars, to)
    if as_json:
        shown = bars.to_dicts() if bars is not None and to is None else None
        print_json({"replays": [asdict(report) for report in reports], "bars": shown, "file": to and str(to)})
        return
    columns = ("file", "symbols", "basis", "events", "used", "rejected", "duplicates", "late", "bars", "final until")
    rows = [_row(report) for report in reports]
    out.print(table("Replayed", columns, rows, right=columns[3:9]))
    for reason, count in _reasons(sink):
        out.print(f"{count:,} rejected: {reason}", highlight=False)
    if to is not None and bars is not None:
        out.print(f"{bars.height:,} bars written to {to}.", highlight=False)
    elif bars is not None:
        last = bars.tail(_MOST_ROWS).drop("timeframe", "source", "quality")
        title = f"{bars.height:,} bars" + (f", the last {_MOST_ROWS}" if bars.height > _MOST_ROWS else "")
        out.print(table(title, last.columns, last.rows(), right=last.columns[2:]))


def _reasons(sink: MemorySink | None) -> Iterator[tuple[str, int]]:
    import polars as pl

    if sink is not None and sink.rejected:
        yield from pl.concat(sink.rejected)["reason"].value_counts(sort=True).rows()


def _row(report: ReplayReport) -> tuple[Any, ...]:
    counts = report.counts
    symbols = ", ".join(report.symbols)
    until = f"{report.until:%Y-%m-%d %H:%M}" if report.until else None
    used = (counts.received - counts.repeated, counts.accepted, report.rejected, counts.duplicates, counts.late)
    return (Path(report.origin).name, symbols, ", ".join(report.basis), *used, report.bars, until)
