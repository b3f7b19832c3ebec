"""The events of a live feed, in the order in which the feed emits them: trades, quotes, and the feed's own state.

All times are event times in UTC: the source's, or the receiver's if the source sends none. A recording of events,
replayed at any speed, makes the same bars (:mod:`trading_platform.domain.market.live.bar_builder`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Trade:
    """An executed trade.

    Attributes:
        symbol: in the platform's spelling.
        time: when it was executed, UTC.
        price: its price.
        quantity: its quantity.
        trade_id: the source's running number, if it has one; the same number is the same trade.
        gapless: the source numbers without gaps, and every trade before this one was received. A loss without
            a trace after such a trade is detected by the next trade's number, even after a restart.
    """

    symbol: str
    time: datetime
    price: Decimal
    quantity: Decimal
    trade_id: int | None = None
    gapless: bool = field(default=False, compare=False)


@dataclass(frozen=True, slots=True)
class Quote:
    """The current bid and ask; a side that is None has not changed.

    Attributes:
        symbol: in the platform's spelling.
        time: when, UTC.
        bid: best bid.
        ask: best ask.
        last: price of the last trade, if the source sends it with the quote.
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
    """The feed is alive, and its time is at least this: later events have later times.

    Attributes:
        time: by the receiver's clock, UTC.
    """

    time: datetime


@dataclass(frozen=True, slots=True)
class FeedUp:
    """From now on the feed delivers all events of these symbols.

    Attributes:
        time: since when, UTC.
        symbols: the affected symbols.
    """

    time: datetime
    symbols: frozenset[str]


@dataclass(frozen=True, slots=True)
class FeedDown:
    """From now on the feed does not deliver the events of these symbols, until a :class:`FeedUp`.

    Attributes:
        time: since when at the latest, UTC: the time of the last message received. If an outage turns out to
            have begun earlier, it is emitted again with that time.
        symbols: the affected symbols.
        reason: a description of the cause.
    """

    time: datetime
    symbols: frozenset[str]
    reason: str


Event = Trade | Quote | Heartbeat | FeedUp | FeedDown
"""One event of a feed."""
