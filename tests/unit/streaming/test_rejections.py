"""What a feed's rejected events and messages leave in the quarantine: all are counted, and few are stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from trading_platform.domain.market.live.events import Trade
from trading_platform.domain.market.live.final_minutes import Rejected
from trading_platform.domain.quality.rules import REJECTED_SCHEMA
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.sources.live import RejectedMessage
from trading_platform.streaming.rejections import KEPT_AT_ONCE, RECORD_LENGTH, QuarantineRows, Rejections

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def rejected(symbol: str = "BTCUSD", price: str = "1") -> list[Rejected]:
    trade = Trade(symbol, NOON + timedelta(hours=1), Decimal(price), Decimal(1))
    return [Rejected(trade, Reason.FUTURE_TIME, "later than now")]


def message(at: datetime, record: str = "{", reason: Reason = Reason.UNSUPPORTED) -> RejectedMessage:
    return RejectedMessage("kraken", at, reason, f"not JSON: {record[:10]}", record)


def all_rows(taken: list[QuarantineRows]) -> pl.DataFrame:
    return pl.concat([each.rows for each in taken]) if taken else pl.DataFrame(schema=REJECTED_SCHEMA)


def test_the_first_of_a_reason_are_stored_whole_and_the_others_counted() -> None:
    made, taken = Rejections(), []
    for number in range(3_000):
        now = NOON + number * SECOND / 20
        made.add_events(rejected("BTCUSD" if number % 2 else "ETHUSD"), now)
        taken += made.take(now)
    taken += made.take(NOON + 200 * SECOND, everything=True)
    rows = all_rows(taken)
    assert rows["row_count"].sum() == 3_000 == made.counts["future_time"]
    whole = rows.filter(pl.col("row_count") == 1)
    assert KEPT_AT_ONCE <= whole.height <= KEPT_AT_ONCE + 3
    assert rows.height <= KEPT_AT_ONCE + 6
    (first, *_) = rows.filter(pl.col("row_count") > 1)["detail"].to_list()
    assert "BTCUSD, ETHUSD" in first
    assert "12:00:01 to 12:01:0" in first
    assert not made


def test_each_reason_has_its_own_limit() -> None:
    made = Rejections()
    for _ in range(100):
        made.add_events(rejected(), NOON)
    made.add_message(message(NOON))
    assert {each.rows["reason"][0]: each.rows.height for each in made.take(NOON)} == {
        "future_time": KEPT_AT_ONCE,
        "unsupported": 1,
    }


def test_counts_come_after_a_minute_and_by_a_clock_that_is_set_back() -> None:
    made = Rejections()
    for _ in range(KEPT_AT_ONCE + 5):
        made.add_message(message(NOON))
    assert all_rows(made.take(NOON)).height == KEPT_AT_ONCE
    assert not made.take(NOON + 59 * SECOND)
    assert all_rows(made.take(NOON + 60 * SECOND))["row_count"].to_list() == [5]
    for _ in range(5):
        made.add_message(message(NOON + 60 * SECOND))
    assert all_rows(made.take(NOON - timedelta(hours=1)))["row_count"].sum() == 5


def test_what_is_stored_is_short_and_can_be_stored() -> None:
    made = Rejections()
    made.add_message(message(NOON, "\ud800" + "x" * 100_000))
    made.add_events(rejected("S" * 500, "1" * 5_000), NOON)
    for each in made.take(NOON):
        (record,) = each.rows["record"].to_list()
        assert len(record) <= RECORD_LENGTH
        assert each.symbol is None


@given(st.lists(st.tuples(st.sampled_from(list(Reason)), st.integers(0, 90), st.booleans()), max_size=400))
def test_nothing_is_lost_and_no_two_rows_are_the_same(steps: list[tuple[Reason, int, bool]]) -> None:
    made, taken, now = Rejections(), [], NOON
    for reason, seconds, take in steps:
        now += seconds * SECOND / 10
        made.add_message(message(now, "the same", reason))
        taken += made.take(now) if take else []
    taken += made.take(now, everything=True)
    rows = all_rows(taken)
    assert rows["row_count"].sum() == len(steps)
    reasons = len({reason for reason, _, _ in steps})
    assert rows.height <= reasons * (KEPT_AT_ONCE + 2 * (1 + (now - NOON) // timedelta(minutes=1)))
    if taken:
        numbered = rows["line"].drop_nulls()
        assert numbered.n_unique() == numbered.len()
