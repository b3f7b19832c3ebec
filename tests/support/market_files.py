"""Bars whose values are known, written in the ways of vendors: the input of the fuzzer over readers.

:class:`Truth` is what a file says. :func:`write` writes it in a way drawn at random; it knows what it wrote, so that
:mod:`reader_verdicts` can judge what was read.
"""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl

PRICES = ("open", "high", "low", "close")
PAIRS = frozenset("EURUSD USDJPY BTCUSD ETHUSDT ADABTC SHIBUSDT".split())
STEPS = {"1d": timedelta(days=1), "1h": timedelta(hours=1), "1m": timedelta(minutes=1), "5m": timedelta(minutes=5)}


@dataclass(frozen=True)
class Row:
    """One bar: open in UTC, prices, volume and the number of ticks."""

    time: datetime
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    ticks: int

    @property
    def turnover(self) -> Decimal:
        return (self.volume * (self.high + self.low) / 2).quantize(Decimal("0.0001"))


@dataclass(frozen=True)
class Truth:
    """Bars of one symbol."""

    symbol: str
    timeframe: str
    rows: list[Row]


@dataclass
class Written:
    """A file as written, and what it says.

    Attributes:
        name: its name.
        data: its bytes.
        options: the options that a user who knows the file would give.
        rows: what each row says, by its time as the reader should stamp it.
        walls: the same by the local time that is written, where the file does not say its zone.
        volumes: the readings of each row's volume that are right if they are said: by the words of the assumption.
        damaged: times of rows that were written wrongly on purpose; they may be rejected, never read.
        ways: what was drawn, for the report.
    """

    name: str
    data: bytes = b""
    options: dict[str, object] = field(default_factory=dict)
    rows: dict[datetime, Row] = field(default_factory=dict)
    walls: dict[datetime, Row] = field(default_factory=dict)
    volumes: dict[str, str] = field(default_factory=dict)
    damaged: set[datetime] = field(default_factory=set)
    ways: list[str] = field(default_factory=list)


def invented(chance: random.Random) -> Truth:
    """Bars of an invented market: the usual sizes of prices, steps and volumes."""
    symbol, level, decimals, timeframe = chance.choice(
        [
            ("SPY", 330, 2, "1d"),
            ("KO", 52, 4, "1d"),
            ("EURUSD", 1.17, 5, "1h"),
            ("USDJPY", 110, 3, "1m"),
            ("BTCUSD", 64_000, 1, "1h"),
            ("BTCUSD", 995, 2, "1m"),
            ("ETHUSDT", 433, 2, "1h"),
            ("ADABTC", 0.00002853, 8, "1m"),
            ("SHIBUSDT", 0.00002654, 8, "1h"),
            ("FUND", 1_210, 2, "1d"),
            ("FUND", 1_001, 0, "1d"),
            ("INDEXX", 12_345, 3, "5m"),
            ("PENNY", 0.17, 4, "1d"),
        ]
    )
    unit = Decimal(1).scaleb(-decimals)
    step = STEPS[timeframe]
    time = datetime(chance.randint(2012, 2024), chance.randint(1, 12), chance.randint(1, 28), tzinfo=UTC)
    price, rows = Decimal(str(level)), []
    whole = chance.random() < 0.7

    def moved(price: Decimal, size: float) -> Decimal:
        return max((price * Decimal(str(1 + chance.gauss(0, size)))).quantize(unit), unit)

    for _ in range(chance.randint(3, 40)):
        opening, closing = moved(price, 0.002), moved(price, 0.006)
        high = max(opening, closing, moved(max(opening, closing), 0.003))
        low = min(opening, closing, moved(min(opening, closing), 0.003))
        volume = Decimal(chance.randint(1, 5_000_000)) if whole else Decimal(chance.randint(1, 10**9)).scaleb(-5)
        rows.append(Row(time, opening, high, low, closing, volume, chance.randint(1, 9_000)))
        time, price = time + step * (1 if chance.random() < 0.93 else 3), closing
    return Truth(symbol, timeframe, rows)


