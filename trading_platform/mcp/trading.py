"""Tools of trading: the portfolio, the health of the data, the regime; and decisions and signals, which are written.

Those that only read market data are in :mod:`trading_platform.mcp.market_data`.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from trading_platform.client import Platform
from trading_platform.domain.alerts.incidents import Incident
from trading_platform.domain.alerts.observers import without_incidents
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.money import amount
from trading_platform.domain.texts import shown
from trading_platform.domain.time import Clock
from trading_platform.mcp.answers import Answer, Table, answer, cell
from trading_platform.mcp.market_data import Cursor, Limit
from trading_platform.mcp.numbers import Decimals
from trading_platform.mcp.pages import page_of
from trading_platform.mcp.spellings import understand
from trading_platform.stores.audit.journal import Decision
from trading_platform.stores.trading.pauses import Pause
from trading_platform.stores.trading.reconciliations import Reconciliation

OPEN_STATUSES = ("pending", "sent", "partial")
LATEST_EVENTS = timedelta(days=1)
"""How far back the health of the data looks for warnings."""

_MOST_EVENTS = 200

Symbol = Annotated[str | None, Field(description="none: the whole portfolio")]


class TradingTools:
    """The tools of trading.

    Args:
        platform: the platform.
        clock: the present time.
    """

    def __init__(self, platform: Platform, clock: Clock) -> None:
        self._platform = platform
        self._clock = clock

    def portfolio(self, limit: Limit = 200, cursor: Cursor = None) -> Answer:
        """Open positions and open orders of the ledger, in one table."""
        page = page_of(cursor, limit, {}, None, self._clock())
        rows: list[dict[str, object]] = [
            {
                "kind": "position",
                "symbol": each.symbol,
                "quantity": each.quantity,
                "price": each.avg_entry_price,
                "last_price": each.current_price,
                "unrealized_pnl": each.unrealized_pnl,
                "realized_pnl": each.realized_pnl,
                "time": each.updated_at,
            }
            for each in self._platform.positions(open_only=True).values()
        ]
        for status in OPEN_STATUSES:
            rows += [
                {
                    "kind": f"{status} {each.side} {each.order_type} order",
                    "symbol": each.symbol,
                    "quantity": each.open_quantity * each.side.sign,
                    "price": each.price,
                    "time": each.updated_at,
                    "id": each.id,
                }
                for each in self._platform.orders.list(status=status)
            ]
        columns = {
            "kind": "position, or status, side and type of an open order",
            "symbol": "instrument",
            "quantity": "units held, negative when short; of an order what is not filled yet, negative to sell",
            "price": "average entry price, or the limit of an order; quote currency",
            "last_price": "last known price",
            "unrealized_pnl": "quote currency, at last_price",
            "realized_pnl": "quote currency, commissions included",
            "time": "when it last changed",
            "id": "id of the order",
        }
        return answer(Table(rows, columns), page)

    def data_health(self, limit: Limit = 50, cursor: Cursor = None) -> Answer:
        """Whether data and ledger can be relied on: incidents, pauses, circuit breakers, stream, the day's warnings."""
        page = page_of(cursor, limit, {}, None, self._clock())
        rows = [*self._circuits(), *map(_incident, self._platform.incidents(limit=_MOST_EVENTS))]
        open_incidents = len(rows) - 1
        rows += [*map(_pause, self._platform.pauses()), *map(_reconciliation, self._latest_reconciliations())]
        rows += [{"kind": f"stream, {name}", "state": value} for name, value in sorted(self._platform.session.items())]
        events = self._platform.events.list(
            start=page.as_of - LATEST_EVENTS, end=page.as_of, at_least="warning", limit=_MOST_EVENTS
        )
        rows += [
            {
                "kind": f"{each.severity} of {each.component}",
                "state": each.event_type,
                "message": each.message,
                "time": each.timestamp,
            }
            for each in events
        ]
        columns = {
            "kind": "what it is about",
            "state": "its state, or the kind of event",
            "message": "in words",
            "time": "when it began or happened",
        }
        notes = (
            [f"Incidents that go on: {open_incidents}."]
            if open_incidents
            else [without_incidents(self._platform.observers(), page.as_of)]
        )
        notes += [] if events else ["No warning or error in the last day."]
        for name, count in (("incidents", open_incidents), ("warnings", len(events))):
            if count == _MOST_EVENTS:
                notes.append(f"There are more {name}; these are the newest {_MOST_EVENTS}.")
        return answer(Table(rows, columns, None, notes), page)

    def _circuits(self) -> list[dict[str, object]]:
        state = self._platform.circuit.get("feed")
        meaning = {"open": "do not rely on live data", "closed": "live data arrives"}.get(
            str(state), "no process watches live data: no stream runs, or it ended"
        )
        return [{"kind": "circuit breaker of feed", "state": state or "unknown", "message": meaning}]

    def _latest_reconciliations(self) -> list[Reconciliation]:
        """The newest comparison of each broker."""
        newest: dict[str, Reconciliation] = {}
        for each in self._platform.reconciliations():
            newest.setdefault(each.broker, each)
        return list(newest.values())

    def regime(self) -> Answer:
        """The regime of the market that was set within the last minute."""
        page = page_of(None, 1, {}, None, self._clock())
        regime = self._platform.regime.get()
        columns = {"regime": "as the agent that finds regimes named it"}
        notes = () if regime else ("No regime was set within the last minute: it is unknown.",)
        return answer(Table([{"regime": regime}] if regime else [], columns, None, notes), page)

    def explain_decision(
        self,
        decision_id: str,
        show: Annotated[Literal["all", "changed"], Field(description="changed: what is different now")] = "all",
        limit: Limit = 200,
        cursor: Cursor = None,
    ) -> Answer:
        """What was recorded when a decision was taken: bars, features, positions, limits, news …; what differs now."""
        asked = {"decision_id": decision_id, "show": show}
        page = page_of(cursor, limit, asked, None, self._clock())
        explanation = self._platform.explain_decision(decision_id)
        rows = explanation.changed() if show == "changed" else explanation.facts
        columns = {
            "section": "bar, feature, regime, position, order, limit or news",
            "symbol": "instrument",
            "time": "open of the bar, placing of the order, when news were available",
            "name": "what it is",
            "value": "as recorded at the time of the decision",
            "now": "where it is different today; - is gone",
            "detail": "timeframe and definition of a feature, terms of an order, address of news",
        }
        return answer(Table(rows, columns, None, (*_of(explanation.decision), *explanation.notes)), page)

    def record_decision(
        self,
        decision_type: Annotated[str, Field(description="entry, exit, skip …", max_length=50)],
        reasoning: Annotated[str, Field(max_length=20_000)],
        symbol: Symbol = None,
        signals: Annotated[dict[str, Any] | None, Field(description="values it rests on")] = None,
        risk_check: dict[str, Any] | None = None,
        final_action: Annotated[str | None, Field(max_length=50)] = None,
        order_id: str | None = None,
    ) -> Answer:
        """Write a decision to the audit trail, for ever; returns its id."""
        page = page_of(None, 1, {}, None, self._clock())
        ours, notes = self._symbol(symbol)
        decision = self._platform.decisions.record(
            decision_type,
            symbol=ours,
            signals=signals,
            risk_check=risk_check,
            final_action=final_action,
            reasoning=reasoning,
            order_id=_uuid(order_id),
            timestamp=page.as_of,
        )
        columns = {"id": "of the decision", "timestamp": "when it was recorded", "symbol": "instrument"}
        row = {"id": decision.id, "timestamp": decision.timestamp, "symbol": decision.symbol}
        return answer(Table([row], columns, None, notes), page)

    def publish_signal(
        self,
        strategy: Annotated[str, Field(max_length=50)],
        symbol: str,
        direction: Literal["long", "short", "flat"],
        strength: Annotated[Decimals | None, Field(description="0 to 1")] = None,
        price: Decimals | None = None,
        reason: Annotated[str | None, Field(max_length=2_000)] = None,
    ) -> Answer:
        """Publish a signal to all agents; it is kept for five minutes. It places no order."""
        page = page_of(None, 1, {}, None, self._clock())
        ours, notes = self._symbol(symbol)
        number = self._platform.signals.publish(
            strategy, str(ours), direction, strength=_decimal(strength), price=_decimal(price), reason=reason
        )
        columns = {"number": "position in the stream of signals", "symbol": "instrument", "direction": "direction"}
        row = {"number": number, "symbol": ours, "direction": direction}
        return answer(Table([row], columns, None, notes), page)

    def _symbol(self, symbol: str | None) -> tuple[str | None, tuple[str, ...]]:
        if symbol is None:
            return None, ()
        understood = understand(self._platform, [symbol])
        return understood.symbols[0], understood.notes


