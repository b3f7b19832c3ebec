"""Each documented condition of data from its real input to the one message that a person gets, and its all-clear.

Those of the ledger and the broker are in ``test_ledger_conditions.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from alert_scene import EVERY, Scene, begun_of, over_of
from dagster import AssetCheckKey, AssetKey, DagsterInstance, build_sensor_context
from daily_files import import_daily, line
from feature_rows import rows as feature_rows
from redis import Redis
from redis_servers import flush
from waiting import DEADLINE

from trading_platform.definitions import build_definitions
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.market.live.bar_builder import BarBuilder
from trading_platform.domain.market.live.bar_series import Basis
from trading_platform.domain.market.live.events import Event, FeedUp, Heartbeat, Trade
from trading_platform.domain.severity import Severity
from trading_platform.domain.time import Timeframe, Window
from trading_platform.resources.platform import PlatformContext
from trading_platform.sensors.report_problems import report_problems
from trading_platform.sources.live import LastEvent, LiveFeed, RejectMessage
from trading_platform.stores.alerts.incidents import IncidentStore
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.market_data.completeness.outages import OutageStore
from trading_platform.stores.market_data.quarantine import RowFilter
from trading_platform.stores.market_data.stream.store import StreamStore
from trading_platform.stores.postgres.database import execute
from trading_platform.stores.redis.live import AsyncLiveStore
from trading_platform.streaming.feeds import FeedPlan
from trading_platform.streaming.monitoring.circuit import FeedGuard
from trading_platform.streaming.pipeline import Pipeline, PipelineCallbacks, PipelineStores

BTC, ETH = "BTCUSD", "ETHUSD"
MAY = Window(datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC))
IN_MAY = datetime(2024, 5, 20, tzinfo=UTC)
TOLD = timedelta(seconds=30) + 2 * EVERY
"""From when a fault counts as one to its message at most: what is due waits for others, and two looks."""


# The live feed


class Feed:
    """A guard over a feed, beside the watch, by the same clock."""

    def __init__(self, scene: Scene, redis_url: str) -> None:
        self.scene = scene
        self.live = AsyncLiveStore(redis_url, timeout=DEADLINE)
        audit = AuditStore(scene.stores.database)
        self.guard = FeedGuard(self.live, audit, lambda _: (BTC, ETH), clock=scene.clock)

    async def minutes(self, number: float, *symbols: str) -> None:
        """So many minutes in which these symbols trade."""
        for _ in range(round(number * 60 / EVERY.total_seconds())):
            for symbol in symbols:
                self.guard.observe(Trade(symbol, self.scene.clock.now, Decimal(1), Decimal(1)))
            await self.guard.tick()
            await asyncio.to_thread(self.scene.pass_time, EVERY.total_seconds() / 60)


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url, decode_responses=True) as client:
        flush(client)
        yield client


def test_no_data_of_any_symbol_for_two_minutes(scene: Scene, redis: Redis, redis_url: str) -> None:
    kind = "[error] feed feed_inactive"

    async def work() -> None:
        feed = Feed(scene, redis_url)
        await feed.minutes(1, BTC, ETH)
        await feed.minutes(1.75)
        assert (redis.get("circuit:feed"), begun_of(scene, kind)) == ("closed", [])
        await feed.minutes(0.5 + TOLD.total_seconds() / 60)
        assert redis.get("circuit:feed") == "open"
        assert len(begun_of(scene, kind)) == 1
        await feed.minutes(2)
        await feed.minutes(3.5, BTC, ETH)
        assert redis.get("circuit:feed") == "closed"
        await feed.live.close()

    asyncio.run(work())
    (begun,), (over,) = begun_of(scene, kind), over_of(scene, kind)
    assert begun.startswith("🔴")
    assert "No data of any symbol since" in begun
    assert over.startswith("🟢")
    assert "symbol_silent" not in "".join(scene.telegram.texts), "of a dead feed no symbol sends a message"


def test_no_data_of_one_symbol_for_five_minutes(scene: Scene, redis: Redis, redis_url: str) -> None:
    kind = f"[warning] feed symbol_silent {ETH}"

    async def work() -> None:
        feed = Feed(scene, redis_url)
        await feed.minutes(1, BTC, ETH)
        await feed.minutes(4.75, BTC)
        assert scene.telegram.texts == []
        await feed.minutes(0.5 + TOLD.total_seconds() / 60, BTC)
        assert len(begun_of(scene, kind)) == 1
        await feed.minutes(3.5, BTC, ETH)
        assert redis.get("circuit:feed") == "closed"
        await feed.live.close()

    asyncio.run(work())
    (begun,), (over,) = begun_of(scene, kind), over_of(scene, kind)
    assert begun.startswith("🟠")
    assert over.startswith("🟢")


def never(_known: LastEvent, _rejected: RejectMessage) -> LiveFeed:
    raise AssertionError("the pipeline is given its events")


def stream(scene: Scene, events: Sequence[Event]) -> None:
    """The live process's way of events into the stores, each received at the scene's present."""

    async def emitted() -> AsyncIterator[Event]:
        for event in events:
            yield event

    stores = scene.stores
    plan = FeedPlan("kraken", "kraken", {BTC: Basis.TRADE}, never)
    where = PipelineStores(StreamStore(stores.database), OutageStore(stores.database), stores.quarantine)
    made = Pipeline(
        plan, BarBuilder("kraken", basis=plan.basis), where, callbacks=PipelineCallbacks(), clock=scene.clock
    )
    asyncio.run(made.run(emitted()))


@pytest.mark.parametrize(
    ("reason", "severity", "wrong"),
    [
        ("non_positive_price", "warning", {"price": Decimal(0)}),
        ("negative_volume", "warning", {"quantity": Decimal(-1)}),
        ("future_time", "error", {"ahead": timedelta(minutes=10)}),
    ],
)
def test_a_live_trade_that_breaks_a_rule(scene: Scene, reason: str, severity: str, wrong: dict[str, object]) -> None:
    now = scene.clock.now.replace(microsecond=0)
    values = {"price": Decimal(1), "quantity": Decimal(1), **wrong}
    ahead = values.pop("ahead", timedelta(0))
    for number in (1, 2):  # a fault that goes on, with another number of rows each time
        bad = [
            Trade(BTC, now + ahead, values["price"], values["quantity"], 10 * number + each) for each in range(number)
        ]  # type: ignore[arg-type, operator]
        stream(scene, [FeedUp(now, frozenset({BTC})), Heartbeat(now), *bad])
    rows = [row for row in scene.stores.quarantine.listed(RowFilter(BTC), 100) if row.reason == reason]
    assert len(rows) == 3
    events = AuditStore(scene.stores.database).events(event_type="rows_rejected")
    assert {event.severity for event in events} == {severity}
    scene.clock.now = _present(scene)
    scene.pass_time(3)
    kind = f"[error] quarantine rows_rejected {BTC}"
    if severity == "warning":
        assert scene.telegram.texts == []
        return
    scene.pass_time(36)
    (begun,), (over,) = begun_of(scene, kind), over_of(scene, kind)
    assert begun.startswith("🔴")
    assert "future_time" in begun
    assert over.startswith("🟢")


def _present(scene: Scene) -> datetime:
    """The time of the database, by which it stamps events of rejected rows."""
    now: datetime = scene.stores.database.rows("SELECT clock_timestamp()")[0][0]
    with scene.stores.database.begin() as connection:  # and the time that passes afterwards is in the past
        execute(connection, "UPDATE audit.system_events SET timestamp = timestamp - interval '2 hours'")
    return now - timedelta(hours=2)


# Files


def load(scene: Scene, folder: Path, symbol: str, *lines: str, name: str = "first") -> None:
    """Imports a file of daily bars and stores them."""
    now = IN_MAY if name == "first" else IN_MAY + timedelta(days=1)  # of several imports the latest wins
    import_daily(scene.stores, folder / f"{symbol}_{name}.csv", symbol, lines, now, force=name != "first")


@dataclass
class DagsterScene:
    """Dagster's checks and the sensor that reports them, beside the watch."""

    scene: Scene
    instance: DagsterInstance
    cursor: str | None = None

    def __post_init__(self) -> None:
        self.platform = PlatformContext(self.scene.stores, {}, clock=self.scene.clock)
        definitions = build_definitions(resource_overrides={"platform": self.platform})
        self.job = definitions.resolve_implicit_global_asset_job_def()
        IncidentStore(self.scene.stores.database).silence(
            "host:clock_differs", self.scene.clock.now + timedelta(days=1), by="the test",
            because="its clock is not the server's", at=self.scene.clock.now,
        )  # fmt: skip
        self.tick()

    def tick(self) -> None:
        context = build_sensor_context(
            instance=self.instance, cursor=self.cursor, resources={"platform": self.platform}
        )
        report_problems(context)
        self.cursor = context.cursor

    def check(self, asset: str, name: str) -> None:
        keys = {AssetCheckKey(AssetKey(asset), name)}
        job = self.job.get_subset(asset_selection=set(), asset_check_selection=keys)
        job.execute_in_process(instance=self.instance, raise_on_error=False)
        self.tick()

    def pass_time(self, minutes: float) -> None:
        """Both look as often as they would."""
        for _ in range(round(minutes * 2)):
            self.tick()
            self.scene.pass_time(0.5)