REAL = [
    # path, symbol, timeframe, separator, lines to skip, columns of time … volume
    ("daily/KO_daily.csv", "KO", "1d", ",", 1, (0, 1, 2, 3, 4, 5)),
    ("daily/SPY_2008-2018_yahoo.csv", "SPY", "1d", ",", 1, (0, 1, 2, 3, 4, 6)),
    ("daily/GOOG_2004-2013.csv", "GOOG", "1d", ",", 1, (0, 1, 2, 3, 4, 5)),
    ("hourly/EURUSD_1h_2017-2018.csv", "EURUSD", "1h", ",", 1, (0, 1, 2, 3, 4, 5)),
    ("minute/ADABTC-1m-2021-11-27.csv", "ADABTC", "1m", ",", 0, (0, 1, 2, 3, 4, 5)),
    ("user_files/01-tradingview-daily/AMEX_XLK, 1D.csv", "XLK", "1d", ",", 1, (0, 1, 2, 3, 4, 5)),
    ("user_files/05-mt5-volume/EURUSD_H1_202603020000_202603020400.csv", "EURUSD", "1h", "\t", 1, (0, 2, 3, 4, 5, 6)),
    ("user_files/09-cryptodatadownload/Binance_ETHUSDT_1h.csv", "ETHUSDT", "1h", ",", 2, (1, 3, 4, 5, 6, 7)),
    ("user_files/11-tiny-prices/SHIBUSDT_1h.csv", "SHIBUSDT", "1h", ",", 1, (0, 1, 2, 3, 4, 5)),
    ("user_files/12-tokyo-lunch/TYO7203_1m.csv", "TYO7203", "1m", ",", 1, (0, 1, 2, 3, 4, 5)),
    ("user_files/16-decimal-split-ratio/TTNP_daily.csv", "TTNP", "1d", ",", 1, (0, 1, 2, 3, 4, 5)),
    ("user_files/18-eastern-minutes/IBM_intraday_1min.csv", "IBM", "1m", ",", 1, (0, 1, 2, 3, 4, 5)),
    ("user_files/23-stooq/aapl.us.txt", "AAPL", "1d", ",", 1, (2, 4, 5, 6, 7, 8)),
]


def real(folder: Path, chance: random.Random) -> Truth:
    """Consecutive bars of a real file, read here by the positions of its columns."""
    path, symbol, timeframe, separator, skipped, columns = chance.choice(REAL)
    with (folder / path).open(encoding="utf-8-sig", newline="") as file:
        lines = [fields for fields in csv.reader(file, delimiter=separator) if fields][skipped:]
    start = chance.randrange(max(1, len(lines) - 40))
    rows = []
    for fields in lines[start : start + chance.randint(3, 40)]:
        stamp, *numbers = (fields[index] for index in columns)
        clock = fields[1] if separator == "\t" else ""
        prices = [Decimal(text) for text in numbers[:4]]
        sound = prices[2] <= min(prices[0], prices[3]) <= max(prices[0], prices[3]) <= prices[1]
        if sound and prices[2] > 0:
            rows.append(Row(_stamp(f"{stamp} {clock}".strip(), timeframe), *prices, Decimal(numbers[4]), 7))
    ordered = sorted({row.time: row for row in rows}.values(), key=lambda row: row.time)
    return Truth(symbol, timeframe, ordered)


def _stamp(text: str, timeframe: str) -> datetime:
    if text.isdigit() and len(text) > 8:
        time = datetime.fromtimestamp(int(text) / 1000, UTC)
    else:
        time = datetime.fromisoformat(text.replace(".", "-"))
    time = time.replace(tzinfo=UTC)
    return time.replace(hour=0, minute=0) if timeframe == "1d" else time


NAMES = {
    "open": ["Open", "open", "OPEN", "<OPEN>", "1. open", "o", "Open Price", "open_price"],
    "high": ["High", "high", "HIGH", "<HIGH>", "2. high", "h", "Max", "high_price"],
    "low": ["Low", "low", "LOW", "<LOW>", "3. low", "l", "Min", "low_price"],
    "close": ["Close", "close", "CLOSE", "<CLOSE>", "4. close", "c", "Last", "Price", "Close/Last"],
}
UNKNOWN = ["Kurs", "px", "Eröffnung", "col3", "value1", "Settle", ""]
TIMES = ["Date", "date", "time", "timestamp", "Datetime", "<DATE>", "open_time", "unix", "Gmt time"]
EXTRA = [
    ("Change %", "-1.03%"),
    ("trades", "17"),
    ("note", "x"),
    ("Weighted_Price", "1.5"),
    ("OpenInt", "0"),
    ("count", "3"),
]


