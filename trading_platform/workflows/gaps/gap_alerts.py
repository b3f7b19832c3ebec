"""Alerts about gaps: one when gaps have failed permanently, one when all of them are resolved after all.

Events go to ``audit.system_events`` first and then to the channel ``alerts``, as
:mod:`trading_platform.streaming.monitoring.circuit` does for inactive feeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from trading_platform.domain.quality.gaps import Gap
from trading_platform.domain.severity import Severity
from trading_platform.domain.time import Clock, Timeframe
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.market_data.fingerprints import Difference
from trading_platform.stores.stores import Stores

if TYPE_CHECKING:  # the models of messages take a tenth of a second, which reading commands do not need
    from trading_platform.domain.messages import AlertState

COMPONENT = "repair_gaps"
FAILED_PERMANENTLY = "gaps_failed_permanently"
MISSING_OR_MODIFIED = "bars_missing_or_modified"
_FEW = 5  # gaps that a message can list

PublishAlert = Callable[[datetime, "AlertState"], None]
"""Publishes an alert on the channel ``alerts``."""


def unpublished(_timestamp: datetime, _alert: AlertState) -> None:
    """Publishes nothing; the alert is in the system events nevertheless."""


def alert_missing_or_modified(
    stores: Stores, symbol: str, timeframe: Timeframe, missing_or_modified: Sequence[Difference]
) -> None:
    """Logs that stored bars differed from the committed ones; they are requested again."""
    if not missing_or_modified:
        return
    lost = sum(max(0, each.committed - each.stored) for each in missing_or_modified)
    message = (
        f"{lost:,} {timeframe} bars of {symbol} are missing and others were modified,"
        f" in {len(missing_or_modified)} periods from {missing_or_modified[0].window.start:%Y-%m-%d %H:%M}"
        f" to {missing_or_modified[-1].window.end:%Y-%m-%d %H:%M}. They are requested again."
    )
    AuditStore(stores.database).log(
        event_type=MISSING_OR_MODIFIED,
        severity=Severity.WARNING,
        component=COMPONENT,
        message=message,
        metadata={"symbol": symbol, "timeframe": timeframe.value, "lost": lost, "periods": len(missing_or_modified)},
    )


def fail_permanently(
    stores: Stores, source: str, notes: Mapping[Gap, str], clock: Clock, publish: PublishAlert
) -> None:
    """Records that gaps of instruments of one source have failed permanently, and publishes one alert for new ones."""
    from trading_platform.domain.messages import AlertState

    new = [gap for gap in notes if gap.incident is None]
    first = min(notes, key=lambda gap: gap.id)
    incident = f"gaps-{source}-{first.id}"
    alert = AlertState(
        event_type=FAILED_PERMANENTLY,
        severity=Severity.WARNING,
        component=COMPONENT,
        message=f"{len(new)} gaps of {source} could not be repaired: {_named(new, notes)}."
        " `trading-platform gaps` lists them.",
        metadata={"source": source, "gaps": len(new), "symbols": sorted({gap.symbol for gap in new})},
        incident=incident,
    )
    with stores.database.begin() as connection:
        for gap, note in notes.items():
            stores.gaps.fail_permanently(connection, gap, note, incident)
        if new:
            _log(stores, connection, alert, clock())
    if new:
        publish(clock(), alert)


def alert_resolved(stores: Stores, incidents: Sequence[str], clock: Clock, publish: PublishAlert) -> None:
    """Publishes that all gaps of some incidents are resolved."""
    from trading_platform.domain.messages import AlertState

    for incident in sorted(set(incidents)):
        alert = AlertState(
            event_type=FAILED_PERMANENTLY,
            severity=Severity.INFO,
            component=COMPONENT,
            message=f"None of the gaps of {incident} is left.",
            incident=incident,
            over=True,
        )
        with stores.database.begin() as connection:
            _log(stores, connection, alert, clock())
        publish(clock(), alert)


def _log(stores: Stores, connection: object, alert: AlertState, timestamp: datetime) -> None:
    AuditStore(stores.database).add_event(
        connection,  # type: ignore[arg-type]
        event_type=alert.event_type,
        severity=alert.severity,
        component=alert.component,
        message=alert.message,
        metadata={**alert.metadata, "incident": alert.incident, "over": alert.over},
        timestamp=timestamp,
    )


def _named(gaps: Sequence[Gap], notes: Mapping[Gap, str]) -> str:
    listed = "; ".join(f"{gap.symbol} {gap.timeframe} {gap.window} ({notes[gap]})" for gap in gaps[:_FEW])
    more = len(gaps) - _FEW
    return listed + (f"; and {more} more" if more > 0 else "")
