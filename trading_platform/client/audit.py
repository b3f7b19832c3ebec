"""``Platform.decisions`` and ``Platform.events``: the audit trail of the agents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from trading_platform.domain.severity import Severity
from trading_platform.stores.audit.journal import AuditStore, Decision, SystemEvent


class Decisions:
    """Records decisions and reads them back."""

    def __init__(self, store: AuditStore) -> None:
        self._store = store

    def record(
        self,
        decision_type: str,
        *,
        symbol: str | None = None,
        signals: Mapping[str, Any] | None = None,
        risk_check: Mapping[str, Any] | None = None,
        final_action: str | None = None,
        reasoning: str | None = None,
        order_id: UUID | None = None,
        timestamp: datetime | None = None,
        decision_id: UUID | None = None,
    ) -> Decision:
        """Writes a decision.

        Args:
            decision_type: entry, exit, skip, …
            symbol: instrument; None for the whole portfolio.
            signals: the signals that led to it, with their present values.
            risk_check: result of the risk check.
            final_action: the action taken.
            reasoning: the reason, as text.
            order_id: the order that results from it.
            timestamp: time of the decision; now by default.
            decision_id: an id chosen by the caller; a new one by default.

        Raises:
            InvalidRequest: if a text is too long, a value cannot be written as JSON, or the order is unknown.
        """
        return self._store.record(
            decision_type=decision_type,
            symbol=symbol,
            signals=signals,
            risk_check=risk_check,
            final_action=final_action,
            reasoning=reasoning,
            order_id=order_id,
            timestamp=timestamp,
            decision_id=decision_id,
        )

    def list(
        self,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        symbol: str | None = None,
        decision_type: str | None = None,
        order_id: UUID | None = None,
        limit: int = 1000,
    ) -> Sequence[Decision]:
        """Decisions of a half-open window, newest first; those older than a year come from the archive.

        Raises:
            StoreError: names the archive file that is needed and cannot be read.
        """
        return self._store.decisions(
            start=start, end=end, symbol=symbol, decision_type=decision_type, order_id=order_id, limit=limit
        )


class Events:
    """Logs system events and reads them back."""

    def __init__(self, store: AuditStore) -> None:
        self._store = store

    def log(
        self,
        event_type: str,
        severity: str,
        component: str,
        message: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        timestamp: datetime | None = None,
    ) -> SystemEvent:
        """Writes a system event.

        Args:
            event_type: kind of event.
            severity: ``info``, ``warning``, ``error`` or ``critical``.
            component: component that reports the event.
            message: what happened, as text.
            metadata: further data.
            timestamp: time of the event; now by default.

        Raises:
            InvalidRequest: for an unknown severity, a text that is too long, or a value that cannot be written as JSON.
        """
        return self._store.log(
            event_type=event_type,
            severity=severity,
            component=component,
            message=message,
            metadata=metadata,
            timestamp=timestamp,
        )

    def log_all(
        self, event_type: str, severity: str, component: str, events: Sequence[tuple[float, str, Mapping[str, Any]]]
    ) -> None:
        """Writes events of one type together: of each how many seconds ago it happened, message and further data.

        Raises:
            InvalidRequest: as :meth:`log`; then none is written.
        """
        self._store.log_all(event_type, severity, component, events)

    def list(
        self,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        event_type: str | None = None,
        component: str | None = None,
        at_least: str = Severity.INFO,
        limit: int = 1000,
    ) -> Sequence[SystemEvent]:
        """System events of a half-open window with at least this severity, newest first.

        Those older than a year come from the archive.

        Raises:
            StoreError: names the archive file that is needed and cannot be read.
        """
        return self._store.events(
            start=start, end=end, event_type=event_type, component=component, at_least=at_least, limit=limit
        )