@dataclass(frozen=True)
class Column:
    """A column: its name, its cells as text, and whether they are numbers that may be written in another way."""

    name: str
    cells: list[str]
    is_number: bool = True


def write(truth: Truth, chance: random.Random) -> Written:
    """The bars as a file, in a way drawn at random."""
    written = Written(f"{truth.symbol}_{truth.timeframe}.csv")
    if chance.random() < 0.85:
        written.options = {"symbol": truth.symbol}
    rows = _disordered(truth, chance, written)
    number, style = _number_style(chance, written)
    columns = [*_times(truth, rows, chance, written), *_prices(rows, number, chance, written)]
    columns += _volumes(truth, rows, style, chance, written)
    columns = _garbled(_mixed(columns, rows, chance, written), rows, chance, written)
    columns = _beside_another(truth, columns, chance, written)
    height = len(columns[0].cells)
    columns += [Column(name, [cell] * height, is_number=False) for name, cell in EXTRA if chance.random() < 0.12]
    if chance.random() < 0.35:
        chance.shuffle(columns)
        written.ways.append("shuffled columns")
    _bytes(columns, chance, written)
    return written


def _disordered(truth: Truth, chance: random.Random, written: Written) -> list[Row]:
    rows = list(truth.rows)
    draw = chance.random()
    if draw < 0.2:
        rows.reverse()
        written.ways.append("newest first")
    elif draw < 0.28:
        chance.shuffle(rows)
        written.ways.append("shuffled rows")
    if chance.random() < 0.08:
        rows.append(rows[0])
        written.ways.append("a row twice")
    return rows


Style = tuple[str, str, bool]
"""Decimal sign, thousands sign, and whether trailing zeros are dropped."""


def _number_style(chance: random.Random, written: Written) -> tuple[object, Style]:
    style = chance.choice(
        [(".", "", False), (".", "", True), (".", ",", False), (",", ".", False), (",", ".", True), (",", "", False),
         (",", " ", True), (".", "'", False), (".", " ", False)]
    )  # fmt: skip
    currency = chance.choice(["$", "€"]) if chance.random() < 0.05 else ""
    exponent = style[0] == "." and chance.random() < 0.06

    def number(value: Decimal) -> str:
        if exponent:
            return f"{value:e}"
        return currency + number_text(value, style)

    written.ways.append(f"numbers {style}{' currency' if currency else ''}{' exponent' if exponent else ''}")
    if chance.random() < 0.3:
        written.options["decimal"] = "point" if style[0] == "." else "comma"
    return number, style


def number_text(value: Decimal, style: Style) -> str:
    sign, group, trimmed = style
    text = f"{value:,f}"
    if trimmed and "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace(",", "\0").replace(".", sign).replace("\0", group)


