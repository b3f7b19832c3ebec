"""The columns of numbers of a recognised table: how they are written, and which of them is the volume."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import polars as pl

from trading_platform.domain.market.bars import PRICES
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.sources.files.content.options import FileFormat, FileRejected, ImportOptions
from trading_platform.sources.files.content.tables import Table
from trading_platform.sources.files.numbers.number_styles import (
    BLANK,
    HAS_UNIT,
    NumberColumns,
    NumberStyle,
    check_style,
    style_of,
)
from trading_platform.sources.files.numbers.volumes import (
    Candidate,
    ChosenVolume,
    Meaning,
    VolumeChoice,
    volume_candidates,
)
from trading_platform.sources.files.recognition.formats import Kind, Layout

_POINT_BY_FORMAT = frozenset(
    (FileFormat.LEAN, FileFormat.BINANCE, FileFormat.KRAKEN_OHLCVT, FileFormat.KRAKEN_TRADES, FileFormat.TRUEFX)
)
"""Formats that define a decimal point."""

_AMOUNT_ROLES = {Kind.BARS: "volume", Kind.TRADES: "quantity"}
_SAMPLE = 2_000
_FEW = 3
"""Texts in a column of amounts without any number: fewer are damaged cells, whose rows are rejected."""

_WIDEST_BAR = 5.0
"""High divided by low; half of all bars being wider is a wrong unit in a column."""

_CONTRACTS = (10, 100)
"""US dollars of a contract of Binance's futures margined in coin."""


@dataclass(frozen=True)
class ReadNumbers:
    """The result of :func:`settle_numbers`.

    Attributes:
        layout: the layout with the chosen volume.
        style: how the numbers are written.
        notes: the assumptions, in words.
    """

    layout: Layout
    style: NumberStyle
    notes: tuple[str, ...]


def settle_numbers(
    table: Table, layout: Layout, symbol: str, options: ImportOptions, *, whole: Table | None = None
) -> ReadNumbers:
    """Settles the decimal sign and the volume of a table.

    Args:
        table: the rows.
        layout: their recognised layout.
        symbol: symbol of the rows, which tells base and quote apart.
        options: the user's options, which take precedence.
        whole: the table with the rows of all instruments, which have one decimal sign; None if it is ``table``.

    Raises:
        FileRejected: if the numbers or the columns of volumes allow more than one reading, or the prices of a
            bar are in different units.
    """
    role = _AMOUNT_ROLES.get(layout.kind)
    candidates = volume_candidates(table.header, symbol, trades=role == "quantity") if role and table.header else []
    style = _style(whole or table, layout, role, candidates, options)
    if whole is not None and layout.format not in _POINT_BY_FORMAT:  # prices of others are no neighbours of its own
        check_style(_number_columns(table, layout, role, candidates), style, rows=table.height)
    if layout.kind is Kind.BARS:
        _check_one_scale(table, layout, style)
    if role is None:
        return ReadNumbers(layout, style, _said(style.assumption))
    chosen = _volume(table, layout, candidates, style, options)
    roles = {name: column for name, column in layout.roles.items() if name != role}
    if chosen.column is not None:
        roles[role] = chosen.column
    elif role == "quantity":
        roles[role] = layout.roles[role]
    return ReadNumbers(replace(layout, roles=roles), style, _said(style.assumption, chosen.note))


def _said(*notes: str | None) -> tuple[str, ...]:
    return tuple(note for note in notes if note is not None)


def _text(column: pl.Series) -> pl.Series:
    return column.fill_null("").str.strip_chars()


def _style(
    table: Table, layout: Layout, role: str | None, candidates: list[Candidate], options: ImportOptions
) -> NumberStyle:
    columns = _number_columns(table, layout, role, candidates)
    return style_of(columns, options.decimal, rows=table.height, fixed=layout.format in _POINT_BY_FORMAT)


def _number_columns(table: Table, layout: Layout, role: str | None, candidates: list[Candidate]) -> NumberColumns:
    amounts = {each.column for each in candidates if each.meaning is not Meaning.PART} or (
        {layout.roles[role]} if role in layout.roles else set()
    )
    not_prices = {"time", "clock", "suspicious", role}
    prices = [column for name, column in layout.roles.items() if name not in not_prices and column not in amounts]
    texts = {name: table.frame[name] for name in (*prices, *sorted(amounts))}
    written = {name: _text(column) for name, column in texts.items() if column.dtype == pl.String}
    return NumberColumns(
        [written[name] for name in prices if name in written],
        [written[name] for name in sorted(amounts) if name in written],
        comma_likely=_comma_likely(table, layout),
    )


