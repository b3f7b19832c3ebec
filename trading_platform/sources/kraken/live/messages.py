"""Parses one message of Kraken's WebSocket v2, independent of connections and earlier messages.

A message is accepted or rejected as a whole: of one with an invalid trade nothing is used, and the ids of the
missing trades then reveal the loss (:mod:`trading_platform.sources.kraken.live.sequence`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from trading_platform.domain.market.live.events import Quote, Trade
from trading_platform.domain.money import AMOUNT_LIMIT
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.sources.strict_json import StrictDecoder

REQUEST_IDS = {"trade": 1, "ticker": 2}
"""The ids of our subscription requests, by which a rejection identifies its channel."""

_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
_LARGEST_ID = 2**63
_QUANTITY_LIMIT = Decimal(10) ** 16  # as wide as the column of volumes
_ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Quotes:
    """A message of the ticker channel.

    Attributes:
        quotes: in the order of the message.
        sent: a moment before which it was not sent, by Kraken's clock; None where it does not say. A snapshot does not:
            its quotes may be old.
    """

    quotes: list[Quote]
    sent: datetime | None


@dataclass(frozen=True, slots=True)
class Trades:
    """A message of the trade channel.

    Attributes:
        trades: in the order of the message.
        is_snapshot: whether they are the last trades before the subscription.
    """

    trades: list[Trade]
    is_snapshot: bool


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """The response to a subscription, one per symbol.

    Attributes:
        channel: the channel; None if a rejection does not contain it.
        symbol: in the platform's spelling; None if it is none of the requested ones.
        error: why it was rejected; None if it was granted.
        time: when, by Kraken's clock, if the message contains it.
    """

    channel: str | None
    symbol: str | None
    error: str | None
    time: datetime | None


@dataclass(frozen=True, slots=True)
class SignOfLife:
    """A heartbeat, a pong or a status.

    Attributes:
        is_heartbeat: whether it is a heartbeat.
        note: text of a status that reports a problem.
    """

    is_heartbeat: bool = False
    note: str | None = None


Message = Quotes | Trades | Acknowledgement | SignOfLife


class UnusableMessageError(ValueError):
    """A message that cannot be used.

    Args:
        reason: the rule it breaks.
        detail: a description.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class MessageReader:
    """Parses messages about certain pairs.

    Args:
        symbols: the platform's spelling by Kraken's (``BTC/USD``).
    """

    def __init__(self, symbols: Mapping[str, str]) -> None:
        self._symbols = symbols
        self._decode = StrictDecoder().decode

    def read(self, data: bytes, now: datetime) -> Message:
        """Parses a message.

        Args:
            data: its text in UTF-8.
            now: the time of a quote without a time of its own.

        Raises:
            UnusableMessageError: with the reason.
        """
        try:
            message = self._decode(str(data, "utf-8"))
        except ValueError as error:
            raise UnusableMessageError(Reason.UNSUPPORTED, f"not JSON: {error}"[:200]) from None
        if type(message) is not dict:
            raise UnusableMessageError(Reason.UNSUPPORTED, "not a JSON object")
        try:
            return self._of(message, now)
        except KeyError as error:
            raise UnusableMessageError(Reason.MISSING_VALUE, f"{error} is missing"[:200]) from None
        except UnusableMessageError:
            raise
        except (TypeError, AttributeError, ValueError, ArithmeticError, RecursionError) as error:
            raise UnusableMessageError(Reason.UNSUPPORTED, f"another shape: {error}"[:200]) from None

    def _of(self, message: dict[str, Any], now: datetime) -> Message:
        channel = message.get("channel")
        if channel == "ticker":
            quotes = [self._quote(row, now) for row in message["data"]]
            return Quotes(quotes, _sent(message, quotes))
        if channel == "trade":
            return Trades([self._trade(row) for row in message["data"]], message["type"] == "snapshot")
        if channel == "heartbeat":
            return SignOfLife(is_heartbeat=True)
        if channel == "status":
            systems = {row["system"] for row in message["data"]} - {"online"}
            return SignOfLife(note=", ".join(map(str, systems)) or None)
        if channel is None and message.get("method") == "subscribe":
            return self._acknowledgement(message)
        if channel is None and (message.get("method") == "pong" or message.get("success") is False):
            return SignOfLife(note=None if "error" not in message else str(message["error"])[:200])
        raise UnusableMessageError(Reason.UNSUPPORTED, f"channel {str(channel)[:50]!r} is unknown")

    def _quote(self, row: dict[str, Any], now: datetime) -> Quote:
        symbol, stamp, volume = self._symbol(row), row.get("timestamp"), row.get("volume")
        return Quote(
            symbol,
            now if stamp is None else _timestamp(stamp),
            _price("bid", row["bid"]),
            _price("ask", row["ask"]),
            _price("last", row["last"]),
            None if volume is None else _quantity("volume", volume),
        )

    def _trade(self, row: dict[str, Any]) -> Trade:
        number = row["trade_id"]
        if type(number) is not int or not 0 < number < _LARGEST_ID:
            raise UnusableMessageError(Reason.UNREADABLE_NUMBER, f"trade_id {str(number)[:50]!r}")
        price, quantity = _price("price", row["price"]), _quantity("qty", row["qty"])
        return Trade(self._symbol(row), _timestamp(row["timestamp"]), price, quantity, number)

    def _symbol(self, row: dict[str, Any]) -> str:
        symbol = self._symbols.get(row["symbol"])
        if symbol is None:
            raise UnusableMessageError(Reason.UNSUPPORTED, f"{str(row['symbol'])[:50]!r} was not subscribed")
        return symbol

    def _acknowledgement(self, message: dict[str, Any]) -> Acknowledgement:
        result = message.get("result") or {}
        numbered = {number: name for name, number in REQUEST_IDS.items()}
        spelling, stamp = result.get("symbol") or message.get("symbol"), message.get("time_out")
        error = None if message["success"] is True else str(message.get("error"))[:200]
        channel = result.get("channel") or numbered.get(message.get("req_id", 0))
        if error is None and type(channel) is not str:
            raise UnusableMessageError(Reason.MISSING_VALUE, "an acknowledgement without its channel")
        timestamp = None if stamp is None else _timestamp(stamp)
        return Acknowledgement(channel, self._symbols.get(spelling or ""), error, timestamp)