def _times(truth: Truth, rows: list[Row], chance: random.Random, written: Written) -> list[Column]:
    """The column of times, or a date and a clock; a zone that is not written is what the reader has to assume."""
    aware = (
        ["iso", "offset", "epoch", "epoch ms", "epoch µs"] if truth.timeframe != "1d" else ["iso", "epoch", "epoch ms"]
    )
    naive = ["date"] if truth.timeframe == "1d" else ["wall", "dotted", "compact", "split", "local"]
    naive += ["dmy", "mdy"]
    form = chance.choice([*aware, *naive, *naive])
    written.ways.append(f"times {form}")
    zone = ZoneInfo(chance.choice(["America/New_York", "Asia/Tokyo", "Europe/Berlin"])) if form == "local" else UTC
    for row in rows:
        wall = row.time.astimezone(zone).replace(tzinfo=UTC)
        written.rows[row.time] = row
        if form not in aware:
            written.walls[wall] = row
    name = chance.choice(TIMES)
    if form == "split":
        return [
            Column("Date", [f"{row.time:%Y.%m.%d}" for row in rows], is_number=False),
            Column("Time", [f"{row.time:%H:%M:%S}" for row in rows], is_number=False),
        ]
    offset = chance.choice(["America/New_York", "Asia/Kolkata", "UTC"])
    forms = {
        "iso": lambda time: f"{time:%Y-%m-%dT%H:%M:%SZ}",
        "offset": lambda time: time.astimezone(ZoneInfo(offset)).isoformat(),
        "epoch": lambda time: str(int(time.timestamp())),
        "epoch ms": lambda time: str(int(time.timestamp()) * 1000),
        "epoch µs": lambda time: str(int(time.timestamp()) * 10**6),
        "date": lambda time: f"{time:%Y-%m-%d}",
        "wall": lambda time: f"{time:%Y-%m-%d %H:%M:%S}",
        "dotted": lambda time: f"{time:%d.%m.%Y %H:%M}",
        "compact": lambda time: f"{time:%Y%m%d %H%M%S}",
        "local": lambda time: f"{time.astimezone(zone):%Y-%m-%d %H:%M}",
        "dmy": lambda time: f"{time:%d/%m/%Y}" + ("" if truth.timeframe == "1d" else f"{time: %H:%M}"),
        "mdy": lambda time: f"{time:%m/%d/%Y}" + ("" if truth.timeframe == "1d" else f"{time: %H:%M}"),
    }
    if form in ("dmy", "mdy") and chance.random() < 0.6:
        written.options["dates"] = "day-first" if form == "dmy" else "month-first"
    cells = [forms[form](row.time) for row in rows]
    if form in ("iso", "wall") and chance.random() < 0.08:
        other = forms["offset" if form == "iso" else "iso"]
        cells = [
            other(row.time) if index % 2 else cell for index, (row, cell) in enumerate(zip(rows, cells, strict=True))
        ]
        written.ways.append("times mixed")
    return [Column(name, cells, is_number=False)]


def _prices(rows: list[Row], number: object, chance: random.Random, written: Written) -> list[Column]:
    columns = []
    for price in PRICES:
        name = chance.choice(NAMES[price][:4] if chance.random() < 0.6 else NAMES[price])
        if chance.random() < 0.02:
            name = chance.choice(UNKNOWN)
            written.ways.append("unknown name")
        factor = 1
        if chance.random() < 0.02:
            factor = chance.choice([100, 10_000])
            written.ways.append(f"{price} scaled")
            written.damaged |= set(written.rows) | set(written.walls)
        columns.append(Column(name, [number(getattr(row, price) * factor) for row in rows]))  # type: ignore[operator]
    if chance.random() < 0.08:
        price = chance.choice(PRICES)
        twin = chance.choice([name for column, name in zip(columns, PRICES, strict=True) if name == price])
        factor = chance.choice([Decimal(1), Decimal("0.5"), Decimal("1.01")])
        cells = [number(getattr(row, twin) * factor) for row in rows]  # type: ignore[operator]
        columns.append(Column(chance.choice([columns[PRICES.index(price)].name, f"Adj {price.title()}"]), cells))
        written.ways.append("doubled")
    return columns


def _volumes(truth: Truth, rows: list[Row], style: Style, chance: random.Random, written: Written) -> list[Column]:
    """Columns of volumes; ``written.volumes`` names the words of an assumption and the value that it makes right."""

    def column(name: str, of: str) -> Column:
        values = [Decimal(row.ticks) if of == "ticks" else getattr(row, of) for row in rows]
        return Column(name, [number_text(value, style) for value in values])

    base = truth.symbol.removesuffix("USDT") if truth.symbol.endswith("USDT") else truth.symbol[:3]
    names = [("Volume", "Turnover"), ("base_volume", "quote_volume"), ("volumefrom", "volumeto"), ("volume", "amount")]
    if truth.symbol in PAIRS:
        names.append((f"Volume {base}", f"Volume {truth.symbol.removeprefix(base)}"))
    first, second = chance.choice(names)
    plain = chance.choice(["Volume", "volume", "Vol.", "<VOL>", "5. volume", "V"])
    ticks = column(chance.choice(["<TICKVOL>", "tick_volume"]), "ticks")
    ways: dict[str, tuple[dict[str, str], list[Column]]] = {
        "plain": ({"": "volume"}, [column(plain, "volume")]),
        "none": ({"no volume": "none"}, []),
        "ticks": ({"tick volume": "ticks"}, [ticks]),
        "zero and ticks": ({"tick volume": "ticks"}, [ticks, Column(plain, ["0"] * len(rows))]),
        "base and turnover": ({"": "volume"}, [column(first, "volume"), column(second, "turnover")]),
        "turnover": (
            {"no volume": "none"},
            [column(chance.choice(["turnover", "quote_volume", "amount"]), "turnover")],
        ),
        "units": ({"rounded by": "rounded"}, [Column("Vol.", [_in_units(row.volume, style) for row in rows])]),
        "empty": ({"no volume": "none"}, [Column("Vol.", [""] * len(rows))]),
    }
    way = chance.choice(["plain", *ways])
    written.ways.append(f"volume {way}")
    written.volumes, columns = ways[way]
    if way == "units" and all(row.volume < 1_000 for row in rows):  # nothing is written with a unit
        written.volumes = {"": "rounded"}
    chance.shuffle(columns)
    return columns


