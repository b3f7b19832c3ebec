"""When Interactive Brokers is expected to be away: its daily resets and weekends, as configuration.

Its published times are at https://www.interactivebrokers.com/en/software/systemStatus.php; they differ by region and
change, so that ``IBKR_MAINTENANCE`` says them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from trading_platform.domain.errors import ConfigurationError
from trading_platform.domain.time import Window

DEFAULT = "daily 00:15-01:45 America/New_York; Fri 23:00-Sat 03:00 America/New_York"
"""North America's reset and the weekend's."""

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAILY = "daily"
_ENTRY = re.compile(
    rf"({_DAILY}|{'|'.join(_DAYS)}) (\d\d:\d\d)-(?:({'|'.join(_DAYS)}) )?(\d\d:\d\d) "
    r"([A-Za-z0-9_+\-]+(?:/[A-Za-z0-9_+\-]+)*)"
)


@dataclass(frozen=True)
class Recurring:
    """A stretch of local time that comes again each day, or each week.

    Attributes:
        weekday: of its beginning, Monday is 0; None: each day.
        starts: local time.
        lasts: how long, in local time.
        zone: whose local time.
    """

    weekday: int | None
    starts: time
    lasts: timedelta
    zone: ZoneInfo

    def around(self, timestamp: datetime) -> Window | None:
        """The occurrence that holds ``timestamp``, if one does."""
        local_date = timestamp.astimezone(self.zone).date()
        for back in range(self.lasts.days + 2):
            day = local_date - timedelta(days=back)
            if self.weekday is not None and day.weekday() != self.weekday:
                continue
            naive = datetime.combine(day, self.starts)
            start, end = (bound.replace(tzinfo=self.zone).astimezone(UTC) for bound in (naive, naive + self.lasts))
            if start <= timestamp < end:
                return Window(start, end)
        return None


@dataclass(frozen=True)
class Maintenance:
    """All the times at which it is expected to be away."""

    recurring: tuple[Recurring, ...] = ()

    def around(self, timestamp: datetime) -> Window | None:
        """The expected absence that holds ``timestamp``, the longest of several; None outside of all."""
        found = [window for each in self.recurring if (window := each.around(timestamp)) is not None]
        return max(found, key=lambda window: window.end) if found else None


def parse_maintenance(text: str) -> Maintenance:
    """Times such as :data:`DEFAULT`: ``daily HH:MM-HH:MM Zone`` or ``Fri HH:MM-Sat HH:MM Zone``, separated by ``;``.

    Raises:
        ConfigurationError: naming the entry that cannot be read.
    """
    entries = [entry.strip() for entry in text.split(";")]
    return Maintenance(tuple(_entry(entry) for entry in entries if entry))


def _entry(text: str) -> Recurring:
    match = _ENTRY.fullmatch(text)
    try:
        if match is None:
            raise _unreadable(text)
        first, start_text, last, end_text, zone = match.groups()
        starts, ends = time.fromisoformat(start_text), time.fromisoformat(end_text)
        weekday = None if first == _DAILY else _DAYS.index(first)
        days = 0 if last is None else (_DAYS.index(last) - (weekday or 0)) % 7
        lasts = _since_midnight(ends) - _since_midnight(starts) + timedelta(days=days)
        if lasts <= timedelta(0):
            lasts += timedelta(days=1 if last is None else 7)
        if weekday is None and last is not None:
            raise _unreadable(text)
        return Recurring(weekday, starts, lasts, ZoneInfo(zone))
    except (ValueError, OSError, KeyError):
        raise _unreadable(text) from None


def _since_midnight(timestamp: time) -> timedelta:
    return timedelta(hours=timestamp.hour, minutes=timestamp.minute)


def _unreadable(text: str) -> ConfigurationError:
    return ConfigurationError(
        "An expected absence of Interactive Brokers cannot be read.",
        expected=f"entries such as {DEFAULT!r}",
        received=repr(text),
        remedy="correct IBKR_MAINTENANCE",
    )
