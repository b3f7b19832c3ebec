"""What a broker says of an account: positions, fills and balances, the same of every broker.

They are read for comparison with the ledger (:mod:`trading_platform.stores.trading.ledger`), which alone says what the
platform did. Who can be asked is a :class:`trading_platform.sources.base.BrokerAccount`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal


@dataclass(frozen=True)
class BrokerPosition:
    """What is held of an instrument.

    Attributes:
        broker: who says so, such as ``kraken``.
        account: whose it is.
        symbol: the instrument, in the platform's spelling.
        quantity: in units of its base; negative if short.
        average_price: at which it was bought or sold; None if the broker does not say.
        as_of: when the broker said so, UTC.
    """

    broker: str
    account: str
    symbol: str
    quantity: Decimal
    average_price: Decimal | None
    as_of: datetime


@dataclass(frozen=True)
class BrokerFill:
    """A part of an order that was executed.

    Attributes:
        broker: who says so.
        account: whose it is.
        execution_id: the broker's own number of it; no two fills have the same.
        order_id: the broker's number of the order; None if it does not say.
        symbol: the instrument, in the platform's spelling.
        side: which way.
        quantity: in units of its base, above zero.
        price: of a unit, in the quote currency.
        commission: what the broker took for it; None if it does not say.
        commission_currency: in which currency; None if it does not say.
        executed_at: when, UTC.
    """

    broker: str
    account: str
    execution_id: str
    order_id: str | None
    symbol: str
    side: Literal["buy", "sell"]
    quantity: Decimal
    price: Decimal
    commission: Decimal | None
    commission_currency: str | None
    executed_at: datetime


@dataclass(frozen=True)
class BrokerBalance:
    """How much of an asset an account has.

    Attributes:
        broker: who says so.
        account: whose it is.
        asset: a currency or coin, in the platform's spelling.
        amount: how much; negative if owed.
        as_of: when the broker said so, UTC.
    """

    broker: str
    account: str
    asset: str
    amount: Decimal
    as_of: datetime