def _in_units(volume: Decimal, style: Style) -> str:
    for letter, size in (("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if volume >= size:
            return number_text((volume / size).quantize(Decimal("0.01")), (style[0], "", False)) + letter
    return number_text(volume.quantize(Decimal("0.01")), (style[0], "", False))


def _mixed(columns: list[Column], rows: list[Row], chance: random.Random, written: Written) -> list[Column]:
    """Some numbers in the other style: such a file says two things, and none of its rows may be misread."""
    if chance.random() >= 0.07:
        return columns
    written.ways.append("numbers mixed")
    swap = str.maketrans(".,", ",.")
    part = chance.choice([2, 3, len(rows)])
    return [
        Column(c.name, [cell.translate(swap) if i % part == 1 else cell for i, cell in enumerate(c.cells)])
        if c.is_number
        else c
        for c in columns
    ]


def _garbled(columns: list[Column], rows: list[Row], chance: random.Random, written: Written) -> list[Column]:
    """A few cells that are no numbers: their rows are rejected, the others are read."""
    if chance.random() >= 0.1:
        return columns
    written.ways.append("garbage")
    columns = [replace(column, cells=list(column.cells)) for column in columns]
    numbers = [column for column in columns if column.is_number]
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(rows))
        chance.choice(numbers).cells[place] = chance.choice(["x", "", "NaN", "#N/A", "-1", "1e999", "12.34.56", "1 5"])
    return columns


def _beside_another(truth: Truth, columns: list[Column], chance: random.Random, written: Written) -> list[Column]:
    """The rows of a second instrument between the others, with a column of symbols; the first one is asked for."""
    if chance.random() >= 0.08 or "symbol" not in written.options:
        return columns
    written.ways.append("two instruments")
    factor = str(chance.choice([2, 50]))
    symbols = [truth.symbol] * len(columns[0].cells)
    both = []
    for column in columns:
        others = [f"{factor}{cell}" if column.is_number and cell[:1].isdigit() else cell for cell in column.cells]
        both.append(replace(column, cells=[cell for pair in zip(column.cells, others, strict=True) for cell in pair]))
    names = [name for symbol in symbols for name in (symbol, "ZZTOP")]
    return [*both, Column(chance.choice(["symbol", "Ticker", "Name"]), names, is_number=False)]


def _bytes(columns: list[Column], chance: random.Random, written: Written) -> None:
    draw = chance.random()
    unique = len({c.name for c in columns}) == len(columns)
    if draw < 0.06 and unique:
        records = [dict(zip((c.name for c in columns), cells, strict=True)) for cells in _cells(columns)]
        written.data = json.dumps(records).encode()
        written.ways.append("json")
    elif draw < 0.12 and unique:
        buffer = io.BytesIO()
        pl.DataFrame({c.name: c.cells for c in columns}).write_parquet(buffer)
        written.data = buffer.getvalue()
        written.ways.append("parquet")
    else:
        separator = chance.choice([",", ",", ";", "\t", "|"])
        buffer = io.StringIO()
        if chance.random() < 0.05:
            buffer.write("https://www.example.com\n")
        writer = csv.writer(
            buffer,
            delimiter=separator,
            quoting=chance.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
            lineterminator=chance.choice(["\n", "\r\n"]),
        )
        writer.writerow([c.name for c in columns])
        writer.writerows(_cells(columns))
        encoding = chance.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16"])
        written.data = buffer.getvalue().encode(encoding)
        written.ways.append(f"csv {separator!r} {encoding}")


def _cells(columns: list[Column]) -> Iterator[tuple[str, ...]]:
    return zip(*(c.cells for c in columns), strict=True)
