"""The circuit breaker of trading: open, half-open or closed, in the database, and copied to Redis for agents.

The database decides and refuses orders (:mod:`trading_platform.stores.trading.pauses`); the copy is
``circuit:trading`` and the field ``trading`` of ``session:state``, and is written again whenever it is looked at, so
that an emptied Redis has it again. The circuits of feeds are :mod:`trading_platform.streaming.monitoring.circuit`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from trading_platform.domain.messages import AlertState
from trading_platform.domain.severity import Severity
from trading_platform.stores.postgres.database import Database
from trading_platform.stores.trading.pauses import Pause, PauseStore

COMPONENT = "trading"


class Copy(Protocol):
    """Where agents look."""

    def set_circuit(self, ts: datetime, component: str, state: str, payload: str) -> bool:
        """Stores the state and publishes the alert if it has changed; returns whether it has."""

    def write_session(self, fields: dict[str, str]) -> None:
        """Sets fields of the session's state."""


def copy_circuit(database: Database, copy: Copy, now: datetime) -> str:
    """Copies the state of the circuit of trading; returns it.

    Raises:
        StoreError: if a store cannot be used.
    """
    store = PauseStore(database)
    going = store.going(now)
    state = store.state(now)
    alert = AlertState(
        event_type="circuit",
        severity=Severity.INFO if state == "closed" else Severity.CRITICAL,
        component=COMPONENT,
        message=words_of(state, going),
        metadata={"state": state},
        incident=f"circuit:{COMPONENT}",
        over=state == "closed",
    )
    copy.set_circuit(now, COMPONENT, state, alert.model_dump_json())
    copy.write_session({"trading": "active" if state == "closed" else "paused"})
    return state


def words_of(state: str, going: Sequence[Pause]) -> str:
    """The state in words."""
    if state == "closed":
        return "Orders can be placed."
    reasons = "; ".join(
        f"since {each.began_at:%Y-%m-%d %H:%M} UTC by {each.began_by}: {each.because}" for each in going
    )
    if state == "half_open":
        return f"{min(each.trials_left for each in going)} orders can be placed as a trial. Trading is paused {reasons}"
    return f"No order can be placed. Trading is paused {reasons}"
