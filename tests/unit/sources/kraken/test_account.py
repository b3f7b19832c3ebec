"""An account at Kraken: what its answers say, pages that move while they are read, nonces, and what is kept secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import krakenex
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_platform.domain.errors import ConfigurationError, MalformedPayload, SourceUnavailable
from trading_platform.simulator.private import sign
from trading_platform.sources.kraken.account.history import PAGE, HistoryPage, collect_fills, read_page
from trading_platform.sources.kraken.account.nonces import LocalNonces
from trading_platform.sources.kraken.account.private import Credentials, KrakenPrivate
from trading_platform.sources.kraken.account.source import holdings, parse_balances, parse_fill, parse_open_positions
from trading_platform.sources.kraken.limits import COUNTERS, WEIGHTS, private_costs
from trading_platform.sources.kraken.pairs import PairBook, common_asset, parse_asset_pairs

SECRET = "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg=="  # noqa: S105
"""Of the example in Kraken's documentation of authentication."""


def pair(name: str, altname: str, wsname: str) -> dict[str, dict[str, str]]:
    return {name: {"altname": altname, "wsname": wsname, "tick_size": "0.1"}}


PAIRS = parse_asset_pairs(
    pair("XXBTZUSD", "XBTUSD", "XBT/USD")
    | pair("XBTUSDT", "XBTUSDT", "XBT/USDT")
    | pair("ETHUSDT", "ETHUSDT", "ETH/USDT")
)


@pytest.fixture
def payload(test_data: Path) -> Callable[[str], dict[str, Any]]:
    def read(name: str) -> dict[str, Any]:
        text = (test_data / "payloads" / "nautilus_kraken" / f"http_{name}.json").read_text()
        found: dict[str, Any] = json.loads(text, parse_float=Decimal)["result"]
        return found

    return read


def test_balances_have_everybodys_names(payload):
    assert parse_balances(payload("spot_balance")) == {
        "USD": Decimal("200000.00"), "BTC": Decimal("0.5"), "ETH": Decimal("2.0"),
    }  # fmt: skip
    assert parse_balances({"XXBT": "1", "XBT.F": "0.25", "XTZ": "3", "ZETA": "4", "USD.HOLD": "5"}) == {
        "BTC": Decimal(1), "BTC.F": Decimal("0.25"), "XTZ": Decimal(3), "ZETA": Decimal(4), "USD.HOLD": Decimal(5),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("code", "asset"),
    [pair.split() for pair in (
        "ZUSD USD,XXBT BTC,XBT BTC,XETH ETH,ETH ETH,XXDG DOGE,XDG DOGE,XXRP XRP,XBT.M BTC.M,ETH2.S ETH2.S,"
        "XTZ.S XTZ.S,ZGBP GBP,XION XION,ZORA ZORA,USDT USDT"
    ).split(",")],
)  # fmt: skip
def test_only_the_old_assets_lose_a_letter(code: str, asset: str):
    assert common_asset(code) == asset


def test_money_is_no_position_and_what_earns_counts_with_its_asset():
    amounts = {
        "USD": Decimal(5),
        "USD.F": Decimal(6),
        "USD.HOLD": Decimal(1),
        "BTC": Decimal(1),
        "BTC.F": Decimal(2),
        "DOT.S": Decimal(3),
    }
    amounts |= {"ADA": Decimal(0), "ETH.HOLD": Decimal(4)}
    assert holdings(amounts, "USD") == {"BTCUSD": Decimal(3), "DOTUSD": Decimal(3), "ETH.HOLDUSD": Decimal(4)}


def test_open_positions_are_netted_with_their_average_price(payload):
    assert parse_open_positions(payload("spot_open_positions"), PAIRS) == {"BTCUSD": (Decimal("0.5"), Decimal(100_000))}
    lots = {
        "A": {"pair": "XXBTZUSD", "type": "buy", "vol": "3", "vol_closed": "1", "cost": "300"},
        "B": {"pair": "XBTUSD", "type": "buy", "vol": "2", "vol_closed": "0", "cost": "240"},
        "C": {"pair": "ETHUSDT", "type": "sell", "vol": "2", "vol_closed": "0.5", "cost": "20"},
    }
    assert parse_open_positions(lots, PAIRS) == {
        "BTCUSD": (Decimal(4), Decimal(110)),
        "ETHUSDT": (Decimal("-1.5"), Decimal(10)),
    }


def test_fills_are_read_to_the_last_digit(payload):
    fills = [parse_fill(number, entry, PAIRS, "main") for number, entry in payload("trades_history")["trades"].items()]
    first, second = fills
    assert (first.broker, first.account, first.execution_id) == ("kraken", "main", "TCCCTY-WJ6EO-4FP4VZ")
    assert (first.order_id, first.symbol, first.side) == ("O26VBY-ISGAE-JP5TLU", "BTCUSDT", "buy")
    assert (first.quantity, first.price) == (Decimal("0.5"), Decimal("29500.50"))
    assert (first.commission, first.commission_currency) == (Decimal("23.60"), "USDT")
    assert first.executed_at == datetime(2023, 7, 5, 19, 37, 20, 892_100, UTC)
    assert (second.symbol, second.side, second.executed_at.microsecond) == ("ETHUSDT", "sell", 345_600)


