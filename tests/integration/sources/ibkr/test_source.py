"""Interactive Brokers through the real ib_async, over a socket, against a gateway that counts breaches of pacing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import exchange_calendars
import pytest
from ib_gateway import ACCOUNT, NO_DATA, NO_PERMISSION, PACING, FakeGateway, OpenOrder, fake_gateway
from ib_market import EURUSD, IBM, LISTINGS, NOW, SharedTime, client_at, day, minutes, rate_limiter_by, source_at
from waiting import DEADLINE, LONG, wait_until

from trading_platform.domain.errors import (
    ConfigurationError,
    InvalidRequest,
    RateLimited,
    SourceRejected,
    SourceUnavailable,
)
from trading_platform.domain.market.instruments import AssetClass, Instrument, guess_instrument
from trading_platform.domain.time import Timeframe, Window
from trading_platform.domain.trading.broker import Settlement
from trading_platform.sources.ibkr.account import IbkrAccount
from trading_platform.sources.ibkr.connection import Link
from trading_platform.sources.ibkr.requests import HistoryRequest
from trading_platform.sources.ibkr.source import IbkrSource
from trading_platform.sources.rate_limits import LocalRateLimiter

pytestmark = pytest.mark.slow


@pytest.fixture
def shared_time() -> SharedTime:
    return SharedTime()


@pytest.fixture
def gateway(shared_time: SharedTime) -> Iterator[FakeGateway]:
    with fake_gateway(shared_time) as made:
        made.listings = list(LISTINGS)
        yield made
        assert made.unexpected == []  # nothing but questions was sent


@pytest.fixture
def source(gateway: FakeGateway, shared_time: SharedTime) -> Iterator[IbkrSource]:
    with source_at(gateway, rate_limiter_by(shared_time)) as made:
        yield made


def refusal(source: IbkrSource, date: str) -> str:
    """Why the source does not answer for a day; empty if it does. What a gateway tells is noticed some time after."""
    try:
        source.bars(IBM, Timeframe.M1, day(date))
    except SourceUnavailable as error:
        return str(error)
    return ""


def test_the_five_results_are_five(gateway: FakeGateway, source: IbkrSource) -> None:
    gateway.bars[101, "1 min"] = minutes("XNYS", "2024-07-01", "2024-07-01")
    ask = lambda date, of=IBM: source.bars(of, Timeframe.M1, day(date))  # noqa: E731
    had = ask("2024-07-01")
    assert (had.bars.height, had.answered, had.note) == (390, (day("2024-07-01"),), None)
    gateway.script.append((NO_DATA[0], NO_DATA[1].format("IBM@SMART Trades")))
    empty = ask("2024-07-02")
    assert (empty.bars.height, empty.answered, empty.note) == (0, (day("2024-07-02"),), None)
    gateway.script.append("silent")
    with pytest.raises(SourceUnavailable, match="did not respond"):
        ask("2024-07-03")
    gateway.script.append(PACING)
    with pytest.raises(RateLimited) as limited:
        ask("2024-07-05")
    assert limited.value.retry_after == 600
    for rejection in (NO_PERMISSION, (354, "Requested market data is not subscribed.")):
        gateway.script.append(rejection)
        with pytest.raises(SourceRejected, match="subscription"):
            ask("2024-07-08")
    unknown = Instrument("NOSUCH", AssetClass.EQUITY, "XNYS", "ibkr")
    with pytest.raises(SourceRejected, match="does not know the contract NOSUCH"):
        ask("2024-07-01", unknown)
    with pytest.raises(SourceRejected, match="several contracts"):
        ask("2024-07-01", Instrument("TWIN", AssetClass.EQUITY, "XNYS", "ibkr"))
    gateway.script.append((321, "Error validating request:-'bW' : cause - Invalid step"))
    with pytest.raises(SourceRejected, match="Invalid step"):  # which the library takes for a warning, and waits on
        ask("2024-07-09")
    assert gateway.pacing.breaches == []


def test_no_data_says_nothing_while_the_farm_is_lost(gateway: FakeGateway, source: IbkrSource) -> None:
    assert source.bars(IBM, Timeframe.M1, day("2024-07-01")).answered
    gateway.tell(2105, "HMDS data farm connection is broken:ushmds")
    wait_until(lambda: "ushmds" in refusal(source, "2024-07-02"), "the lost farm to be noticed")
    gateway.tell(2106, "HMDS data farm connection is OK:ushmds")
    wait_until(lambda: not refusal(source, "2024-07-02"), "the farm to be noticed")
    assert source.bars(IBM, Timeframe.M1, day("2024-07-02")).answered


def test_a_closed_day_is_not_asked_for(gateway: FakeGateway, source: IbkrSource) -> None:
    assert source.bars(IBM, Timeframe.M1, day("2024-07-04")).answered == (day("2024-07-04"),)
    assert gateway.asked == []


def test_bars_that_begin_late_are_asked_for_backwards(gateway: FakeGateway, source: IbkrSource) -> None:
    """A thin share has no bar in the first minutes; a currency's "1 D" goes back only to its session's beginning."""
    all_day = minutes("XNYS", "2024-07-01", "2024-07-01")
    gateway.bars[101, "1 min"] = all_day[17:]
    response = source.bars(IBM, Timeframe.M1, day("2024-07-01"))
    assert (response.bars.height, response.answered) == (373, (day("2024-07-01"),))
    assert [asked[2:5:2] for asked in gateway.asked] == [
        ("20240701-20:00:00", "23400 S"),
        ("20240701-13:47:00", "1020 S"),
    ]
    start = datetime(2024, 7, 1, 22, tzinfo=UTC)
    gateway.bars[103, "1 min"] = [
        (start + timedelta(minutes=number), "1.07125", "1.07125", "1.0712", "1.071225", "-1", -1)
        for number in range(26 * 60)
    ]
    response = source.bars(EURUSD, Timeframe.M1, day("2024-07-02"))
    assert response.answered == (day("2024-07-02"),)
    assert response.bars["time"].to_list() == [day("2024-07-02").start + timedelta(minutes=n) for n in range(1440)]
    assert response.bars["volume"].null_count() == 1440
    assert set(response.bars["close"]) == {Decimal("1.071225")}


@pytest.mark.exhaustive
def test_what_failed_midway_stays_to_be_asked(gateway: FakeGateway, source: IbkrSource) -> None:
    gateway.bars[101, "1 min"] = minutes("XNYS", "2024-07-01", "2024-07-02")
    gateway.script.extend([None, "silent"])
    window = Window(day("2024-07-01").start, day("2024-07-02").end)
    response = source.bars(IBM, Timeframe.M1, window)
    assert response.bars.height == 390
    assert "did not respond" in str(response.note)
    (unanswered,) = window.subtract(response.answered)
    assert unanswered == Window(datetime(2024, 7, 2, 13, 30, tzinfo=UTC), datetime(2024, 7, 2, 20, tzinfo=UTC))


def test_days_hours_and_five_minutes(gateway: FakeGateway, source: IbkrSource) -> None:
    closes = exchange_calendars.get_calendar("XNYS").sessions_in_range("2024-01-02", "2024-12-31")
    gateway.bars[101, "1 day"] = [
        (session.to_pydatetime().replace(tzinfo=UTC), "150", "151.5", "149.25", "150.75", "4000000", 90)
        for session in closes
    ]
    year = Window(datetime(2024, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, tzinfo=UTC))
    response = source.bars(IBM, Timeframe.D1, year)
    assert response.bars["time"].to_list() == [bar[0] for bar in gateway.bars[101, "1 day"]]
    assert response.answered == (year,)
    hours = [datetime(2024, 7, 1, 13, 30, tzinfo=UTC), *(datetime(2024, 7, 1, h, tzinfo=UTC) for h in range(14, 20))]
    gateway.bars[101, "1 hour"] = [(timestamp, "150", "151", "149", "150", "5", 2) for timestamp in hours]
    response = source.bars(IBM, Timeframe.H1, day("2024-07-01"))
    assert [timestamp.hour for timestamp in response.bars["time"]] == [13, 14, 15, 16, 17, 18, 19]
    assert not [timestamp for timestamp in response.bars["time"] if timestamp.minute]
    gateway.bars[101, "5 mins"] = [bar for bar in minutes("XNYS", "2024-07-01", "2024-07-05") if bar[0].minute % 5 == 0]
    response = source.bars(IBM, Timeframe.M5, Window(day("2024-07-01").start, day("2024-07-07").end))
    assert response.bars.height == 78 + 78 + 42 + 78  # the third is a half day, the fourth a holiday
    assert [asked[4] for asked in gateway.asked] == [
        "1 Y",
        "1 D",
        "25200 S",
        "1 W",
    ]  # a leap year has a day more than 1 Y


def test_after_a_drop_the_next_question_connects_again(gateway: FakeGateway, source: IbkrSource) -> None:
    gateway.bars[101, "1 min"] = minutes("XNYS", "2024-07-01", "2024-07-02")
    gateway.script.append("drop")
    with pytest.raises(SourceUnavailable, match="no connection"):
        source.bars(IBM, Timeframe.M1, day("2024-07-01"))
    assert source.bars(IBM, Timeframe.M1, day("2024-07-01")).bars.height == 390
    gateway.shut()
    with pytest.raises(SourceUnavailable, match="no connection"):
        source.bars(IBM, Timeframe.M1, day("2024-07-02"))
    gateway.listen()
    assert source.bars(IBM, Timeframe.M1, day("2024-07-02")).bars.height == 390
    gateway.tell(1100, "Connectivity between IB and the TWS has been lost.")
    wait_until(lambda: "1100" in refusal(source, "2024-07-02"), "the loss to be noticed")
    gateway.tell(1102, "Connectivity between IB and TWS has been restored - data maintained.")
    wait_until(lambda: not refusal(source, "2024-07-02"), "the restored link to be noticed")
    assert source.bars(IBM, Timeframe.M1, day("2024-07-02")).bars.height == 390


def test_each_connection_takes_a_number_that_is_free(gateway: FakeGateway, shared_time: SharedTime) -> None:
    clients = [client_at(gateway, rate_limiter_by(shared_time)) for _ in range(3)]
    try:
        assert [client.positions() for client in clients] == [[], [], []]
        assert sorted(gateway.clients) == [10, 11, 12]
    finally:
        for client in clients:
            client.close()


@pytest.mark.exhaustive
def test_a_gateway_without_login_is_told_from_one_that_is_gone(gateway: FakeGateway) -> None:
    gateway.is_logged_in = False
    client = client_at(gateway, rate_limiter_by(SharedTime()), greeting=3)
    try:
        with pytest.raises(SourceUnavailable, match="sends no handshake"):
            client.positions()
        assert client.machine.link is Link.NEEDS_LOGIN
        gateway.shut()
        with pytest.raises(SourceUnavailable, match="Refused"):
            client.positions()
        assert client.machine.link is Link.DISCONNECTED
        gateway.is_logged_in = True
        gateway.listen()
        assert client.positions() == []
    finally:
        client.close()


def test_closing_ends_questions_that_are_open(gateway: FakeGateway, shared_time: SharedTime) -> None:
    client = client_at(gateway, rate_limiter_by(shared_time), response_seconds=LONG)
    of = client.contract(IBM)
    gateway.script.append("silent")
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(client.history, HistoryRequest(of, NOW, "1 D", "1 min"))
        wait_until(lambda: gateway.asked, "the question")
        client.close()
        with pytest.raises(SourceUnavailable, match="no connection"):
            asked.result(DEADLINE)


def test_threads_share_the_budget() -> None:
    """Five at once, the others when two seconds have passed, and one more for what may come late."""
    clock = SharedTime()

    def sleep(seconds: float) -> None:
        until = clock() + seconds
        wait_until(lambda: gateway.pacing.requests >= 5, "those that need not wait")
        clock.seconds = max(clock.seconds, until)

    rate_limiter = LocalRateLimiter(monotonic=clock, sleep=sleep)
    with fake_gateway(clock) as gateway, source_at(gateway, rate_limiter) as source:
        gateway.listings = list(LISTINGS)
        gateway.bars[101, "1 min"] = minutes("XNYS", "2024-07-15", "2024-07-24")
        dates = ["2024-07-15", "2024-07-16", "2024-07-17", "2024-07-18", "2024-07-19", "2024-07-22", "2024-07-23"]
        with ThreadPoolExecutor(len(dates)) as threads:
            answers = list(threads.map(lambda date: source.bars(IBM, Timeframe.M1, day(date)), dates))
    assert [response.bars.height for response in answers] == [390] * len(dates)
    assert gateway.pacing.breaches == []
    assert gateway.pacing.requests == len(dates)
    assert clock.seconds == pytest.approx(3)


STOCK = ("", "0", "", "", "SMART", "USD", "IBM", "IBM")


def execution(number: str, side: str, shares: str, price: str, at: str, account: str = ACCOUNT) -> tuple[object, ...]:
    head = (7, 101, "IBM", "STK", *STOCK)
    return (*head, number, at, account, "NYSE", side, shares, price, 4711, 10, 0, shares, price, "", "", "", "", 1)


@pytest.mark.exhaustive
def test_the_account_is_told_as_it_is(gateway: FakeGateway, shared_time: SharedTime, test_data: Path) -> None:
    option = (ACCOUNT, 900, "IBM", "OPT", "20250117", "150", "C", "100", "SMART", "USD", "IBM C150", "IBM")
    gateway.positions = [
        (ACCOUNT, 101, "IBM", "STK", *STOCK, "-12.5", "187.33333333"),
        (ACCOUNT, 106, "BRK B", "STK", *STOCK, "3", "401.1"),
        (ACCOUNT, 103, "EUR", "CASH", "", "0", "", "", "IDEALPRO", "USD", "EUR.USD", "EUR.USD", "20000", "1.08125"),
        (*option, "2", "1250"),
        ("U999", 102, "SPY", "STK", *STOCK, "1", "500"),
    ]
    gateway.executions = [
        (execution("0001.02", "SLD", "5", "188.11", "20250303 10:00:01 US/Eastern"), None),
        (execution("0001.01", "SLD", "5", "188.10", "20250303 10:00:01 US/Eastern"), None),
        (
            execution("0000.01", "BOT", "7.5", "187.105", "20250303  09:59:00"),  # without a zone: the gateway's
            ("0000.01", "1.005", "USD", "", "", ""),
        ),
        (execution("0009.01", "BOT", "1", "1", "20250303 09:00:00 US/Eastern", "U999"), None),
    ]
    recorded = json.loads((test_data / "payloads/nautilus_ib/responses_account_values.json").read_text())
    gateway.ledger = [(each["account"], each["tag"], each["value"], each["currency"]) for each in recorded]
    gateway.ledger.append(("U999", "CashBalance", "5", "CHF"))
    client = client_at(gateway, rate_limiter_by(shared_time))
    try:
        account = IbkrAccount(client, ACCOUNT, clock=lambda: NOW)
        assert [(balance.asset, balance.amount) for balance in account.balances()] == [
            ("AUD", Decimal("-100000.79")),
            ("EUR", Decimal("429.72")),
            ("USD", Decimal("100000.27")),
        ]
        assert [(each.symbol, each.quantity, each.average_price) for each in account.positions()] == [
            ("BRK.B", Decimal(3), Decimal("401.1")),
            ("EURUSD", Decimal(20000), Decimal("1.08125")),
            ("IBM", Decimal("-12.5"), Decimal("187.33333333")),
            ("OPT-900", Decimal(2), Decimal("12.5")),
        ]
        morning = datetime(2025, 3, 3, 5, tzinfo=UTC)  # midnight in New York
        bought, sold = account.fills(morning, NOW + timedelta(hours=9))
        assert (bought.side, bought.quantity, bought.price) == ("buy", Decimal("7.5"), Decimal("187.105"))
        assert (bought.commission, bought.commission_currency) == (Decimal("1.005"), "USD")
        assert bought.executed_at == datetime(2025, 3, 3, 14, 59, tzinfo=UTC)
        assert bought.order_id == "4711"
        assert (sold.execution_id, sold.price, sold.commission) == ("0001.02", Decimal("188.11"), None)
        assert (sold.replaces, bought.replaces) == (("0001.01",), ())
        assert account.fills(morning, sold.executed_at) == [bought]
        with pytest.raises(SourceRejected, match="of the current day only"):
            account.fills(morning - timedelta(seconds=1), NOW)
        with pytest.raises(ConfigurationError, match="DU123456, U999"):
            IbkrAccount(client).positions()
    finally:
        client.close()


def test_corrections_and_busts_are_told(gateway: FakeGateway, shared_time: SharedTime) -> None:
    today, yesterday = "20250303 10:00:01 US/Eastern", "20250228 15:59:00 US/Eastern"
    reported = [
        ("0000e215.65e5c0de.01.10", "BOT", "7", "10.5", today),  # the tenth, before the ninth
        ("0000e215.65e5c0de.01.09", "BOT", "8", "10.4", today),
        ("0000e215.65e5c0de.02.01", "BOT", "1", "10.4", today),
        ("0000e216.65e5c0de.01.01", "SLD", "5", "20", today),
        ("0000e216.65e5c0de.01.02", "SLD", "0", "0", today),
        ("0000e217.65e5c0de.01.02", "BOT", "3", "30", yesterday),
        ("0000e218.65e5c0de.01.01", "BOT", "3", "30", yesterday),
        ("plain", "BOT", "1", "40", today),
        ("other", "BOT", "2", "40", today),
        ("0000e215.65e5c0de.01.09", "BOT", "8", "10.4", today),  # once more
    ]
    gateway.executions = [(execution(*each), None) for each in reported]
    client = client_at(gateway, rate_limiter_by(shared_time))
    try:
        account = IbkrAccount(client, ACCOUNT, clock=lambda: NOW)
        found = account.fills(datetime(2025, 3, 3, 5, tzinfo=UTC), NOW + timedelta(hours=9))
    finally:
        client.close()
    assert [(fill.execution_id, fill.quantity, len(fill.replaces)) for fill in found] == [
        ("0000e217.65e5c0de.01.02", 3, 0),  # a correction of Friday's execution, which only today's request returns
        ("0000e215.65e5c0de.01.10", 7, 1),
        ("0000e215.65e5c0de.02.01", 1, 0),
        ("0000e216.65e5c0de.01.02", 0, 1),
        ("other", 2, 0),
        ("plain", 1, 0),
    ]


def test_durations_that_would_hang_are_not_sent(gateway: FakeGateway, shared_time: SharedTime) -> None:
    client = client_at(gateway, rate_limiter_by(shared_time))
    try:
        of = client.contract(IBM)
        with pytest.raises(InvalidRequest, match="no bars of 1 min for 6 D"):
            client.history(HistoryRequest(of, NOW, "6 D", "1 min"))
        assert gateway.asked == []
    finally:
        client.close()


def test_open_orders_are_read_and_a_gateway_that_hides_them_rejects(
    gateway: FakeGateway, shared_time: SharedTime
) -> None:
    gateway.orders = [
        OpenOrder(4712, "IBM", "BUY", "10", limit="187.25", filled="4"),
        OpenOrder(4713, "IBM", "SELL", "2.5", kind="MKT"),
        OpenOrder(4714, "IBM", "SELL", "1", limit="200", account="U999"),
    ]
    client = client_at(gateway, rate_limiter_by(shared_time))
    try:
        account = IbkrAccount(client, ACCOUNT, clock=lambda: NOW)
        for _ in range(2):  # the library keeps orders it has seen
            bought, sold = account.open_orders()
            assert (bought.order_id, bought.symbol, bought.side) == ("4712", "IBM", "buy")
            assert (bought.quantity, bought.filled, bought.price) == (Decimal(10), Decimal(4), Decimal("187.25"))
            assert (sold.order_id, sold.side, sold.quantity, sold.price) == ("4713", "sell", Decimal("2.5"), None)
        gateway.orders = [replace(gateway.orders[0], filled="6")]
        assert [each.filled for each in account.open_orders()] == [Decimal(6)]
        gateway.orders = []
        assert account.open_orders() == []
        gateway.hides_orders = True
        with pytest.raises(SourceRejected, match="Read-Only mode"):
            account.open_orders()
        assert account.settlement(guess_instrument("EURUSD", "ibkr")) == Settlement("EURUSD", "USD", "EUR")
        assert account.settlement(IBM) == Settlement("IBM", "USD")
        assert gateway.unexpected == []
    finally:
        client.close()
