"""How agents name a moment."""

from __future__ import annotations

from datetime import UTC, date, datetime

from trading_platform.domain.time import Window, parse_moment

Moment = datetime | date | str
"""An aware datetime, a date (its midnight in UTC), or either as ISO 8601 text."""


def as_moment(value: Moment) -> datetime:
    """The moment in UTC.

    Raises:
        InvalidRequest: if the text is none, or a time of day has no zone.
    """
    if isinstance(value, datetime):
        return parse_moment(value.isoformat())
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return parse_moment(value)


def as_window(start: Moment, end: Moment) -> Window:
    """The half-open window between two moments.

    Raises:
        InvalidRequest: if one is none, or the end is not after the start.
    """
    return Window(as_moment(start), as_moment(end))
