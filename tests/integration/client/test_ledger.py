"""What an agent does through the client, from decision to position."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from trading_platform.client import Platform
from trading_platform.domain.errors import InvalidRequest
from trading_platform.stores.stores import open_stores


def test_an_agent_at_work(database_url: str, tmp_path: Path):
    with open_stores(database_url, tmp_path, may_upgrade=True) as stores:
        platform = Platform(stores)
        platform.strategies.save("mean_reversion_v2", "Mean reversion", enabled=True)
        platform.risk_limits.set("max_position_pct", "5", by="ana")
        order = platform.orders.place(
            "BTCUSD", "buy", "limit", "0.5", broker="kraken", price="64000", strategy_id="mean_reversion_v2"
        )
        decision = platform.decisions.record("entry", symbol="BTCUSD", final_action="buy", order_id=order.id)
        platform.orders.advance(order.id, "sent", broker_order_id="OQCLML-BW3P3-BUCMWZ")
        recorded = platform.orders.record_fill(
            order.id,
            "THVRQM-33VKH-UCI7BS",
            quantity="0.2",
            price="63990.5",
            executed_at=datetime(2024, 3, 4, tzinfo=UTC),
            commission="20.47696",
        )
        cancelled = platform.orders.cancel(order.id)
        assert (cancelled.status, cancelled.filled_qty) == ("cancelled", Decimal("0.2"))
        assert platform.orders.list(symbol="BTCUSD", status="cancelled") == [cancelled]
        assert platform.orders.get(order.id) == cancelled
        assert platform.orders.fills(order_id=order.id) == [recorded.fill]
        assert platform.positions() == {"BTCUSD": recorded.position}
        marked = platform.mark_price("BTCUSD", "64990.5")
        assert marked is not None
        assert (marked.unrealized_pnl, marked.realized_pnl) == (200, Decimal("-20.47696"))
        assert platform.mark_price("ETHUSD", 1) is None
        assert platform.decisions.list(order_id=order.id) == [decision]
        event = platform.events.log("agent_started", "info", "agent", "At work.", metadata={"version": "1"})
        assert platform.events.list(component="agent") == [event]
        with pytest.raises(InvalidRequest, match="by its fills alone"):
            platform.orders.advance(order.id, "filled")
