"""The meaning of a table's columns: one :class:`Layout` for each file format.

A header is recognised by its names, in any spelling and order. Without a header, the number of
columns, the first column and the file's name decide. docs/sources/files.md has the sources of the conventions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import polars as pl

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.instruments import AssetClass, guess_instrument
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.sources.files.column_names import check_prices_once, plain_name
from trading_platform.sources.files.names import FileName
from trading_platform.sources.files.options import FileFormat, FileRejected
from trading_platform.sources.files.tables import Table


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
        zone: the time zone of the format, None if the format does not define one.
        local: naive times are those of the instrument's exchange.
        scale: prices are integers, this many times the price.
        since_midnight: times are milliseconds since midnight of the day in the file's name.
        zero_is_missing: a price of 0 means that this side of the quote was empty.
        interval_named: the timeframe in the file's name takes precedence over the rows.
    """

    format: FileFormat
    kind: Kind
    roles: dict[str, str] = field(default_factory=dict)
    zone: str | None = None
    local: bool = False
    scale: int = 1
    since_midnight: bool = False
    zero_is_missing: bool = False
    interval_named: bool = False


_ALIASES = {
    "time": [
        "timeutc",
        "opentime",
        "datetime",
        "timestamp",
        "time",
        "timelocal",
        "gmttime",
        "localtime",
        "unixtimestamp",
        "unix",
        "ts",
        "date",
        "t",
        "index",
    ],
    "open": ["open", "o", "openprice"],
    "high": ["high", "h", "highprice", "max"],
    "low": ["low", "l", "lowprice", "min"],
    "close": ["close", "c", "closeprice", "last", "closelast"],
    "volume": ["volume", "vol", "v", "tickvolume", "tickvol", "basevolume", "volumebtc"],
    "bid": ["bid", "bidprice"],
    "ask": ["ask", "askprice", "offer"],
    "price": ["price", "tradeprice", "lastprice"],
    "quantity": ["quantity", "qty", "size", "amount", "volume", "vol", "tradesize"],
    "suspicious": ["suspicious"],
    **{f"{side}_{name}": [f"{side}{name}"] for side in ("bid", "ask") for name in ("open", "high", "low", "close")},
}
_OHLC = ("open", "high", "low", "close")
_RANGE = frozenset(("open", "high", "low"))
"""What only bars have."""
_QUOTE_OHLC = tuple(f"{side}_{name}" for side in ("bid", "ask") for name in _OHLC)
_LOCAL_NAMES = frozenset(("timelocal", "localtime"))
_INDEX_NAMES = frozenset(("", "unnamed0", "indexlevel0", "price"))
_DATE_NAMES = frozenset(("date", "day"))
_CLOCK_NAMES = frozenset(("time", "timeofday"))

NEW_YORK = "America/New_York"
EASTERN_STANDARD = "Etc/GMT+5"
"""UTC-5 all year; HistData and FXCM call it EST. (The sign in this zone's name follows POSIX.)"""

EQUITY_SCALE = 10_000
"""LEAN writes equity prices as deci-cents."""


def roles_of(names: list[str]) -> dict[str, str]:
    """The roles of the known column names."""
    plain = [plain_name(name) for name in names]
    found = {
        role: f"c{plain.index(alias)}"
        for role, aliases in _ALIASES.items()
        for alias in reversed(aliases)
        if alias in plain
    }
    if "time" not in found and plain and plain[0] in _INDEX_NAMES:
        found["time"] = "c0"
    if "time" not in found:
        unnamed = [index for index, name in enumerate(plain) if name in _INDEX_NAMES - {"price"}]
        found |= {"time": f"c{unnamed[-1]}"} if unnamed else {}
    if "date" in plain and found.get("time") != f"c{plain.index('date')}" and set(plain) & _CLOCK_NAMES:
        found.update(time=f"c{plain.index('date')}", clock=f"c{plain.index('time')}")
    if "close" not in found and "price" in found and found["price"] != found.get("time") and found.keys() >= _RANGE:
        found["close"] = found["price"]  # Investing.com
    return found


def is_header(names: list[str]) -> bool:
    """Whether these are column names of a table of bars, quotes or trades."""
    found = roles_of(names)
    return _kind_of(found) is not None and "time" in found


def _kind_of(roles: dict[str, str]) -> Kind | None:
    for kind, needed in (
        (Kind.BARS, _OHLC),
        (Kind.QUOTE_BARS, _QUOTE_OHLC),
        (Kind.QUOTES, ("bid", "ask")),
        (Kind.TRADES, ("price", "quantity")),
    ):
        if all(role in roles for role in needed):
            incomplete = (
                roles.keys() >= _RANGE if kind is Kind.QUOTES else kind is Kind.TRADES and roles.keys() & _RANGE
            )
            return None if incomplete else kind
    return None


