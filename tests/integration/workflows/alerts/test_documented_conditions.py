"""The conditions of docs/alerts.md and docs/rules.md from what arrives to the message: severity, action, and all-clear.

Each test begins with the real input (a file, events of a feed, a broker's account over a socket, a check in Dagster)
and ends with the texts at a server that answers as Telegram does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from dagster import (
    AssetCheckKey,
    AssetKey,
    AssetSelection,
    AssetSpec,
    DagsterInstance,
    build_sensor_context,
    materialize,
)
from ib_gateway import ACCOUNT, fake_gateway
from ib_market import LISTINGS, SharedTime, client_at, rate_limiter_by
from redis import Redis
from redis_servers import flush
from telegram_server import TelegramServer, telegram_server
from waiting import DEADLINE

from trading_platform.checks.asset_checks import asset_checks
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.market.live.events import Event, Heartbeat, Trade
from trading_platform.domain.time import Timeframe, Window
from trading_platform.notifiers.telegram import Telegram
from trading_platform.resources.platform import PlatformContext
from trading_platform.sensors.report_problems import report_problems
from trading_platform.simulator.account import KEY, SECRET, Account
from trading_platform.simulator.pairs import DEFAULT_PAIRS
from trading_platform.simulator.private import Gate, PrivateRest
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import running_exchange
from trading_platform.sources.base import BrokerAccount
from trading_platform.sources.files.content.options import ImportOptions
from trading_platform.sources.files.landing import LandingArea
from trading_platform.sources.files.source import FileSource
from trading_platform.sources.ibkr.account import IbkrAccount
from trading_platform.sources.kraken.account.private import Credentials, KrakenPrivate
from trading_platform.sources.kraken.account.source import KrakenAccount
from trading_platform.sources.kraken.client import connect
from trading_platform.sources.kraken.http import Retries
from trading_platform.sources.rate_limits import LocalRateLimiter
from trading_platform.stores.audit.journal import AuditStore
from trading_platform.stores.market_data.completeness.coverage import Outcome, Request
from trading_platform.stores.postgres.database import execute
from trading_platform.stores.redis.live import AsyncLiveStore
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.stores.trading.ledger import Ledger
from trading_platform.stores.trading.pauses import PauseStore
from trading_platform.streaming.circuit import FeedGuard
from trading_platform.workflows.alerts.watch import AlertWatch, Surroundings
from trading_platform.workflows.backfill.backfill_bars import backfill_bars
from trading_platform.workflows.derived.build_features import build_features
from trading_platform.workflows.imports.import_files import import_files
from trading_platform.workflows.trading.reconcile import reconcile

EVERY = timedelta(seconds=15)


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path / "features", may_upgrade=True) as opened:
        yield opened
        audit = "observers, problems, incidents, silences, notifications, deliveries, system_events"
        trading = "trades, orders, positions, position_history, outbox, reconciliations, pauses"
        tables = [f"audit.{name}" for name in audit.split(", ")] + [f"trading.{name}" for name in trading.split(", ")]
        with opened.database.begin() as connection:
            execute(connection, "SET LOCAL session_replication_role = replica")
            execute(connection, f"TRUNCATE {', '.join(tables)} RESTART IDENTITY CASCADE")


@dataclass
class Desk:
    """The person at the messages, and the clock that alerting goes by."""

    stores: Stores
    telegram: TelegramServer
    watch: AlertWatch
    clock: list[datetime]

    @property
    def now(self) -> datetime:
        return self.clock[0]

    def pass_time(self, minutes: float, *, meanwhile: Callable[[], None] = lambda: None) -> list[str]:
        """Lets time pass; returns the messages that came in it."""
        known, until = len(self.telegram.texts), self.now + timedelta(minutes=minutes)
        while self.now < until:
            meanwhile()
            self.watch.tick()
            self.clock[0] += EVERY
        return self.telegram.texts[known:]


@pytest.fixture
def desk(stores: Stores, tmp_path: Path) -> Iterator[Desk]:
    ((now,),) = stores.database.rows("SELECT clock_timestamp()")
    clock = [now]
    with telegram_server() as telegram:
        around = Surroundings(stores.database, {"DATA_DIR": tmp_path}, lambda: None, lambda: clock[0], lambda: clock[0])
        notifier = Telegram("1:x", "42", telegram.url)
        yield Desk(stores, telegram, AlertWatch(around, [notifier], None, frozenset({"telegram"})), clock)


# --- what arrives -------------------------------------------------------------------------------------------------

NOW = datetime(2024, 5, 20, tzinfo=UTC)
MAY = Window(datetime(2024, 5, 1, tzinfo=UTC), datetime(2024, 6, 1, tzinfo=UTC))


def load(stores: Stores, folder: Path, symbol: str, *lines: str) -> dict[int, tuple[Decimal, str]]:
    """Imports and stores a file of daily bars; returns close and quality of the stored ones by day."""
    stores.instruments.add(Instrument(symbol, AssetClass.CRYPTO, "24/7", "file"))
    path = folder / f"{symbol}.csv"
    path.write_text("\n".join(["timestamp,open,high,low,close,volume", *lines]) + "\n")
    landing = LandingArea(folder / "imports")
    import_files(
        [path],
        ImportOptions(symbol=symbol, timeframe=Timeframe.D1),
        landing=landing,
        quarantine=stores.quarantine,
        coverage=stores.coverage,
        instruments=stores.instruments,
        clock=lambda: NOW,
    )
    instrument = stores.instruments.all()[symbol]
    source = FileSource(folder / "imports")
    backfill_bars(stores, {"file": source}, [instrument], Timeframe.D1, [MAY], clock=lambda: NOW)
    bars = stores.bars.read([symbol], Timeframe.D1, MAY)
    return {row["time"].day: (row["close"], row["quality"]) for row in bars.iter_rows(named=True)}


def line(day: int, close: str = "100", volume: str = "5", open_: str = "100") -> str:
    prices = (Decimal(open_), Decimal(close))
    return f"2024-05-{day:02d}T00:00:00Z,{open_},{max(prices)},{min(prices)},{close},{volume}"


@pytest.mark.parametrize(
    ("rule", "wrong"), [("non_positive_price", line(5, close="0")), ("negative_volume", line(5, volume="-1"))]
)
def test_a_price_of_zero_and_a_negative_volume_are_discarded_with_a_warning_and_wake_nobody(
    desk: Desk, tmp_path: Path, rule: str, wrong: str
) -> None:
    stored = load(desk.stores, tmp_path, f"WARN{rule[:3].upper()}", line(4), wrong, line(6))
    assert set(stored) == {4, 6}
    (event,) = desk.stores.database.rows(
        "SELECT severity::text, metadata->'reasons' FROM audit.system_events WHERE component = 'quarantine'"
    )
    assert event == ("warning", {rule: 1})
    assert desk.pass_time(5) == []


def test_a_time_to_come_is_discarded_with_an_error_that_is_one_message(desk: Desk, tmp_path: Path) -> None:
    stored = load(desk.stores, tmp_path, "FUTURE", line(4), line(25))
    assert set(stored) == {4}
    (message,) = desk.pass_time(10)
    assert "[error] quarantine" in message
    assert "future_time" in message
    (over,) = desk.pass_time(40)
    assert "Over: [error] quarantine" in over


def test_a_gap_is_accepted_and_marked_and_a_duplicate_is_ignored(desk: Desk, tmp_path: Path) -> None:
    stored = load(
        desk.stores, tmp_path, "GAPS", line(4), line(5, open_="111", close="111"), line(6, open_="111", close="111")
    )
    assert stored == {4: (Decimal(100), "traded"), 5: (Decimal(111), "review"), 6: (Decimal(111), "traded")}
    doubled = load(desk.stores, tmp_path, "DOUBLE", line(4), line(4), line(5))
    assert doubled == {4: (Decimal(100), "traded"), 5: (Decimal(100), "traded")}
    assert desk.pass_time(5) == []


# --- a feed -------------------------------------------------------------------------------------------------------


@dataclass
class Feed:
    """A feed of two symbols and its guard, one look a tick of the desk's clock."""

    guard: FeedGuard
    loop: asyncio.AbstractEventLoop
    desk: Desk
    redis: Redis
    sends: tuple[str, ...] = ("AAPL", "MSFT")

    def tick(self) -> None:
        events: list[Event] = [Heartbeat(self.desk.now)]
        events += [Trade(symbol, self.desk.now, Decimal(1), Decimal(1)) for symbol in self.sends]
        for event in events:
            self.guard.observe(event)
        self.loop.run_until_complete(self.guard.tick())


