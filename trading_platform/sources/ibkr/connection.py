"""The states of a connection to Interactive Brokers, and when an absence must be reported.

Two links can break: ours to TWS or the gateway, and theirs to Interactive Brokers, which they report by codes 1100,
1101 and 1102. This module does not connect; :mod:`trading_platform.sources.ibkr.session` does and reports the events.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from trading_platform.domain.time import Clock, Window
from trading_platform.sources.ibkr.maintenance import Maintenance

PATIENCE = timedelta(minutes=2)
"""How long an unexpected absence may last before it is reported, and an expected one beyond its end."""


class Link(StrEnum):
    """The state of a connection."""

    DISCONNECTED = "disconnected"
    CONNECTED = "connected"
    FARM_DOWN = "farm_down"
    RESTORED_KEPT = "restored_kept"
    RESTORED_LOST = "restored_lost"
    NEEDS_LOGIN = "needs_login"


SPEAKING = frozenset({Link.CONNECTED, Link.RESTORED_KEPT})
"""In these states subscribed data arrive."""
ANSWERING = SPEAKING | {Link.RESTORED_LOST}
"""In these states requests are answered."""

_LOST, _RESTORED_LOST, _RESTORED_KEPT, _BROKEN = 1100, 1101, 1102, 2110
_QUOTES_BROKEN, _HISTORY_BROKEN = 2103, 2105
_FARM_BROKEN, _FARM_WELL = frozenset({_QUOTES_BROKEN, _HISTORY_BROKEN}), frozenset({2104, 2106, 2107, 2108})
_FARM = re.compile(r":\s*(\S+)\s*$")


class Severity(StrEnum):
    """The severity of an absence."""

    EXPECTED = "expected"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True)
class Absence:
    """An absence of Interactive Brokers.

    Attributes:
        link: state of the connection.
        since: when it began, UTC.
        reason: its reason, in words.
        severity: ``expected`` in a maintenance or for the first minutes; ``warning`` for longer; ``critical`` if
            it has outlasted its maintenance, or a person must log in.
        maintenance: the expected downtime it began in.
    """

    link: Link
    since: datetime
    reason: str
    severity: Severity
    maintenance: Window | None = None

    def __str__(self) -> str:
        text = f"Interactive Brokers is not available since {self.since:%Y-%m-%d %H:%M:%S} UTC: {self.reason}"
        if self.maintenance is not None:
            text += f"; its maintenance was expected to end at {self.maintenance.end:%H:%M} UTC"
        return f"{text}; a person must log in to the gateway" if self.link is Link.NEEDS_LOGIN else text


class ConnectionMachine:
    """The state of a connection, derived from its events.

    Args:
        maintenance: expected downtimes.
        clock: the present.
        patience: how long an unexpected absence may last.
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
        self._losses = self._renewed_losses = 0

    @property
    def link(self) -> Link:
        """The state of the connection."""
        return self._link

    @property
    def reason(self) -> str:
        """The reason of the state, in words."""
        return self._reason

    @property
    def losses(self) -> int:
        """How often all subscriptions were lost."""
        return self._losses

    @property
    def quote_farms_down(self) -> frozenset[str]:
        """The market data farms that the gateway has lost: their instruments have no quotes."""
        return frozenset(farm for farm, code in self._farms.items() if code == _QUOTES_BROKEN)

    @property
    def history_farms_down(self) -> frozenset[str]:
        """The historical data farms that the gateway has lost: their empty responses prove nothing."""
        return frozenset(farm for farm, code in self._farms.items() if code == _HISTORY_BROKEN)

    def connected(self) -> None:
        """The gateway completed the handshake; nothing is subscribed yet."""
        self._farms.clear()
        self._renewed_losses = self._losses
        self._up(Link.CONNECTED, "connected")

    def disconnected(self, reason: str) -> None:
        """There is no connection to the gateway: it was closed, or could not be opened."""
        self._farms.clear()
        self._down(Link.DISCONNECTED, reason)

    def not_greeted(self, reason: str) -> None:
        """The gateway accepts connections without a handshake: it is not logged in."""
        self._farms.clear()
        self._down(Link.NEEDS_LOGIN, reason)

    def process_code(self, code: int, text: str) -> bool:
        """Processes a code that belongs to no request; returns whether it changed anything."""
        before = self._link, self._farms.copy()
        if self._link in (Link.DISCONNECTED, Link.NEEDS_LOGIN):
            return False  # a late message of a closed connection
        if code in (_LOST, _BROKEN):
            self._down(Link.FARM_DOWN, f"{code}: {text}")
        elif code in (_RESTORED_LOST, _RESTORED_KEPT):
            self._losses += code == _RESTORED_LOST
            is_lost = self._losses > self._renewed_losses  # subscriptions lost before are not among those maintained
            self._up(Link.RESTORED_LOST if is_lost else Link.RESTORED_KEPT, f"{code}: {text}")
        elif code in _FARM_BROKEN | _FARM_WELL and (farm := _FARM.search(text)):
            if code in _FARM_BROKEN:
                self._farms[farm.group(1)] = code
            else:
                self._farms.pop(farm.group(1), None)
        return before != (self._link, self._farms)

    def resubscribed(self, losses: int) -> None:
        """All subscriptions lost up to the count ``losses`` were renewed; later losses are still open."""
        self._renewed_losses = max(self._renewed_losses, losses)
        if self._link is Link.RESTORED_LOST and self._renewed_losses == self._losses:
            self._up(Link.CONNECTED, "connected, all subscriptions renewed")

    def absence(self) -> Absence | None:
        """The current absence of Interactive Brokers and its severity; None if it is available."""
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

    def _up(self, link: Link, reason: str) -> None:
        self._link, self._reason = link, reason
        self._away_since = self._began_in = None

    def _down(self, link: Link, reason: str) -> None:
        self._link, self._reason = link, reason
        if self._away_since is None:
            self._away_since = self._clock()
            self._began_in = self._maintenance.around(self._away_since)
