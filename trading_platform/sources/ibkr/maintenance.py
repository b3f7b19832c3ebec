"""Expected downtimes of Interactive Brokers: its daily resets and weekends, as configuration.

Its published times are at https://www.interactivebrokers.com/en/software/systemStatus.php; they differ by region and
change, so ``IBKR_MAINTENANCE`` sets them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from trading_platform.domain.errors import ConfigurationError
from trading_platform.domain.texts import shown
from trading_platform.domain.time import Window

DEFAULT = "daily 00:15-01:45 America/New_York; Fri 23:00-Sat 03:00 America/New_York"
"""The reset of North America and that of the weekend."""

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_DAILY = "daily"
_ENTRY = re.compile(
    rf"({_DAILY}|{'|'.join(_DAYS)}) (\d\d:\d\d)-(?:({'|'.join(_DAYS)}) )?(\d\d:\d\d) "
    r"([A-Za-z0-9_+\-]+(?:/[A-Za-z0-9_+\-]+)*)"
)


@dataclass(frozen=True)
class Recurring:
    """An interval of local time that recurs each day, or each week.

    Attributes:
        weekday: weekday of its beginning, Monday is 0; None: each day.
        starts: local time.
        lasts: duration, in local time.
        zone: time zone.
    """

    weekday: int | None
    starts: time
    lasts: timedelta
    zone: ZoneInfo

    def around(self, timestamp: datetime) -> Window | None:
        """The occurrence that contains ``timestamp``, if there is one."""
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
    """All expected downtimes."""

    recurring: tuple[Recurring, ...] = ()

    def around(self, timestamp: datetime) -> Window | None:
        """The expected downtime that contains ``timestamp``, the longest of several; None if there is none."""
        found = [window for each in self.recurring if (window := each.around(timestamp)) is not None]
        return max(found, key=lambda window: window.end) if found else None


def parse_maintenance(text: str) -> Maintenance:
    """Parses times such as :data:`DEFAULT`: ``daily HH:MM-HH:MM Zone`` or ``Fri HH:MM-Sat HH:MM Zone``, split by ``;``.

    Raises:
        ConfigurationError: naming the invalid entry.
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
        "An expected downtime of Interactive Brokers cannot be parsed.",
        expected=f"entries such as {DEFAULT!r}",
        received=shown(text),
        remedy="correct IBKR_MAINTENANCE",
    )
