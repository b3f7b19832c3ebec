"""How numbers are written in a file: which sign separates decimals, which thousands, and K, M, B after volumes.

The sign is judged by all prices and volumes of a table together, because a single number does not show it: 1.205 is
a little more than one, or more than a thousand. A table that allows both is rejected until the user says which.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from trading_platform.domain.rejection_reasons import Reason
from trading_platform.sources.files.content.options import DecimalSign, FileRejected

_POINT, _COMMA = DecimalSign.POINT, DecimalSign.COMMA
_SIGNS = {_POINT: ".", _COMMA: ","}
_OTHER = {_POINT: _COMMA, _COMMA: _POINT}
_SPACES = "'’ \u00a0\u202f\u2009_"
"""Thousands signs that are never decimal signs: apostrophes, spaces of several widths, the underscore."""

_CURRENCY = r"[$€£¥]"
_EXPONENT = r"[eE][+-]?[0-9]{1,4}"
_UNITS = {
    **dict.fromkeys(("K", "TSD"), 10**3),
    **dict.fromkeys(("万", "萬"), 10**4),
    **dict.fromkeys(("M", "MN", "MLN", "MIO"), 10**6),
    **dict.fromkeys(("亿", "億"), 10**8),
    **dict.fromkeys(("B", "BN", "MLD", "MRD"), 10**9),
    **dict.fromkeys(("T", "TN"), 10**12),
}
_UNIT = rf"(?i:{'|'.join(sorted(_UNITS, key=len, reverse=True))})\.?"
HAS_UNIT = rf"[0-9]\s?{_UNIT}\s*$"
"""The pattern of amounts such as ``12,3M`` and ``1.2 Mio.``"""

BLANK = ("", "nan", "null", "none", "-", "--")
"""Cells without a number, in small letters."""

_SAMPLE = 1_000
_LARGEST_EXPONENT = 700.0
"""A larger one overflows a float."""

_MANY_TIMES = 10.0
"""Neighbouring prices this many times further apart in one reading than in the other speak for the other."""


@dataclass(frozen=True)
class NumberColumns:
    """The columns of a table that hold numbers, as text.

    Attributes:
        prices: columns of prices.
        volumes: columns of volumes, of any kind.
        comma_likely: other marks of the file are those of countries that write a decimal comma.
    """

    prices: Sequence[pl.Series]
    volumes: Sequence[pl.Series]
    comma_likely: bool = False

    @property
    def all(self) -> list[pl.Series]:
        """All of them."""
        return [*self.prices, *self.volumes]


@dataclass(frozen=True)
class NumberStyle:
    """How the numbers of a table are written.

    Attributes:
        decimal: the decimal sign.
        assumption: what was assumed, in words; None if nothing was.
    """

    decimal: DecimalSign = _POINT
    assumption: str | None = None

    def normalised(self, texts: pl.Series, *, units: bool = False) -> pl.Series:
        """The numbers with a decimal point and without thousands signs.

        A number that is not written in this style is returned as a text that is no number, so that it is rejected.

        Args:
            texts: numbers as text.
            units: K, M, B and T after a number count, as in volumes.
        """
        if self.decimal is _POINT and _all_plain(texts):
            return texts
        frame = pl.DataFrame({"text": texts})
        parts = frame.select(
            "text",
            blank=pl.col("text").str.to_lowercase().is_in(BLANK),
            core=_core(),
            unit=pl.col("text").str.extract(rf"[0-9.,]\s?({_UNIT})$").str.to_uppercase().str.strip_chars(".")
            if units
            else pl.lit(None, dtype=pl.String),
        ).with_columns(core=pl.when(pl.col("unit").is_not_null()).then(_without_unit()).otherwise("core"))
        sign, group = re.escape(_SIGNS[self.decimal]), _SIGNS[_OTHER[self.decimal]]
        fits = pl.col("core").str.contains(_style_pattern(self.decimal))
        plain = pl.col("core").str.replace_all(f"[{re.escape(group)}{_SPACES}]", "").str.replace(sign, ".")
        size = pl.col("unit").replace_strict(_UNITS, default=1, return_dtype=pl.Int64).cast(pl.Decimal(13, 0))
        scaled = (plain.cast(pl.Decimal(38, 8), strict=False) * size).cast(pl.String)
        unfit = pl.format("{} (the decimal sign is the {})", "text", pl.lit(self.decimal.value))
        other = pl.col("text").str.contains(f"[{re.escape(group)}{sign}{_SPACES}]")
        return parts.select(
            text=pl.when("blank")
            .then(pl.lit(""))
            .when(fits & pl.col("unit").is_not_null())
            .then(scaled)
            .when(fits)
            .then(plain)
            .when(other.fill_null(value=False))
            .then(unfit)
            .otherwise("text")
        )["text"]


def _all_plain(texts: pl.Series) -> bool:
    """Whether all are numbers with a decimal point, or blank as in CSV: nearly all files."""
    if texts.dtype != pl.String:
        return True
    unread = texts.filter(texts.cast(pl.Float64, strict=False).is_null())
    return bool((unread.fill_null("") == "").all())


def _core() -> pl.Expr:
    return pl.col("text").str.replace(rf"^([+-]?)\s?{_CURRENCY}\s?", "$1").str.replace(rf"\s?{_CURRENCY}$", "")


def _without_unit() -> pl.Expr:
    return pl.col("core").str.replace(rf"\s?{_UNIT}$", "")


def _grouped(decimal: DecimalSign) -> str:
    """Whole numbers with thousands signs, in groups of three; with commas also in lakhs, as in India."""
    signs = (_SIGNS[_OTHER[decimal]], *_SPACES)
    alternatives = [rf"[1-9][0-9]{{0,2}}(?:{re.escape(sign)}[0-9]{{3}})+" for sign in signs]
    if decimal is _POINT:
        alternatives.append(r"[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}")
    return "|".join(alternatives)


def _style_pattern(decimal: DecimalSign) -> str:
    """The pattern of numbers of a style; nobody separates the thousands of a number with an exponent."""
    sign = re.escape(_SIGNS[decimal])
    return rf"^[+-]?(?:(?:[0-9]+|{_grouped(decimal)})?(?:{sign}[0-9]*)?|[0-9]*(?:{sign}[0-9]*)?{_EXPONENT})$"


def _shows(decimal: DecimalSign) -> str:
    """The pattern of numbers, without sign, currency and unit, that can be written in this style only."""
    sign, group = re.escape(_SIGNS[decimal]), re.escape(_SIGNS[_OTHER[decimal]])
    return "|".join(
        (
            rf"^(?:{_grouped(decimal)}){sign}[0-9]*$",
            rf"^[1-9][0-9]{{0,2}}(?:{group}[0-9]{{3}}){{2,}}$",
            rf"^(?:0[0-9]*|[0-9]{{4,}})?{sign}[0-9]*$",
            rf"^[0-9]+{sign}(?:[0-9]{{0,2}}|[0-9]{{4,}})$",
            rf"^[0-9]*{sign}[0-9]*{_EXPONENT}$",
            *([r"^[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}$"] if decimal is _POINT else []),
        )
    )


def _open(decimal: DecimalSign) -> str:
    """The pattern of numbers whose only sign is this one, before three digits: of decimals or of thousands."""
    return rf"^[1-9][0-9]{{0,2}}{re.escape(_SIGNS[decimal])}[0-9]{{3}}$"


def style_of(columns: NumberColumns, given: DecimalSign | None, *, rows: int, fixed: bool = False) -> NumberStyle:
    """The style of a table's numbers.

    Args:
        columns: its columns of numbers.
        given: the decimal sign, if the user gave it.
        rows: number of its rows, for the rejection.
        fixed: the format defines a decimal point.

    Raises:
        FileRejected: if the numbers contradict each other, or allow both signs.
    """
    if fixed and given is None:
        return NumberStyle()
    style = _style_of(columns, given, rows)
    check_style(columns, style, rows=rows)
    return style


def check_style(columns: NumberColumns, style: NumberStyle, *, rows: int) -> None:
    """Checks that numbers do not contradict the style that they are read in.

    Args:
        columns: columns of numbers, whose rows are neighbours in time.
        style: the style.
        rows: number of rows, for the rejection.

    Raises:
        FileRejected: if they do.
    """
    _check_thousands(columns, style, rows)
    _check_steps(columns, style, rows)
    _check_groups(columns, style, rows)


def _style_of(columns: NumberColumns, given: DecimalSign | None, rows: int) -> NumberStyle:
    if given is not None:
        return NumberStyle(given, f"the decimal sign is the {given.value}, as given")
    cores = [_cores(texts) for texts in columns.all if texts.dtype == pl.String]
    if all(core is None for core in cores) and _sample_shows_point(columns.all):
        return NumberStyle()
    found = {sign: _first(columns.all, _shows(sign)) for sign in DecimalSign}
    point, comma = found[_POINT], found[_COMMA]
    if point is not None and comma is not None:
        raise _ask(f"its numbers are written in two ways: {point} and {comma}", rows)
    if comma is not None:
        return NumberStyle(_COMMA, "the comma is the decimal sign")
    if point is not None:
        grouped = any(core is not None for core in cores)
        return NumberStyle(_POINT, "the point is the decimal sign" if grouped else None)
    return _undecided(columns, rows)


def _cores(texts: pl.Series) -> pl.Series | None:
    """The column if any of its numbers is more than digits and a point; None for a plain column."""
    return None if _all_plain(texts) else texts


def _sample_shows_point(columns: Sequence[pl.Series]) -> bool:
    return any(_bare(texts.head(_SAMPLE)).str.contains(_shows(_POINT)).any() for texts in columns)


def _bare(texts: pl.Series) -> pl.Series:
    """The numbers without sign, currency and unit."""
    frame = pl.DataFrame({"text": texts.cast(pl.String)}).select(core=_core())
    return frame.select(core=_without_unit().str.strip_prefix("-").str.strip_prefix("+"))["core"]


def _first(columns: Sequence[pl.Series], pattern: str) -> str | None:
    """The first number with a pattern."""
    for texts in columns:
        hits = _bare(texts).str.contains(pattern).fill_null(value=False).arg_true()
        if hits.len():
            return str(texts[int(hits[0])])
    return None


def _undecided(columns: NumberColumns, rows: int) -> NumberStyle:
    """The style if no number shows it: at most one sign in each, before three digits."""
    point, comma = _first(columns.all, _open(_POINT)), _first(columns.all, _open(_COMMA))
    if comma is not None:
        raise _ask(f"{comma} is a little over a unit, or over a thousand, and no other number shows which", rows)
    if point is None:
        return NumberStyle()
    if columns.comma_likely or _thousands_likely(columns):
        raise _ask(f"{point} is a little over a unit, or over a thousand, and no other number shows which", rows)
    return NumberStyle(_POINT, "the point taken as the decimal sign (--decimal changes it)")


def _thousands_likely(columns: NumberColumns) -> bool:
    """Whether points before three digits rather separate thousands.

    Volumes are then written with and without one, and prices jump by a factor of about a thousand where the
    point appears.
    """
    for texts in columns.volumes:
        bare = _bare(texts)
        if bare.str.contains(_open(_POINT)).any() and bare.str.contains(r"^[1-9][0-9]*$").any():
            return True
    for texts in columns.prices:
        bare = _bare(texts).drop_nulls()
        with_point = bare.cast(pl.Float64, strict=False)
        without = bare.str.replace(".", "", literal=True).cast(pl.Float64, strict=False)
        if _largest_step(with_point) > _MANY_TIMES * _largest_step(without):
            return True
    return False


def _check_thousands(columns: NumberColumns, style: NumberStyle, rows: int) -> None:
    """Checks that a column does not separate thousands in two ways: 345.245 beside 9 932,89 is rather 345 and a bit.

    Raises:
        FileRejected: if one does.
    """
    other = _OTHER[style.decimal]
    for texts in columns.all:
        bare = _bare(texts)
        doubtful = bare.str.contains(_open(other)).fill_null(value=False)
        spaced = bare.str.contains(rf"^[1-9][0-9]{{0,2}}(?:[{_SPACES}][0-9]{{3}})+").fill_null(value=False)
        if doubtful.any() and spaced.any():
            first, second = (texts[int(hits.arg_true()[0])] for hits in (doubtful, spaced))
            detail = f"its numbers are written in two ways: {first} and {second} separate thousands by different signs"
            raise FileRejected(Reason.UNREADABLE_NUMBER, detail, rows=rows)


def _check_steps(columns: NumberColumns, style: NumberStyle, rows: int) -> None:
    """Checks that thousands signs do not make prices jump: 109,438 beside 109.64 is a decimal comma in one row.

    Raises:
        FileRejected: if they do, and would not as decimal signs.
    """
    group = _SIGNS[_OTHER[style.decimal]]
    for texts in columns.prices:
        bare = _bare(texts)
        ambiguous = bare.str.contains(_open(_OTHER[style.decimal])).fill_null(value=False)
        if not ambiguous.any():
            continue
        read = style.normalised(texts).cast(pl.Float64, strict=False)
        frame = pl.DataFrame({"read": read, "bare": bare, "ambiguous": ambiguous})
        other = frame.select(
            pl.when("ambiguous")
            .then(pl.col("bare").str.replace(group, ".", literal=True).cast(pl.Float64, strict=False))
            .otherwise("read")
        ).to_series()
        if _largest_step(read.drop_nulls()) > _MANY_TIMES * _largest_step(other.drop_nulls()):
            first = texts[int(ambiguous.arg_true()[0])]
            detail = f"its numbers are written in two ways: {first} as thousands is no price beside the others"
            raise FileRejected(Reason.UNREADABLE_NUMBER, detail, rows=rows)


def _check_groups(columns: NumberColumns, style: NumberStyle, rows: int) -> None:
    """Checks that a column without clear decimals does not use both signs for thousands: 2.216.382 beside 554,602.

    Raises:
        FileRejected: if one does.
    """
    sign, group = re.escape(_SIGNS[style.decimal]), re.escape(_SIGNS[_OTHER[style.decimal]])
    clear = rf"{group}.*{sign}|{sign}(?:[0-9]{{0,2}}|[0-9]{{4,}})$|^0*{sign}|[0-9]{{4,}}{sign}"
    for texts in columns.all:
        bare = _bare(texts)
        doubtful = bare.str.contains(_open(style.decimal)).fill_null(value=False)
        if doubtful.any() and bare.str.contains(group).any() and not bare.str.contains(clear).any():
            first = texts[int(doubtful.arg_true()[0])]
            detail = f"its numbers are written in two ways: {first} beside thousands with the other sign"
            raise FileRejected(Reason.UNREADABLE_NUMBER, detail, rows=rows)


def _largest_step(values: pl.Series) -> float:
    """The largest ratio of neighbouring prices, at least 1."""
    sizes = values.filter((values > 0) & values.is_finite()).log()
    steps = sizes.diff().abs().drop_nulls()
    return 1.0 if steps.is_empty() else math.exp(min(float(steps.max()), _LARGEST_EXPONENT))  # type: ignore[arg-type]


def _ask(problem: str, rows: int) -> FileRejected:
    detail = f"{problem}: give the decimal sign with --decimal point or --decimal comma"
    return FileRejected(Reason.UNREADABLE_NUMBER, detail, rows=rows)
