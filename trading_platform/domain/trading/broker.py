"""The state of an account as a broker reports it, in the same form for every broker.

They are read for comparison with the ledger (:mod:`trading_platform.stores.trading.ledger`), the only record of what
the platform did. :class:`trading_platform.sources.base.BrokerAccount` reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal


@dataclass(frozen=True)
class BrokerPosition:
    """A position in an instrument.

    Attributes:
        broker: broker that reports it, such as ``kraken``.
        account: account that holds it.
        symbol: the instrument, in the platform's spelling.
        quantity: in units of its base; negative if short.
        average_price: average price at which it was bought or sold; None if the broker does not report it.
        as_of: when the broker reported it, UTC.
    """

    broker: str
    account: str
    symbol: str
    quantity: Decimal
    average_price: Decimal | None
    as_of: datetime


@dataclass(frozen=True)
class Settlement:
    """What a fill of an instrument moves at a broker.

    Attributes:
        position: symbol of the position that it adds to, in :class:`BrokerPosition`; None if it buys and sells money.
        quote: currency that pays quantity times price and the commission; None if that is no money (a coin).
        base: currency that is bought and sold, of a pair of currencies; None for everything else.
        paid_from: symbol of the position that pays where ``quote`` is None; None if nothing is known to.
    """

    position: str | None
    quote: str | None
    base: str | None = None
    paid_from: str | None = None


@dataclass(frozen=True)
class BrokerFill:
    """A fill: an executed part of an order, as its newest report has it.

    Attributes:
        broker: broker that reports it.
        account: account it belongs to.
        execution_id: the broker's id of the fill, unique.
        order_id: the broker's id of the order; None if it does not report it.
        symbol: the instrument, in the platform's spelling.
        side: direction.
        quantity: in units of its base; zero if the broker cancelled the execution (a bust).
        price: of a unit, in the quote currency.
        commission: commission charged by the broker; None if it does not report it.
        commission_currency: currency of the commission; None if the broker does not report it.
        executed_at: when it was executed, UTC.
        replaces: the broker's ids of the earlier reports of the execution, which do not count, oldest first.
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
    replaces: tuple[str, ...] = ()


@dataclass(frozen=True)
class BrokerOrder:
    """An order that can still be filled.

    Attributes:
        broker: broker that reports it.
        account: account it belongs to.
        order_id: the broker's id of the order.
        symbol: the instrument, in the platform's spelling.
        side: direction.
        quantity: ordered quantity, in units of the base.
        filled: how much of it is filled; None if the broker does not report it.
        price: limit price; None for an order without one.
    """

    broker: str
    account: str
    order_id: str
    symbol: str
    side: Literal["buy", "sell"]
    quantity: Decimal
    filled: Decimal | None
    price: Decimal | None


@dataclass(frozen=True)
class BrokerBalance:
    """The balance of an asset in an account.

    Attributes:
        broker: broker that reports it.
        account: account that holds it.
        asset: a currency or coin, in the platform's spelling.
        amount: the balance; negative if owed.
        as_of: when the broker reported it, UTC.
    """

    broker: str
    account: str
    asset: str
    amount: Decimal
    as_of: datetime