def recognise(table: Table, name: FileName, given: FileFormat | None) -> Layout:
    """Recognises the layout of a table.

    Args:
        table: the rows.
        name: name of the file.
        given: the format, if the user gave it.

    Raises:
        FileRejected: if it is not a table of bars, quotes or trades, or not of the given format.
    """
    layout = _by_header(table) if table.header is not None else _by_position(table, name, given)
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
        raise FileRejected(
            Reason.UNSUPPORTED, f"its columns are not those of bars, quotes or trades: {shown}", rows=table.height
        )
    plain = [plain_name(name) for name in names]
    time_name = plain[int(roles["time"][1:])]
    return Layout(
        _named_format(kind, plain, table),
        kind,
        roles,
        zone="UTC" if time_name in ("timeutc", "gmttime") else None,
        local=time_name in _LOCAL_NAMES,
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


_BARS = ("time", *_OHLC, "volume")
_BARS_WITHOUT_VOLUME = ("time", *_OHLC)
_LEAN_QUOTE_BARS = ("time", *(f"bid_{n}" for n in _OHLC), "", *(f"ask_{n}" for n in _OHLC), "")


def _columns(*roles: str) -> dict[str, str]:
    return {role: f"c{index}" for index, role in enumerate(roles) if role}


_EPOCH_SECONDS = r"^\d{9,10}(?:\.\d+)?$"
_EPOCH = r"^\d{9,10}(?:\.\d+)?$|^\d{13}$|^\d{16}$"
_DAY = r"^(?:19|20)\d{6}$"
_HISTDATA_TICK = r"^\d{8} \d{9}$"
_HISTDATA_BAR = r"^\d{8} \d{6}$"
_LEAN_HOUR = r"^\d{8} \d{2}:\d{2}$"
_PAIR = r"^[A-Z]{3}/[A-Z]{3}$"


def _by_position(table: Table, name: FileName, given: FileFormat | None) -> Layout:
    width = table.frame.width
    first = table.frame["c0"].cast(pl.String).str.strip_chars()

    def mostly(pattern: str) -> bool:
        return bool((first.head(1000).fill_null("").str.contains(pattern).mean() or 0) > 0.5)  # type: ignore[operator]  # noqa: PLR2004

    lean = _lean(table, name, mostly)
    if lean is not None:
        return lean
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
        Reason.UNSUPPORTED, f"{width} columns without a header are none of the known formats", rows=table.height
    )


_HEADERLESS: tuple[tuple[FileFormat, tuple[str, ...], str, Kind], ...] = (
    (FileFormat.BINANCE, (*_BARS, *[""] * 6), _EPOCH, Kind.BARS),
    (FileFormat.KRAKEN_OHLCVT, (*_BARS, ""), _EPOCH_SECONDS, Kind.BARS),
    (FileFormat.KRAKEN_TRADES, ("time", "price", "quantity"), _EPOCH_SECONDS, Kind.TRADES),
    (FileFormat.HISTDATA, ("time", "bid", "ask", ""), _HISTDATA_TICK, Kind.QUOTES),
    (FileFormat.HISTDATA, _BARS, _HISTDATA_BAR, Kind.BARS),
    (FileFormat.TRUEFX, ("symbol", "time", "bid", "ask"), _PAIR, Kind.QUOTES),
    (FileFormat.OHLCV, ("time", "clock", *_OHLC, "volume"), r"^\d{4}\.\d{2}\.\d{2}$", Kind.BARS),  # MetaTrader
)


def _headerless(format_: FileFormat, columns: tuple[str, ...], kind: Kind) -> Layout:
    return Layout(
        format_,
        kind,
        _columns(*columns),
        zone=EASTERN_STANDARD if format_ is FileFormat.HISTDATA else None,
        interval_named=format_ is FileFormat.KRAKEN_OHLCVT,
    )


def _lean(table: Table, name: FileName, mostly: Callable[[str], bool]) -> Layout | None:
    """The layout of LEAN's own files: a day of ticks, seconds or minutes, or the whole history by hours or days."""
    width = table.frame.width
    equity, zone = _lean_market(name)
    if name.lean_day is not None and mostly(r"^\d{1,9}$"):
        return _lean_intraday(name, width, table, equity=equity, zone=zone)
    if not mostly(_LEAN_HOUR):
        return None
    if width == len(_LEAN_QUOTE_BARS):
        kind, roles = Kind.QUOTE_BARS, _columns(*_LEAN_QUOTE_BARS)
    elif width in (len(_BARS), len(_BARS_WITHOUT_VOLUME)):
        kind, roles = Kind.BARS, _columns(*_BARS[:width])
    else:
        return None
    scale = EQUITY_SCALE if equity else 1
    return Layout(FileFormat.LEAN, kind, roles, zone=zone, scale=scale, zero_is_missing=kind is Kind.QUOTE_BARS)


def _lean_intraday(name: FileName, width: int, table: Table, *, equity: bool, zone: str) -> Layout:
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
    return Layout(
        FileFormat.LEAN,
        kind,
        _columns(*columns),
        zone=zone,
        scale=EQUITY_SCALE if equity else 1,
        since_midnight=True,
        zero_is_missing=kind in (Kind.QUOTES, Kind.QUOTE_BARS),
    )


def _lean_market(name: FileName) -> tuple[bool, str]:
    """Whether prices are those of equities, and the zone of the market (LEAN's market-hours database)."""
    words = name.words
    if "fxcm" in words:
        return False, EASTERN_STANDARD
    if words & {"forex", "crypto", "oanda", "cfd"}:
        return False, "UTC"
    if "equity" in words:
        return True, NEW_YORK
    symbol = name.symbol or name.stem.upper()
    try:
        asset_class = guess_instrument(symbol, "file").asset_class
    except InvalidRequest:
        asset_class = AssetClass.EQUITY
    return (True, NEW_YORK) if asset_class is AssetClass.EQUITY else (False, "UTC")
