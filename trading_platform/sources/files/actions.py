"""Files of splits and dividends: LEAN's factor files, and a plain table with a heading.

Bars are read in :mod:`trading_platform.sources.files.reading`; what becomes of the actions is decided in
:mod:`trading_platform.workflows.import_actions`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from fractions import Fraction
from itertools import pairwise

import polars as pl

from trading_platform.domain.calendars import day_begins, next_session
from trading_platform.domain.corporate_actions import ActionKind, CorporateAction, simplest_ratio
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.instruments import check_symbol
from trading_platform.domain.quality import REFUSED_SCHEMA
from trading_platform.domain.reasons import Reason
from trading_platform.domain.time import parse_moment
from trading_platform.sources.files.contents import FileContent
from trading_platform.sources.files.options import FileRefused
from trading_platform.sources.files.reading import SOURCE

CalendarOf = Callable[[str], str]
"""Gives the calendar of a symbol's exchange."""

_FACTOR_COLUMNS = 4
_FACTOR_STEP = Decimal("0.00000005")
"""LEAN rounds its factors to seven digits after the point: each is known to half of the last."""
_SPLIT_TOLERANCE = Fraction(1, 100_000)
_NEEDED = ("ex_date", "kind")
_MOST_DIGITS = 8
_MOST_SHARES = 10**9


@dataclass(frozen=True)
class ActionsReading:
    """What a file of actions gave.

    Attributes:
        format: ``LEAN factor file`` or ``table``.
        rows: data rows in it.
        actions: what they tell, in the order of the file; rows of a factor file may tell nothing.
        refused: frame of ``REFUSED_SCHEMA``.
    """

    format: str
    rows: int
    actions: tuple[CorporateAction, ...]
    refused: pl.DataFrame


class _Refusal(Exception):
    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


_Row = tuple[int, list[str]]


def read_actions(content: FileContent, symbol: str | None, calendar_of: CalendarOf) -> ActionsReading:
    """Splits and dividends of a file.

    A factor file has lines ``date, price factor, split factor, reference price`` and no heading. A line's factors
    apply to all dates up to its own; a step from one line to the next is therefore an action, ex at the session
    that follows the earlier line's date. The step of the split factor is the split's ratio, that of the price
    factor is ``1 - dividend / reference price``. Rounded factors give rounded terms: taken are the simplest
    ones that explain them.

    A table has a heading with ``ex_date`` (YYYY-MM-DD), ``kind`` (split, dividend), ``ratio`` (``7:1``, ``1:10``,
    ``1.5``) and ``amount``; ``symbol``, ``currency`` and ``known_at`` where there are such.

    Args:
        content: the file.
        symbol: whose actions they are, where the file does not say.
        calendar_of: of the exchange.

    Raises:
        InvalidRequest: if nobody says whose actions they are.
    """
    try:
        lines = list(_lines(content))
    except FileRefused as refusal:
        return _whole_file(refusal.reason, refusal.detail, 0)
    if not lines:
        return _whole_file(Reason.UNREADABLE_FILE, "the file is empty", 0)
    heading = [cell.strip().lower() for cell in lines[0][1]]
    if set(_NEEDED) <= set(heading):
        return _read_table(heading, lines[1:], symbol, calendar_of)
    if all(len(cells) == _FACTOR_COLUMNS for _, cells in lines) and lines[0][1][0].strip().isdigit():
        if symbol is None:
            raise InvalidRequest(
                f"{content.path} does not say whose factors it has.",
                expected="the symbol",
                remedy="say it with --symbol AAPL",
            )
        return _read_factors(lines, symbol, calendar_of(symbol))
    return _whole_file(
        Reason.UNSUPPORTED,
        f"neither a factor file nor a table with {' and '.join(_NEEDED)} in its heading",
        len(lines),
    )


