"""What runs beside a stream: bars that came meanwhile are no fault, and a streamed symbol still gets its history."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from repair_market import DAY, HOUR, MINUTE, Time, Vendor, bars_of, fill, opened_empty

from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe, Window, month_window
from trading_platform.stores.stores import Stores
from trading_platform.workflows.backfill.backfill_bars import backfill_bars
from trading_platform.workflows.derived.compute_indicators import compute_indicators_of
from trading_platform.workflows.gaps.repair_outages import repair_outages
from trading_platform.workflows.quality.check_results import CheckResult, Status
from trading_platform.workflows.quality.suites.verify import verify_asset

NOON = datetime(2026, 11, 3, 12, tzinfo=UTC)
ADA = Instrument("ADAUSD", AssetClass.CRYPTO, "24/7", "vendor")


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Iterator[Stores]:
    with opened_empty(database_url, tmp_path / "features") as opened:
        opened.instruments.add(ADA)
        yield opened


def stream(stores: Stores, window: Window) -> None:
    """Minutes as the live path stores them."""
    times = [window.start + number * MINUTE for number in range((window.end - window.start) // MINUTE)]
    stores.stream.commit(
        "vendor",
        "vendor",
        bars=bars_of("ADAUSD", Timeframe.M1, times, "vendor"),
        answered={"ADAUSD": [window]},
        until=window.end,
        position={"until": window.end.isoformat()},
        now=window.end,
    )


def matches_bars(stores: Stores, vendor: Vendor, clock: Time, timeframe: Timeframe = Timeframe.M1) -> CheckResult:
    (result,) = verify_asset(stores, {"vendor": vendor}, f"indicators_{timeframe}", clock=clock, only={"matches_bars"})
    return result


def delete_indicators(stores: Stores, time: datetime) -> None:
    with stores.owner.begin() as connection:
        connection.exec_driver_sql("DELETE FROM market_data.indicators_1m WHERE time = %s", (time,))


def test_bars_that_a_stream_adds_after_the_computation_do_not_fail_a_run(stores: Stores) -> None:
    clock = Time(NOON)
    vendor = Vendor(clock, since=NOON - 2 * DAY)
    fill(stores, {"vendor": vendor}, [ADA], clock)
    assert matches_bars(stores, vendor, clock).status is Status.PASSED
    stream(stores, Window(NOON, NOON + 7 * MINUTE))
    clock.now = NOON + 8 * MINUTE
    assert matches_bars(stores, vendor, clock).status is Status.PASSED
    assert matches_bars(stores, vendor, clock, Timeframe.M5).status is Status.PASSED
    yesterday = NOON - DAY
    delete_indicators(stores, yesterday)
    result = matches_bars(stores, vendor, clock)
    assert (result.status, result.failing_rows) == (Status.FAILED, 1), "what is not of today is a fault as before"
    compute_indicators_of(stores, ["ADAUSD"], Timeframe.M1, [month_window(NOON)], clock=clock)
    assert matches_bars(stores, vendor, clock).status is Status.PASSED
    delete_indicators(stores, NOON + 3 * MINUTE)
    assert matches_bars(stores, vendor, clock).failing_rows == 1, "today's, too, once they were computed"


def test_the_first_minutes_of_a_month_are_no_fault_of_a_run_that_began_before_them(stores: Stores) -> None:
    midnight = datetime(2026, 12, 1, tzinfo=UTC)
    clock = Time(midnight)
    vendor = Vendor(clock, since=midnight - DAY)
    fill(stores, {"vendor": vendor}, [ADA], clock)
    stream(stores, Window(midnight, midnight + 3 * MINUTE))
    clock.now = midnight + 4 * MINUTE
    assert matches_bars(stores, vendor, clock).status is Status.PASSED


def test_bars_without_any_indicators_are_found_as_before(stores: Stores) -> None:
    clock = Time(NOON)
    vendor = Vendor(clock, since=NOON - HOUR)
    backfill_bars(stores, {"vendor": vendor}, [ADA], Timeframe.M1, [month_window(NOON)], clock=clock)
    assert matches_bars(stores, vendor, clock).failing_rows == 60


@pytest.mark.exhaustive
def test_a_symbol_that_is_streamed_first_is_new_until_its_history_was_requested(stores: Stores) -> None:
    """Streamed, cut off, repaired from the source, and only then met by the sensor for new symbols."""
    clock = Time(NOON + 30 * MINUTE)
    vendor = Vendor(clock, since=NOON - 2 * DAY)
    stream(stores, Window(NOON, NOON + 10 * MINUTE))
    stores.outages.opened("vendor", ["ADAUSD"], NOON + 10 * MINUTE, "cut")
    stores.outages.closed("vendor", ["ADAUSD"], NOON + 15 * MINUTE)
    stream(stores, Window(NOON + 15 * MINUTE, NOON + 30 * MINUTE))
    assert [str(repair.state) for repair in repair_outages(stores, {"vendor": vendor}, clock=clock)] == ["repaired"]
    assert not any(stores.coverage.requested_symbols().values())
    backfill_bars(stores, {"vendor": vendor}, [ADA], Timeframe.M1, [month_window(NOON)], clock=clock)
    assert stores.coverage.requested_symbols()[Timeframe.M1] == {"ADAUSD"}
    held = stores.bars.read(["ADAUSD"], Timeframe.M1, Window(NOON - 2 * DAY, NOON + DAY))
    assert held.height == timedelta(days=2, minutes=30) // MINUTE
