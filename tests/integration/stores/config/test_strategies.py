"""Strategies and risk limits, and who is said to have changed them."""

from __future__ import annotations

from decimal import Decimal

import psycopg
import pytest

from trading_platform.domain.errors import InvalidRequest
from trading_platform.stores.config.strategies import RiskLimitStore, StrategyStore


def test_a_strategy_is_saved_changed_and_switched(database):
    strategies = StrategyStore(database)
    saved = strategies.save(
        "momentum_eu_v1",
        "Momentum Europe",
        params={"lookback": 20, "stop": Decimal("0.015")},
        allowed_symbols=["SAP", "ASML"],
        regime_filter=["trend"],
        max_positions=5,
    )
    assert not saved.enabled
    assert saved.params == {"lookback": 20, "stop": "0.015"}
    assert strategies.get("momentum_eu_v1") == saved
    changed = strategies.save("momentum_eu_v1", "Momentum Europe 1", enabled=True)
    assert (changed.allowed_symbols, changed.params, changed.created_at) == (None, {}, saved.created_at)
    assert changed.updated_at > saved.updated_at
    assert not strategies.enable("momentum_eu_v1", enabled=False).enabled
    assert [each.id for each in strategies.all()] == ["momentum_eu_v1"]
    with pytest.raises(InvalidRequest, match="no strategy"):
        strategies.enable("nobody")
    with pytest.raises(InvalidRequest, match="This number of positions cannot be used"):
        strategies.save("x", "X", max_positions=-1)


def test_a_limit_is_exact_and_says_who_set_it(database):
    limits = RiskLimitStore(database)
    first = limits.set("max_position_pct", "0.00000001", description="Share of the capital", by="ana")
    assert (first.value, first.updated_by) == (Decimal("0.00000001"), "ana")
    force = limits.set("max_position_pct", 5, by="ana")
    assert (force.value, force.description, force.updated_by) == (5, "Share of the capital", "ana")
    assert force.updated_at > first.updated_at
    assert limits.set("max_position_pct", 6).updated_by not in ("", "ana")
    assert limits.all() == [limits.get("max_position_pct")]
    assert (limits.remove("max_position_pct"), limits.remove("max_position_pct")) == (True, False)
    with pytest.raises(InvalidRequest):
        limits.set("max_position_pct", 0.1)  # type: ignore[arg-type]


def test_the_database_itself_keeps_who_and_when(database, database_url):
    assert database
    with psycopg.connect(database_url, application_name="risk-desk") as raw:

        def who() -> str:
            return raw.execute("SELECT updated_by FROM config.risk_limits WHERE key = 'a'").fetchone()[0]

        raw.execute("INSERT INTO config.risk_limits (key, value) VALUES ('a', 1), ('b', 1)")
        assert who() == "risk-desk"
        raw.execute("UPDATE config.risk_limits SET value = 2, updated_by = 'ana'")
        assert who() == "ana"
        raw.execute("UPDATE config.risk_limits SET value = 3, updated_by = 'ana'")
        assert who() == "ana", "named again, and still she"
        raw.execute("UPDATE config.risk_limits SET value = 4")
        assert who() == "risk-desk", "not named, so it was the session"
        raw.execute("SET application_name = ''")
        raw.execute("UPDATE config.risk_limits SET value = 5")
        assert who() == raw.execute("SELECT session_user").fetchone()[0]
        raw.commit()
        before = raw.execute("SELECT updated_at FROM config.risk_limits WHERE key = 'a'").fetchone()[0]
        raw.commit()
        raw.execute("UPDATE config.risk_limits SET updated_at = 'epoch' WHERE key = 'a'")
        assert raw.execute("SELECT updated_at > %s FROM config.risk_limits WHERE key = 'a'", [before]).fetchone()[0]
