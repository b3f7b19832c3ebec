"""The words of a message: what has begun, what goes on and what is over, by cause.

A message is complete and short: of many incidents of one kind it names the first and counts the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from itertools import groupby

from trading_platform.domain.alerts.incidents import Incident
from trading_platform.domain.alerts.notifications import Due
from trading_platform.domain.severity import Severity

LONGEST = 3_500
"""Characters of a message at most; Telegram takes 4,096 after entities are parsed."""

_LISTED = 8
_LONGEST_REASON = 400
_IN_HOURS = timedelta(hours=2)
_ORDER = list(Severity)


def message_of(due: Due, hidden: int) -> str:
    """The text of a message.

    Args:
        due: its incidents.
        hidden: number of other incidents that go on and are explained by one of these.
    """
    sections = [
        *_section("", due.begun),
        *_section("Still: ", due.ongoing),
        *_section("Over: ", due.over),
    ]
    if hidden:
        sections.append(
            f"{hidden:,} more incidents have one of these as their cause; they have no message of their own."
        )
    return _within(sections)


def _section(prefix: str, incidents: Sequence[Incident]) -> list[str]:
    by_kind = sorted(incidents, key=lambda each: (-_ORDER.index(each.problem.severity), each.key))
    groups = groupby(by_kind, key=lambda each: (each.problem.severity, each.key.component, each.key.rule))
    return [prefix + _group(list(own)) for _, own in groups]


def _group(incidents: Sequence[Incident]) -> str:
    first = incidents[0]
    head = f"[{first.problem.severity}] {first.key.component} {first.key.rule}"
    if len(incidents) == 1:
        return f"{head} {_name(first)}: {_shortened(first.problem.message)}{_times(first)}"
    named = ", ".join(map(_name, incidents[:_LISTED]))
    more = len(incidents) - _LISTED
    named += f" and {more:,} more" if more > 0 else ""
    example = f"{_shortened(first.problem.message)}{_times(first)}"
    return f"{head}, {len(incidents):,} incidents: {named}. The first: {example}"


def _name(incident: Incident) -> str:
    return " ".join(filter(None, (incident.key.subject, f"#{incident.number}")))


def _times(incident: Incident) -> str:
    back = f", came back {incident.times - 1} times" if incident.times > 1 else ""
    if incident.ended_at is None:
        return f" (since {incident.since:%Y-%m-%d %H:%M} UTC{back})"
    lasted = _span(max(incident.ended_at - incident.since, timedelta(0)))
    return f" (from {incident.since:%Y-%m-%d %H:%M} to {incident.ended_at:%H:%M} UTC, {lasted}{back})"


def _span(length: timedelta) -> str:
    minutes = int(length.total_seconds() // 60)
    if minutes < 1:
        return f"{length.total_seconds():.0f} s"
    return f"{minutes} min" if length < _IN_HOURS else f"{minutes // 60} h {minutes % 60} min"


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]} …"


def _within(sections: Iterable[str]) -> str:
    found: list[str] = []
    rest = list(sections)
    while rest and sum(map(len, found)) + len(rest[0]) + 2 * len(found) < LONGEST:
        found.append(rest.pop(0))
    if rest:
        found.append(f"… and {len(rest)} more kinds of incidents: `trading-platform alerts list`.")
    return "\n\n".join(found)
