"""Files of splits and dividends: LEAN's factor files, and plain tables with a header.

:mod:`trading_platform.sources.files.reading` reads bars;
:mod:`trading_platform.workflows.corporate_actions.import_actions` stores the actions.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.calendars import day_begins
from trading_platform.domain.market.corporate_actions import ActionKind, CorporateAction
from trading_platform.domain.market.instruments import check_symbol
from trading_platform.domain.money import keeps_price, round_amount
from trading_platform.domain.quality.rules import rejected_frame
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.time import parse_timestamp
from trading_platform.sources.files.actions.action_rows import (
    ActionsReading,
    Collected,
    FileRow,
    RowRejected,
    read_date,
    read_number,
)
from trading_platform.sources.files.actions.factor_files import FACTOR_COLUMNS, read_factors
from trading_platform.sources.files.actions.split_ratios import read_ratio
from trading_platform.sources.files.actions.yahoo_actions import is_yahoo_table, read_yahoo_actions
from trading_platform.sources.files.content.contents import FileContent
from trading_platform.sources.files.content.options import FileRejected
from trading_platform.sources.files.reading import SOURCE

CalendarOf = Callable[[str], str]
"""Returns the calendar of a symbol's exchange."""

_NEEDED = ("ex_date", "kind")


def read_actions(content: FileContent, symbol: str | None, calendar_of: CalendarOf) -> ActionsReading:
    """Reads the splits and dividends of a file.

    A factor file has lines ``date, price factor, split factor, reference price`` and no header. A line's factors
    apply to all dates up to its own; a step from one line to the next is therefore an action, ex at the session
    that follows the earlier line's date. The step of the split factor is the split's ratio, that of the price
    factor is ``1 - dividend / reference price``. Rounded factors give rounded terms; the simplest terms that
    explain them are used.

    A table has a header with ``ex_date`` (YYYY-MM-DD), ``kind`` (split, dividend), ``ratio`` (``7:1``, ``1:10``,
    ``1.5``) and ``amount``; ``symbol``, ``currency``, ``known_at`` and ``close_before`` (of a dividend, raw close of
    the session before) are optional. yfinance's ``Date,Dividends,Stock Splits`` is read, too.

    Args:
        content: the file.
        symbol: symbol of the actions, if the file does not contain it.
        calendar_of: gives the calendar of the exchange.

    Raises:
        InvalidRequest: if the symbol is neither in the file nor given.
    """
    try:
        lines = list(_lines(content))
    except FileRejected as rejection:
        return _whole_file(rejection.reason, rejection.detail, 0)
    if not lines:
        return _whole_file(Reason.UNREADABLE_FILE, "the file is empty", 0)
    heading = [cell.strip().lower() for cell in lines[0][1]]
    if set(_NEEDED) <= set(heading):
        return _read_table(heading, lines[1:], symbol, calendar_of)
    if is_yahoo_table(heading):
        return read_yahoo_actions(heading, lines[1:], symbol, calendar_of)
    if all(len(cells) == FACTOR_COLUMNS for _, cells in lines) and lines[0][1][0].strip().isdigit():
        if symbol is None:
            raise InvalidRequest(
                f"{content.path} does not contain the symbol of its factors.",
                expected="the symbol",
                remedy="give it with --symbol AAPL",
            )
        return read_factors(lines, symbol, calendar_of(symbol))
    return _whole_file(
        Reason.UNSUPPORTED,
        f"neither a factor file nor a table with {' and '.join(_NEEDED)}, or Date, Dividends and Stock Splits, in its "
        "header",
        len(lines),
    )


def _lines(content: FileContent) -> Iterator[FileRow]:
    try:
        text = content.load().decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileRejected(Reason.UNREADABLE_FILE, "it is not text in UTF-8") from None
    for number, line in enumerate(io.StringIO(text), start=1):
        if line.strip():
            try:
                yield number, next(csv.reader([line]))
            except csv.Error as error:
                raise FileRejected(Reason.UNREADABLE_FILE, f"line {number}: {error}") from None


def _whole_file(reason: Reason, detail: str, rows: int) -> ActionsReading:
    rejected = rejected_frame({"reason": reason.value, "detail": detail, "row_count": max(rows, 1)})
    return ActionsReading("", rows, (), rejected)


def _read_table(
    heading: Sequence[str], lines: Sequence[FileRow], symbol: str | None, calendar_of: CalendarOf
) -> ActionsReading:
    if "symbol" not in heading and symbol is None:
        raise InvalidRequest(
            "The file does not contain the symbol of its actions.",
            expected="a column symbol, or --symbol",
            remedy="give it with --symbol AAPL",
        )
    found = Collected()
    for row in lines:
        cells = dict(zip(heading, (cell.strip() for cell in row[1]), strict=False))
        try:
            found.add(_action(cells, symbol, calendar_of))
        except RowRejected as rejection:
            found.reject(row, rejection)
    return found.reading("table", len(lines))


def _action(cells: dict[str, str], symbol: str | None, calendar_of: CalendarOf) -> CorporateAction:
    try:
        owner = check_symbol(cells.get("symbol") or symbol or "")
    except InvalidRequest as error:
        raise RowRejected(Reason.MISSING_VALUE, error.message) from None
    date = read_date(cells.get("ex_date", ""), "%Y-%m-%d")
    kind = cells.get("kind", "").lower()
    if kind not in set(ActionKind):
        raise RowRejected(Reason.UNSUPPORTED, f"kind {kind!r} is neither split nor dividend")
    known_at = _timestamp(cells["known_at"]) if cells.get("known_at") else day_begins(calendar_of(owner), date)
    if kind == ActionKind.SPLIT:
        return CorporateAction(
            owner, date, ActionKind.SPLIT, known_at, SOURCE, ratio=read_ratio(cells.get("ratio", ""))
        )
    exact = read_number(cells.get("amount", ""), "amount", least=Decimal(0))
    if exact == 0:
        raise RowRejected(Reason.OUT_OF_RANGE, "a dividend of 0")
    if not keeps_price(exact):
        raise RowRejected(Reason.TOO_FINE, f"amount is finer than eight decimals: {exact}")
    amount = round_amount(exact)
    currency = cells.get("currency") or None
    if currency is not None and not re.fullmatch(r"[A-Za-z]{3,10}", currency):
        raise RowRejected(Reason.UNSUPPORTED, f"currency {currency!r} is not a code like USD")
    stated = cells.get("close_before")
    close_before = read_number(stated, "close_before", least=Decimal("1e-8")) if stated else None
    return CorporateAction(
        owner,
        date,
        ActionKind.DIVIDEND,
        known_at,
        SOURCE,
        amount=amount,
        currency=currency,
        close_before=close_before and close_before.quantize(Decimal("1e-8"), ROUND_HALF_EVEN),
    )


def _timestamp(text: str) -> datetime:
    try:
        return parse_timestamp(text)
    except InvalidRequest as error:
        raise RowRejected(Reason.UNREADABLE_TIME, error.message) from None
