"""The messages on the five channels, version 2; docs/messages.md describes them field by field.

A sender builds its payload here, a receiver reads a message with :func:`read_message`. The sequence number is
assigned on publication: by the ledger's outbox for ``orders``, by Redis for the other channels
(:mod:`trading_platform.stores.redis.live`). So is the epoch: numbers may begin again when Redis loses data, and only
messages of one epoch are certain to be numbered by one count.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Self, TypeVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, ValidationError

from trading_platform.domain.errors import InvalidRequest, StoreError
from trading_platform.domain.market.live.events import Quote
from trading_platform.domain.money import plain_text
from trading_platform.domain.severity import Severity
from trading_platform.domain.texts import fault_in_json, shown
from trading_platform.domain.trading.orders import Broker, OrderStatus, OrderType, Side

VERSION = 2
"""Version of the form of all messages; those of version 1, which may still be in a stream, have no epoch."""

EPOCH_PATTERN = r"^[0-9a-f]{12}$"
"""Pattern of an epoch."""

_TEXT_OF_POSITION = re.compile(r"([1-9][0-9]{0,18})@((?:[0-9a-f]{12})?)")
_TEXT_OF_EPOCH = re.compile(r'\{"v":2,"epoch":"([0-9a-f]{12})"')

Channel = Literal["quotes", "signals", "orders", "alerts", "regime"]
"""The names of the channels."""

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,49}$"
"""Pattern of names that are part of a key or stored in a column of 50 characters: strategies, regimes, components."""

SYMBOL_PATTERN = r"^[A-Z0-9][A-Z0-9.\-]{0,19}$"


_LONGEST_FAULT = 200
_MOST_DIGITS = 100  # before or after the point; far more than a price has, and short as a text


def _short_text(value: Decimal) -> str:
    """The amount as text, unless that would have millions of digits, as 1e9999999 has."""
    if value and not -_MOST_DIGITS <= value.adjusted() <= _MOST_DIGITS:
        raise ValueError(f"an amount has more than {_MOST_DIGITS} digits before or after the point")
    return plain_text(value)


Amount = Annotated[Decimal, PlainSerializer(_short_text, return_type=str, when_used="json")]
"""A decimal that is serialized to JSON as text without an exponent, so that no digit is lost."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


_State = TypeVar("_State", bound=_Part)


class OrderState(_Part):
    """The order after the change: the columns of ``trading.orders``; messages from before stop prices have none."""

    id: UUID
    symbol: str
    side: Side
    order_type: OrderType
    quantity: Amount
    price: Amount | None
    stop_price: Amount | None = None
    status: OrderStatus
    broker: Broker
    broker_order_id: str | None
    strategy_id: str | None
    created_at: AwareDatetime
    updated_at: AwareDatetime
    filled_at: AwareDatetime | None
    filled_qty: Amount
    avg_fill_price: Amount | None
    commission: Amount


class ReplacedFillState(_Part):
    """A fill that does not count any more: the columns of ``trading.trades``."""

    id: UUID
    order_id: UUID
    symbol: str
    side: Side
    quantity: Amount
    price: Amount
    commission: Amount
    executed_at: AwareDatetime
    broker: Broker


class FillState(ReplacedFillState):
    """The fill that changed the order: the columns of ``trading.trades``, and the broker's own id."""

    broker_fill_id: str


class OrderEvent(_Part):
    """A change of an order.

    Attributes:
        order: its state after the change.
        previous_status: its status before the change; None for a new order.
        fill: the fill that caused the change; None if no fill did, or the broker cancelled an execution.
        replaced: the fills that the change corrected or cancelled, and that do not count any more.
    """

    order: OrderState
    previous_status: OrderStatus | None
    fill: FillState | None
    replaced: tuple[ReplacedFillState, ...] = ()


class QuoteState(_Part):
    """The current bid and ask; None if the source has never sent the value.

    Attributes:
        symbol: instrument.
        bid: best bid.
        ask: best ask.
        last: price of the last trade.
        volume: traded today, or in the last 24 hours, as the source counts.
    """

    symbol: str = Field(pattern=SYMBOL_PATTERN)
    bid: Amount | None
    ask: Amount | None
    last: Amount | None
    volume: Amount | None


class SignalState(_Part):
    """A strategy's signal for an instrument.

    Attributes:
        strategy: strategy that sends the signal.
        symbol: instrument.
        direction: position the strategy wants to hold.
        strength: confidence, 0 to 1; None if not given.
        price: price at the time of the signal.
        reason: explanation.
        data: further data of the strategy, in JSON.
    """

    strategy: str = Field(pattern=NAME_PATTERN)
    symbol: str = Field(pattern=SYMBOL_PATTERN)
    direction: Literal["long", "short", "flat"]
    strength: Amount | None = Field(default=None, ge=0, le=1)
    price: Amount | None = None
    reason: str | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class AlertState(_Part):
    """An alert: the columns of ``audit.system_events``, and the incident it belongs to.

    Attributes:
        event_type: kind of event.
        severity: severity of the event.
        component: component that reports it.
        message: what happened, in words.
        metadata: further data.
        incident: the same for an alert and for the message that it is over; None for an event without an end.
        over: whether the incident is over.
    """

    event_type: str = Field(pattern=NAME_PATTERN)
    severity: Severity
    component: str = Field(pattern=NAME_PATTERN)
    message: str
    metadata: dict[str, Any] = Field(default_factory=dict)
    incident: str | None = None
    over: bool = False


class RegimeState(_Part):
    """A change of the market regime.

    Attributes:
        regime: the new regime.
        previous: the regime of the previous message; None in the first one.
    """

    regime: str = Field(pattern=NAME_PATTERN)
    previous: str | None