@pytest.fixture
def dagster(scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DagsterScene:
    for name, value in {
        "DATA_DIR": str(tmp_path),
        "SETTINGS_FILE": "",
        "TELEGRAM_BOT_TOKEN": "1:x",
        "TELEGRAM_CHAT_ID": "7",
        "TELEGRAM_API_URL": scene.telegram.url,
    }.items():
        monkeypatch.setenv(name, value)
    storage = {"module": "dagster._core.storage.event_log", "class": "ConsolidatedSqliteEventLogStorage"}
    overrides = {"event_log_storage": {**storage, "config": {"base_dir": str(tmp_path)}}}
    return DagsterScene(scene, DagsterInstance.local_temp(str(tmp_path), overrides=overrides))


@pytest.mark.parametrize(
    ("reason", "wrong"), [("non_positive_price", line(2, close="0")), ("negative_volume", line(2, volume="-1"))]
)
def test_a_discarded_bar_of_a_file(
    scene: Scene, dagster: DagsterScene, tmp_path: Path, reason: str, wrong: str
) -> None:
    symbol = reason[:3].upper()
    load(scene, tmp_path, symbol, line(1), wrong, line(3))
    (row,) = scene.stores.quarantine.listed(RowFilter(symbol), 100)
    assert (row.reason, row.record) == (reason, wrong)
    (event,) = AuditStore(scene.stores.database).events(event_type="rows_rejected")
    assert event.severity == Severity.WARNING
    scene.pass_time(2)
    assert scene.telegram.texts == [], "a discarded row by itself is a line of the log"
    told_of_check(
        dagster, "ohlcv_1d", "completeness", lambda: load(scene, tmp_path, symbol, *map(line, (1, 2, 3)), name="mended")
    )


def test_a_gap_of_eleven_percent_is_stored_for_review(scene: Scene, dagster: DagsterScene, tmp_path: Path) -> None:
    load(scene, tmp_path, "GAP", line(1), line(2, open_="111", close="111"), line(3, open_="111", close="111"))
    bars = scene.stores.bars.read(["GAP"], Timeframe.D1, MAY)
    assert bars["quality"].to_list() == ["traded", "review", "traded"]
    mended = [line(1), line(2, open_="105", close="105"), line(3, open_="105", close="105")]
    told_of_check(
        dagster, "ohlcv_1d", "price_jump_review", lambda: load(scene, tmp_path, "GAP", *mended, name="mended")
    )


def told_of_check(dagster: DagsterScene, asset: str, name: str, mend) -> None:
    """A failed check is one warning, however often it fails, and one message when it passes."""
    scene, kind = dagster.scene, f"[warning] dagster check_failed {asset} {name}"
    for _ in range(2):
        dagster.check(asset, name)
        dagster.pass_time(1.5)
    (begun,) = begun_of(scene, kind)
    assert begun.startswith("🟠")
    mend()
    dagster.check(asset, name)
    dagster.pass_time(4)
    assert len(begun_of(scene, kind)) == 1
    (over,) = over_of(scene, kind)
    assert over.startswith("🟢")


def test_a_duplicate_is_upserted_and_nobody_is_woken(scene: Scene, tmp_path: Path) -> None:
    load(scene, tmp_path, "DUP", line(1), line(2, close="101"), line(2, close="102"))
    bars = scene.stores.bars.read(["DUP"], Timeframe.D1, MAY)
    assert bars["close"].to_list() == [Decimal(100), Decimal(102)]
    (row,) = scene.stores.quarantine.listed(RowFilter("DUP"), 100)
    assert row.reason == "duplicate"
    assert AuditStore(scene.stores.database).events(event_type="rows_rejected") == []
    scene.pass_time(3)
    assert scene.telegram.texts == []


def test_more_than_a_tenth_of_a_feature_is_missing(scene: Scene, dagster: DagsterScene) -> None:
    stores, year = scene.stores, Window(datetime(2023, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC))
    stores.instruments.add(Instrument("NAN", AssetClass.CRYPTO, "24/7", "file"))
    good = feature_rows(year, "NAN")
    november = pl.col("time").dt.month() == 11  # 30 days: four are 13 %, three are 10 %
    few = pl.when(november & (pl.col("time").dt.day() <= 4)).then(None).otherwise(pl.col("rsi_14")).alias("rsi_14")
    stores.features.replace(good.with_columns(few), "NAN", year)
    told_of_check(dagster, "features", "nan_share", lambda: stores.features.replace(good, "NAN", year))
