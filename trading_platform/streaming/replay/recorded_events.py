"""Events as lines of a recording; :mod:`trading_platform.streaming.replay.recording` reads and writes the file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from trading_platform.domain.market.live.events import Event, FeedDown, FeedUp, Heartbeat, Quote, Trade
from trading_platform.domain.rejection_reasons import Reason

_NAMES: dict[type, str] = {Trade: "trade", Quote: "quote", Heartbeat: "heartbeat", FeedUp: "up", FeedDown: "down"}
_SIDES = ("bid", "ask", "last", "volume")


@dataclass(frozen=True, slots=True)
class Recorded:
    """An event of a recording.

    Attributes:
        offset: its line, counted from 0; the header is line 0.
        event: the event that the feed emitted.
        received: time of receipt, by the receiver's clock.
    """

    offset: int
    event: Event
    received: datetime | None


class UnreadableLine(Exception):
    """A line that is no event.

    Args:
        reason: the rejection reason.
        detail: the reason as text.
    """

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def fields_of(event: Event) -> dict[str, Any]:
    """The JSON fields of an event, with numbers as text."""
    fields: dict[str, Any] = {"event": _NAMES[type(event)], "time": text_of_time(event.time)}
    if isinstance(event, Trade):
        fields |= {"symbol": event.symbol, "price": str(event.price), "quantity": str(event.quantity)}
        return fields if event.trade_id is None else fields | {"trade_id": event.trade_id}
    if isinstance(event, Quote):
        sides = {name: str(value) for name in _SIDES if (value := getattr(event, name)) is not None}
        return fields | {"symbol": event.symbol} | sides
    if isinstance(event, (FeedUp, FeedDown)):
        fields["symbols"] = sorted(event.symbols)
    return fields | {"reason": event.reason} if isinstance(event, FeedDown) else fields


def recorded_of(offset: int, fields: Any) -> Recorded:
    """The event of a line's fields; the inverse of :func:`fields_of`.

    Raises:
        UnreadableLine: if the fields are no event.
    """
    if not isinstance(fields, dict):
        raise UnreadableLine(Reason.UNSUPPORTED, "the line is not an object")
    try:
        received = time_of_text(fields["received"]) if "received" in fields else None
        time = time_of_text(fields["time"])
    except KeyError:
        raise UnreadableLine(Reason.MISSING_VALUE, "time is missing") from None
    except (ValueError, TypeError, OverflowError):
        raise UnreadableLine(Reason.UNREADABLE_TIME, "time or received is not a time with its zone") from None
    try:
        return Recorded(offset, _event(fields, time), received)
    except KeyError as missing:
        raise UnreadableLine(Reason.MISSING_VALUE, f"{missing.args[0]} is missing") from None
    except (InvalidOperation, TypeError, ValueError):
        raise UnreadableLine(Reason.UNREADABLE_NUMBER, "a value has the wrong type or is no number") from None


def _event(fields: dict[str, Any], time: datetime) -> Event:
    kind = fields["event"]
    if kind == "quote":
        bid, ask, last, volume = (_number(fields[name]) if name in fields else None for name in _SIDES)
        return Quote(_name(fields["symbol"]), time, bid, ask, last, volume)
    if kind == "trade":
        trade_id = fields.get("trade_id")
        if trade_id is not None and type(trade_id) is not int:
            raise TypeError(trade_id)
        return Trade(_name(fields["symbol"]), time, _number(fields["price"]), _number(fields["quantity"]), trade_id)
    if kind == "heartbeat":
        return Heartbeat(time)
    if kind == "up":
        return FeedUp(time, frozenset(map(_name, fields["symbols"])))
    if kind == "down":
        return FeedDown(time, frozenset(map(_name, fields["symbols"])), _name(fields["reason"]))
    raise UnreadableLine(Reason.UNSUPPORTED, f"{kind!r:.40} is not a kind of event")


def _number(value: Any) -> Decimal:
    return Decimal(_name(value))


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value


def text_of_time(timestamp: datetime) -> str:
    """A timestamp as RFC 3339 text, with microseconds."""
    return timestamp.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def time_of_text(text: str) -> datetime:
    """The timestamp of a text; the inverse of :func:`text_of_time`.

    Raises:
        ValueError, TypeError, OverflowError: if the text is no timestamp with its zone.
    """
    timestamp = datetime.fromisoformat(text)
    if timestamp.tzinfo is None:
        raise ValueError(text)
    return timestamp.astimezone(UTC)


def as_line(fields: dict[str, Any]) -> bytes:
    """A line of a recording."""
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"
