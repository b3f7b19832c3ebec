"""An account at the local exchange, read over HTTP through krakenex: signatures, nonces, the counter, moving pages."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from commands import Installation, installation
from processes import REPOSITORY, environment
from redis import Redis
from waiting import DEADLINE, LONG

from trading_platform.domain.errors import SourceError, SourceRejected
from trading_platform.embedded.stack import Endpoints
from trading_platform.simulator.account import HELD, KEY, PAID_IN, SECRET, Account
from trading_platform.simulator.faults import Fault, Faults
from trading_platform.simulator.pairs import DEFAULT_PAIRS
from trading_platform.simulator.private import Gate, PrivateRest
from trading_platform.simulator.seeded import SeededMarket
from trading_platform.simulator.server import running_exchange
from trading_platform.sources.kraken.account.nonces import LocalNonces
from trading_platform.sources.kraken.account.private import Credentials, KrakenPrivate
from trading_platform.sources.kraken.account.source import KrakenAccount
from trading_platform.sources.kraken.client import connect
from trading_platform.sources.kraken.http import Retries
from trading_platform.sources.rate_limits import LocalRateLimiter
from trading_platform.stores.redis.nonces import RedisNonces

NOW = datetime(2025, 3, 4, 15, 17, 42, tzinfo=UTC)
WIDE = Gate(counter_falls=1000, counter_most=1000)
"""Of a key that may ask as often as it likes."""

OTHER_SECRET = "b3RoZXIgc2VjcmV0IG9mIHNvbWVib2R5IGVsc2U="  # noqa: S105 - opens nothing

WORKER = """
import sys
from trading_platform.sources.kraken.account.nonces import LocalNonces
from trading_platform.sources.kraken.account.private import Credentials, KrakenPrivate
from trading_platform.sources.rate_limits import LocalRateLimiter
from trading_platform.stores.redis.rate_limiters import RedisRateLimiter
from trading_platform.stores.redis.nonces import RedisNonces
url, redis, key, secret, method, count = sys.argv[1:]
credentials = Credentials(key, secret)
client = KrakenPrivate(
    url,
    credentials,
    tier="pro",
    rate_limiter=RedisRateLimiter(redis, LocalRateLimiter()) if redis else LocalRateLimiter(sleep=lambda _: None),
    nonces=RedisNonces(redis, credentials.fingerprint, LocalNonces()) if redis else LocalNonces(),
)
print("ready", flush=True)
sys.stdin.readline()
print(sum(bool(client.ask(method, {}, lambda result: result)) for _ in range(int(count))))
"""


@contextmanager
def exchange(gate: Gate = WIDE, faults: Faults | None = None, **options: Any) -> Iterator[tuple[str, PrivateRest]]:
    private = PrivateRest(Account(DEFAULT_PAIRS, lambda: NOW, **options), gate)
    with running_exchange(SeededMarket(7), faults, lambda: NOW, private=private) as url:
        yield url, private


def private_of(url: str, secret: str = SECRET, key: str = KEY) -> KrakenPrivate:
    unhurried = LocalRateLimiter(sleep=lambda _: None)
    return KrakenPrivate(url, Credentials(key, secret), rate_limiter=unhurried, retries=Retries(sleep=lambda _: None))


def account_of(url: str, **options: Any) -> KrakenAccount:
    return KrakenAccount(private_of(url, **options), connect(url, 1000), clock=lambda: NOW)


def everything(account: KrakenAccount) -> None:
    account.balances()
    account.positions()
    account.fills(NOW - timedelta(days=1), NOW)


def together(url: str, redis: str, method: str, count: int, processes: int) -> list[int]:
    """So many processes that ask at once; how many answers each had."""
    command = [sys.executable, "-c", WORKER, url, redis, KEY, SECRET, method, str(count)]
    workers = [
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env=environment()
        )
        for _ in range(processes)
    ]
    assert [worker.stdout.readline() for worker in workers] == ["ready\n"] * processes
    for worker in workers:
        worker.stdin.write("go\n")
        worker.stdin.flush()
    return [int(worker.communicate(timeout=LONG)[0]) for worker in workers]


@pytest.fixture(scope="module")
def usual() -> Iterator[tuple[str, PrivateRest]]:
    with exchange() as found:
        yield found


def test_balances_and_positions_are_the_accounts(usual: tuple[str, PrivateRest]) -> None:
    url, private = usual
    account = account_of(url)
    fills = private._account.fills
    balances = {each.asset: each.amount for each in account.balances()}
    bought = {
        pair.symbol: sum((1 if fill.buys else -1) * fill.quantity for fill in fills if fill.pair == pair)
        for pair in DEFAULT_PAIRS
    }
    held = {symbol: HELD + Decimal(units).scaleb(-8) for symbol, units in bought.items()}
    assert balances["BTC"] + balances["BTC.F"] == held["BTCUSD"]
    assert balances["DOT"] == held["DOTUSD"]
    spent = sum((fill.cost if fill.buys else -fill.cost) + fill.fee for fill in fills)
    assert abs(balances["USD"] - (PAID_IN - spent)) < Decimal("1e-9")
    positions = {each.symbol: each for each in account.positions()}
    assert {symbol: each.quantity for symbol, each in positions.items()} == held | {"DOTUSD": held["DOTUSD"] + 4}
    assert {(each.broker, each.account, each.as_of) for each in positions.values()} == {("kraken", "main", NOW)}


@pytest.mark.parametrize(
    "chances", [{}, {Fault.RATE_LIMIT: 0.1, Fault.SERVER_ERROR: 0.1, Fault.TRUNCATE: 0.1, Fault.DROP: 0.05}]
)
def test_fills_that_come_while_they_are_read_are_each_had_once(chances: dict[Fault, float]) -> None:
    faults = Faults(probability=chances, seed=3)
    with exchange(Gate(counter_falls=1000, counter_most=1000, grows=7), faults, fills=530) as (url, private):
        found = account_of(url).fills(NOW - timedelta(days=30), NOW + timedelta(days=1))
        there = private._account.fills
    assert len(there) >= 530 + 7 * 11
    assert sorted(fill.execution_id for fill in found) == sorted(fill.number for fill in there)
    known = {fill.number: fill for fill in there}
    for fill in found:
        origin = known[fill.execution_id]
        assert fill.symbol == origin.pair.symbol
        assert fill.side == ("buy" if origin.buys else "sell")
        assert fill.quantity == Decimal(origin.quantity).scaleb(-8)
        assert fill.price == Decimal(origin.price).scaleb(-origin.pair.price_decimals)
        assert (fill.commission, fill.commission_currency, fill.order_id) == (origin.fee, "USD", origin.order)
        assert (fill.executed_at - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=100) == origin.time
    assert [fill.executed_at for fill in found] == sorted(fill.executed_at for fill in found)


def test_fills_of_a_window_are_those_inside_it(usual: tuple[str, PrivateRest]) -> None:
    url, private = usual
    times = [fill.time for fill in private._account.fills]
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    start, end = (epoch + timedelta(microseconds=100 * times[place]) for place in (40, 80))
    inside = {fill.number for fill in private._account.fills if times[40] <= fill.time < times[80]}
    assert {fill.execution_id for fill in account_of(url).fills(start, end)} == inside
    assert len(inside) == 40


@pytest.mark.parametrize(
    ("denied", "options", "words"),
    [
        ("", {"secret": OTHER_SECRET}, ("Invalid signature", "copy KRAKEN_API_SECRET again")),
        ("", {"key": "another-key"}, ("Invalid key", "copy KRAKEN_API_KEY again")),
        ("funds", {}, ("Permission denied", "Funds permissions")),
        ("open", {}, ("Permission denied", "Query open orders & trades")),
        ("closed", {}, ("Permission denied", "Query closed orders & trades")),
    ],
)
def test_refusals_say_what_to_do_and_show_no_secret(
    denied: str, options: dict[str, str], words: Sequence[str], caplog: pytest.LogCaptureFixture
) -> None:
    gate = WIDE.model_copy(update={"permissions": WIDE.permissions - {denied}})
    with exchange(gate) as (url, _), caplog.at_level(logging.DEBUG):
        account = account_of(url, **options)
        with pytest.raises(SourceRejected) as caught:
            everything(account)
    said = f"{caught.value} {caught.value!r} {caught.value.as_dict()}"
    assert all(word in said for word in words), said
    shown = said + " ".join(record.getMessage() for record in caplog.records)
    for secret in (SECRET, OTHER_SECRET, KEY, "another-key"):
        assert secret not in shown


def test_no_failure_of_any_kind_shows_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    for fault in (Fault.RATE_LIMIT, Fault.UNAVAILABLE, Fault.SERVER_ERROR, Fault.TRUNCATE, Fault.DROP):
        with exchange(WIDE, Faults(next={fault: 99})) as (url, _), caplog.at_level(logging.DEBUG):
            with pytest.raises(SourceError) as caught:
                account_of(url).balances()
            shown = f"{caught.value} {caught.value.as_dict()} " + " ".join(each.getMessage() for each in caplog.records)
        assert SECRET not in shown
        assert KEY not in shown


def test_nonces_of_another_program_that_are_larger_are_told_apart_from_overtaking() -> None:
    with exchange() as (url, private):
        private._nonce = 2**63
        with pytest.raises(SourceRejected, match="key of its own"):
            private_of(url).ask("Balance", {}, lambda result: result)
        assert private.seen["invalid_nonce"] == 10


@pytest.mark.exhaustive
def test_processes_that_share_a_key_never_exceed_its_counter(redis_url: str) -> None:
    with exchange(Gate(counter_falls=1, counter_most=20)) as (url, private):
        assert together(url, redis_url, "TradesHistory", count=5, processes=3) == [5, 5, 5]
        assert private.seen["answered"] == 15
        assert private.seen["rate_limited"] == 0
        assert 8 < private.seen["highest_counter"] <= 20


@pytest.mark.exhaustive
def test_processes_that_know_nothing_of_each_other_have_every_answer_in_the_end() -> None:
    with exchange() as (url, private):
        assert together(url, "", "Balance", count=40, processes=4) == [40] * 4
        assert private.seen["answered"] == 160


def test_nonces_in_redis_grow_when_its_clock_goes_back_and_without_it(redis_url: str) -> None:
    with Redis.from_url(redis_url) as client:
        ahead = 2 * 10**15
        client.set("nonce:test", ahead)
        first, second = RedisNonces(redis_url, "test", LocalNonces()), RedisNonces(redis_url, "test", LocalNonces())
        assert [first(), second(), first()] == [ahead + 1, ahead + 2, ahead + 3]
        client.delete("nonce:test")
        assert first() == ahead + 4
    away = RedisNonces("redis://127.0.0.1:9/0", "test", LocalNonces())
    assert 0 < away() < away()


@pytest.fixture(scope="module")
def ours(stack: Endpoints, redis_url: str) -> Iterator[Installation]:
    private = PrivateRest(Account(DEFAULT_PAIRS, lambda: NOW, fills=60, key="of-commands"))
    with (
        running_exchange(SeededMarket(7), clock=lambda: NOW, private=private) as url,
        installation(stack.database_url) as made,
    ):
        made.variables |= {"KRAKEN_API_URL": url, "REDIS_URL": redis_url}
        made.variables |= {"KRAKEN_API_KEY": "of-commands", "KRAKEN_API_SECRET": SECRET}
        yield made


@pytest.mark.exhaustive
def test_the_command_shows_the_account(ours: Installation) -> None:
    found = ours.run("account", "--day", "2025-03-04", "--json")
    assert found.code == 0, found.err
    statement = found.json["kraken"]
    assert len(statement["fills"]) == 60
    assert {each["symbol"] for each in statement["positions"]} == {pair.symbol for pair in DEFAULT_PAIRS}
    shown = ours.run("account", "--day", "2025-03-03")
    assert shown.code == 0
    assert "BTC.F" in shown.text
    assert "fills of 2025-03-03 (UTC)" in shown.text
    limits = {line["limit"]: line for line in ours.run("limits", "--json").json}
    assert limits["kraken:private"]["allows"] == "14 at once, 0.33 a second"
    assert 2 < limits["kraken:private"]["left"] < 9
    for text in (found.out, found.err, shown.text):
        assert "of-commands" not in text
        assert SECRET not in text


@pytest.mark.parametrize(
    ("variables", "code", "words"),
    [
        ({"KRAKEN_API_KEY": None, "KRAKEN_API_SECRET": None}, 2, "No broker's account is configured."),
        ({"KRAKEN_API_SECRET": None}, 2, "API key is incomplete"),
        ({"KRAKEN_API_SECRET": OTHER_SECRET}, 1, "Invalid signature"),
    ],
)
def test_the_command_says_what_is_wrong_with_a_key(
    ours: Installation, variables: dict[str, str | None], code: int, words: str
) -> None:
    found = ours.run("account", more=variables)
    assert (found.code, words in found.text) == (code, True), found.text
    assert not any(value in found.text for value in variables.values() if value)


@pytest.mark.exhaustive
def test_the_exchange_as_a_command_tells_and_takes_a_key(ours: Installation) -> None:
    exchange_process = ours.start("simulate-exchange", "--json", "--api-key", "mine", "--fills", "5")
    assert exchange_process.stdout is not None
    started = json.loads(exchange_process.stdout.readline())
    try:
        assert (started["api_key"], started["api_secret"]) == ("mine", SECRET)
        more = {"KRAKEN_API_URL": started["url"], "KRAKEN_API_KEY": "mine"}
        found = ours.run("account", "--json", more=more)
        assert found.code == 0, found.err
        gate = urllib.request.Request(f"{started['url']}/account", data=b'{"permissions": ["funds"]}')  # noqa: S310
        with urllib.request.urlopen(gate) as response:  # noqa: S310
            shown = json.load(response)
        assert (shown["permissions"], shown["seen"]["answered"]) == (["funds"], 4)
    finally:
        exchange_process.terminate()
        exchange_process.communicate(timeout=DEADLINE)
    assert os.environ.get("KRAKEN_API_KEY") is None
