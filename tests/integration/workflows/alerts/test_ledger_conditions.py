"""Differences between ledger and broker, from the account over a socket to the message: severity, pause, all-clear.

The other documented conditions are in ``test_documented_conditions.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from ib_gateway import ACCOUNT, fake_gateway
from ib_market import LISTINGS, SharedTime, client_at, rate_limiter_by
from telegram_server import TelegramServer, telegram_server

from trading_platform.domain.errors import InvalidRequest
from trading_platform.notifiers.telegram import Telegram
from trading_platform.simulator.account import KEY, SECRET, Account
from trading_platform.simulator.pairs import DEFAULT_PAIRS
from trading_platform.simulator.private import Gate, PrivateRest
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import running_exchange
from trading_platform.sources.base import BrokerAccount
from trading_platform.sources.ibkr.account import IbkrAccount
from trading_platform.sources.kraken.account.private import Credentials, KrakenPrivate
from trading_platform.sources.kraken.account.source import KrakenAccount
from trading_platform.sources.kraken.client import connect
from trading_platform.sources.kraken.http import Retries
from trading_platform.sources.rate_limits import LocalRateLimiter
from trading_platform.stores.postgres.database import execute
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.stores.trading.ledger import Ledger
from trading_platform.stores.trading.pauses import PauseStore
from trading_platform.workflows.alerts.watch import AlertWatch, Surroundings
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
