"""Problems: what an observer finds wrong at a time, before anybody is notified.

A problem has a key, by which it is the same one at the next look, and a place in the tree of causes: where a host or a
store is in trouble, everything that depends on it reports trouble as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from trading_platform.domain.severity import Severity


class Level(StrEnum):
    """Where in the tree of causes a problem is; each level hides those after it."""

    HOST = "host"
    STORE = "store"
    SOURCE = "source"
    SERVICE = "service"
    """A run, a check, a schedule or a process: hidden by hosts and stores, hides nothing."""
    SYMBOL = "symbol"


@dataclass(frozen=True, order=True)
class Key:
    """What makes a problem the same one at the next look.

    Attributes:
        component: what reports it, such as ``feed`` or ``dagster``.
        rule: kind of problem, such as ``symbol_silent``.
        subject: what it befalls: a symbol, a check, a path; empty where the rule says all.
    """

    component: str
    rule: str
    subject: str = ""

    def __str__(self) -> str:
        return ":".join(filter(None, (self.component, self.rule, self.subject)))


@dataclass(frozen=True)
class Problem:
    """Something that is wrong now.

    Attributes:
        key: identifies it.
        level: its place in the tree of causes.
        severity: how bad it is.
        message: what is wrong and what to do, in words.
        since: from when on, UTC.
        source: the source of market data that it concerns; None if it concerns all, or none.
        details: further data.
    """

    key: Key
    level: Level
    severity: Severity
    message: str
    since: datetime
    source: str | None = None
    details: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


_HIDDEN = {
    Level.HOST: frozenset(Level) - {Level.HOST},
    Level.STORE: frozenset({Level.SOURCE, Level.SERVICE, Level.SYMBOL}),
    Level.SOURCE: frozenset({Level.SYMBOL}),
}

_LEVEL_OF_EVENT = {
    "server_away": Level.STORE,
    "writes_waiting": Level.STORE,
    "database_full": Level.STORE,
    "disk_full": Level.HOST,
    "feed_down": Level.SOURCE,
    "feed_inactive": Level.SOURCE,
    "clocks_differ": Level.SOURCE,
    "symbol_silent": Level.SYMBOL,
}


def level_of(event_type: str) -> Level:
    """The level of a kind of system event; one without a place of its own is a service's."""
    return _LEVEL_OF_EVENT.get(event_type, Level.SERVICE)


def can_hide(cause: Problem) -> bool:
    """Whether a problem explains any others.

    Of hosts and stores only errors do; a warning, such as a disk that is nearly full, goes on beside others.
    """
    return cause.level is Level.SOURCE or (
        cause.level in _HIDDEN and cause.severity in (Severity.ERROR, Severity.CRITICAL)
    )


def hides(cause: Problem, other: Problem) -> bool:
    """Whether a problem explains another one, so that nobody needs to be notified of the other.

    A source explains the silence of its own symbols, and of all symbols if it stands for all sources. What is critical
    is explained by nothing.
    """
    if not can_hide(cause) or other.severity is Severity.CRITICAL:
        return False
    if other.level not in _HIDDEN.get(cause.level, frozenset()):
        return False
    if cause.level is Level.SOURCE:
        return cause.source is None or other.source is None or cause.source == other.source
    return True