@dataclass(frozen=True, slots=True)
class MessagePosition:
    """The position of a message in its channel; as text ``17@5e0f7c31a9d2``, and ``0`` before all messages.

    Attributes:
        seq: number of the message; 0 before all messages.
        epoch: its epoch; empty for one of version 1, and before all messages.
    """

    seq: int = 0
    epoch: str = ""

    def __str__(self) -> str:
        return f"{self.seq}@{self.epoch}" if self.seq else "0"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The position of a text.

        Raises:
            ValueError: if it is none.
        """
        if text == "0":
            return cls()
        found = _TEXT_OF_POSITION.fullmatch(text)
        if found is None:
            raise ValueError(f"no position of a message: {text!r}")
        return cls(int(found[1]), found[2])


def epoch_of(text: str) -> str:
    """The epoch of a message in its serialized form; empty for one of version 1."""
    found = _TEXT_OF_EPOCH.match(text)
    return found.group(1) if found else ""


class _Message(_Part):
    """The common part of all messages.

    Attributes:
        v: version of this form.
        epoch: changes whenever Redis has been restarted or emptied; None in messages of version 1.
        ts: when the event happened, UTC.
        seq: number in the channel, without gaps.
        payload: the event.
    """

    v: Literal[1, 2] = 2
    epoch: str | None = Field(default=None, pattern=EPOCH_PATTERN)
    ts: AwareDatetime
    seq: int = Field(ge=1)

    @property
    def position(self) -> str:
        """Its position in the channel, after which a subscription can continue."""
        return str(MessagePosition(self.seq, self.epoch or ""))


class QuoteMessage(_Message):
    """A quote, on the channel ``quotes``; ``ts`` is the quote's own time."""

    payload: QuoteState

    @property
    def quote(self) -> Quote:
        """The quote in the form that feeds emit."""
        return Quote(time=self.ts, **dict(self.payload))


class SignalMessage(_Message):
    """A signal, on the channel and in the stream ``signals``."""

    payload: SignalState


class OrderMessage(_Message):
    """A change of an order, on the channel and in the stream ``orders``."""

    payload: OrderEvent


class AlertMessage(_Message):
    """An alert, on the channel and in the stream ``alerts``."""

    payload: AlertState


class RegimeMessage(_Message):
    """A change of the regime, on the channel and in the stream ``regime``."""

    payload: RegimeState


Message = QuoteMessage | SignalMessage | OrderMessage | AlertMessage | RegimeMessage
"""Any message on the channels."""

MESSAGES: dict[Channel, type[Message]] = {
    "quotes": QuoteMessage,
    "signals": SignalMessage,
    "orders": OrderMessage,
    "alerts": AlertMessage,
    "regime": RegimeMessage,
}
"""The model of each channel's messages."""


def schemas() -> dict[str, dict[str, Any]]:
    """JSON schema of each channel's messages; docs/messages.schema.json is a copy of it."""
    return {channel: model.model_json_schema(mode="serialization") for channel, model in MESSAGES.items()}


def check_channel(name: str) -> Channel:
    """The channel of that name.

    Raises:
        InvalidRequest: if there is none.
    """
    for channel in MESSAGES:
        if channel == name:
            return channel
    raise InvalidRequest(
        f"There is no channel {shown(name)}.",
        expected=f"some of {', '.join(MESSAGES)}",
        received=shown(name),
        remedy="choose one of the listed ones",
    )


def read_message(channel: Channel, text: str) -> Message:
    """Parses a message as received.

    Raises:
        StoreError: if it does not have the form of the channel.
    """
    try:
        return MESSAGES[channel].model_validate_json(text)
    except ValidationError as error:
        fault = error.errors()[0]
        raise StoreError(
            f"A message on {channel} does not have the form of version {VERSION}.",
            expected="what docs/messages.md describes",
            received=f"{'.'.join(map(str, fault['loc'])) or 'the whole'}: {fault['msg']}; in {text[:200]!r}",
            remedy="find its sender and correct it; reading on takes the next message",
        ) from None


def checked(kind: type[_State], name: str, **values: object) -> _State:
    """A validated payload from the caller's values.

    Args:
        kind: class of the payload.
        name: name of the payload in error messages.
        **values: its fields.

    Raises:
        InvalidRequest: naming the invalid field.
    """
    try:
        if (fault := fault_in_json(values)) is not None:
            raise _invalid(name, fault)
        state = kind.model_validate(values)
        state.model_dump_json()
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise _invalid(name, f"{place} = {shown(first['input'])}: {first['msg']}") from None
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise _invalid(name, f"what cannot be written as JSON: {error}"[:_LONGEST_FAULT]) from None
    return state


def _invalid(name: str, received: str) -> InvalidRequest:
    return InvalidRequest(
        f"The {name} is invalid.",
        expected=f"a {name} as docs/messages.md describes it",
        received=received,
        remedy="correct this value",
    )


def order_message(seq: int, ts: datetime, payload: str) -> str:
    """A message of ``orders`` in its serialized form, without the epoch that Redis adds; decimals are texts in it.

    Args:
        seq: its number.
        ts: time of the change.
        payload: the change in JSON, as the outbox has it: any role that writes there may have written it.

    Raises:
        InvalidRequest: if the payload is no change of an order.
    """
    try:
        message = OrderMessage(ts=ts, seq=seq, payload=OrderEvent.model_validate_json(payload))
        return message.model_dump_json(exclude={"epoch"})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "the whole"
        raise _invalid("order event", f"{place} = {shown(first['input'])}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise _invalid("order event", f"what cannot be written as JSON: {error}"[:_LONGEST_FAULT]) from None
