"""The states of a connection to Interactive Brokers, and when somebody must be told of them.

Two links can break: ours to TWS or the gateway, and theirs to Interactive Brokers, of which they tell by codes 1100,
1101 and 1102. Nothing here connects; :mod:`trading_platform.sources.ibkr.session` does and says what happened.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from trading_platform.domain.time import Clock, Window
from trading_platform.sources.ibkr.maintenance import Maintenance

PATIENCE = timedelta(minutes=2)
"""How long an unexpected absence may last before it is told, and an expected one beyond its time."""


class Link(StrEnum):
    """What a connection is."""

    DISCONNECTED = "disconnected"
    CONNECTED = "connected"
    FARM_DOWN = "farm_down"
    RESTORED_KEPT = "restored_kept"
    RESTORED_LOST = "restored_lost"
    NEEDS_LOGIN = "needs_login"


SPEAKING = frozenset({Link.CONNECTED, Link.RESTORED_KEPT})
"""In these what was subscribed is told."""
ANSWERING = SPEAKING | {Link.RESTORED_LOST}
"""In these a request is answered."""

_LOST, _RESTORED_LOST, _RESTORED_KEPT, _BROKEN = 1100, 1101, 1102, 2110
_QUOTES_BROKEN, _HISTORY_BROKEN = 2103, 2105
_FARM_BROKEN, _FARM_WELL = frozenset({_QUOTES_BROKEN, _HISTORY_BROKEN}), frozenset({2104, 2106, 2107, 2108})
_FARM = re.compile(r":\s*(\S+)\s*$")


class Severity(StrEnum):
    """How much an absence matters."""

    EXPECTED = "expected"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True)
class Absence:
    """That Interactive Brokers cannot be had.

    Attributes:
        link: what the connection is.
        since: since when, UTC.
        reason: why, in words.
        severity: ``expected`` in a maintenance or for the first minutes; ``warning`` for longer; ``critical`` where
            it has outlived its maintenance, or somebody must log in.
        maintenance: the expected absence it began in.
    """

    link: Link
    since: datetime
    reason: str
    severity: Severity
    maintenance: Window | None = None

    def __str__(self) -> str:
        text = f"Interactive Brokers cannot be had since {self.since:%Y-%m-%d %H:%M:%S} UTC: {self.reason}"
        if self.maintenance is not None:
            text += f"; its maintenance was expected to end at {self.maintenance.end:%H:%M} UTC"
        return f"{text}; somebody must log in to the gateway" if self.link is Link.NEEDS_LOGIN else text


class ConnectionMachine:
    """What a connection is, from what happened to it.

    Args:
        maintenance: when it is expected to be away.
        clock: tells the time.
        patience: how long an absence may last unexplained.
    """

    def __init__(self, maintenance: Maintenance, *, clock: Clock, patience: timedelta = PATIENCE) -> None:
        self._maintenance = maintenance
        self._clock = clock
        self._patience = patience
        self._link = Link.DISCONNECTED
        self._reason = "not connected yet"
        self._away_since: datetime | None = None
        self._began_in: Window | None = None
        self._farms: dict[str, int] = {}
        self._losses = self._made_good = 0

    @property
    def link(self) -> Link:
        """What the connection is."""
        return self._link

    @property
    def reason(self) -> str:
        """Why, in words."""
        return self._reason

    @property
    def losses(self) -> int:
        """How often all subscriptions were lost."""
        return self._losses

    @property
    def quote_farms_down(self) -> frozenset[str]:
        """The farms of market data that the gateway has lost: of what they serve nothing is told."""
        return frozenset(farm for farm, code in self._farms.items() if code == _QUOTES_BROKEN)

    @property
    def history_farms_down(self) -> frozenset[str]:
        """The farms of past bars that the gateway has lost: what they say of no data says nothing."""
        return frozenset(farm for farm, code in self._farms.items() if code == _HISTORY_BROKEN)

    def connected(self) -> None:
        """The gateway has greeted us; nothing is subscribed yet."""
        self._farms.clear()
        self._made_good = self._losses
        self._well(Link.CONNECTED, "connected")

    def disconnected(self, reason: str) -> None:
        """There is no connection to the gateway: it ended, or could not be made."""
        self._farms.clear()
        self._away(Link.DISCONNECTED, reason)

    def not_greeted(self, reason: str) -> None:
        """The gateway takes connections and does not greet: nobody is logged in to it."""
        self._farms.clear()
        self._away(Link.NEEDS_LOGIN, reason)

    def told(self, code: int, text: str) -> bool:
        """The gateway has told a code that belongs to no request; whether that changed anything."""
        before = self._link, self._farms.copy()
        if self._link in (Link.DISCONNECTED, Link.NEEDS_LOGIN):
            return False  # the last words of a connection that is gone
        if code in (_LOST, _BROKEN):
            self._away(Link.FARM_DOWN, f"{code}: {text}")
        elif code in (_RESTORED_LOST, _RESTORED_KEPT):
            self._losses += code == _RESTORED_LOST
            is_lost = self._losses > self._made_good  # what was lost before is not among what was kept
            self._well(Link.RESTORED_LOST if is_lost else Link.RESTORED_KEPT, f"{code}: {text}")
        elif code in _FARM_BROKEN | _FARM_WELL and (farm := _FARM.search(text)):
            if code in _FARM_BROKEN:
                self._farms[farm.group(1)] = code
            else:
                self._farms.pop(farm.group(1), None)
        return before != (self._link, self._farms)

    def resubscribed(self, losses: int) -> None:
        """All has been subscribed anew that was lost when :attr:`losses` was so much, and nothing else since."""
        self._made_good = max(self._made_good, losses)
        if self._link is Link.RESTORED_LOST and self._made_good == self._losses:
            self._well(Link.CONNECTED, "connected, all subscribed anew")

    def absence(self) -> Absence | None:
        """That Interactive Brokers cannot be had now, and how much that matters; None if it can."""
        if self._away_since is None:
            return None
        now = self._clock()
        severity = Severity.EXPECTED
        if self._began_in is not None:
            if now >= self._began_in.end + self._patience:
                severity = Severity.CRITICAL
        elif now >= self._away_since + self._patience:
            severity = Severity.CRITICAL if self._link is Link.NEEDS_LOGIN else Severity.WARNING
        return Absence(self._link, self._away_since, self._reason, severity, self._began_in)

    def _well(self, link: Link, reason: str) -> None:
        self._link, self._reason = link, reason
        self._away_since = self._began_in = None

    def _away(self, link: Link, reason: str) -> None:
        self._link, self._reason = link, reason
        if self._away_since is None:
            self._away_since = self._clock()
            self._began_in = self._maintenance.around(self._away_since)
