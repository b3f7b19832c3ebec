"""The quotes of the local exchange: the best bid and ask of a pair, and sums over a day.

REST and WebSocket both use it, so that their tickers are equal at any time.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from trading_platform.simulator.market import MINUTE_SECONDS, SECOND, Market, Trades
from trading_platform.simulator.pairs import Pair

_DAY = 24 * 60 * MINUTE_SECONDS * SECOND
_QUOTE_LASTS = SECOND // 2  # nanoseconds for which bid and ask stand unless a trade moves them
_MIXER = 0x9E3779B97F4A7C15  # 2**64 over the golden ratio: spreads consecutive numbers over all bits


@dataclass(frozen=True)
class BestQuote:
    """The best bid and ask, in ticks of the pair.

    Attributes:
        bid: price of the best bid.
        ask: price of the best ask.
        last: price of the last trade.
        trade_id: id of that trade; 0 before the first.
    """

    bid: int
    ask: int
    last: int
    trade_id: int


def best_quote(market: Market, pair: Pair, now: int) -> BestQuote:
    """Bid and ask at a time (nanoseconds): one to four ticks off the last trade, redrawn every half second."""
    trades = market.latest_trades(pair, now, 1)
    last, number = (int(trades.price[0]), int(trades.trade_id[0])) if len(trades) else (0, 0)
    mixed = (now // _QUOTE_LASTS + zlib.crc32(pair.symbol.encode())) * _MIXER % 2**64 >> 40
    return BestQuote(max(last - 1 - mixed % 4, 0), last + 1 + mixed // 4 % 4, last, number)


def last_day(market: Market, pair: Pair, now: int) -> Trades:
    """The trades of the 24 hours before a time (nanoseconds)."""
    return market.trades_after(pair, now - _DAY, now, 10**9)


def summary(trades: Trades, last: int) -> dict[str, int]:
    """The ticker's sums over a span, in ticks and units of 1e-8; without trades, its last price."""
    if not len(trades):
        return {"volume": 0, "vwap": 0, "count": 0, "low": last, "high": last, "open": last}
    volume = int(trades.quantity.sum())
    value = float((trades.price.astype(float) * trades.quantity).sum())
    return {
        "volume": volume,
        "vwap": round(value / max(volume, 1)),
        "count": len(trades),
        "low": int(trades.price.min()),
        "high": int(trades.price.max()),
        "open": int(trades.price[0]),
    }
