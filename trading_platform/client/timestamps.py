"""Timestamps as agents write them."""

from __future__ import annotations

from datetime import UTC, date, datetime

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.texts import shown
from trading_platform.domain.time import Window, parse_timestamp

Timestamp = datetime | date | str
"""An aware datetime, a date (its midnight in UTC), or either as ISO 8601 text."""


def as_timestamp(value: Timestamp) -> datetime:
    """The timestamp in UTC.

    Raises:
        InvalidRequest: if the text is no timestamp, or a time of day has no zone.
    """
    if isinstance(value, datetime):
        return parse_timestamp(value.isoformat())
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if not isinstance(value, str):
        raise InvalidRequest(
            "This is no timestamp.",
            expected="an aware datetime, a date, or either as ISO 8601 text",
            received=shown(value),
            remedy="give a time such as 2024-01-31T14:30:00Z",
        )
    return parse_timestamp(value)


def as_window(start: Timestamp, end: Timestamp) -> Window:
    """The half-open window between two timestamps.

    Raises:
        InvalidRequest: if one is invalid, or the end is not after the start.
    """
    return Window(as_timestamp(start), as_timestamp(end))
