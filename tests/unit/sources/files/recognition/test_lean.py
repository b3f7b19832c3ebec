"""How LEAN's files are scaled and zoned: by the instrument, by LEAN's folders, by the symbol, never by other words."""

from __future__ import annotations

import polars as pl
import pytest

from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.sources.files.content.options import FileRejected
from trading_platform.sources.files.recognition.lean import lean_market
from trading_platform.sources.files.recognition.names import FileName

NEW_YORK, UTC, EST = "America/New_York", "UTC", "Etc/GMT+5"
WHOLE, FRACTIONS = pl.Series(["1425000", "1426000"]), pl.Series(["1.31", "1.32"])


@pytest.mark.parametrize(
    ("path", "prices", "scaled", "zone"),
    [
        ("/data/crypto-bot/equity/usa/minute/bac/20131004_bac_minute_trade.csv", WHOLE, True, NEW_YORK),
        ("/crypto/lean/equity/usa/minute/bac/20131004_bac_minute_trade.csv", WHOLE, True, NEW_YORK),
        ("/fxcm/equity/usa/daily/spy.zip", WHOLE, True, NEW_YORK),
        ("/equity/backup/crypto/coinbase/minute/btcusd/20161007_btcusd_minute_trade.csv", FRACTIONS, False, UTC),
        ("/equity/data/forex/fxcm/minute/eurusd/20140502_eurusd_minute_quote.csv", FRACTIONS, False, EST),
        ("/equity/data/forex/oanda/hour/eurusd.zip", FRACTIONS, False, UTC),
        ("crypto_coinbase_minute_btcusd_20161007_trade.zip", FRACTIONS, False, UTC),
        ("equity_usa_tick_ibm_20131007_trade.zip", WHOLE, True, NEW_YORK),
        ("/oanda-downloads/20131004_bac_minute_trade.csv", WHOLE, True, NEW_YORK),
        ("/equity/20131004_eurusd_minute_quote.csv", FRACTIONS, False, UTC),
        ("/equity/india/minute/infy/20131004_infy_minute_trade.csv", WHOLE, True, None),
    ],
)
def test_the_folders_in_leans_order(path: str, prices: pl.Series, *, scaled: bool, zone: str | None) -> None:
    found = lean_market(FileName((path,)), None, prices)
    assert (found.scaled, found.zone) == (scaled, zone)


@pytest.mark.parametrize("asset_class", [AssetClass.EQUITY, AssetClass.ETF])
def test_the_registered_instrument_comes_first(asset_class: AssetClass) -> None:
    path = FileName(("/data/crypto/binance/minute/bac/20131004_bac_minute_trade.csv",))
    assert lean_market(path, Instrument("BAC", asset_class, "XNYS", "file"), WHOLE).scaled
    assert not lean_market(path, Instrument("BAC", AssetClass.CRYPTO, "24/7", "file"), WHOLE).scaled


@pytest.mark.parametrize(
    ("path", "prices", "words"),
    [
        ("/equity/usa/minute/bac/20131004_bac_minute_trade.csv", FRACTIONS, "have fractions"),
        ("/downloads/20131004_bac_minute_trade.csv", FRACTIONS, "neither its folders nor the symbol"),
        ("/downloads/20131004_us500_minute_trade.csv", WHOLE, "neither its folders nor the symbol"),
        ("/option/usa/minute/goog/20151224_goog_minute_trade.csv", WHOLE, "contracts that expire"),
    ],
)
def test_what_contradicts_itself_is_refused(path: str, prices: pl.Series, words: str) -> None:
    with pytest.raises(FileRejected, match=words):
        lean_market(FileName((path,)), None, prices)
