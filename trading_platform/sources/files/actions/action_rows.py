"""Rows of files of splits and dividends: parsed cell by cell, then collected or rejected with their reason.

The files themselves are read in :mod:`trading_platform.sources.files.actions.read_actions` and
:mod:`trading_platform.sources.files.actions.factor_files`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

import polars as pl

from trading_platform.domain.market.corporate_actions import ActionKind, CorporateAction
from trading_platform.domain.quality.rules import rejected_frame
from trading_platform.domain.rejection_reasons import Reason

_YEARS = range(1900, 2200)

FileRow = tuple[int, list[str]]
"""Line number, counted from 1, and cells."""


@dataclass(frozen=True)
class ActionsReading:
    """The result of reading a file of actions.

    Attributes:
        format: ``LEAN factor file`` or ``table``.
        rows: number of data rows.
        actions: the actions, in the order of the file; rows of a factor file may contain none.
        rejected: frame of ``REJECTED_SCHEMA``.
    """

    format: str
    rows: int
    actions: tuple[CorporateAction, ...]
    rejected: pl.DataFrame


class RowRejected(Exception):
    """A row that cannot be an action.

    Args:
        reason: for the quarantine.
        detail: a description.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass
class Collected:
    """Collects actions and rejected rows."""

    actions: dict[tuple[str, datetime, ActionKind], CorporateAction] = field(default_factory=dict)
    rejected: list[dict[str, object]] = field(default_factory=list)

    def add(self, action: CorporateAction) -> None:
        """Adds an action.

        Raises:
            RowRejected: if there is already one of its symbol, date and kind.
        """
        key = (action.symbol, action.ex_date, action.kind)
        if key in self.actions:
            raise RowRejected(Reason.DUPLICATE, f"another {action.kind} of that date; combine them in one row")
        self.actions[key] = action

    def reject(self, row: FileRow, rejection: RowRejected, time: datetime | None = None) -> None:
        """Adds a rejected row."""
        number, cells = row
        self.rejected.append(
            {
                "line": number,
                "time": time,
                "reason": rejection.reason.value,
                "detail": rejection.detail,
                "record": ",".join(cells),
            }
        )

    def reading(self, format_: str, rows: int) -> ActionsReading:
        """The collected result."""
        rejected = rejected_frame(*self.rejected)
        return ActionsReading(format_, rows, tuple(self.actions.values()), rejected)


def read_date(text: str, form: str, after: datetime | None = None) -> datetime:
    """Midnight UTC of a date in a format of ``strptime``.

    Raises:
        RowRejected: if it is not a date, or not after ``after``.
    """
    try:
        date = datetime.strptime(text.strip(), form).replace(tzinfo=UTC)
    except ValueError:
        raise RowRejected(Reason.UNREADABLE_TIME, f"{text.strip()!r} is not a date like {form}") from None
    if date.year not in _YEARS:
        raise RowRejected(Reason.OUT_OF_RANGE, f"the year {date.year}")
    if after is not None and date <= after:
        raise RowRejected(Reason.OUT_OF_RANGE, "its date is not after that of the previous row")
    return date


def read_number(text: str, name: str, least: Decimal = Decimal("1e-12")) -> Decimal:
    """A number of ``least`` or more.

    Raises:
        RowRejected: if it is not such a number.
    """
    if not text.strip():
        raise RowRejected(Reason.MISSING_VALUE, f"no {name}")
    try:
        value = Decimal(text.strip())
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite():
        raise RowRejected(Reason.UNREADABLE_NUMBER, f"{name} {text.strip()!r} is not a number")
    if not least <= value < Decimal("1e10"):
        raise RowRejected(Reason.OUT_OF_RANGE, f"{name} {value} is out of range")
    return value
