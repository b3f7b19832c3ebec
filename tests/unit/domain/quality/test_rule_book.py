"""The rule book has every reason for which a row is rejected, and the page is the book."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from trading_platform.domain.market.live.event_validation import fault_of_time, fault_of_trade
from trading_platform.domain.market.live.events import Trade
from trading_platform.domain.quality.rule_book import PRICE_JUMP, RULES, Action, as_page, rule_of, severity_of
from trading_platform.domain.quality.rules import RAW_BAR_SCHEMA, screen_bars
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.severity import Severity
from trading_platform.domain.suspicions import Suspicion
from trading_platform.domain.time import Timeframe

REPOSITORY = Path(__file__).parents[4]
NOW = datetime(2024, 5, 20, tzinfo=UTC)


def test_every_reason_and_suspicion_is_a_rule_and_there_is_only_the_jump_besides() -> None:
    reported = {suspicion.value for suspicion in Suspicion}
    assert {rule.name for rule in RULES} == {reason.value for reason in Reason} | {PRICE_JUMP.name} | reported
    assert len(RULES) == len({rule.name for rule in RULES})


def test_the_page_is_the_book() -> None:
    assert (REPOSITORY / "docs/rules.md").read_text(encoding="utf-8") == as_page(), (
        "write it again: trading-platform rules --markdown > docs/rules.md"
    )


@pytest.mark.parametrize(
    ("values", "days_ahead", "reason", "severity"),
    [
        (("0", "2", "0", "1", "5"), 0, Reason.NON_POSITIVE_PRICE, Severity.WARNING),
        (("1", "2", "1", "1", "-1"), 0, Reason.NEGATIVE_VOLUME, Severity.WARNING),
        (("1", "2", "1", "1", "5"), 1, Reason.FUTURE_TIME, Severity.ERROR),
    ],
)
def test_bars_and_live_trades_break_the_same_rule(
    values: tuple[str, ...], days_ahead: int, reason: Reason, severity: Severity
) -> None:
    time = NOW + timedelta(days=days_ahead)
    names = ("open", "high", "low", "close", "volume")
    raw = pl.DataFrame(
        [{"line": 1, "record": "…", "time": time, "time_text": str(time), **dict(zip(names, values, strict=True))}],
        schema=RAW_BAR_SCHEMA,
    )
    (rejected,) = screen_bars(raw, Timeframe.D1, NOW).rejected.to_dicts()
    trade = Trade("BTCUSD", time, Decimal(values[0]), Decimal(values[4]))
    fault = fault_of_time(time, NOW) or fault_of_trade(trade)
    assert fault is not None
    assert rejected["reason"] == fault[0] == reason
    rule = rule_of(reason)
    assert rule is not None
    assert (rule.action, rule.severity) == (Action.DISCARD, severity)


def test_the_highest_severity_is_that_of_several() -> None:
    assert severity_of(["duplicate", "future_time", "negative_volume"]) is Severity.ERROR
    assert severity_of(["duplicate", "not_final"]) is Severity.INFO
    assert severity_of(["a_former_name"]) is Severity.WARNING