def _lines(content: FileContent) -> Iterator[_Row]:
    try:
        text = content.load().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileRefused(Reason.UNREADABLE_FILE, "it is not text in UTF-8") from None
    for number, line in enumerate(io.StringIO(text), start=1):
        if line.strip():
            try:
                yield number, next(csv.reader([line]))
            except csv.Error as error:
                raise FileRefused(Reason.UNREADABLE_FILE, f"line {number}: {error}") from None


def _whole_file(reason: Reason, detail: str, rows: int) -> ActionsReading:
    refused = pl.DataFrame(
        [(None, None, reason.value, detail, None, max(rows, 1))], schema=REFUSED_SCHEMA, orient="row"
    )
    return ActionsReading("", rows, (), refused)


@dataclass
class _Collected:
    """Actions and refused rows as they come up."""

    actions: dict[tuple[str, datetime, ActionKind], CorporateAction]
    refused: list[tuple[object, ...]]

    def add(self, action: CorporateAction) -> None:
        key = (action.symbol, action.ex_date, action.kind)
        if key in self.actions:
            raise _Refusal(Reason.DUPLICATE, f"another {action.kind} of that date; several belong into one row")
        self.actions[key] = action

    def refuse(self, row: _Row, refusal: _Refusal, time: datetime | None = None) -> None:
        number, cells = row
        self.refused.append((number, time, refusal.reason.value, refusal.detail, ",".join(cells), 1))

    def reading(self, format_: str, rows: int) -> ActionsReading:
        refused = pl.DataFrame(self.refused, schema=REFUSED_SCHEMA, orient="row")
        return ActionsReading(format_, rows, tuple(self.actions.values()), refused)


def _read_table(
    heading: Sequence[str], lines: Sequence[_Row], symbol: str | None, calendar_of: CalendarOf
) -> ActionsReading:
    if "symbol" not in heading and symbol is None:
        raise InvalidRequest(
            "The file does not say whose actions it has.",
            expected="a column symbol, or --symbol",
            remedy="say it with --symbol AAPL",
        )
    found = _Collected({}, [])
    for row in lines:
        cells = dict(zip(heading, (cell.strip() for cell in row[1]), strict=False))
        try:
            found.add(_action(cells, symbol, calendar_of))
        except _Refusal as refusal:
            found.refuse(row, refusal)
    return found.reading("table", len(lines))


def _action(cells: dict[str, str], symbol: str | None, calendar_of: CalendarOf) -> CorporateAction:
    try:
        whose = check_symbol(cells.get("symbol") or symbol or "")
    except InvalidRequest as error:
        raise _Refusal(Reason.MISSING_VALUE, error.message) from None
    date = _date(cells.get("ex_date", ""), "%Y-%m-%d")
    kind = cells.get("kind", "").lower()
    if kind not in set(ActionKind):
        raise _Refusal(Reason.UNSUPPORTED, f"kind {kind!r} is neither split nor dividend")
    known_at = _moment(cells["known_at"]) if cells.get("known_at") else day_begins(calendar_of(whose), date)
    if kind == ActionKind.SPLIT:
        return CorporateAction(whose, date, ActionKind.SPLIT, known_at, SOURCE, ratio=_ratio(cells.get("ratio", "")))
    amount = _number(cells.get("amount", ""), "amount").quantize(Decimal("1e-8"), ROUND_HALF_EVEN)
    if amount <= 0:
        raise _Refusal(Reason.OUT_OF_RANGE, "a dividend of 0")
    currency = cells.get("currency") or None
    return CorporateAction(whose, date, ActionKind.DIVIDEND, known_at, SOURCE, amount=amount, currency=currency)


