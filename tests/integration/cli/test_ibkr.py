"""Interactive Brokers by the commands people use, each a process of its own, against the fake gateway."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from commands import Installation, finish, installation
from ib_gateway import ACCOUNT, FakeGateway, fake_gateway
from ib_market import EURUSD, IBM, LISTINGS
from pydantic import SecretStr
from waiting import wait_until

from trading_platform.cli.live.stream_feeds import Wanted, plan_feeds
from trading_platform.client import Platform
from trading_platform.domain.market.live.bar_series import Basis
from trading_platform.embedded.stack import Endpoints
from trading_platform.resources.platform import open_platform
from trading_platform.stores.redis.live import AsyncLiveStore
from trading_platform.stores.redis.order_stream import OrderStream
from trading_platform.streaming.process import StreamProcess, Surroundings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gateway() -> Iterator[FakeGateway]:
    with fake_gateway() as made:
        made.listings = list(LISTINGS)
        yield made
        assert made.unexpected == []


@pytest.fixture(scope="module")
def ours(stack: Endpoints, redis_url: str, gateway: FakeGateway) -> Iterator[Installation]:
    with installation(stack.database_url) as made:
        made.variables |= {"REDIS_URL": redis_url, "IBKR_HOST": "127.0.0.1", "IBKR_PORT": str(gateway.port)}
        with open_platform(made.settings()) as platform:
            for instrument in (IBM, EURUSD):
                platform.stores.instruments.add(instrument)
        yield made


def test_stream_brings_quotes_to_redis(ours: Installation, gateway: FakeGateway) -> None:
    process = ours.start("stream", "--json")
    settings = ours.settings().model_copy(update={"redis_url": SecretStr(ours.variables["REDIS_URL"])})
    with Platform.connect(settings) as platform:
        prices = itertools.count(151)

        def quoted() -> bool:
            price = next(prices)
            gateway.ticks([("IBM", 1, f"{price}.25", "300"), ("IBM", 2, f"{price}.27", "100"), ("IBM", 8, "", "12300")])
            gateway.ticks([("EUR", 1, "1.05", "1000000"), ("EUR", 2, f"1.0{price}", "1000000")])
            quotes = platform.quotes()
            return quotes.keys() == {"IBM", "EURUSD"} and quotes["IBM"].volume is not None

        wait_until(quoted, "quotes of both, with a volume", every=0.2, running=process)
        quotes = platform.quotes()
    assert set(quotes) == {"IBM", "EURUSD"}
    assert quotes["IBM"].bid is not None
    assert quotes["IBM"].volume == Decimal(12300)
    assert quotes["EURUSD"].bid == Decimal("1.05")
    process.send_signal(signal.SIGTERM)
    found = finish(process)
    assert found.code == 0, found.text
    summary = found.json
    assert summary["quotes_written"] > 0
    assert all(part["error"] is None for part in summary["parts"])


@pytest.mark.exhaustive
def test_more_symbols_than_lines_are_said(ours: Installation) -> None:
    found = ours.run("stream", more={"IBKR_MARKET_DATA_LINES": "1"})
    assert found.code == 2
    assert "2 instruments are 1 more than the account has market data lines" in found.text


@pytest.mark.exhaustive
def test_the_account_is_shown(ours: Installation, gateway: FakeGateway) -> None:
    gateway.ledger = [(ACCOUNT, "CashBalance", "1000.5", "USD")]
    gateway.positions = [
        (ACCOUNT, 101, "IBM", "STK", "", "0", "", "", "SMART", "USD", "IBM", "IBM", "12", "187.25"),
    ]
    found = ours.run("account", "--json")
    assert found.code == 0, found.text
    statement = found.json["ibkr"]
    assert [(each["asset"], Decimal(each["amount"])) for each in statement["balances"]] == [("USD", Decimal("1000.5"))]
    assert [(each["symbol"], Decimal(each["quantity"])) for each in statement["positions"]] == [("IBM", Decimal(12))]
    assert statement["fills"] == []
    past = ours.run("account", "--day", "2024-01-02")
    assert past.code == 0, past.text
    assert "the executions of the current day only" in past.text


def test_a_maintenance_is_no_silence(ours: Installation, gateway: FakeGateway, redis_url: str) -> None:
    update = {"ibkr_host": "127.0.0.1", "ibkr_port": gateway.port}
    with open_platform(ours.settings().model_copy(update=update)) as platform:
        (plan,), _ = plan_feeds(ours.settings().model_copy(update=update), platform, Wanted())
        assert (plan.basis, plan.quoted) == ({"EURUSD": Basis.MID}, {"IBM"})
        live, orders = AsyncLiveStore(redis_url), OrderStream(redis_url)
        around = Surroundings(platform.stores, platform.sources, live, orders, platform.clock, ours.database_url)
        process = StreamProcess([plan], around)
        orders.close()
    reset, afterwards = datetime(2024, 7, 2, 4, 30, tzinfo=UTC), datetime(2024, 7, 2, 5, 45, tzinfo=UTC)
    assert process._trading(reset) == []
    assert process._trading(afterwards) == ["EURUSD"]
    assert process._trading(datetime(2024, 7, 2, 15, tzinfo=UTC)) == ["EURUSD", "IBM"]
