"""``coverage`` and ``export``: shows what is stored, and writes it to files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trading_platform.cli.market_data.backfill import coverage_counts
from trading_platform.cli.output import as_rows, out, print_json, table
from trading_platform.cli.parameters import in_capitals
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.texts import shown
from trading_platform.domain.time import Timeframe, Window, parse_timestamp, utc_now
from trading_platform.stores.postgres.roles import Role

if TYPE_CHECKING:
    import polars as pl

    from trading_platform.domain.market.adjustment import Adjustment
    from trading_platform.resources.platform import PlatformContext

_COLUMNS = ["symbol", "timeframe", "first", "last"]
_COLUMNS += ["expected", "stored", "out_of_session", "empty", "pending_confirmation", "rejected", "missing", "expired"]
_UNUSUAL = ("out_of_session", "pending_confirmation", "expired")  # shown where there are any
_BEGINNING = "1900-01-01"


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(coverage)
    app.command()(export)


def coverage(
    symbols: Annotated[list[str] | None, typer.Argument(callback=in_capitals, help="Symbols. Default: all.")] = None,
    timeframe: Annotated[list[str] | None, typer.Option("--timeframe", "-t", help="1m, 5m, 1h or 1d.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Show the numbers of bars expected, stored, confirmed empty, rejected, missing, and expired by retention.

    Example: trading-platform coverage SPY -t 1d
    """
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings

    lengths = [Timeframe.parse(text) for text in timeframe] if timeframe else list(Timeframe)
    with open_platform(load_settings(), role=Role.DASHBOARD) as platform:
        chosen = symbols or list(platform.stores.instruments.all())
        rows = [row for symbol in chosen for row in _covered(platform, symbol, lengths)]
    if json:
        print_json(rows)
    elif rows:
        shown = [{**row, **{name: _time(row, name) for name in ("first", "last")}} for row in rows]
        columns = [name for name in _COLUMNS if name not in _UNUSUAL or any(row[name] for row in rows)]
        out.print(table("Coverage", columns, as_rows(shown, columns), right=columns[4:]))
        for row in rows:
            for failure in row["failures"]:
                out.print(f"{row['symbol']} {row['timeframe']} {failure}", highlight=False)
    elif not symbols and not timeframe:
        out.print("Nothing is stored yet. `trading-platform backfill` fetches bars.")
    if not json and (symbols or timeframe):
        _print_absent(chosen, lengths if timeframe else [], rows)


def _print_absent(symbols: Sequence[str], timeframes: Sequence[Timeframe], rows: Sequence[dict[str, Any]]) -> None:
    """Prints which of the named symbols and timeframes have neither bars nor a source with any."""
    present = {(row["symbol"], row["timeframe"]) for row in rows}
    known = {symbol for symbol, _ in present}
    for symbol in symbols:
        absent = [length for length in timeframes if (symbol, length.value) not in present]
        if absent or symbol not in known:
            what = f"{', '.join(absent)} bars" if absent else "bars"
            out.print(
                f"{symbol}: no {what} are stored, and its source has none. `trading-platform import FILE` adds them, "
                f"`trading-platform instruments add {symbol} --source` names another source.",
                highlight=False,
            )


def _covered(platform: PlatformContext, symbol: str, timeframes: Sequence[Timeframe]) -> list[dict[str, Any]]:
    from trading_platform.workflows.backfill.plan_backfill import available_history_of

    (instrument,) = platform.instruments([symbol])
    rows = []
    for timeframe in timeframes:
        available_history = available_history_of(
            platform.stores, platform.sources, instrument, timeframe, platform.clock
        )
        if available_history is None:
            continue
        counts = coverage_counts(platform, available_history, available_history.partitions(None))
        firsts = [count.first for count in counts if count.first]
        lasts = [count.last for count in counts if count.last]
        rows.append(
            {
                "symbol": symbol,
                "timeframe": timeframe.value,
                "first": min(firsts).isoformat() if firsts else None,
                "last": max(lasts).isoformat() if lasts else None,
                "expected": sum(count.expected for count in counts),
                "stored": sum(count.stored for count in counts),
                "out_of_session": sum(count.out_of_session for count in counts),
                "empty": sum(count.empty for count in counts),
                "pending_confirmation": sum(count.pending_confirmation for count in counts),
                "rejected": sum(count.rejected for count in counts),
                "expired": sum(count.expired for count in counts),
                "missing": sum(count.missing for count in counts),
                "failures": [
                    f"failed for {failure.window}: {failure.note}"
                    for failure in platform.stores.coverage.failures([symbol], timeframe)
                ],
            }
        )
    return rows