@pytest.fixture
def feed(desk: Desk, redis_url: str) -> Iterator[Feed]:
    desk.clock[0] -= timedelta(hours=6)  # the database takes no events of the future
    loop = asyncio.new_event_loop()
    live = AsyncLiveStore(redis_url, timeout=DEADLINE)
    with Redis.from_url(redis_url, decode_responses=True) as client:
        flush(client)
        guard = FeedGuard(live, AuditStore(desk.stores.database), lambda _: ("AAPL", "MSFT"), clock=lambda: desk.now)
        yield Feed(guard, loop, desk, client)
        loop.run_until_complete(live.close())
    loop.close()


def test_a_symbol_without_data_for_five_minutes_is_a_warning_and_its_end_a_message(desk: Desk, feed: Feed) -> None:
    assert desk.pass_time(3, meanwhile=feed.tick) == []
    feed.sends = ("AAPL",)
    assert desk.pass_time(4.5, meanwhile=feed.tick) == []
    (message,) = desk.pass_time(3, meanwhile=feed.tick)
    assert "[warning] feed symbol_silent MSFT" in message
    assert feed.redis.get("circuit:feed") == "closed"
    assert desk.pass_time(20, meanwhile=feed.tick) == [], "once"
    feed.sends = ("AAPL", "MSFT")
    (over,) = desk.pass_time(5, meanwhile=feed.tick)
    assert "Over: [warning] feed symbol_silent MSFT" in over


