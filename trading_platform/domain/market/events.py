"""What a live feed says, in the order in which it says it: trades, quotes, and how it fares itself.

All times are event times, UTC: of the source where it gives one, of the receiver where it does not. A
recording of these, played back at any speed, makes the same bars (:mod:`trading_platform.domain.market.bar_builder`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Trade:
    """Something was traded.

    Attributes:
        symbol: in the platform's spelling.
        time: when, UTC.
        price: at what price.
        quantity: how much.
        trade_id: the source's running number, where it has one; the same number is the same trade.
        gapless: the source numbers without holes, and every trade before this one was told. What was lost without
            a trace after such a trade is noticed by the next one's number, even after a restart.
    """

    symbol: str
    time: datetime
    price: Decimal
    quantity: Decimal
    trade_id: int | None = None
    gapless: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Quote:
    """What is bid and asked now; a side that is None has not changed.

    Attributes:
        symbol: in the platform's spelling.
        time: when, UTC.
        bid: best bid.
        ask: best ask.
        last: price of the last trade, where the source says it with the quote.
        volume: traded today, or in the last 24 hours, as the source counts.
    """

    symbol: str
    time: datetime
    bid: Decimal | None = None
    ask: Decimal | None = None
    last: Decimal | None = None
    volume: Decimal | None = None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The feed is alive, and so late: what happens from now on comes later.

    Attributes:
        time: by the receiver's clock, UTC.
    """

    time: datetime


@dataclass(frozen=True, slots=True)
class FeedUp:
    """From now on all that happens to these symbols is told.

    Attributes:
        time: since when, UTC.
        symbols: of which symbols.
    """

    time: datetime
    symbols: frozenset[str]


@dataclass(frozen=True, slots=True)
class FeedDown:
    """What happens to these symbols from now on is not told, until a :class:`FeedUp`.

    Attributes:
        time: since when at the latest, UTC: of the last message that was received. An outage that turns out to
            have begun earlier is told again, with that time.
        symbols: of which symbols.
        reason: why, in words.
    """

    time: datetime
    symbols: frozenset[str]
    reason: str


Event = Trade | Quote | Heartbeat | FeedUp | FeedDown
"""One thing a feed says."""
