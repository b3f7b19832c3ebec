"""Symbols and Kraken's spellings of them."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from trading_platform.domain.errors import MalformedPayload, SourceRejected
from trading_platform.sources.kraken.pairs import parse_asset_pairs

ENTRIES = {
    "XXBTZUSD": {"altname": "XBTUSD", "wsname": "XBT/USD", "tick_size": "0.1"},
    "XETHZUSD": {"altname": "ETHUSD", "wsname": "ETH/USD", "tick_size": "0.01"},
    "XDGUSD": {"altname": "XDGUSD", "wsname": "XDG/USD", "tick_size": "0.0000001"},
    "ETHXBT.d": {"altname": "ETHXBT.d"},
}


@pytest.mark.parametrize("spelling", ["BTCUSD", "XBTUSD", "XXBTZUSD", "XBT/USD", "BTC/USD", "btcusd"])
def test_every_spelling_means_the_pair(spelling: str) -> None:
    pair = parse_asset_pairs(ENTRIES).find(spelling)
    assert (pair.symbol, pair.name, pair.altname, pair.tick_size) == ("BTCUSD", "XXBTZUSD", "XBTUSD", Decimal("0.1"))


def test_assets_have_their_common_names() -> None:
    assert parse_asset_pairs(ENTRIES).symbols == ("BTCUSD", "ETHUSD", "DOGEUSD", "ETHXBT.d")


def test_an_unknown_pair_is_told_with_close_ones() -> None:
    with pytest.raises(SourceRejected, match="BTCUSD") as caught:
        parse_asset_pairs(ENTRIES).find("BTCUSB")
    assert not caught.value.retryable


@pytest.mark.parametrize("tick", ["0.000000001", "0.0000000001", "0.0000000025"])
def test_a_pair_with_prices_finer_than_eight_decimals_is_refused(tick: str) -> None:
    entries = {**ENTRIES, "PEPEUSD": {"altname": "PEPEUSD", "wsname": "PEPE/USD", "tick_size": tick}}
    with pytest.raises(SourceRejected, match="finer than eight decimals"):
        parse_asset_pairs(entries).find("PEPEUSD")
    assert parse_asset_pairs(entries).find("BTCUSD").symbol == "BTCUSD"


@pytest.mark.parametrize("entry", [None, [], {}, {"altname": 3}, {"altname": "A", "tick_size": "x"}])
def test_another_shape_is_refused(entry: object) -> None:
    with pytest.raises(MalformedPayload, match="XXBTZUSD"):
        parse_asset_pairs({"XXBTZUSD": entry})


def test_the_recorded_description_is_read(test_data: Path) -> None:
    recorded = test_data / "payloads" / "nautilus_kraken" / "http_asset_pairs.json"
    pair = parse_asset_pairs(json.loads(recorded.read_text())["result"]).find("BTCUSDT")
    assert (pair.name, pair.wsname, pair.tick_size) == ("XBTUSDT", "XBT/USDT", Decimal("0.1"))


@pytest.mark.parametrize("entry", [None, [], {}, {"altname": 3}, {"altname": "A", "tick_size": "1e999999"}])
def test_an_unreadable_entry_does_not_take_the_others_along(entry: object) -> None:
    book = parse_asset_pairs({**ENTRIES, "XETHZUSD": entry})
    assert book.find("BTCUSD").name == "XXBTZUSD"
    for spelling in ("ETHUSD", "XETHZUSD"):
        with pytest.raises(MalformedPayload, match=spelling):
            book.find(spelling)
    with pytest.raises(MalformedPayload, match="XETHZUSD"):
        book.get("XETHZUSD")
