"""What is lost comes back whatever the date: one small market, sixty presents.

Rows of all tables vanish, an outage lies beside them, and the night and the sensors are done as they would come.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import psycopg
import pytest
from psycopg import sql
from repair_market import (
    DAY,
    HOUR,
    TABLES,
    Time,
    Vendor,
    delete_windows,
    fill,
    opened_empty,
    qualities,
    rows_of,
    snapshot,
    stop_feed,
)

from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.quality.gaps import SETTLE
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.market_data.completeness.outages import OutageState
from trading_platform.stores.stores import Stores
from trading_platform.workflows.gaps.detect_gaps import detect_gaps
from trading_platform.workflows.gaps.repair_gaps import repair_gaps
from trading_platform.workflows.gaps.repair_outages import repair_outages
from trading_platform.workflows.gaps.verify_integrity import Proof

# Not later than this was written: the library knows an exchange's sessions until a year from the day it is asked.
PRESENTS = {
    "saturday": "2026-11-28T12:00",
    "sunday": "2026-11-29T12:00",
    "fx-opens": "2026-11-29T22:30",
    "monday-after-fx-weekend": "2026-11-30T00:05",
    "monday": "2026-11-30T12:00",
    "tuesday": "2026-11-24T12:00",
    "friday-fx-closes": "2026-11-20T22:00",
    "midnight": "2026-11-19T00:00",
    "before-midnight": "2026-11-18T23:59",
    "fingerprint-week-begins": "2026-11-05T00:00",
    "january-ends": "2026-01-31T12:00",
    "february-begins": "2026-02-01T00:00",
    "february-ends": "2026-02-28T23:59",
    "march-begins": "2026-03-01T04:30",
    "march-ends-on-friday": "2023-03-31T12:00",
    "april-begins": "2026-04-01T12:00",
    "april-ends": "2026-04-30T23:00",
    "may-ends-on-sunday": "2026-05-31T12:00",
    "june-begins-on-monday": "2026-06-01T00:05",
    "june-ends": "2026-06-30T12:00",
    "july-begins": "2026-07-01T04:30",
    "july-ends": "2026-07-31T21:00",
    "august-begins-on-saturday": "2026-08-01T12:00",
    "august-ends-on-monday": "2026-08-31T12:00",
    "september-begins": "2026-09-01T00:00",
    "october-ends-on-saturday": "2026-10-31T12:00",
    "november-begins-on-sunday": "2026-11-01T04:30",
    "november-second": "2026-11-02T12:00",
    "leap-day-begins": "2024-02-29T00:00",
    "leap-day": "2024-02-29T12:00",
    "leap-day-ends": "2024-02-29T23:59",
    "after-leap-day": "2024-03-01T04:30",
    "leap-day-2020": "2020-02-29T12:00",
    "monday-after-leap-day-2016": "2016-02-29T12:00",
    "no-leap-day": "2023-03-01T00:00",
    "year-ends": "2024-12-31T12:00",
    "year-ends-at-midnight": "2024-12-31T23:59",
    "year-begins": "2025-01-01T00:00",
    "year-begins-with-an-outage-across": "2025-01-01T04:30",
    "first-session-of-the-year": "2025-01-02T22:00",
    "second-of-january": "2026-01-02T12:00",
    "week-53": "2021-01-01T12:00",
    "monday-fourth-of-january": "2021-01-04T12:00",
    "december-begins": "2025-12-01T04:30",
    "us-dst-begins": "2026-03-08T07:00",
    "us-dst-begun": "2026-03-10T14:00",
    "between-us-and-europe": "2026-03-20T21:00",
    "europe-dst-begins": "2026-03-29T01:00",
    "europe-dst-begun": "2026-03-31T14:00",
    "europe-dst-ends": "2025-10-26T01:30",
    "between-europe-and-us": "2025-10-28T17:00",
    "us-dst-ends": "2025-11-02T06:00",
    "us-dst-ended": "2025-11-04T21:00",
    "half-day-closes": "2025-11-28T18:00",
    "half-day-before-independence-day": "2024-07-03T18:00",
    "christmas-eve": "2025-12-24T18:00",
    "christmas": "2025-12-25T12:00",
    "good-friday": "2026-04-03T12:00",
    "easter-tuesday": "2026-04-07T08:00",
    "thanksgiving": "2026-11-26T12:00",
}

COIN = Instrument("BTCUSD", AssetClass.CRYPTO, "24/7", "exchange")
FX = Instrument("EURUSD", AssetClass.FX, "FX", "minutes")
NEW_YORK = Instrument("MMM", AssetClass.EQUITY, "XNYS", "minutes", benchmark="SAP")
FRANKFURT = Instrument("SAP", AssetClass.EQUITY, "XETR", "days")
MONDAY, FRIDAY = 0, 4


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Iterator[Stores]:
    """Emptied, and without the partitions of the presents before: with those of sixty, every query is slow."""
    with opened_empty(database_url, tmp_path / "features") as opened:
        named = (
            "SELECT part.relname FROM pg_inherits JOIN pg_class AS part ON part.oid = inhrelid"
            " WHERE inhparent = ANY(%s::regclass[]) AND pg_get_expr(part.relpartbound, part.oid) <> 'DEFAULT'"
        )
        with psycopg.connect(database_url) as connection:
            parents = [f"market_data.{table}" for table in [*TABLES, "ohlcv_1h_stored"]]
            for (name,) in connection.execute(named, (parents,)).fetchall():
                connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier("market_data", name)))
        yield opened


def repair_everything(stores: Stores, sources: Mapping[str, Vendor], clock: Time) -> int:
    """The night's look, then outages, hourly looks and repairs every five minutes until nothing is open."""
    universe = list(stores.instruments.all().values())
    detect_gaps(stores, sources, universe, clock=clock, proof=Proof.ALL)
    rows_checked, done = None, 0
    for _ in range(60):
        done += len(repair_outages(stores, sources, clock=clock))
        if rows_checked != clock().hour:
            rows_checked = clock().hour
            detect_gaps(stores, sources, universe, clock=clock, proof=Proof.RECENT)
        done += len(repair_gaps(stores, sources, clock=clock))
        if not rows_of(stores, "SELECT FROM market_data.gaps WHERE state = 'open'"):
            return done
        clock.now += SETTLE
    left = rows_of(stores, "SELECT * FROM market_data.gaps")
    pytest.fail(f"still open: {left[:10]}")


