"""The meaning of a table's columns: one :class:`Layout` for each file format.

A header is recognised by its names, in any spelling and order. Without a header, the number of
columns, the first column and the file's name decide. docs/sources/files.md has the sources of the conventions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum

import polars as pl

from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.sources.files.content.column_names import check_prices_once, plain_name
from trading_platform.sources.files.content.options import FileFormat, FileRejected
from trading_platform.sources.files.content.tables import Table
from trading_platform.sources.files.recognition.column_roles import OHLC, RANGE, is_local, named_zone, roles_of
from trading_platform.sources.files.recognition.lean import EASTERN_STANDARD, lean_market
from trading_platform.sources.files.recognition.names import FileName


class Kind(Enum):
    """The kind of data in a row."""

    BARS = "bars"
    QUOTE_BARS = "bars of bid and ask"
    TRADES = "trades"
    QUOTES = "quotes"


@dataclass(frozen=True)
class Layout:
    """How a table is read.

    Attributes:
        format: its name.
        kind: the kind of data in a row.
        roles: from ``time``, ``open`` … to the table's columns. ``clock`` is a column with the time
            of day beside one with the date; ``suspicious`` the source's own mark of a bad row.
        zone: the time zone of the format or of the columns, None if they do not define one.
        zone_reason: where the zone of the columns is named, in words; a zone that is named and not known has to be
            given by the user.
        local: naive times are those of the instrument's exchange.
        scale: prices are integers, this many times the price.
        since_midnight: times are milliseconds since midnight of the day in the file's name.
        zero_is_missing: a price of 0 means that this side of the quote was empty.
        interval_named: the timeframe in the file's name takes precedence over the rows.
        session_midnights: daily bars are stamped midnight of New York, which tells them from minutes (Polygon).
        unknown_market: the market of a format whose times are local to it, if its zone is unknown.
    """

    format: FileFormat
    kind: Kind
    roles: dict[str, str] = field(default_factory=dict)
    zone: str | None = None
    zone_reason: str = ""
    local: bool = False
    scale: int = 1
    since_midnight: bool = False
    zero_is_missing: bool = False
    interval_named: bool = False
    unknown_market: str = ""
    session_midnights: bool = False


_QUOTE_OHLC = tuple(f"{side}_{name}" for side in ("bid", "ask") for name in OHLC)
_NO_PRICES = frozenset(("time", "clock", "volume", "quantity", "suspicious"))
_SAMPLE = 10_000

EQUITY_SCALE = 10_000
"""LEAN writes equity prices as deci-cents."""


def is_header(names: list[str]) -> bool:
    """Whether these are column names of a table of bars, quotes or trades."""
    found = roles_of(names)
    return _kind_of(found) is not None and "time" in found


def _kind_of(roles: dict[str, str]) -> Kind | None:
    for kind, needed in (
        (Kind.BARS, OHLC),
        (Kind.QUOTE_BARS, _QUOTE_OHLC),
        (Kind.QUOTES, ("bid", "ask")),
        (Kind.TRADES, ("price", "quantity")),
    ):
        if all(role in roles for role in needed):
            incomplete = roles.keys() >= RANGE if kind is Kind.QUOTES else kind is Kind.TRADES and roles.keys() & RANGE
            return None if incomplete else kind
    return None


def recognise(table: Table, name: FileName, given: FileFormat | None, instrument: Instrument | None = None) -> Layout:
    """Recognises the layout of a table.

    Args:
        table: the rows.
        name: name of the file.
        given: the format, if the user gave it.
        instrument: the instrument, if it is in the universe; LEAN's files are scaled by its asset class.

    Raises:
        FileRejected: if it is not a table of bars, quotes or trades, or not of the given format.
    """
    layout = _by_header(table) if table.header is not None else _by_position(table, name, given, instrument)
    if given is not None and layout.format is not given and not _is_compatible(layout, given):
        raise FileRejected(
            Reason.UNSUPPORTED, f"it looks like {layout.format.value}, not like {given.value}", rows=table.height
        )
    return layout


def _is_compatible(layout: Layout, given: FileFormat) -> bool:
    """Whether a format is compatible with the given one: freqtrade's and Yahoo's files are tables of bars, too."""
    bars = {FileFormat.OHLCV, FileFormat.YAHOO, FileFormat.FREQTRADE}
    return layout.format in bars and given in bars


def _by_header(table: Table) -> Layout:
    names = list(table.header or ())
    check_prices_once(names, table.height)
    roles = roles_of(names)
    kind = _kind_of(roles)
    if kind is None or "time" not in roles:
        shown = ", ".join(names)[:200]
        if {"dividends", "stocksplits"} & {plain_name(name) for name in names}:
            shown += "; `trading-platform corporate-actions import` reads splits and dividends"
        raise FileRejected(
            Reason.UNSUPPORTED, f"its columns are not those of bars, quotes or trades: {shown}", rows=table.height
        )
    plain = [plain_name(name) for name in names]
    time_name = names[int(roles["time"][1:])]
    zone = named_zone(names, roles, table.frame)
    return Layout(
        _named_format(kind, plain, table),
        kind,
        roles,
        zone=zone.name if zone else None,
        zone_reason=zone.words if zone else "",
        local=is_local(time_name),
        session_midnights=plain_name(time_name) == "windowstart",
    )


def _named_format(kind: Kind, plain: list[str], table: Table) -> FileFormat:
    if kind is Kind.QUOTE_BARS:
        return FileFormat.QUOTE_BARS
    if kind is Kind.QUOTES:
        return FileFormat.TRUEFX if plain == ["timestamp", "bid", "ask"] else FileFormat.QUOTES
    if kind is Kind.TRADES:
        return FileFormat.TRADES
    if "adjclose" in plain:
        return FileFormat.YAHOO
    return FileFormat.FREQTRADE if table.container == "feather" else FileFormat.OHLCV


_BARS = ("time", *OHLC, "volume")
_BARS_WITHOUT_VOLUME = ("time", *OHLC)
_LEAN_QUOTE_BARS = ("time", *(f"bid_{n}" for n in OHLC), "", *(f"ask_{n}" for n in OHLC), "")


def _columns(*roles: str) -> dict[str, str]:
    return {role: f"c{index}" for index, role in enumerate(roles) if role}


_EPOCH_SECONDS = r"^\d{9,10}(?:\.\d+)?$"
_EPOCH = r"^\d{9,10}(?:\.\d+)?$|^\d{13}$|^\d{16}$"
_DAY = r"^(?:19|20)\d{6}$"
_HISTDATA_TICK = r"^\d{8} \d{9}$"
_HISTDATA_BAR = r"^\d{8} \d{6}$"
_LEAN_HOUR = r"^\d{8} \d{2}:\d{2}$"
_PAIR = r"^[A-Z]{3}/[A-Z]{3}$"


def _by_position(table: Table, name: FileName, given: FileFormat | None, instrument: Instrument | None) -> Layout:
    width = table.frame.width
    first = table.frame["c0"].cast(pl.String).str.strip_chars()

    def mostly(pattern: str) -> bool:
        return bool((first.head(1000).fill_null("").str.contains(pattern).mean() or 0) > 0.5)  # type: ignore[operator]  # noqa: PLR2004

    lean = _lean(table, name, mostly, instrument)
    if lean is not None:
        return lean
    if given in (None, FileFormat.BINANCE) and (trades := _binance_trades(table)):
        return trades
    if width == 4 and mostly(_DAY) and given is None:  # noqa: PLR2004
        raise FileRejected(
            Reason.UNSUPPORTED,
            "a factor file, not bars: `trading-platform corporate-actions import` reads it",
            rows=table.height,
        )
    for format_, columns, pattern, kind in _HEADERLESS:
        if len(columns) == width and mostly(pattern) and given in (None, format_):
            return _headerless(format_, columns, kind)
    if given in (None, FileFormat.OHLCV) and table.container == "json" and width in (5, 6):
        return Layout(FileFormat.FREQTRADE, Kind.BARS, _columns(*_BARS[:width]))
    if given in (None, FileFormat.OHLCV) and width in (5, 6):
        return Layout(FileFormat.OHLCV, Kind.BARS, _columns(*_BARS[:width]))
    raise FileRejected(
        Reason.UNSUPPORTED,
        f"{width} columns without a header are none of the known formats; write the names of its columns, such as "
        "time,open,high,low,close,volume or id,time,price,quantity, into its first line",
        rows=table.height,
    )


_HEADERLESS: tuple[tuple[FileFormat, tuple[str, ...], str, Kind], ...] = (
    (FileFormat.BINANCE, (*_BARS, *[""] * 6), _EPOCH, Kind.BARS),
    (FileFormat.KRAKEN_OHLCVT, (*_BARS, ""), _EPOCH_SECONDS, Kind.BARS),
    (FileFormat.KRAKEN_TRADES, ("time", "price", "quantity"), _EPOCH_SECONDS, Kind.TRADES),
    (FileFormat.HISTDATA, ("time", "bid", "ask", ""), _HISTDATA_TICK, Kind.QUOTES),
    (FileFormat.HISTDATA, _BARS, _HISTDATA_BAR, Kind.BARS),
    (FileFormat.TRUEFX, ("symbol", "time", "bid", "ask"), _PAIR, Kind.QUOTES),
    (FileFormat.OHLCV, ("time", "clock", *OHLC, "volume"), r"^\d{4}\.\d{2}\.\d{2}$", Kind.BARS),  # MetaTrader
)


_MOST = 0.5


def _binance_trades(table: Table) -> Layout | None:
    """Binance's trades and aggregated trades: an identifier first, the time before the mark of the buyer's side."""
    texts = [
        table.frame[name].cast(pl.String, strict=False).str.strip_chars().head(1000) for name in table.frame.columns
    ]

    def mostly(column: int, pattern: str) -> bool:
        return float(texts[column].fill_null("").str.contains(pattern).mean() or 0) > _MOST  # type: ignore[arg-type]

    marks = [column for column in range(4, table.frame.width) if mostly(column, r"(?i)^(?:true|false)$")]
    if not marks or not mostly(0, r"^\d{1,12}$") or not mostly(marks[0] - 1, r"^\d{13}$|^\d{16}$"):
        return None
    roles = {"time": f"c{marks[0] - 1}", "price": "c1", "quantity": "c2"}
    return Layout(FileFormat.BINANCE, Kind.TRADES, roles)


def _headerless(format_: FileFormat, columns: tuple[str, ...], kind: Kind) -> Layout:
    return Layout(
        format_,
        kind,
        _columns(*columns),
        zone=EASTERN_STANDARD if format_ is FileFormat.HISTDATA else None,
        interval_named=format_ is FileFormat.KRAKEN_OHLCVT,
    )


def _lean(table: Table, name: FileName, mostly: Callable[[str], bool], instrument: Instrument | None) -> Layout | None:
    """The layout of LEAN's own files: a day of ticks, seconds or minutes, or the whole history by hours or days."""
    width = table.frame.width
    if name.lean_day is not None and mostly(r"^\d{1,9}$"):
        return _lean_intraday(name, table, instrument)
    if not mostly(_LEAN_HOUR):
        return None
    if width == len(_LEAN_QUOTE_BARS):
        kind, roles = Kind.QUOTE_BARS, _columns(*_LEAN_QUOTE_BARS)
    elif width in (len(_BARS), len(_BARS_WITHOUT_VOLUME)):
        kind, roles = Kind.BARS, _columns(*_BARS[:width])
    else:
        return None
    return _of_market(Layout(FileFormat.LEAN, kind, roles), name, table, instrument)


