"""``reconcile`` as a person runs it: against an account at the exchange over a socket."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from commands import Installation, installation

from trading_platform.embedded.stack import Endpoints
from trading_platform.simulator.account import KEY, SECRET, Account
from trading_platform.simulator.pairs import DEFAULT_PAIRS
from trading_platform.simulator.private import Gate, PrivateRest
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import running_exchange
from trading_platform.stores.postgres.database import Database
from trading_platform.stores.trading.ledger import Ledger

NOW = datetime(2025, 3, 4, 15, 17, 42, tzinfo=UTC)
FIRST = "cash: it is compared after the first comparison whose fills and positions are equal"


@pytest.fixture(scope="module")
def account() -> Account:
    return Account(DEFAULT_PAIRS[:1], lambda: NOW, fills=0, margin=False)


@pytest.fixture(scope="module")
def ours(stack: Endpoints, account: Account) -> Iterator[Installation]:
    private = PrivateRest(account, Gate(counter_falls=1000, counter_most=1000))
    with (
        running_exchange(SeededMarket(7), clock=lambda: NOW, private=private) as url,
        installation(stack.database_url) as made,
    ):
        made.variables |= {"KRAKEN_API_URL": url, "KRAKEN_API_KEY": KEY, "KRAKEN_API_SECRET": SECRET}
        yield made


def test_from_a_deposit_to_its_acceptance(ours: Installation, account: Account) -> None:
    database = Database(ours.database_url)
    ledger = Ledger(database)
    order = ledger.place(symbol="BTCUSD", side="buy", order_type="market", quantity=1000, broker="kraken")
    ledger.advance(order.id, "sent")
    ledger.record_fill(order.id, "opening", quantity=1000, price=1, executed_at=datetime(2025, 1, 2, tzinfo=UTC))
    database.close()

    first = ours.run("reconcile", "run", "--json")
    assert first.code == 0, first.text
    (found,) = first.json
    assert (found["result"], found["not_compared"]) == ("equal", FIRST)
    account.deposits["ZUSD"] = Decimal("250.5")
    account.orders = {"OUNKNOWN": account.order(DEFAULT_PAIRS[0], "buy", "0.25", "50000")}
    second = ours.run("reconcile", "run")
    assert second.code == 1, second.text
    for words in ("1 open orders", "cash", "USD", "amount", "missing here", "reconcile accept"):
        assert words in second.text
    number = str(ours.run("reconcile", "list", "--json").json[0]["number"])
    accepted = ours.run("reconcile", "accept", number, "--because", "a deposit", "--by", "ana", "--json")
    assert (accepted.json["accepted_by"], accepted.json["accepted_because"]) == ("ana", "a deposit")
    account.orders = {}
    assert ours.run("reconcile", "run").code == 0
    shown = ours.run("reconcile", "show", number).text
    assert "The cash was accepted by ana: a deposit" in shown
    again = ours.run("reconcile", "accept", number, "--because", "again")
    assert (again.code, "is accepted" in again.text) == (2, True)
    assert ours.run("reconcile", "accept", "999", "--because", "x").code == 2