def test_a_fill_of_a_pair_that_is_no_more_listed_is_kept(payload):
    (entry, _) = payload("trades_history")["trades"].values()
    gone = parse_fill("T", entry | {"pair": "XXRPZEUR"}, PairBook([]), "main")
    assert (gone.symbol, gone.commission_currency) == ("XRPEUR", "EUR")
    odd = parse_fill("T", entry | {"pair": "LUNAUSD"}, PairBook([]), "main")
    assert (odd.symbol, odd.commission_currency) == ("LUNAUSD", None)


@pytest.mark.parametrize("change", [{"vol": "much"}, {"price": None}, {"type": "hold"}, {"time": "NaN"}, {"fee": []}])
def test_what_cannot_be_read_is_an_error_that_names_it(payload, change):
    (entry, _) = payload("trades_history")["trades"].values()
    with pytest.raises(MalformedPayload, match="T1"):
        parse_fill("T1", entry | change, PAIRS, "main")
    with pytest.raises(MalformedPayload, match="T1"):
        parse_fill("T1", {name: value for name, value in entry.items() if name not in change}, PAIRS, "main")


@pytest.mark.parametrize("result", [{}, {"trades": [], "count": 1}, {"trades": {}, "count": "1"}, {"trades": {}}])
def test_a_page_of_another_shape_is_an_error(result):
    with pytest.raises(MalformedPayload):
        read_page(result)


@given(st.integers(0, 240), st.lists(st.integers(0, 70), max_size=4), st.integers(0, 2))
def test_every_fill_is_had_once_however_many_come_meanwhile(before: int, arrivals: list[int], behind: int):
    """``arrivals`` come before the answers; the first ``behind`` counts do not know the newest yet."""
    fills = list(range(before))
    asked: list[int] = []

    def ask(offset: int) -> HistoryPage:
        known = len(fills)
        if len(asked) < len(arrivals):
            fills.extend(range(len(fills), len(fills) + arrivals[len(asked)]))
        count = known if len(asked) < behind else len(fills)
        asked.append(offset)
        newest = fills[::-1][offset : offset + PAGE]
        return HistoryPage({str(number): {} for number in newest}, count)

    found = collect_fills(ask)
    if len(asked) > behind:
        assert sorted(map(int, found)) == fills
    assert len(asked) <= before // PAGE + 1 + sum(arrivals) // PAGE + len(arrivals) + 3, "it asked more than it needs"


def test_pages_that_never_agree_with_their_count_are_an_error():
    with pytest.raises(SourceUnavailable) as caught:
        collect_fills(lambda offset: HistoryPage({} if offset else {"A": {}}, 2))
    assert caught.value.retryable


def test_the_exchange_signs_as_kraken_documents():
    body = b"nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25"
    expected = "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ=="
    assert sign(SECRET, "/0/private/AddOrder", "1616492376594", body) == expected
    assert krakenex.API("", SECRET)._sign({"nonce": 1}, "/0/private/Balance") == sign(
        SECRET, "/0/private/Balance", "1", b"nonce=1"
    )


def test_nonces_grow_whatever_the_clock_does():
    times = iter([5_000_000, 5_000_000, 4_000_000, 6_000_999])
    nonces = LocalNonces(lambda: next(times))
    assert [nonces() for _ in range(4)] == [5_000, 5_001, 5_002, 6_000]


@pytest.mark.parametrize(("key", "secret"), [("", SECRET), ("key", ""), ("key", "not base 64!"), ("kéy", SECRET)])
def test_a_key_that_cannot_be_is_refused_without_showing_it(key: str, secret: str):
    with pytest.raises(ConfigurationError) as caught:
        Credentials(key, secret)
    assert not secret or secret not in str(caught.value)


def test_credentials_do_not_show():
    credentials = Credentials("the-key", SECRET)
    assert "the-key" not in repr(credentials)
    assert SECRET not in repr(credentials)
    assert "the-key" not in credentials.fingerprint


def test_only_what_reads_can_be_asked():
    client = KrakenPrivate("http://127.0.0.1:9", Credentials("key", SECRET))
    for method in ("AddOrder", "CancelOrder", "CancelAll", "Withdraw", "WalletTransfer"):
        with pytest.raises(KeyError):
            client.ask(method, {}, lambda result: result)
    assert set(WEIGHTS) == {"Balance", "OpenOrders", "OpenPositions", "TradesHistory"}


@pytest.mark.parametrize(
    ("tier", "falls", "most"), [("starter", 0.33, 15), ("intermediate", 0.5, 20), ("pro", 1.0, 20)]
)
def test_counters_are_krakens(tier, falls, most):
    assert COUNTERS[tier] == (falls, most)
    cost, _ = private_costs(tier, "print", "TradesHistory")
    assert (cost.weight, cost.limit.per_second) == (2, falls)
    assert cost.limit.burst < most
