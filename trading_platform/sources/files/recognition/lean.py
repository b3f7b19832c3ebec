"""The market of LEAN's own files: whether their prices are scaled, and the zone of their times.

LEAN keeps its data in folders, ``equity/usa/minute/spy/20131004_trade.zip``: class, market, resolution, symbol. Other
words of a path say nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

import polars as pl

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.instruments import (
    AssetClass,
    Instrument,
    evident_instrument,
    is_like_us_ticker,
)
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.sources.files.content.options import FileRejected
from trading_platform.sources.files.recognition.names import FileName

NEW_YORK = "America/New_York"
EASTERN_STANDARD = "Etc/GMT+5"
"""UTC-5 all year; HistData and FXCM call it EST. (The sign in this zone's name follows POSIX.)"""

_SCALED = frozenset(("equity",))
_UNSCALED = frozenset(("forex", "crypto", "cfd", "index"))
_REFUSED = frozenset(("option", "indexoption", "futureoption", "future", "cryptofuture"))
_RESOLUTIONS = frozenset(("tick", "second", "minute", "hour", "daily"))
_ZONES = {("equity", "usa"): NEW_YORK, ("index", "usa"): NEW_YORK}
_FLAT = re.compile(r"^(?P<kind>[a-z]+)_(?P<market>[a-z0-9]+)_(?P<resolution>[a-z]+)_")
_FRACTION = r"\.\d*[1-9]"


@dataclass(frozen=True)
class LeanMarket:
    """How the prices and times of a LEAN file are read.

    Attributes:
        scaled: prices are whole numbers, ten thousand times the price.
        zone: IANA name of the zone of its times; None if LEAN's folders name a market with an unknown one.
        market: the market in the folders, in words.
    """

    scaled: bool
    zone: str | None
    market: str


def lean_market(name: FileName, instrument: Instrument | None, prices: pl.Series) -> LeanMarket:
    """The market of a LEAN file: of the registered instrument, else of its folders, else of its symbol.

    Args:
        name: its name and path.
        instrument: the instrument if it is in the universe.
        prices: prices as text: scaled ones are whole numbers.

    Raises:
        FileRejected: if nothing says whether the prices are scaled, or the prices contradict what does.
    """
    kind, market = _folders(name) or ("", "")
    if kind in _REFUSED:
        raise FileRejected(Reason.UNSUPPORTED, f"LEAN's {kind} files, of contracts that expire, are not read")
    fractions = bool(prices.str.contains(_FRACTION).fill_null(value=False).any())
    scaled = _is_scaled(name, instrument, kind, fractions=fractions)
    if scaled and fractions:
        detail = (
            "its prices have fractions, and LEAN writes those of equities as whole ten-thousandths; keep it in LEAN's "
            "folders (crypto/coinbase/minute/…), or add the instrument with its asset class first"
        )
        raise FileRejected(Reason.UNSUPPORTED, detail)
    if not kind:
        return LeanMarket(scaled, _zone_of_class(name, scaled=scaled), "")
    if kind in ("forex", "cfd", "crypto"):
        return LeanMarket(scaled, EASTERN_STANDARD if market == "fxcm" else "UTC", market)
    return LeanMarket(scaled, _ZONES.get((kind, market)), f"{kind}/{market}")


def _is_scaled(name: FileName, instrument: Instrument | None, kind: str, *, fractions: bool) -> bool:
    if instrument is not None:
        return instrument.asset_class in (AssetClass.EQUITY, AssetClass.ETF)
    if kind:
        return kind in _SCALED
    symbol = name.symbol or name.stem.upper()
    try:
        evident = evident_instrument(symbol, "file")
    except InvalidRequest:
        evident = None
    if evident is not None:
        return evident.asset_class is AssetClass.EQUITY
    if is_like_us_ticker(symbol) and not fractions:
        return True
    detail = (
        f"neither its folders nor the symbol {symbol} say whether its prices are scaled; keep it in LEAN's folders "
        "(equity/usa/minute/…), or add the instrument with its asset class first"
    )
    raise FileRejected(Reason.UNSUPPORTED, detail)


def _zone_of_class(name: FileName, *, scaled: bool) -> str:
    if scaled:
        return NEW_YORK
    return EASTERN_STANDARD if "fxcm" in name.near_words else "UTC"


def _folders(name: FileName) -> tuple[str, str] | None:
    """Class and market in LEAN's order of folders, the innermost of them, or joined in the name of a file."""
    kinds = _SCALED | _UNSCALED | _REFUSED
    for path in name.names:
        parts = [part.lower() for part in PurePosixPath(path.replace("\\", "/")).parts]
        for index in range(len(parts) - 4, -1, -1):
            if parts[index] in kinds and parts[index + 2] in _RESOLUTIONS:
                return parts[index], parts[index + 1]
        flat = _FLAT.match(parts[-1]) if parts else None
        if flat and flat["kind"] in kinds and flat["resolution"] in _RESOLUTIONS:
            return flat["kind"], flat["market"]
    return None
