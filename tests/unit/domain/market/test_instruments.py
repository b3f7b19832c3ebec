"""How symbols are spelled, and what is read off them."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.instruments import (
    CRYPTO,
    FIAT,
    AssetClass,
    Instrument,
    check_symbol,
    guess_instrument,
)

FIRST = string.ascii_uppercase + string.digits
ANY = FIRST + ".-"
symbols = st.tuples(st.sampled_from(FIRST), st.text(ANY, max_size=19)).map("".join)


@given(symbols)
def test_symbols_of_the_platform_need_no_escaping_anywhere(symbol: str) -> None:
    assert check_symbol(symbol) == symbol
    assert not set(symbol) & set("/|=% \\:*?\"'")


@given(st.text(max_size=25))
def test_everything_else_is_refused(text: str) -> None:
    good = 1 <= len(text) <= 20 and text[0] in FIRST and all(letter in ANY for letter in text)
    if good:
        assert check_symbol(text) == text
    else:
        with pytest.raises(InvalidRequest):
            check_symbol(text)


@pytest.mark.parametrize("text", ["spy", "", "A B", "../etc", "BTC/USD", ".A", "-A", "A" * 21, "SPY\n", "ÄÖ"])
def test_a_refusal_shows_how_symbols_are_spelled(text: str) -> None:
    with pytest.raises(InvalidRequest, match="is not a symbol") as caught:
        check_symbol(text)
    assert "BTCUSD" in str(caught.value.remedy)
    assert caught.value.received == repr(text)


def test_an_instrument_checks_its_own_symbol_and_its_benchmark() -> None:
    with pytest.raises(InvalidRequest):
        Instrument("spy", AssetClass.ETF, "XNYS", "file")
    with pytest.raises(InvalidRequest):
        Instrument("SPY", AssetClass.ETF, "XNYS", "file", benchmark="the market")


@pytest.mark.parametrize(
    ("symbol", "asset_class", "calendar"),
    [
        ("EURUSD", AssetClass.FX, "FX"),
        ("USDJPY", AssetClass.FX, "FX"),
        ("BTCUSD", AssetClass.CRYPTO, "24/7"),
        ("XBTEUR", AssetClass.CRYPTO, "24/7"),
        ("ETHBTC", AssetClass.CRYPTO, "24/7"),
        ("DOGEUSD", AssetClass.CRYPTO, "24/7"),
        ("BTCUSDT", AssetClass.CRYPTO, "24/7"),
        ("AAPL", AssetClass.EQUITY, "XNYS"),
        ("BRK.B", AssetClass.EQUITY, "XNYS"),
        ("USD", AssetClass.EQUITY, "XNYS"),
        ("GOOGUSD", AssetClass.EQUITY, "XNYS"),
    ],
)
def test_what_a_symbol_suggests(symbol: str, asset_class: AssetClass, calendar: str) -> None:
    guessed = guess_instrument(symbol, "file")
    assert (guessed.symbol, guessed.asset_class, guessed.calendar, guessed.source) == (
        symbol,
        asset_class,
        calendar,
        "file",
    )
    assert guessed.sector is guessed.benchmark is guessed.tick_size is None


@given(st.sampled_from(sorted(CRYPTO)), st.sampled_from(sorted(FIAT)))
def test_every_known_coin_in_a_known_currency_trades_without_pause(coin: str, currency: str) -> None:
    assert guess_instrument(coin + currency, "kraken").calendar == "24/7"
