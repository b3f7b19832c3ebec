"""``instruments``: lists and changes the instruments of the universe."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trading_platform.cli.output import as_rows, out, print_json, table
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.instruments import AssetClass, Instrument, check_symbol, guess_instrument
from trading_platform.stores.postgres.roles import Role

if TYPE_CHECKING:
    from trading_platform.stores.stores import Stores

instruments = typer.Typer(help="The universe: the instruments that the platform stores data for.", no_args_is_help=True)

_COLUMNS = ["symbol", "asset_class", "calendar", "source", "sector", "benchmark", "tick_size", "fallback_sources"]
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
    symbol: Annotated[str, typer.Argument(help="Symbol in the platform's spelling: AAPL, EURUSD, BTCUSD.")],
    asset_class: Annotated[
        AssetClass | None, typer.Option(help="Asset class. Default: guessed from the symbol.")
    ] = None,
    calendar: Annotated[str | None, typer.Option(help="Calendar: 24/7, FX, or an exchange code such as XNYS.")] = None,
    source: Annotated[str | None, typer.Option(help="Source of its bars: file, kraken, ibkr or yahoo.")] = None,
    sector: Annotated[str | None, typer.Option(help="Sector; instruments of a sector are peers.")] = None,
    benchmark: Annotated[str | None, typer.Option(help="Symbol of the benchmark of its market.")] = None,
    tick_size: Annotated[str | None, typer.Option(help="Smallest price step.")] = None,
    fallback: Annotated[
        list[str] | None,
        typer.Option(help="Source to use where the first has no bars; may be repeated, 'none' for no fallback."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Add an instrument, or change an existing one; options that are not given stay unchanged.

    Example: trading-platform instruments add AAPL --sector technology --benchmark SPY
    """
    from trading_platform.domain.market.calendars import check_calendar

    given: dict[str, Any] = {
        "asset_class": asset_class,
        "calendar": check_calendar(calendar) if calendar else None,
        "source": _known_source(source) if source else None,
        "sector": sector,
        "benchmark": check_symbol(benchmark) if benchmark else None,
        "tick_size": _tick(tick_size) if tick_size else None,
        "fallback_sources": _fallbacks(fallback) if fallback else None,
    }
    with _stores() as stores:
        base = stores.instruments.get(check_symbol(symbol)) or _guess(symbol)
        instrument = replace(base, **{name: value for name, value in given.items() if value is not None})
        new = stores.instruments.add(instrument)
    if json:
        print_json({**asdict(instrument), "new": new})
    else:
        out.print(f"{'Added' if new else 'Changed'}: {_sentence(instrument)}")


@instruments.command()
def remove(
    symbol: Annotated[str, typer.Argument(help="Symbol of the instrument.")],
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
            received=repr(name),
            remedy="choose one of the listed sources",
        )
    return name


def _fallbacks(names: list[str]) -> tuple[str, ...]:
    return () if names == ["none"] else tuple(dict.fromkeys(_known_source(name) for name in names))


def _tick(text: str) -> Decimal:
    try:
        size = Decimal(text)
    except InvalidOperation:
        size = Decimal(0)
    if not size.is_finite() or size <= 0:
        raise InvalidRequest(
            "A tick size must be a positive number.",
            expected="for example 0.01",
            received=text,
            remedy="give a positive number",
        )
    return size


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