@pytest.mark.exhaustive
@pytest.mark.parametrize("present", PRESENTS.values(), ids=PRESENTS)
def test_what_is_lost_comes_back(stores: Stores, database_url: str, present: str) -> None:
    clock = Time(datetime.fromisoformat(present).replace(tzinfo=UTC))
    sources = {
        "exchange": Vendor(clock, clock() - 55 * HOUR, "exchange", (Timeframe.M1, Timeframe.D1)),
        "minutes": Vendor(clock, clock() - 60 * HOUR, "minutes"),
        "days": Vendor(clock, clock() - 400 * DAY, "days", (Timeframe.D1,)),
    }
    about_a_weekend = not MONDAY < clock().weekday() <= FRIDAY
    instruments = [COIN, FX if about_a_weekend else NEW_YORK, FRANKFURT]
    for each in instruments:
        stores.instruments.add(each)
    fill(stores, sources, instruments, clock)
    before, kinds, features = snapshot(stores), qualities(stores), features_of(stores)
    clock.now += HOUR
    deleted = delete_windows(database_url, 0.001, seed=int(clock().timestamp()), longest=20)
    down = clock().replace(minute=clock().minute // 30 * 30) - 6 * HOUR
    stop_feed(stores, COIN.symbol, COIN.source, Window(down, down + HOUR))
    assert min(deleted.values()) >= 3
    assert repair_everything(stores, sources, clock) > 0
    assert [each.state for each in stores.outages.all()] == [OutageState.REPAIRED]
    assert rows_of(stores, "SELECT FROM market_data.gaps") == []
    found = snapshot(stores)
    assert {table: sorted(set(before[table]) ^ set(found[table]))[:3] for table in TABLES} == {t: [] for t in TABLES}
    assert found == before
    assert set(qualities(stores)) == set(kinds)
    assert features_of(stores).equals(features)
    version = rows_of(stores, "SELECT max(id) FROM market_data.coverage_requests")
    clock.now += HOUR
    assert repair_everything(stores, sources, clock) == 0
    assert snapshot(stores) == before
    assert rows_of(stores, "SELECT max(id) FROM market_data.coverage_requests") == version


def features_of(stores: Stores) -> pl.DataFrame:
    return stores.features.read(
        sorted(stores.instruments.all()), Window(datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
    )