def _read_factors(lines: Sequence[_Row], symbol: str, calendar: str) -> ActionsReading:
    found = _Collected({}, [])
    parsed: list[tuple[_Row, datetime, tuple[Decimal, ...]]] = []
    for row in lines:
        try:
            date = _date(row[1][0], "%Y%m%d", after=parsed[-1][1] if parsed else None)
            factors = tuple(_number(cell, name) for cell, name in zip(row[1][1:3], ("price", "split"), strict=True))
            reference = _number(row[1][3], "reference price", least=Decimal(0))
        except _Refusal as refusal:
            found.refuse(row, refusal)
        else:
            parsed.append((row, date, (*factors, reference)))
    for (row, date, before), (_, _, after) in pairwise(parsed):
        ex_date = next_session(calendar, date)
        try:
            for action in _steps(symbol, ex_date, day_begins(calendar, ex_date), before, after):
                found.add(action)
        except _Refusal as refusal:
            found.refuse(row, refusal, date)
    return found.reading("LEAN factor file", len(lines))


def _steps(
    symbol: str, ex_date: datetime, known_at: datetime, before: tuple[Decimal, ...], after: tuple[Decimal, ...]
) -> Iterator[CorporateAction]:
    """The split and the dividend that make one row's factors of the next one's."""
    ratio = Fraction(1)
    if before[1] != after[1]:
        ratio = simplest_ratio(Fraction(after[1]) / Fraction(before[1]), _SPLIT_TOLERANCE)
        if ratio != 1:
            yield CorporateAction(symbol, ex_date, ActionKind.SPLIT, known_at, SOURCE, ratio=ratio)
    if before[0] == after[0]:
        return
    amount = before[2] * (1 - before[0] / after[0])
    doubt = before[2] * 2 * _FACTOR_STEP / after[0]
    if amount <= 0:
        raise _Refusal(Reason.OUT_OF_RANGE, f"a dividend of {amount:.4f}: its price factor or reference price is wrong")
    amount /= Decimal(ratio.numerator) / Decimal(ratio.denominator)
    yield CorporateAction(
        symbol, ex_date, ActionKind.DIVIDEND, known_at, SOURCE, amount=_shortest(amount, doubt), currency=None
    )


def _shortest(value: Decimal, doubt: Decimal) -> Decimal:
    """The number of the fewest digits that lies as near to ``value`` as it is known."""
    for digits in range(1, _MOST_DIGITS):
        rounded = value.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN)
        if rounded > 0 and abs(rounded - value) <= doubt:
            return rounded
    return value.quantize(Decimal(1).scaleb(-_MOST_DIGITS), ROUND_HALF_EVEN)


def _date(text: str, form: str, after: datetime | None = None) -> datetime:
    try:
        date = datetime.strptime(text.strip(), form).replace(tzinfo=UTC)
    except ValueError:
        raise _Refusal(Reason.UNREADABLE_TIME, f"{text.strip()!r} is no date like {form}") from None
    if after is not None and date <= after:
        raise _Refusal(Reason.OUT_OF_RANGE, "its date is not after that of the row before")
    return date


def _moment(text: str) -> datetime:
    try:
        return parse_moment(text)
    except InvalidRequest as error:
        raise _Refusal(Reason.UNREADABLE_TIME, error.message) from None


def _number(text: str, name: str, least: Decimal = Decimal("1e-12")) -> Decimal:
    if not text.strip():
        raise _Refusal(Reason.MISSING_VALUE, f"no {name}")
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise _Refusal(Reason.UNREADABLE_NUMBER, f"{name} {text.strip()!r} is no number")
    if not least <= value < Decimal("1e10"):
        raise _Refusal(Reason.OUT_OF_RANGE, f"{name} {value} is out of range")
    return value


def _ratio(text: str) -> Fraction:
    """``7:1``, ``7/1``, ``7`` and ``0.1``: new shares per old one."""
    new, _, old = text.replace("/", ":").partition(":")
    ratio = Fraction(_number(new, "ratio")) / Fraction(_number(old or "1", "ratio"))
    if max(ratio.numerator, ratio.denominator) > _MOST_SHARES or ratio == 1:
        raise _Refusal(Reason.OUT_OF_RANGE, f"{text} is not the ratio of a split")
    return ratio