def _incident(incident: Incident) -> dict[str, object]:
    acknowledged = f", acknowledged by {incident.acknowledged_by}" if incident.acknowledged_by else ""
    return {
        "kind": f"incident #{incident.number}, {incident.problem.severity} of {incident.key.component}",
        "state": f"{incident.key.rule}{acknowledged}",
        "message": ": ".join(filter(None, (incident.key.subject, incident.problem.message))),
        "time": incident.since,
    }


def _pause(pause: Pause) -> dict[str, object]:
    trial = f", {pause.trials_left} orders as a trial" if pause.trials_left else ""
    until = f" until {cell(pause.until)}" if pause.until else ""
    return {
        "kind": "pause of trading",
        "state": f"no orders{until}{trial}",
        "message": f"{pause.began_by}: {pause.because}",
        "time": pause.began_at,
    }


def _reconciliation(found: Reconciliation) -> dict[str, object]:
    compared = f"ledger against {found.broker} on {found.day}: {found.positions} positions, {found.fills} fills"
    return {
        "kind": f"reconciliation {found.number} with {found.broker}",
        "state": found.result,
        "message": ": ".join(filter(None, (compared, found.reason))),
        "time": found.compared_at,
    }


def _of(decision: Decision) -> list[str]:
    """A decision in words; long ones are cut."""
    head = f"Decision {decision.decision_type} of {decision.symbol or 'the portfolio'} at {cell(decision.timestamp)}"
    said = {
        name: getattr(decision, name) for name in ("final_action", "order_id", "reasoning", "signals", "risk_check")
    }
    more = (f"{name}: {value}" for name, value in said.items() if value is not None)
    return [text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…" for text in (head, *more)]


_LONGEST = 1_000


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else amount(text, "amount")


def _uuid(text: str | None) -> UUID | None:
    try:
        return None if text is None else UUID(text)
    except ValueError:
        raise InvalidRequest(
            "This order_id is no id.", expected="a UUID", received=shown(text), remedy="give the id of the order"
        ) from None
