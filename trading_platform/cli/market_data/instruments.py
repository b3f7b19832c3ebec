"""``instruments``: lists and changes the instruments of the universe."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trading_platform.cli.market_data.instrument_list import COLUMNS, Row, read_list
from trading_platform.cli.output import as_rows, out, print_json, table
from trading_platform.cli.parameters import in_capitals
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.instruments import AssetClass, Instrument, check_symbol, guess_instrument
from trading_platform.domain.texts import shown
from trading_platform.stores.postgres.roles import Role

if TYPE_CHECKING:
    from trading_platform.stores.stores import Stores

instruments = typer.Typer(help="The universe: the instruments that the platform stores data for.", no_args_is_help=True)

_COLUMNS = list(COLUMNS)
_MOST_DIGITS = 20  # of a tick size or lot size, before or after the point
_SOURCES = ("file", "kraken", "ibkr", "yahoo")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(instruments, name="instruments")


@instruments.command("list")
def list_instruments(json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False) -> None:
    """Show every instrument. Example: trading-platform instruments list."""
    with _stores(Role.DASHBOARD) as stores:
        found = [asdict(instrument) for instrument in stores.instruments.all().values()]
    if json:
        print_json(found)
    elif found:
        shown = [{**each, "fallback_sources": ", ".join(each["fallback_sources"])} for each in found]
        out.print(table("Instruments", _COLUMNS, as_rows(shown, _COLUMNS)))
    else:
        out.print("The universe is empty. `trading-platform import FILE` or `instruments add SYMBOL` adds to it.")


@instruments.command()
def add(
    symbols: Annotated[
        list[str] | None,
        typer.Argument(callback=in_capitals, help="Symbols in the platform's spelling: AAPL, EURUSD, BTCUSD."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(help="File with a symbol on each line, or a CSV table with the columns of `instruments list`."),
    ] = None,
    asset_class: Annotated[
        AssetClass | None, typer.Option(help="Asset class. Default: guessed from the symbol.")
    ] = None,
    calendar: Annotated[str | None, typer.Option(help="Calendar: 24/7, FX, or an exchange code such as XNYS.")] = None,
    source: Annotated[str | None, typer.Option(help="Source of its bars: file, kraken, ibkr or yahoo.")] = None,
    sector: Annotated[str | None, typer.Option(help="Sector; instruments of a sector are peers.")] = None,
    benchmark: Annotated[
        str | None, typer.Option(callback=in_capitals, help="Symbol of the benchmark of its market.")
    ] = None,
    tick_size: Annotated[str | None, typer.Option(help="Smallest price step.")] = None,
    lot_size: Annotated[str | None, typer.Option(help="Smallest step of an order's quantity.")] = None,
    fallback: Annotated[
        list[str] | None,
        typer.Option(help="Source to use where the first has no bars; may be repeated, 'none' for no fallback."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Add instruments, or change existing ones; options that are not given stay unchanged.

    All of them are added, or none if one is wrong. Options hold for all; what a file says of an instrument goes first.

    Example: trading-platform instruments add AAPL MSFT --sector technology --benchmark SPY
    """
    given = {
        "asset_class": asset_class.value if asset_class else None,
        "calendar": calendar,
        "source": source,
        "sector": sector,
        "benchmark": benchmark,
        "tick_size": tick_size,
        "lot_size": lot_size,
        "fallback_sources": " ".join(fallback) if fallback else None,
    }
    rows = [Row(0, symbol, {}) for symbol in dict.fromkeys(symbols or ())] + (read_list(file) if file else [])
    if not rows:
        raise InvalidRequest(
            "No instrument is named.",
            expected="symbols, or --file with a list of them",
            remedy="for example `trading-platform instruments add AAPL`",
        )
    checked = [(row, _checked_row(file, row, given)) for row in rows]
    with _stores() as stores:
        changed = [
            replace(stores.instruments.get(row.symbol) or _guess(row.symbol), **properties)
            for row, properties in checked
        ]
        added = [(instrument, stores.instruments.add(instrument)) for instrument in changed]
    if json:
        documents = [{**asdict(instrument), "new": new} for instrument, new in added]
        print_json(documents[0] if len(documents) == 1 and file is None else documents)
        return
    for instrument, new in added:
        out.print(f"{'Added' if new else 'Changed'}: {_sentence(instrument)}", highlight=False)