def _time(row: dict[str, Any], name: str) -> str | None:
    """A time in UTC for a table: the date of a daily bar, any other to the minute."""
    length = len("2024-01-31") if row["timeframe"] == Timeframe.D1 else len("2024-01-31T14:30")
    return row[name][:length].replace("T", " ") if row[name] else None


def export(
    what: Annotated[str, typer.Argument(help="bars, indicators, features or quarantine.")],
    file: Annotated[Path, typer.Argument(help="File to write; .parquet or .csv.")],
    symbols: Annotated[
        list[str] | None, typer.Option("--symbol", "-s", callback=in_capitals, help="Symbols. Default: all.")
    ] = None,
    timeframe: Annotated[str, typer.Option("--timeframe", "-t", help="1m, 5m, 1h or 1d; of features 1h or 1d.")] = "1d",
    start: Annotated[str | None, typer.Option(help="Start of the window.")] = None,
    end: Annotated[str | None, typer.Option(help="End of the window, not included.")] = None,
    adjust: Annotated[
        str, typer.Option(help="Adjustment of bars: raw, split or total_return, as of the end of the window.")
    ] = "raw",
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Write stored data to a Parquet or CSV file.

    Example: trading-platform export bars aapl.csv -s AAPL --adjust split
    """
    from trading_platform.cli.exports import write_frame
    from trading_platform.domain.market.adjustment import parse_adjustment
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings

    if file.suffix not in (".parquet", ".csv"):
        raise InvalidRequest(
            "The file name does not have a supported extension.",
            expected="a name that ends in .parquet or .csv",
            received=file.name,
            remedy="choose a name with one of these extensions",
        )
    length, how = Timeframe.parse(timeframe), parse_adjustment(adjust)
    window = Window(parse_timestamp(start or _BEGINNING), parse_timestamp(end) if end else utc_now())
    with open_platform(load_settings(), role=Role.DASHBOARD) as platform:
        chosen = list(platform.stores.instruments.require(symbols) if symbols else platform.stores.instruments.all())
        frame = _read(platform, what, chosen, length, window, how)
    absent = _absent(frame, chosen, what, window) if symbols and what != "quarantine" else []
    write_frame(frame, file)
    if json:
        print_json({"file": str(file), "rows": frame.height, "without_rows": absent})
        return
    out.print(f"{frame.height:,} rows written to {file}{_span(frame)}.", highlight=False)
    if absent:
        out.print(f"Nothing is stored of {', '.join(absent)} in {window}.", highlight=False)


def _span(frame: pl.DataFrame) -> str:
    """From when to when the rows of a frame are, in words; empty if they have no time."""
    import polars as pl

    if "time" not in frame.columns or frame["time"].null_count() == frame.height:
        return ""
    first, last = frame.select(
        first=pl.col("time").min().dt.strftime("%Y-%m-%d"), last=pl.col("time").max().dt.strftime("%Y-%m-%d")
    ).row(0)
    return f", from {first} to {last}"


def _absent(frame: pl.DataFrame, symbols: Sequence[str], what: str, window: Window) -> list[str]:
    """The named symbols of which the window has no row.

    Raises:
        InvalidRequest: if it has none of any of them.
    """
    present = set(frame["symbol"].unique())
    absent = [symbol for symbol in symbols if symbol not in present]
    if frame.is_empty():
        raise InvalidRequest(
            f"No {what} of {', '.join(absent)} are stored in {window}; no file was written.",
            expected="a symbol, timeframe and window that are stored",
            received=f"{', '.join(absent)} in {window}",
            remedy=f"see what is stored with `trading-platform coverage {' '.join(absent)}`",
        )
    return absent


def _read(
    platform: PlatformContext,
    what: str,
    symbols: Sequence[str],
    timeframe: Timeframe,
    window: Window,
    adjust: Adjustment,
) -> pl.DataFrame:
    import polars as pl

    from trading_platform.workflows.corporate_actions.adjust import adjusted_bars

    stores = platform.stores
    if what == "bars":
        bars = stores.bars.read(symbols, timeframe, window)
        return adjusted_bars(stores, bars, stores.instruments.all(), timeframe, adjust, min(window.end, utc_now()))
    if what == "indicators":
        return stores.indicators.read(symbols, timeframe, window)
    if what == "features":
        from trading_platform.domain.features.inputs import parse_frequency

        return stores.features_of(parse_frequency(timeframe)).read(symbols, window)
    if what == "quarantine":
        return stores.quarantine.read(limit=10_000_000).filter(
            pl.col("symbol").is_null() | pl.col("symbol").is_in(symbols)
        )
    raise InvalidRequest(
        f"{what!r} cannot be exported.",
        expected="bars, indicators, features or quarantine",
        received=shown(what),
        remedy="choose one of these",
    )
