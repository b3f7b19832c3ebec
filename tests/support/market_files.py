"""Bars whose values are known, written in the ways of vendors: the input of the fuzzer over readers.

:class:`~market_truth.Truth` is what a file says. :func:`write` writes it in a way drawn at random; it knows what it
wrote, so that :mod:`reader_verdicts` can judge what was read.
"""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl
from market_headers import EXTRA, NAMES, TIMES, UNKNOWN
from market_truth import PAIRS, PRICES, Row, Truth


@dataclass
class Written:
    """A file as written, and what it says.

    Attributes:
        name: its name.
        symbol: the symbol of its bars.
        timeframe: their length.
        data: its bytes.
        options: the options that a user who knows the file would give.
        rows: what each row says, by its time as the reader should stamp it.
        walls: the same by the local time that is written, where the file does not say its zone.
        volumes: the readings of each row's volume that are right if they are said: by the words of the assumption.
        damaged: times of rows that were written wrongly on purpose; they may be rejected, never read.
        scaled_from: where prices begin to be a hundredfold, written as they are; it has to be said.
        twice: the number of rows that were written again.
        ways: what was drawn, for the report.
    """

    name: str
    symbol: str
    timeframe: str
    data: bytes = b""
    options: dict[str, object] = field(default_factory=dict)
    rows: dict[datetime, Row] = field(default_factory=dict)
    walls: dict[datetime, Row] = field(default_factory=dict)
    volumes: dict[str, str] = field(default_factory=dict)
    damaged: set[datetime] = field(default_factory=set)
    scaled_from: datetime | None = None
    twice: int = 0
    ways: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Column:
    """A column: its name, its cells as text, and whether they are numbers that may be written in another way."""

    name: str
    cells: list[str]
    is_number: bool = True


def write(truth: Truth, chance: random.Random) -> Written:
    """The bars as a file, in a way drawn at random."""
    written = Written(f"{truth.symbol}_{truth.timeframe}.csv", truth.symbol, truth.timeframe)
    truth = _hundredfold(truth, chance, written)
    if chance.random() < 0.85:
        written.options = {"symbol": truth.symbol}
    rows = _disordered(truth, chance, written)
    number, style = _number_style(chance, written)
    columns = [*_times(truth, rows, chance, written), *_prices(rows, number, chance, written)]
    columns += _volumes(truth, rows, style, chance, written)
    columns = _garbled(_mixed(columns, rows, chance, written), rows, chance, written)
    columns = _beside_another(truth, columns, chance, written)
    columns = _above_another(columns, chance, written)
    height = len(columns[0].cells)
    columns += [Column(name, [cell] * height, is_number=False) for name, cell in EXTRA if chance.random() < 0.12]
    if chance.random() < 0.35:
        chance.shuffle(columns)
        written.ways.append("shuffled columns")
    _bytes(columns, chance, written)
    return written


def write_plainly(truth: Truth) -> Written:
    """The bars as a plain CSV, in which nothing is assumed but that its times are UTC, which they say."""
    written = Written(f"{truth.symbol}_{truth.timeframe}.csv", truth.symbol, truth.timeframe)
    written.rows = {row.time: row for row in truth.rows}
    written.volumes = {"": "volume"}
    lines = [
        ",".join(map(str, (row.time.isoformat(), *(getattr(row, p) for p in PRICES), row.volume))) for row in truth.rows
    ]
    written.data = "\n".join(["time,open,high,low,close,volume", *lines]).encode()
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
        written.twice = 1
        written.ways.append("a row twice")
    return rows


Style = tuple[str, str, bool]
"""Decimal sign, thousands sign, and whether trailing zeros are dropped."""


def _hundredfold(truth: Truth, chance: random.Random, written: Written) -> Truth:
    """The second half of the bars in cents, as some vendors of British shares have it."""
    if chance.random() >= 0.03 or len(truth.rows) < 4:
        return truth
    written.ways.append("hundredfold from the middle on")
    middle = len(truth.rows) // 2
    written.scaled_from = truth.rows[middle].time
    rows = [
        replace(row, **{price: getattr(row, price) * 100 for price in PRICES}) if index >= middle else row
        for index, row in enumerate(truth.rows)
    ]
    return replace(truth, rows=rows)


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
        ["iso", "offset", "named zone", "epoch", "epoch ms", "epoch µs"]
        if truth.timeframe != "1d"
        else ["iso", "epoch", "epoch ms"]
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
    if form in ("local", "named zone") and "utc" in name.lower() + name.replace("Gmt", "utc"):
        name = "Datetime"
    if form == "split":
        return [
            Column("Date", [f"{row.time:%Y.%m.%d}" for row in rows], is_number=False),
            Column("Time", [f"{row.time:%H:%M:%S}" for row in rows], is_number=False),
        ]
    offset = chance.choice(["America/New_York", "Asia/Kolkata", "UTC"])
    place = chance.choice(["Asia/Kolkata", "America/Bogota"])  # without changes of clocks, so that each time is one
    forms = {
        "named zone": lambda time: f"{time.astimezone(ZoneInfo(place)):%Y%m%d %H:%M:%S} {place}",
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
    if form in ("dmy", "mdy") and chance.random() < 0.15:
        other, half = forms["mdy" if form == "dmy" else "dmy"], len(rows) // 2
        cells = [*cells[:half], *(other(row.time) for row in rows[half:])]
        written.options.pop("dates", None)
        written.ways.append("orders of dates mixed")
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


def _above_another(columns: list[Column], chance: random.Random, written: Written) -> list[Column]:
    """The rows of a second instrument below the others, told apart by a column of an unknown name or another header."""
    if chance.random() >= 0.06 or len(columns[0].cells) < 4:
        return columns
    written.ways.append("another instrument below")
    height = len(columns[0].cells)
    both = [
        replace(column, cells=[*column.cells, *(re.sub(r"\d", r"7\g<0>", cell, count=1) for cell in column.cells)])
        if column.is_number
        else replace(column, cells=[*column.cells, *column.cells])
        for column in columns
    ]
    if chance.random() < 0.5:
        return [replace(c, cells=[*c.cells[:height], c.name, *c.cells[height:]]) for c in both]
    names = [written.symbol] * height + ["ZZTOP"] * height
    return [*both, Column(chance.choice(["Emisor", "valor", "x1", ""]), names, is_number=False)]


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
