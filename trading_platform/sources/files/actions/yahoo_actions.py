"""Tables of splits and dividends as yfinance writes them: ``Date,Dividends,Stock Splits``.

Recognised by :mod:`trading_platform.sources.files.actions.read_actions`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.calendars import day_begins
from trading_platform.domain.market.corporate_actions import ActionKind, CorporateAction
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.sources.files.actions.action_rows import (
    ActionsReading,
    Collected,
    FileRow,
    RowRejected,
    read_date,
    read_number,
)
from trading_platform.sources.files.actions.split_ratios import read_ratio
from trading_platform.sources.files.content.column_names import plain_name
from trading_platform.sources.files.reading import SOURCE
from trading_platform.sources.files.recognition.spellings import spelled

_DATES = ("date", "datetime", "")
_SYMBOLS = ("ticker", "symbol")
_NOTHING = ("", "0", "0.0", "nan", "null")


def is_yahoo_table(heading: Sequence[str]) -> bool:
    """Whether a header is that of Yahoo's splits and dividends, alone or beside prices."""
    plain = [plain_name(name) for name in heading]
    return plain[0] in _DATES and bool({"dividends", "stocksplits"} & set(plain))


def read_yahoo_actions(
    heading: Sequence[str], lines: Sequence[FileRow], symbol: str | None, calendar_of: Callable[[str], str]
) -> ActionsReading:
    """The splits and dividends of a table of Yahoo's.

    Yahoo adjusts dividends for every later split. The file's own splits undo it; without a column of them the
    amounts paid are unknown, and its dividends are rejected.

    Args:
        heading: its header.
        lines: its rows.
        symbol: symbol of the actions, if the file does not contain it.
        calendar_of: gives the calendar of a symbol's exchange.

    Raises:
        InvalidRequest: if the symbol is neither in the file nor given.
    """
    plain = [plain_name(name) for name in heading]
    owner_column = next((plain.index(name) for name in _SYMBOLS if name in plain), None)
    if owner_column is None and symbol is None:
        raise InvalidRequest(
            "The file does not contain the symbol of its actions.",
            expected="a column Ticker, or --symbol",
            remedy="give it with --symbol AAPL",
        )
    found = Collected()
    paid: list[tuple[FileRow, str, datetime, Decimal]] = []
    splits: dict[str, list[tuple[datetime, Fraction]]] = {}
    for row in lines:
        cells = dict(zip(plain, (cell.strip() for cell in row[1]), strict=False))
        try:
            owner = _owner(cells[plain[owner_column]] if owner_column is not None else "", symbol)
            date = read_date(row[1][0][:10], "%Y-%m-%d")
            if cells.get("stocksplits", "").lower() not in _NOTHING:
                ratio = read_ratio(cells["stocksplits"])
                known_at = day_begins(calendar_of(owner), date)
                found.add(CorporateAction(owner, date, ActionKind.SPLIT, known_at, SOURCE, ratio=ratio))
                splits.setdefault(owner, []).append((date, ratio))
            if cells.get("dividends", "").lower() not in _NOTHING:
                paid.append((row, owner, date, read_number(cells["dividends"], "dividend")))
        except RowRejected as rejection:
            found.reject(row, rejection)
    for row, owner, date, adjusted in paid:
        try:
            found.add(_dividend(owner, date, adjusted, splits.get(owner, []), plain, calendar_of))
        except RowRejected as rejection:
            found.reject(row, rejection, date)
    return found.reading("yfinance", len(lines))


def _owner(theirs: str, symbol: str | None) -> str:
    owner = spelled(theirs) if theirs else symbol
    if owner is None:
        raise RowRejected(Reason.MISSING_VALUE, f"{theirs!r} is not a symbol")
    return owner


def _dividend(
    owner: str,
    date: datetime,
    adjusted: Decimal,
    splits: Sequence[tuple[datetime, Fraction]],
    plain: Sequence[str],
    calendar_of: Callable[[str], str],
) -> CorporateAction:
    from trading_platform.sources.yahoo.unadjust import restored_amount

    if "stocksplits" not in plain:
        detail = (
            "Yahoo's dividends are adjusted for later splits, which the file does not have; export both "
            "(yfinance's Ticker.actions), or write the amounts paid as ex_date,kind,amount"
        )
        raise RowRejected(Reason.UNSUPPORTED, detail)
    later = Fraction(1)
    for day, ratio in splits:
        later *= ratio if day > date else 1
    amount = restored_amount(float(adjusted), float(later))
    if amount <= 0:
        raise RowRejected(Reason.OUT_OF_RANGE, "a dividend of 0")
    known_at = day_begins(calendar_of(owner), date)
    return CorporateAction(owner, date, ActionKind.DIVIDEND, known_at, SOURCE, amount=amount, currency=None)