def _comma_likely(table: Table, layout: Layout) -> bool:
    """Whether dates are written 31.12.2020, and fields are not separated by commas."""
    if table.container != "csv" or table.texts is None:
        return False
    dates = table.frame[layout.roles["time"]].cast(pl.String).str.strip_chars().head(100)
    dotted = dates.str.contains(r"^\d{1,2}\.\d{1,2}\.\d{4}").fill_null(value=False).any()
    return bool(dotted) and bool(table.texts.head(100).str.contains(r"[;\t|]").all())


def _volume(
    table: Table,
    layout: Layout,
    candidates: list[Candidate],
    style: NumberStyle,
    options: ImportOptions,
) -> ChosenVolume:
    def numbers(column: str) -> pl.Series:
        return _floats(table.frame[column], style)

    def texts(column: str) -> pl.Series:
        found = _text(table.frame[column].cast(pl.String, strict=False))
        return found.filter(~found.str.to_lowercase().is_in(BLANK))

    def first_text(column: str) -> str | None:
        return texts(column).first()  # type: ignore[return-value]

    def is_damaged(column: str) -> bool:
        return 0 < texts(column).len() < _FEW

    def prices() -> tuple[pl.Series, pl.Series]:
        names = PRICES if layout.kind is Kind.BARS else ("price",)
        frame = pl.DataFrame({name: numbers(layout.roles[name]) for name in names})
        return frame.min_horizontal(), frame.max_horizontal()

    if table.header is None:
        return _without_header(layout, numbers)
    choice = VolumeChoice(candidates, numbers, prices, first_text, is_damaged, rows=table.height)
    if options.volume is not None:
        return choice.given(options.volume)
    chosen = choice.choose()
    units = chosen.column is not None and _has_units(table.frame[chosen.column])
    return replace(chosen, note=f"{chosen.note}; {_ROUNDED}" if chosen.note else _ROUNDED) if units else chosen


def _floats(values: pl.Series, style: NumberStyle) -> pl.Series:
    """The numbers of a column to judge them by; null where there is none."""
    if values.dtype == pl.String:
        values = style.normalised(_text(values), units=True)
    return values.cast(pl.Float64, strict=False).fill_nan(None)


def _check_one_scale(table: Table, layout: Layout, style: NumberStyle) -> None:
    """Checks that open, high, low and close are in one unit, by a sample: no market moves so far in most bars.

    Raises:
        FileRejected: if they are not.
    """
    step = max(1, table.height // _SAMPLE)
    fitting = table.frame.gather_every(step).filter(table.faults.gather_every(step).is_null())
    names = [*PRICES, "volume"] if "volume" in layout.roles else list(PRICES)
    frame = pl.DataFrame({name: _floats(fitting[layout.roles[name]], style) for name in names})
    sound = frame.filter(pl.all_horizontal(pl.col(PRICES) > 0))
    spread = _spread(sound.select(PRICES))
    if spread > _WIDEST_BAR:
        middle = sound.select(pl.col(PRICES).median()).row(0)
        levels = ", ".join(f"{name} {level:g}" for name, level in zip(PRICES, middle, strict=True))
        detail = f"its prices are not in one unit: most bars have a high {spread:.3g} times the low ({levels})"
        swapped = [name for name in PRICES if _spread(sound.select({*names} - {name})) <= _WIDEST_BAR]
        if swapped and "volume" in names:
            detail += f"; the columns {swapped[0]} and volume seem to be swapped"
        raise FileRejected(Reason.OUT_OF_RANGE, detail, rows=table.height)


def _spread(sound: pl.DataFrame) -> float:
    """How many times the lowest value of a row the highest is, in half of the rows."""
    found = (sound.max_horizontal() / sound.min_horizontal()).quantile(0.5, "lower")
    return found if isinstance(found, float) else 1.0


_ROUNDED = "volumes in K, M or B, rounded by the source"


def _has_units(column: pl.Series) -> bool:
    return column.dtype == pl.String and bool(column.str.contains(HAS_UNIT).any())


def _without_header(layout: Layout, numbers: Callable[[str], pl.Series]) -> ChosenVolume:
    """The volume of the format; Binance's futures margined in coin count contracts, which are no units."""
    column = layout.roles.get("volume", layout.roles.get("quantity"))
    if layout.format is not FileFormat.BINANCE or layout.kind is not Kind.BARS or column is None:
        return ChosenVolume(column)
    price = numbers(layout.roles["close"])
    frame = pl.DataFrame({"contracts": numbers(column), "coins": numbers("c7"), "price": price})
    traded = frame.filter((pl.col("contracts") > 0) & (pl.col("coins") > 0))
    worth = traded.select(worth=pl.col("coins") * pl.col("price") / pl.col("contracts"))["worth"]
    for size in _CONTRACTS:
        if worth.len() and float(worth.is_between(size * 0.98, size * 1.02).mean() or 0) > 0.8:  # type: ignore[arg-type]  # noqa: PLR2004
            return ChosenVolume(None, f"no volume: it counts contracts of {size} USD, not units")
    return ChosenVolume(column)
