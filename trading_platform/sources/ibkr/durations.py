"""The durations for which Interactive Brokers provides bars of a length, and the choice of one for a request.

The table is that of https://interactivebrokers.github.io/tws-api/historical_bars.html. The gateway does not reject
other combinations; it leaves them unanswered until they time out. So they are rejected here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.texts import shown
from trading_platform.domain.time import Timeframe

_MINUTE, _HOUR, _DAY, _WEEK, _MONTH = 60, 3600, 86_400, 604_800, 2_592_000

BAR_SECONDS: dict[str, int] = {
    **{f"{count} secs": count for count in (1, 5, 10, 15, 30)},
    "1 min": _MINUTE,
    **{f"{count} mins": count * _MINUTE for count in (2, 3, 5, 10, 15, 20, 30)},
    "1 hour": _HOUR,
    **{f"{count} hours": count * _HOUR for count in (2, 3, 4, 8)},
    "1 day": _DAY,
    "1 week": _WEEK,
    "1 month": _MONTH,
}
"""The available lengths of bars, as the API spells them, in seconds."""

BAR_SIZES: dict[Timeframe, str] = {
    Timeframe.M1: "1 min",
    Timeframe.M5: "5 mins",
    Timeframe.H1: "1 hour",
    Timeframe.D1: "1 day",
}
"""The API's spelling of our timeframes."""


@dataclass(frozen=True)
class _Step:
    """The maximum duration for bars from one length to another.

    Attributes:
        unit: S, D, W, M or Y.
        count: number of units.
        covers: seconds that are covered at least, by the shortest month.
        shortest: shortest length of the bars, in seconds.
        longest: longest length of the bars, in seconds.
    """

    unit: str
    count: int
    covers: int
    shortest: int
    longest: int


_STEPS = (
    _Step("S", 60, 60, 1, _MINUTE),
    _Step("S", 120, 120, 1, 2 * _MINUTE),
    _Step("S", 1_800, 1_800, 1, 30 * _MINUTE),
    _Step("S", 3_600, 3_600, 5, _HOUR),
    _Step("S", 14_400, 14_400, 10, 3 * _HOUR),
    _Step("S", 28_800, 28_800, 30, 8 * _HOUR),
    _Step("D", 1, _DAY, _MINUTE, _DAY),
    _Step("D", 2, 2 * _DAY, 2 * _MINUTE, _DAY),
    _Step("W", 1, 7 * _DAY, 3 * _MINUTE, _WEEK),
    _Step("M", 1, 28 * _DAY, 30 * _MINUTE, _MONTH),
    _Step("Y", 1, 365 * _DAY, _DAY, _MONTH),
)
_UNIT_SECONDS = {"S": 1, "D": _DAY, "W": 7 * _DAY, "M": 28 * _DAY, "Y": 365 * _DAY}


def longest_duration(timeframe: Timeframe) -> timedelta:
    """The longest interval that one request for such bars covers."""
    seconds = int(timeframe.duration.total_seconds())
    return timedelta(seconds=max(step.covers for step in _STEPS if step.shortest <= seconds <= step.longest))


def duration_for(span: timedelta, timeframe: Timeframe) -> str:
    """The shortest permitted duration that covers ``span`` for such bars: ``23400 S``, ``1 D``.

    Raises:
        InvalidRequest: if one request cannot cover it.
    """
    bar = int(timeframe.duration.total_seconds())
    wanted = max(math.ceil(span.total_seconds()), bar)
    for step in _STEPS:
        if step.shortest <= bar <= step.longest and wanted <= step.covers:
            count = min(math.ceil(wanted / bar) * bar, step.count) if step.unit == "S" else step.count
            return f"{count} {step.unit}"
    raise InvalidRequest(
        f"One request cannot cover {span} of {timeframe} bars.",
        expected=f"at most {longest_duration(timeframe)}",
        received=str(span),
        remedy="request shorter windows",
    )


def check_duration(duration: str, bar_size: str) -> None:
    """Rejects requests that Interactive Brokers would leave unanswered.

    Raises:
        InvalidRequest: if the length of bars, the duration or their combination does not exist.
    """
    bar = BAR_SECONDS.get(bar_size)
    if bar is None:
        raise InvalidRequest(
            f"Interactive Brokers has no bars of {bar_size!r}.",
            expected=f"one of {', '.join(BAR_SECONDS)}",
            received=shown(bar_size),
            remedy="choose one of the listed lengths",
        )
    step = _step_of(duration)
    if not step.shortest <= bar <= step.longest:
        legal = [name for name, seconds in BAR_SECONDS.items() if step.shortest <= seconds <= step.longest]
        raise InvalidRequest(
            f"Interactive Brokers provides no bars of {bar_size} for {duration}.",
            expected=f"bars of {legal[0]} to {legal[-1]}, or another duration",
            received=f"{bar_size}, {duration}",
            remedy="request a shorter duration, or bars of another length",
        )


def _step_of(duration: str) -> _Step:
    count, _, unit = duration.partition(" ")
    if count.isascii() and count.isdigit() and int(count) and unit in _UNIT_SECONDS:
        seconds = int(count) * _UNIT_SECONDS[unit]
        for step in _STEPS:
            if (step.unit == "S") == (unit == "S") and seconds <= step.covers:
                return step
    raise InvalidRequest(
        f"{duration!r} is not a duration of Interactive Brokers.",
        expected="1 to 28800 S, 1 to 365 D, 1 to 52 W, 1 to 12 M or 1 Y",
        received=shown(duration),
        remedy="write it as a number, a space and the unit",
    )
