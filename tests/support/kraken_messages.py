"""Messages of Kraken's WebSocket v2, and a stream that is followed without a network."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from trading_platform.domain.market.live.events import Trade
from trading_platform.sources.kraken.live.stream import KrakenStream
from trading_platform.sources.kraken.pairs import KrakenPair
from trading_platform.sources.live import LastEvent, RejectedMessage

START = datetime(2025, 3, 4, 15, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PAIRS = [
    KrakenPair("BTCUSD", "XXBTZUSD", "XBTUSD", "XBT/USD", Decimal("0.1")),
    KrakenPair("ETHUSD", "XETHZUSD", "ETHUSD", "ETH/USD", Decimal("0.01")),
]
SPELLINGS = {"BTCUSD": "BTC/USD", "ETHUSD": "ETH/USD"}
BOTH = frozenset(SPELLINGS)


class Followed:
    """A stream with a clock that the test moves, and everything it said."""

    def __init__(
        self,
        *,
        since: datetime = START,
        pairs: list[KrakenPair] = PAIRS,
        trades: dict[str, tuple[int, datetime]] | None = None,
    ) -> None:
        self.now = START
        self.rejected: list[RejectedMessage] = []
        known = LastEvent(since, trades or {})
        self.stream = KrakenStream(pairs, clock=lambda: self.now, known=known, rejected=self.rejected.append)

    def send(self, message: Any, after: timedelta = timedelta(0)) -> list[Any]:
        self.now += after
        return self.stream.receive(message if isinstance(message, bytes) else json.dumps(message).encode())

    def quiet(self, seconds: int) -> list[Any]:
        """Nothing happens for so long: Kraken sends a heartbeat each second."""
        return [event for _ in range(seconds) for event in self.send(HEARTBEAT, after=SECOND)]

    def subscribe(self, **snapshots: list[int]) -> list[Any]:
        """Connects; Kraken grants everything and sends trades of these numbers, one a second up to now."""
        self.stream.connected()
        events = []
        for symbol in SPELLINGS:
            events += self.send(ack(symbol, self.now))
        for symbol, numbers in snapshots.items():
            rows = [trade(symbol, number, self.now - (numbers[-1] - number) * SECOND) for number in numbers]
            events += self.send({"channel": "trade", "type": "snapshot", "data": rows})
        return events

    def trade(self, symbol: str, *numbers: int, at: datetime | None = None) -> list[Any]:
        rows = [trade(symbol, number, at or self.now) for number in numbers]
        return self.send({"channel": "trade", "type": "update", "data": rows})


def ack(symbol: str, timestamp: datetime, channel: str = "trade") -> dict[str, Any]:
    result = {"channel": channel, "symbol": SPELLINGS[symbol], "snapshot": True}
    stamps = {"time_in": text(timestamp), "time_out": text(timestamp)}
    return {"method": "subscribe", "result": result, "success": True, "req_id": 1, **stamps}


def trade(symbol: str, number: int, timestamp: datetime) -> dict[str, Any]:
    return {
        "symbol": SPELLINGS[symbol], "side": "buy", "price": 100.5, "qty": 0.25,
        "ord_type": "limit", "trade_id": number, "timestamp": text(timestamp),
    }  # fmt: skip


def quote(of: str, at: datetime, **changed: Any) -> dict[str, Any]:
    row = {"symbol": SPELLINGS[of], "bid": 100.1, "ask": 100.3, "last": 100.2, "volume": 12.5}
    return {"channel": "ticker", "type": "update", "data": [{**row, "timestamp": text(at), **changed}]}


def text(timestamp: datetime) -> str:
    return f"{timestamp:%Y-%m-%dT%H:%M:%S.%f}Z"


def ids(events: list[Any]) -> list[int | None]:
    return [event.trade_id for event in events if isinstance(event, Trade)]


HEARTBEAT = {"channel": "heartbeat"}