def _of_market(layout: Layout, name: FileName, table: Table, instrument: Instrument | None) -> Layout:
    """A LEAN layout with the scale and the zone of its market."""
    columns = [column for role, column in layout.roles.items() if role not in _NO_PRICES]
    prices = pl.concat([table.frame[column].cast(pl.String, strict=False).head(_SAMPLE) for column in columns])
    market = lean_market(name, instrument, prices)
    return replace(
        layout,
        zone=market.zone,
        unknown_market="" if market.zone else market.market,
        scale=EQUITY_SCALE if market.scaled else 1,
        zero_is_missing=layout.kind in (Kind.QUOTES, Kind.QUOTE_BARS),
    )


def _lean_intraday(name: FileName, table: Table, instrument: Instrument | None) -> Layout:
    width = table.frame.width
    quote = "quote" in name.near_words
    ticks = "tick" in name.near_words
    shapes: dict[tuple[bool, bool, int], tuple[Kind, tuple[str, ...]]] = {
        (False, False, 6): (Kind.BARS, _BARS),
        (False, True, 11): (Kind.QUOTE_BARS, _LEAN_QUOTE_BARS),
        (True, False, 6): (Kind.TRADES, ("time", "price", "quantity", "", "", "suspicious")),
        (True, False, 3): (Kind.TRADES, ("time", "price", "quantity")),
        (True, True, 8): (Kind.QUOTES, ("time", "bid", "", "ask", "", "", "", "suspicious")),
        (True, True, 5): (Kind.QUOTES, ("time", "bid", "", "ask", "")),
        (True, True, 3): (Kind.QUOTES, ("time", "bid", "ask")),
    }
    found = shapes.get((ticks, quote, width))
    if found is None:
        raise FileRejected(Reason.UNSUPPORTED, f"{width} columns are not those of a LEAN file", rows=table.height)
    kind, columns = found
    layout = Layout(FileFormat.LEAN, kind, _columns(*columns), since_midnight=True)
    return _of_market(layout, name, table, instrument)