def _sent(message: dict[str, Any], quotes: list[Quote]) -> datetime | None:
    if message.get("type") != "update":
        return None
    stamped = (quote.time for row, quote in zip(message["data"], quotes, strict=True) if row.get("timestamp"))
    return max(stamped, default=None)


def _price(name: str, value: object) -> Decimal:
    number = _number(name, value, AMOUNT_LIMIT)
    if not number > _ZERO:
        raise UnusableMessageError(Reason.NON_POSITIVE_PRICE, f"{name} is not above zero: {number}"[:100])
    return number


def _quantity(name: str, value: object) -> Decimal:
    number = _number(name, value, _QUANTITY_LIMIT)
    if number < _ZERO:
        raise UnusableMessageError(Reason.NEGATIVE_VOLUME, f"{name} is negative: {number}"[:100])
    return number


def _number(name: str, value: object, limit: Decimal) -> Decimal:
    if type(value) is Decimal:
        number = value
    elif type(value) is int:
        number = Decimal(value)
    else:
        raise UnusableMessageError(Reason.UNREADABLE_NUMBER, f"{name} {str(value)[:50]!r}")
    if not number < limit:
        raise UnusableMessageError(Reason.OUT_OF_RANGE, f"{name} does not fit its column")
    return number


def _timestamp(text: object) -> datetime:
    try:
        timestamp = datetime.fromisoformat(text)  # type: ignore[arg-type]
        if timestamp.tzinfo is not UTC:
            timestamp = timestamp.astimezone(UTC) if timestamp.tzinfo else None  # type: ignore[assignment]
        if timestamp is not None and _FIRST <= timestamp < _LAST:
            return timestamp
    except (ValueError, TypeError, OverflowError):
        pass
    raise UnusableMessageError(Reason.UNREADABLE_TIME, f"time {str(text)[:50]!r}")