def test_no_data_at_all_for_two_minutes_is_an_error_and_opens_the_circuit(desk: Desk, feed: Feed) -> None:
    desk.pass_time(1, meanwhile=feed.tick)
    feed.sends = ()
    assert desk.pass_time(1.75, meanwhile=feed.tick) == []
    assert feed.redis.get("circuit:feed") == "closed"
    (message,) = desk.pass_time(12, meanwhile=feed.tick)
    assert "[error] feed feed_inactive" in message
    assert "symbol_silent" not in message, "the dead feed explains its silent symbols"
    assert feed.redis.get("circuit:feed") == "open"
    feed.sends = ("AAPL", "MSFT")
    (over,) = desk.pass_time(8, meanwhile=feed.tick)
    assert "Over: [error] feed feed_inactive" in over
    assert feed.redis.get("circuit:feed") == "closed"


# --- features -----------------------------------------------------------------------------------------------------


def test_more_than_a_tenth_of_a_month_missing_is_a_warning_until_the_file_is_right_again(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = {"TELEGRAM_BOT_TOKEN": "1:x", "TELEGRAM_CHAT_ID": "42", "TELEGRAM_API_URL": desk.telegram.url}
    for name, value in {**ways, "DATA_DIR": str(tmp_path), "SETTINGS_FILE": ""}.items():
        monkeypatch.setenv(name, value)  # the sensor sends, too
    stores = desk.stores
    days = pl.datetime_range(datetime(2023, 1, 1, tzinfo=UTC), datetime(2023, 12, 31, tzinfo=UTC), "1d", eager=True)
    close = 100 + (pl.int_range(0, days.len(), eager=True) * 7 % 13) / 2
    bars = pl.DataFrame({"time": days, "close": close}).with_columns(
        symbol=pl.lit("NANS"), timeframe=pl.lit("1d"), open="close", volume=pl.lit(5), source=pl.lit("file"),
        quality=pl.lit("traded"), high=pl.col("close") + 1, low=pl.col("close") - 1,
    )  # fmt: skip
    year = Window(datetime(2023, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC))
    stores.instruments.add(Instrument("NANS", AssetClass.CRYPTO, "24/7", "file"))
    with stores.database.begin() as connection:
        typed = bars.select(pl.col(name).cast(dtype) for name, dtype in BAR_SCHEMA.items())
        stores.bars.replace(connection, "NANS", Timeframe.D1, year, typed)
        request = Request(
            "NANS", Timeframe.D1, "file", year, Outcome.STORED, "test", NOW, stored=typed.height, changed=True
        )
        stores.coverage.record(connection, request, [year])
    built = build_features(stores, stores.instruments.all(), ["NANS"], [year], clock=lambda: NOW)
    assert built.rows, built
    file = stores.features.directory / "symbol=NANS" / "2023-10" / "features.parquet"
    right = file.read_bytes()

    dagster = Dagster(PlatformContext(stores, {}, clock=lambda: desk.now), tmp_path / "dagster")
    dagster.check_features()
    desk.pass_time(1, meanwhile=dagster.tick)
    frame = pl.read_parquet(file)
    gone = pl.when(pl.int_range(pl.len()) < 4).then(None).otherwise("rsi_14")  # 4 of 31: 13 %
    frame.with_columns(rsi_14=gone).write_parquet(file)
    dagster.check_features()
    (message,) = desk.pass_time(10, meanwhile=dagster.tick)
    assert "[warning] dagster check_failed features nan_share" in message
    file.write_bytes(right)
    dagster.check_features()
    (over,) = desk.pass_time(5, meanwhile=dagster.tick)
    assert "Over: [warning] dagster check_failed features nan_share" in over


class Dagster:
    """Dagster's records of checks, and the sensor that reads them."""

    def __init__(self, platform: PlatformContext, home: Path) -> None:
        self._platform = platform
        storage = {"module": "dagster._core.storage.event_log", "class": "ConsolidatedSqliteEventLogStorage"}
        overrides = {"event_log_storage": {**storage, "config": {"base_dir": str(home)}}}
        home.mkdir()
        self._instance = DagsterInstance.local_temp(str(home), overrides=overrides)
        self._cursor: str | None = None

    def check_features(self) -> None:
        (checks,) = (
            each for each in asset_checks if AssetKey("features") in {key.asset_key for key in each.check_keys}
        )
        found = materialize(
            [AssetSpec("features"), checks],
            instance=self._instance,
            resources={"platform": self._platform},
            selection=AssetSelection.checks(AssetCheckKey(AssetKey("features"), "nan_share")),
        )
        assert found.success

    def tick(self) -> None:
        context = build_sensor_context(
            instance=self._instance, cursor=self._cursor, resources={"platform": self._platform}
        )
        report_problems(context)
        self._cursor = context.cursor


# --- the ledger and its brokers -----------------------------------------------------------------------------------


@contextmanager
def kraken(account: Account) -> Iterator[KrakenAccount]:
    """The client of an account at the exchange."""
    private = PrivateRest(account, Gate(counter_falls=1000, counter_most=1000))
    with running_exchange(SeededMarket(7), None, lambda: FILLED, private=private) as url:
        unhurried = LocalRateLimiter(sleep=lambda _: None)
        retries = Retries(sleep=lambda _: None)
        asked = KrakenPrivate(url, Credentials(KEY, SECRET), rate_limiter=unhurried, retries=retries)
        yield KrakenAccount(asked, connect(url, 1000), clock=lambda: FILLED)


FILLED = datetime(2026, 11, 25, 12, tzinfo=UTC)
IBKR_NOW = datetime(2025, 3, 3, 16, tzinfo=UTC)


@dataclass
class Trading:
    """The ledger, and an account at Kraken with a thousand bitcoins and no fills."""

    there: Account
    client: KrakenAccount
    desk: Desk

    def book(
        self, number: str, quantity: object, *, side: str = "buy", at: datetime = FILLED - timedelta(days=400)
    ) -> None:
        ledger = Ledger(self.desk.stores.database)
        order = ledger.place(symbol="BTCUSD", side=side, order_type="market", quantity=str(quantity), broker="kraken")
        ledger.advance(order.id, "sent")
        ledger.record_fill(order.id, number, quantity=str(quantity), price="100", executed_at=at)

    def compare(self) -> None:
        reconcile(self.desk.stores.database, {"kraken": self.client}, FILLED.date(), lambda: self.desk.now)


@pytest.fixture
def trading(desk: Desk) -> Iterator[Trading]:
    there = Account(DEFAULT_PAIRS[:1], lambda: FILLED, fills=0, margin=False)
    with kraken(there) as client:
        yield Trading(there, client, desk)


def test_a_position_that_is_off_by_more_than_a_percent_pauses_trading(trading: Trading, desk: Desk) -> None:
    trading.book("opening", "989")  # the account has 1,000
    trading.compare()
    (message,) = desk.pass_time(20)
    assert "[critical] reconciliation reconciliation_different" in message
    assert "position BTCUSD: quantity, ledger 989, broker 1000" in message
    with pytest.raises(InvalidRequest, match="No order can be placed"):
        trading.book("x", 1)
    PauseStore(desk.stores.database).end(by="ana", because="booking the rest", at=desk.now)
    trading.book("rest", "11")
    trading.compare()
    (over,) = desk.pass_time(5)
    assert "Over: [critical] reconciliation reconciliation_different" in over


def test_a_position_that_is_off_by_less_is_an_error_without_a_pause(trading: Trading, desk: Desk) -> None:
    trading.book("opening", "991")
    trading.compare()
    (message,) = desk.pass_time(20)
    assert "[error] reconciliation reconciliation_different" in message
    trading.book("rest", "9")


@pytest.mark.parametrize("missing", ["here", "there"])
def test_a_fill_that_one_of_both_lacks_is_an_error(trading: Trading, desk: Desk, missing: str) -> None:
    trading.there.grows = 1
    trading.there.grow()
    trading.there.grows = 0
    (fill,) = trading.client.fills(FILLED - timedelta(days=1), FILLED + timedelta(days=1))
    sign = 1 if fill.side == "buy" else -1
    trading.book("opening", Decimal(1000) + (sign * fill.quantity if missing == "here" else 0))
    if missing == "there":
        trading.book(fill.execution_id, fill.quantity, side=fill.side, at=fill.executed_at)
        trading.book("unknown", "1", at=FILLED)
        trading.book("back", "1", side="sell", at=FILLED - timedelta(days=300))
    trading.compare()
    message = desk.pass_time(20)[0]
    assert "[error] reconciliation reconciliation_different" in message
    assert f"missing {missing}" in message


def test_a_corrected_execution_is_an_error_until_it_is_booked(desk: Desk) -> None:
    contract = (7, 101, "IBM", "STK", "", "0", "", "", "SMART", "USD", "IBM", "IBM")
    ledger = Ledger(desk.stores.database)

    def report(number: str, shares: str) -> tuple[tuple[object, ...], tuple[object, ...]]:
        rest = (ACCOUNT, "NYSE", "BOT", shares, "100", 4711, 10, 0, shares, "100", "", "", "", "", 1)
        at = "20250303 10:00:01 US/Eastern"
        return (*contract, number, at, *rest), (number, "0", "USD", "", "", "")

    shared_time = SharedTime()
    with fake_gateway(shared_time) as gateway:
        gateway.listings = list(LISTINGS)
        gateway.time = lambda: IBKR_NOW
        first, corrected = "0000e215.65e5c0de.01.01", "0000e215.65e5c0de.01.02"
        stock = (ACCOUNT, 101, "IBM", "STK", "", "0", "", "", "SMART", "USD", "IBM", "IBM")
        gateway.executions = [report(first, "10"), report(corrected, "9.95")]
        gateway.positions = [(*stock, "9.95", "100")]
        client = client_at(gateway, rate_limiter_by(shared_time))
        account: BrokerAccount = IbkrAccount(client, ACCOUNT, clock=lambda: IBKR_NOW)
        order = ledger.place(symbol="IBM", side="buy", order_type="market", quantity=10, broker="ibkr")
        ledger.advance(order.id, "sent", "4711")
        executed = datetime(2025, 3, 3, 15, 0, 1, tzinfo=UTC)
        ledger.record_fill(order.id, first, quantity=10, price=100, executed_at=executed)

        def compare() -> None:
            reconcile(desk.stores.database, {"ibkr": account}, date(2025, 3, 3), lambda: desk.now)

        try:
            compare()
            (message,) = desk.pass_time(20)
            assert "[error] reconciliation reconciliation_different" in message
            assert f"fill IBM {corrected}: corrected, ledger buy 10 at 100, broker buy 9.95 at 100" in message
            ledger.record_fill(order.id, corrected, quantity="9.95", price=100, executed_at=executed, corrects=first)
            ledger.cancel(order.id)
            compare()
            (over,) = desk.pass_time(5)
            assert "Over: [error] reconciliation reconciliation_different" in over
        finally:
            client.close()
