"""``coverage`` and ``export``: what is there, and how to take it away."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trading_platform.cli.market_data.backfill import accounts_of
from trading_platform.cli.output import as_rows, out, print_json, table
from trading_platform.domain.errors import InvalidRequest, StoreError, StoreFull
from trading_platform.domain.time import Timeframe, Window, parse_timestamp, utc_now
from trading_platform.settings import load_settings
from trading_platform.stores.postgres.roles import Role

if TYPE_CHECKING:
    import polars as pl

    from trading_platform.domain.market.adjustment import Adjustment
    from trading_platform.resources.platform import PlatformContext

_COLUMNS = ["symbol", "timeframe", "first", "last"]
_COLUMNS += ["expected", "stored", "out_of_session", "empty", "pending_confirmation", "rejected", "missing", "expired"]
_BEGINNING = "1900-01-01"


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.command()(coverage)
    app.command()(export)


def coverage(
    symbols: Annotated[list[str] | None, typer.Argument(help="Which symbols; all by default.")] = None,
    timeframe: Annotated[list[str] | None, typer.Option("--timeframe", "-t", help="1m, 5m, 1h or 1d.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Show what is expected, stored, proven empty, refused, missing, and dropped because of its age.

    Example: trading-platform coverage SPY -t 1d
    """
    from trading_platform.resources.platform import open_platform

    lengths = [Timeframe.parse(text) for text in timeframe] if timeframe else list(Timeframe)
    with open_platform(load_settings(), role=Role.DASHBOARD) as platform:
        chosen = symbols or list(platform.stores.instruments.all())
        rows = [row for symbol in chosen for row in _covered(platform, symbol, lengths)]
    if json:
        print_json(rows)
    elif rows:
        shown = [{**row, **{name: _minute(row[name]) for name in ("first", "last")}} for row in rows]
        out.print(table("Coverage", _COLUMNS, as_rows(shown, _COLUMNS), right=_COLUMNS[4:]))
        for row in rows:
            for failure in row["failures"]:
                out.print(f"{row['symbol']} {row['timeframe']} {failure}", highlight=False, markup=False)
    else:
        out.print("Nothing is stored yet. `trading-platform backfill` brings bars in.")


def _covered(platform: PlatformContext, symbol: str, timeframes: Sequence[Timeframe]) -> list[dict[str, Any]]:
    from trading_platform.workflows.bars.plan_backfill import available_history_of

    (instrument,) = platform.instruments([symbol])
    rows = []
    for timeframe in timeframes:
        available_history = available_history_of(
            platform.stores, platform.sources, instrument, timeframe, platform.clock
        )
        if available_history is None:
            continue
        accounts = accounts_of(platform, available_history, available_history.partitions(None))
        firsts = [account.first for account in accounts if account.first]
        lasts = [account.last for account in accounts if account.last]
        rows.append(
            {
                "symbol": symbol,
                "timeframe": timeframe.value,
                "first": min(firsts).isoformat() if firsts else None,
                "last": max(lasts).isoformat() if lasts else None,
                "expected": sum(account.expected for account in accounts),
                "stored": sum(account.stored for account in accounts),
                "out_of_session": sum(account.out_of_session for account in accounts),
                "empty": sum(account.empty for account in accounts),
                "pending_confirmation": sum(account.pending_confirmation for account in accounts),
                "rejected": sum(account.rejected for account in accounts),
                "expired": sum(account.expired for account in accounts),
                "missing": sum(account.missing for account in accounts),
                "failures": [
                    f"failed for {failure.window}: {failure.note}"
                    for failure in platform.stores.coverage.failures([symbol], timeframe)
                ],
            }
        )
    return rows


def _minute(timestamp: str | None) -> str | None:
    """A time in UTC as a table has room for it."""
    return timestamp[:16].replace("T", " ") if timestamp else None


def export(
    what: Annotated[str, typer.Argument(help="bars, indicators, features or quarantine.")],
    file: Annotated[Path, typer.Argument(help="Where to; .parquet or .csv.")],
    symbols: Annotated[list[str] | None, typer.Option("--symbol", "-s", help="Which symbols; all by default.")] = None,
    timeframe: Annotated[str, typer.Option("--timeframe", "-t", help="1m, 5m, 1h or 1d.")] = "1d",
    start: Annotated[str | None, typer.Option(help="First moment.")] = None,
    end: Annotated[str | None, typer.Option(help="Last moment, not included.")] = None,
    adjust: Annotated[
        str, typer.Option(help="Of bars: raw, split or total_return, as of the end of the window.")
    ] = "raw",
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Write stored data to a Parquet or CSV file.

    Example: trading-platform export bars aapl.csv -s AAPL --adjust split
    """
    from trading_platform.domain.market.adjustment import parse_adjustment
    from trading_platform.resources.platform import open_platform

    if file.suffix not in (".parquet", ".csv"):
        raise InvalidRequest(
            "The file's ending does not say what to write.",
            expected="a name that ends in .parquet or .csv",
            received=file.name,
            remedy="choose such a name",
        )
    length, how = Timeframe.parse(timeframe), parse_adjustment(adjust)
    window = Window(parse_timestamp(start or _BEGINNING), parse_timestamp(end) if end else utc_now())
    with open_platform(load_settings(), role=Role.DASHBOARD) as platform:
        chosen = list(platform.stores.instruments.require(symbols) if symbols else platform.stores.instruments.all())
        frame = _read(platform, what, chosen, length, window, how)
    _write(frame, file)
    if json:
        print_json({"file": str(file), "rows": frame.height})
    else:
        out.print(f"{frame.height:,} rows written to {file}.")


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
        return stores.features.read(symbols, window)
    if what == "quarantine":
        return stores.quarantine.read(limit=10_000_000).filter(
            pl.col("symbol").is_null() | pl.col("symbol").is_in(symbols)
        )
    raise InvalidRequest(
        f"{what!r} cannot be exported.",
        expected="bars, indicators, features or quarantine",
        received=repr(what),
        remedy="choose one of these",
    )


def _write(frame: pl.DataFrame, file: Path) -> None:
    """Writes beside the file and moves it there, so that a reader never sees half of it."""
    from polars.exceptions import PolarsError

    handle, name = -1, ""
    try:
        handle, name = tempfile.mkstemp(dir=file.parent, suffix=file.suffix)
        os.close(handle)
        if file.suffix == ".csv":
            frame.write_csv(name)
        else:
            frame.write_parquet(name)
        umask = os.umask(0)
        os.umask(umask)
        Path(name).chmod(0o666 & ~umask)
        Path(name).replace(file)
    except (OSError, PolarsError) as error:
        if name:
            Path(name).unlink(missing_ok=True)
        said = str(getattr(error, "strerror", None) or error)
        raise (StoreFull if "no space left" in said.lower() else StoreError)(
            f"{file} could not be written; nothing is left behind.",
            received=said,
            remedy="choose a folder that exists, may be written to and has space",
        ) from None
