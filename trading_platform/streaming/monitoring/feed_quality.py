"""Says of a feed that its messages are not as they should be, from what it counts; bars are right all the same.

That a feed is down is said by :class:`trading_platform.streaming.monitoring.incidents.FeedIncidents`. What is found
here makes nobody act: it is recorded with its beginning and its end, for whoever asks why something was late.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from trading_platform.domain.market.live.clock_agreement import AGREED
from trading_platform.domain.market.live.event_validation import AHEAD
from trading_platform.domain.severity import Severity
from trading_platform.domain.time import Clock
from trading_platform.sources.live import MeasuredFeed, MessageCounts
from trading_platform.streaming.monitoring.incidents import Incidents

QUIET = timedelta(minutes=1)
"""How long nothing more must have come of a kind until it is over."""

LOOKS = 3
"""So many looks in a row every message must have been late before the clocks, or the way, count as the reason."""


@dataclass(frozen=True)
class _Irregularity:
    """Something that is counted.

    Attributes:
        counter: attribute of :class:`MessageCounts`.
        event_type: kind of event.
        message: what it is and what the stream does about it.
    """

    counter: str
    event_type: str
    message: str


_COUNTED = (
    _Irregularity("rejected", "messages_rejected", "cannot be used and are rejected; see `quarantine list`"),
    _Irregularity("duplicates", "messages_repeated", "repeat trades; each trade counts once"),
    _Irregularity("late", "messages_late", "are older than those before them; what is too late is requested again"),
)


@dataclass(slots=True)
class _Seen:
    """What was seen of a counter.

    Attributes:
        before: its value before the incident began.
        value: its last value.
        changed: when it last changed.
    """

    before: int
    value: int
    changed: datetime


class FeedQuality:
    """Looks at what one feed counts.

    Args:
        incidents: where it is said.
        source: source of the feed.
        clock: the receiver's clock.
    """

    def __init__(self, incidents: Incidents, source: str, clock: Clock) -> None:
        self._incidents = incidents
        self._source = source
        self._clock = clock
        self._seen: dict[str, _Seen] = {}
        self._late_looks = 0

    def look(self, feed: MeasuredFeed) -> None:
        """Looks once; call it every few seconds."""
        for each in _COUNTED:
            self._count(each, feed.counts)
        delay = feed.take_delay()
        if delay is not None:
            self._compare(delay)

    def _count(self, kind: _Irregularity, counts: MessageCounts) -> None:
        now, value = self._clock(), int(getattr(counts, kind.counter))
        seen = self._seen.get(kind.counter)
        if seen is None or value < seen.value:  # another feed of the same source counts from nothing
            seen = self._seen[kind.counter] = _Seen(0, 0, now)
        name = f"{kind.event_type}:{self._source}"
        if value > seen.value:
            seen.value, seen.changed = value, now
            message = f"Messages of {self._source} {kind.message}."
            self._incidents.begin(name, kind.event_type, Severity.INFO, message, source=self._source)
        elif self._incidents.is_open(name) and not timedelta(0) <= now - seen.changed < QUIET:
            number, seen.before = value - seen.before, value
            message = f"No more such messages of {self._source} come; there were {number:,}."
            self._incidents.end(name, message, seen.changed, messages=number)

    def _compare(self, delay: float) -> None:
        """Compares the clocks, as far as a delay shows them: a slow way looks the same."""
        name = f"behind:{self._source}"
        self._late_looks = self._late_looks + 1 if delay > AHEAD.total_seconds() else 0
        if self._late_looks >= LOOKS:
            message = (
                f"Messages of {self._source} are {delay:,.1f} s behind this machine's clock: the clocks differ, or "
                "they are that late. Bars are right; quotes may be old. To do: synchronise this machine's clock (NTP)."
            )
            self._incidents.begin(name, "clocks_differ", Severity.WARNING, message, source=self._source)
        elif delay <= AGREED.total_seconds():
            self._incidents.end(name, f"Messages of {self._source} are no longer behind this machine's clock.")
