"""The brokers' ids of orders and fills: without blanks around them, and each order's its own.

An id that a program cut out of a message can have a blank or a line break at its end; with it, the same fill would be
another one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.trading.orders import Broker, fill_uuid
from trading_platform.stores.postgres.database import execute
from trading_platform.stores.postgres.records import checked_text
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection

_ONE_ORDER = "orders_one_per_broker_order_id"
"""The unique index that enforces it, from migration 0012."""


def order_name(given: str | None) -> str | None:
    """The broker's id of an order as it is stored; None if none was given.

    Raises:
        InvalidRequest: if it cannot be stored.
    """
    name = "broker's order id"
    return None if given is None else checked_text(checked_text(given, name).strip(), name, 50)


def fill_name(connection: Connection, broker: Broker, given: str) -> str:
    """The broker's id of a fill as it is recorded: without blanks, unless it was recorded with them already.

    Earlier versions recorded ids as they were given; such a fill is still the same when it is reported again.

    Raises:
        InvalidRequest: if nothing is left of it.
    """
    name, as_given = given.strip(), fill_uuid(broker, given)
    if name == given or execute(connection, query("trading/ledger/known_reports"), {"ids": [as_given]}):
        return given
    return name


@contextmanager
def one_order(kind: type[InvalidRequest], broker_order_id: str | None) -> Iterator[None]:
    """Runs statements that may give an order a broker's id.

    Raises:
        InvalidRequest: of the given kind, if another order of the broker has it.
    """
    from psycopg.errors import UniqueViolation

    try:
        yield
    except UniqueViolation as error:
        if error.diag.constraint_name != _ONE_ORDER:
            raise
        raise kind(
            f"Another order has the broker's id {broker_order_id} already.",
            expected="an id that the broker gave to this order alone",
            received=broker_order_id,
            remedy="find out which order it belongs to; for Interactive Brokers give the permanent id (permId), because"
            " its order ids begin again",
        ) from None
