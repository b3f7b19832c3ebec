"""What ``account`` prints."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from trading_platform.cli.operations.account import Statement, _print
from trading_platform.domain.trading.broker import BrokerFill


def test_the_table_of_fills_names_what_was_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    day = datetime(2025, 3, 3, tzinfo=UTC)
    fill = BrokerFill(
        broker="ibkr",
        account="DU123456",
        execution_id="e215.65e5.01.02",
        order_id="4711",
        symbol="IBM",
        side="buy",
        quantity=Decimal(7),
        price=Decimal("187.1"),
        commission=Decimal("0.35"),
        commission_currency="USD",
        executed_at=day + timedelta(hours=15),
        replaces=("e215.65e5.01.01",),
    )
    late = replace(fill, execution_id="e214.65e4.01.02", executed_at=day - timedelta(hours=3), replaces=())
    _print("ibkr", Statement([], [], [late, fill]), day)
    shown = " ".join(capsys.readouterr().out.split())
    assert "replaces" in shown
    assert "2025-03-02" in shown
    _print("ibkr", Statement([], [], [replace(fill, replaces=())]), day)
    assert "replaces" not in capsys.readouterr().out