def _checked_row(file: Path | None, row: Row, given: Mapping[str, str | None]) -> dict[str, Any]:
    """The properties to set, from the options and the line of the file.

    Raises:
        InvalidRequest: for one that cannot be; it names the line.
    """
    named = {**{name: value for name, value in given.items() if value is not None}, **row.properties}
    try:
        check_symbol(row.symbol)
        return {name: _PROPERTIES[name](text) for name, text in named.items()}
    except InvalidRequest as error:
        if not row.line:
            raise
        raise InvalidRequest(
            f"{file}, line {row.line}: {error.message}",
            expected=error.expected,
            received=error.received,
            remedy=error.remedy,
        ) from None


@instruments.command()
def remove(
    symbol: Annotated[str, typer.Argument(callback=in_capitals, help="Symbol of the instrument.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Remove an instrument from the universe; its data stays. Example: trading-platform instruments remove AAPL."""
    with _stores() as stores:
        stores.instruments.require([symbol])
        stores.instruments.remove(symbol)
    if json:
        print_json({"removed": symbol})
    else:
        out.print(f"Removed {symbol}. Its bars, indicators and features stay.")


@contextmanager
def _stores(role: Role = Role.INGEST) -> Iterator[Stores]:
    from trading_platform.resources.platform import open_platform
    from trading_platform.settings import load_settings

    with open_platform(load_settings(), role=role) as platform:
        yield platform.stores


def _guess(symbol: str) -> Instrument:
    guessed = guess_instrument(symbol, source="file")
    return replace(guessed, source="kraken") if guessed.asset_class is AssetClass.CRYPTO else guessed


def _known_source(name: str) -> str:
    if name not in _SOURCES:
        raise InvalidRequest(
            f"There is no source {name!r}.",
            expected=f"one of {', '.join(_SOURCES)}",
            received=shown(name),
            remedy="choose one of the listed sources",
        )
    return name


def _fallbacks(names: list[str]) -> tuple[str, ...]:
    return () if names == ["none"] else tuple(dict.fromkeys(_known_source(name) for name in names))


def _step(text: str) -> Decimal:
    try:
        size = Decimal(text)
    except InvalidOperation:
        size = Decimal(0)
    if not size.is_finite() or size <= 0 or abs(size.adjusted()) > _MOST_DIGITS:
        raise InvalidRequest(
            "A tick size or lot size must be a positive number.",
            expected="for example 0.01",
            received=shown(text),
            remedy="give a positive number",
        )
    return size


def _asset_class(text: str) -> AssetClass:
    try:
        return AssetClass(text.lower())
    except ValueError:
        raise InvalidRequest(
            f"There is no asset class {text!r}.",
            expected=f"one of {', '.join(AssetClass)}",
            received=shown(text),
            remedy="choose one of the listed classes",
        ) from None


def _calendar(text: str) -> str:
    from trading_platform.domain.market.calendars import check_calendar

    return check_calendar(text)


_PROPERTIES: dict[str, Callable[[str], Any]] = {
    "asset_class": _asset_class,
    "calendar": _calendar,
    "source": _known_source,
    "sector": str,
    "benchmark": lambda text: check_symbol(text.upper()),
    "tick_size": _step,
    "lot_size": _step,
    "fallback_sources": lambda text: _fallbacks(text.replace(",", " ").split()),
}


def _sentence(instrument: Instrument) -> str:
    parts = [
        f"{instrument.symbol}, {instrument.asset_class}, calendar {instrument.calendar}, bars from {instrument.source}"
    ]
    if instrument.fallback_sources:
        parts.append(f"else from {', '.join(instrument.fallback_sources)}")
    if instrument.sector:
        parts.append(f"sector {instrument.sector}")
    if instrument.benchmark:
        parts.append(f"benchmark {instrument.benchmark}")
    return ", ".join(parts)
