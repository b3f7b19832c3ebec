"""The messages on the five channels, version 1; docs/messages.md describes them field by field.

Whoever sends one builds its payload here, whoever hears one reads it with :func:`read_message`. The
number is given where the message is told: by the ledger's outbox for ``orders``, by Redis for the
others (:mod:`trading_platform.stores.redis.live`).
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, ValidationError

from trading_platform.domain.errors import InvalidRequest, StoreError
from trading_platform.domain.market.events import Quote
from trading_platform.domain.money import plain_text
from trading_platform.domain.severity import Severity
from trading_platform.domain.trading.orders import Broker, OrderStatus, OrderType, Side

VERSION = 1
"""Of the form of all messages."""

Channel = Literal["quotes", "signals", "orders", "alerts", "regime"]
"""The channels, by name."""

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.\-]{0,49}$"
"""Of what becomes part of a key or stands in a column of 50 characters: strategies, regimes, components."""

SYMBOL_PATTERN = r"^[A-Z0-9][A-Z0-9.\-]{0,19}$"


Amount = Annotated[Decimal, PlainSerializer(plain_text, return_type=str, when_used="json")]
"""A decimal, which is text without an exponent on the wire, so that no digit gets lost."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


_State = TypeVar("_State", bound=_Part)


class OrderState(_Part):
    """The order after the change: the columns of ``trading.orders``."""

    id: UUID
    symbol: str
    side: Side
    order_type: OrderType
    quantity: Amount
    price: Amount | None
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


class FillState(_Part):
    """The fill that changed it: the columns of ``trading.trades``, and the broker's own id."""

    id: UUID
    order_id: UUID
    symbol: str
    side: Side
    quantity: Amount
    price: Amount
    commission: Amount
    executed_at: AwareDatetime
    broker: Broker
    broker_fill_id: str


class OrderEvent(_Part):
    """What happened to an order.

    Attributes:
        order: as it is now.
        previous_status: where it was before; None for a new one.
        fill: the fill, if one did it.
    """

    order: OrderState
    previous_status: OrderStatus | None
    fill: FillState | None


class QuoteState(_Part):
    """What is bid and asked now; None where it was never said.

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
    """What a strategy thinks of an instrument.

    Attributes:
        strategy: whose signal it is.
        symbol: of which instrument.
        direction: what it wants to hold of it.
        strength: how sure it is, 0 to 1; None if it does not say.
        price: at which price it thought so.
        reason: why, in words.
        data: whatever else it wants to tell, in JSON.
    """

    strategy: str = Field(pattern=NAME_PATTERN)
    symbol: str = Field(pattern=SYMBOL_PATTERN)
    direction: Literal["long", "short", "flat"]
    strength: Amount | None = Field(default=None, ge=0, le=1)
    price: Amount | None = None
    reason: str | None = None
    data: dict[str, Any] = Field(default_factory=dict)


class AlertState(_Part):
    """Something that someone should know; the columns of ``audit.system_events``, and which incident it is of.

    Attributes:
        event_type: kind of event.
        severity: how bad it is.
        component: who says so.
        message: what happened, in words.
        metadata: further data.
        incident: the same for an alert and for the word that it is over; None for what has no end.
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
    """The regime of the market has changed.

    Attributes:
        regime: what it is now.
        previous: what it was by the message before; None in the first one.
    """

    regime: str = Field(pattern=NAME_PATTERN)
    previous: str | None


class _Message(_Part):
    """What is sent.

    Attributes:
        v: version of this form.
        ts: when it happened, UTC.
        seq: number in the channel, without gaps.
        payload: what happened.
    """

    v: Literal[1] = 1
    ts: AwareDatetime
    seq: int = Field(ge=1)


class QuoteMessage(_Message):
    """A quote, on the channel ``quotes``; ``ts`` is the quote's own time."""

    payload: QuoteState

    @property
    def quote(self) -> Quote:
        """The same as the feeds have it."""
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
"""What is heard on the channels."""

MESSAGES: dict[Channel, type[Message]] = {
    "quotes": QuoteMessage,
    "signals": SignalMessage,
    "orders": OrderMessage,
    "alerts": AlertMessage,
    "regime": RegimeMessage,
}
"""The form of each channel's messages."""


def schemas() -> dict[str, dict[str, Any]]:
    """JSON schema of each channel's messages; docs/messages.schema.json is this."""
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
        f"There is no channel {name!r}.",
        expected=f"some of {', '.join(MESSAGES)}",
        received=repr(name),
        remedy="choose one of the listed ones",
    )


def read_message(channel: Channel, text: str) -> Message:
    """A message as it came over the wire.

    Raises:
        StoreError: if it does not have the channel's form.
    """
    try:
        return MESSAGES[channel].model_validate_json(text)
    except ValidationError as error:
        fault = error.errors()[0]
        raise StoreError(
            f"A message on {channel} does not have the form of version {VERSION}.",
            expected="what docs/messages.md describes",
            received=f"{'.'.join(map(str, fault['loc'])) or 'the whole'}: {fault['msg']}; in {text[:200]!r}",
            remedy="find who sends it; reading on takes the next message",
        ) from None


def checked(kind: type[_State], name: str, **values: object) -> _State:
    """A payload from what somebody gave.

    Args:
        kind: which payload.
        name: what it is called in the message of an error.
        **values: its fields.

    Raises:
        InvalidRequest: naming the field that cannot be.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        raise InvalidRequest(
            f"The {name} cannot be told.",
            expected=f"what docs/messages.md describes of a {name}",
            received=f"{'.'.join(map(str, fault['loc']))} = {fault['input']!r}: {fault['msg']}",
            remedy="correct this value",
        ) from None


def order_message(seq: int, ts: datetime, payload: dict[str, object]) -> str:
    """A message of ``orders`` as it goes over the wire; decimals are texts in it."""
    return OrderMessage(ts=ts, seq=seq, payload=OrderEvent.model_validate(payload)).model_dump_json()
