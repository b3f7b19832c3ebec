"""What an agent got at a time is read again later, whatever was corrected since: bars, adjusted ones, indicators."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import polars as pl
import psycopg
import pytest
from feature_rows import rows
from polars.testing import assert_frame_equal

from trading_platform.client.market_data import MarketData
from trading_platform.domain.derived.indicators import compute_indicators
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.market.calendars import sessions
from trading_platform.domain.market.corporate_actions import ActionKind, CorporateAction
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.market_data.completeness.coverage import Outcome, Request
from trading_platform.stores.postgres.roles import Role, as_role
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.derived.build_features import build_features

YEAR = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))
DATES = sessions("XNYS", YEAR)["session"].to_list()
START, END = "2024-01-01", "2025-01-01"


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Iterator[Stores]:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "TRUNCATE config.instruments, market_data.bars_1d, market_data.indicators_1d,"
            " market_data.corporate_actions, market_data.bar_revisions, market_data.indicator_revisions,"
            " market_data.corporate_action_revisions"
        )
    with open_stores(database_url, tmp_path / "features") as opened:
        opened.instruments.add(Instrument("IBM", AssetClass.EQUITY, "XNYS", "file"))
        yield opened


@pytest.fixture
def client(stores: Stores) -> MarketData:
    return MarketData(stores, lambda: now_of(stores))


def now_of(stores: Stores) -> datetime:
    found: datetime = stores.database.rows("SELECT clock_timestamp()")[0][0]
    return found


def store(stores: Stores, price: Callable[[int], int]) -> None:
    found = []
    for number, date in enumerate(DATES):
        close = Decimal(price(number))
        found.append((date, "IBM", "1d", close, close + 1, close - 1, close, Decimal(1_000), "file", "traded"))
    bars = pl.DataFrame(found, schema=BAR_SCHEMA, orient="row")
    stores.bars.prepare(Timeframe.D1, bars)
    computed = compute_indicators(bars)
    stores.indicators.prepare(Timeframe.D1, bars["time"])
    request = Request("IBM", Timeframe.D1, "file", YEAR, Outcome.STORED, "test", now_of(stores), changed=True)
    with stores.database.begin() as connection:
        stores.bars.replace(connection, "IBM", Timeframe.D1, YEAR, bars, reason="a test")
        stores.coverage.record(connection, request, [YEAR])
        stores.indicators.replace(connection, ["IBM"], Timeframe.D1, YEAR, computed)


def split(ratio: int) -> CorporateAction:
    return CorporateAction("IBM", DATES[100], ActionKind.SPLIT, DATES[100], "file", ratio=Fraction(ratio))


def dividend(amount: str) -> CorporateAction:
    return CorporateAction("IBM", DATES[150], ActionKind.DIVIDEND, DATES[150], "file", amount=Decimal(amount))


def test_each_state_is_read_again_as_it_was(stores: Stores, client: MarketData) -> None:
    save = stores.corporate_actions.save
    changes: list[Callable[[], object]] = [
        lambda: store(stores, lambda number: 100 + number % 7),
        lambda: save([split(2), dividend("0.5")], now_of(stores)),
        lambda: store(stores, lambda number: 100 + number % 7 + (number == 149)),  # the close before the dividend
        lambda: save([split(4)], now_of(stores)),
        lambda: stores.corporate_actions.remove("IBM", DATES[150], ActionKind.DIVIDEND),
        lambda: store(stores, lambda number: 100 + number % 5),
    ]

    def everything(**options: datetime) -> list[pl.DataFrame]:
        return [
            *(client.bars("IBM", "1d", START, END, how, **options) for how in ("raw", "split", "total_return")),
            client.indicators("IBM", "1d", START, END, **options),
            client.features("IBM", START, END, **options),
        ]

    kept = []
    for change in changes:
        change()
        build_features(stores, stores.instruments.all(), ["IBM"], [YEAR], clock=lambda: now_of(stores))
        kept.append((everything(), now_of(stores)))
    for frames, time in kept:
        for then, read in zip(frames, everything(recorded_as_of=time), strict=True):
            assert_frame_equal(read, then, check_exact=False, rel_tol=1e-9, abs_tol=0.0)
    distinct = {tuple(frame.write_csv() for frame in frames) for frames, _ in kept}
    assert len(distinct) == len(kept), "each change is seen"
    distinct = {frames[-1].write_csv() for frames, _ in kept}
    assert len(distinct) == len(kept) - 1, "bars and splits change features, a dividend does not"


def test_both_kinds_of_time_together(stores: Stores, client: MarketData) -> None:
    store(stores, lambda _: 100)
    first = now_of(stores)
    store(stores, lambda number: 100 + (number >= 10))
    closed = DATES[20] + timedelta(hours=21)
    read = client.bars("IBM", "1d", START, END, as_of=closed, recorded_as_of=first)
    assert read["time"].to_list() == DATES[:21]
    assert read["close"].unique().to_list() == [Decimal(100)]
    indicators = client.indicators("IBM", "1d", START, END, ["sma_20"], as_of=closed, recorded_as_of=first)
    assert indicators["time"].to_list() == DATES[:21]
    assert indicators["sma_20"][-1] == 100
    assert client.indicators("IBM", "1d", START, END, ["sma_20"], as_of=closed)["sma_20"][-1] == pytest.approx(100.55)
    assert client.indicators("IBM", "1d", START, END, as_of=closed - timedelta(hours=1))["time"].to_list() == DATES[:20]
    assert client.indicators("IBM", "1d", START, END, as_of="2000-01-01").is_empty()


def test_features_are_read_again_as_they_were(stores: Stores, client: MarketData) -> None:
    kept = []
    for value in (1.0, 2.0, 3.0):
        stores.features.replace(rows(YEAR, "IBM", value), "IBM", YEAR)
        kept.append((client.features("IBM", START, END), now_of(stores)))
    for then, time in kept:
        assert client.features("IBM", START, END, recorded_as_of=time).equals(then)
    first = kept[0][1]
    both = client.features("IBM", START, END, ["rsi_14"], as_of="2024-02-01", recorded_as_of=first)
    assert both["rsi_14"].to_list() == [1.0] * 31
    assert both.columns == ["time", "symbol", "available_at", "rsi_14"]


def test_an_agent_saves_a_snapshot_that_never_changes(stores: Stores, client: MarketData, database_url: str) -> None:
    stores.features.replace(rows(YEAR, "IBM"), "IBM", YEAR)
    then = now_of(stores)
    stores.features.replace(rows(YEAR, "IBM", 2.0), "IBM", YEAR)
    with open_stores(as_role(database_url, Role.AGENT, trusted=True), stores.features.directory) as own:
        agent = MarketData(own, lambda: now_of(stores))
        now = agent.save_snapshot("now", "IBM", START, END, ["rsi_14"])
        before = agent.save_snapshot("before", "IBM", START, END, as_of="2024-06-01", recorded_as_of=then)
        with pytest.raises(InvalidRequest, match="already"):
            agent.save_snapshot("now", "IBM", START, END)
    assert now.equals(client.features("IBM", START, END, ["rsi_14"]))
    assert before.equals(client.features("IBM", START, END, as_of="2024-06-01", recorded_as_of=then))
    stores.features.replace(rows(YEAR, "IBM", 3.0), "IBM", YEAR)
    assert client.snapshot("now").equals(now)
    assert client.snapshots().select("name", "rows", "files", "recorded_as_of").rows() == [
        ("before", 152, 12, then),
        ("now", 366, 12, None),
    ]
    assert stores.features.snapshots.delete("now").removed == 1
    assert client.snapshot("before").equals(before)


@pytest.mark.parametrize("time", ["2001-01-01", "2999-01-01T00:00:00Z"])
def test_a_state_that_is_not_known_is_refused(client: MarketData, time: str) -> None:
    for read in (client.bars, client.indicators):
        with pytest.raises(InvalidRequest, match="recorded"):
            read("IBM", "1d", START, END, recorded_as_of=time)
    with pytest.raises(InvalidRequest, match="recorded"):
        client.features("IBM", START, END, recorded_as_of=time)
