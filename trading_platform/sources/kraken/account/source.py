"""An account at Kraken in the platform's form: balances, positions, open orders and fills.

Kraken reports holdings on the spot market as balances, not positions. :meth:`KrakenAccount.positions` makes
a position of each balance that is not money, to match the ledger, and adds the open positions on margin.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Literal

from trading_platform.domain.errors import MalformedPayload, SourceRejected
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.money import EXACT, round_amount
from trading_platform.domain.time import Clock, Window, utc_now
from trading_platform.domain.trading.broker import BrokerBalance, BrokerFill, BrokerOrder, BrokerPosition, Settlement
from trading_platform.sources.kraken.account.history import collect_fills, read_page
from trading_platform.sources.kraken.account.private import KrakenPrivate
from trading_platform.sources.kraken.client import KrakenClient
from trading_platform.sources.kraken.http import parsed
from trading_platform.sources.kraken.pairs import PairBook, common_asset
from trading_platform.sources.kraken.parse import LATEST
from trading_platform.sources.strict_json import excerpt, number_of

log = logging.getLogger(__name__)

BROKER = "kraken"
MONEY = frozenset("AED ARS AUD CAD CHF EUR GBP JPY MXN USD".split())
"""Currencies at Kraken; every other asset is a position."""
KEPT = frozenset("BFMPS")
"""Kraken's suffixes of assets that earn or are bonded: they are owned like others, though not all can be sold at
once. Other suffixes (``.HOLD``) are left unchanged."""

_LONGEST = timedelta(days=7)
"""How long before a day its fills may begin: earlier ones are too many to be asked for each day."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


class KrakenAccount:
    """The ``BrokerAccount`` of a key.

    Args:
        private: client of the private endpoints.
        public: client of the public endpoints, for the pairs.
        account: the platform's name of the account, ``Settings.kraken_account``.
        currency: quote currency of positions made of balances.
        clock: the present.
    """

    def __init__(
        self,
        private: KrakenPrivate,
        public: KrakenClient,
        *,
        account: str = "main",
        currency: str = "USD",
        clock: Clock = utc_now,
    ) -> None:
        self._private = private
        self._public = public
        self._account = account
        self._currency = currency
        self._clock = clock

    @property
    def name(self) -> str:
        """The broker: ``kraken``."""
        return BROKER

    def balances(self) -> list[BrokerBalance]:
        """As :meth:`BrokerAccount.balances`; assets that earn or are bonded are separate, such as ``ETH.F``."""
        amounts = self._private.ask("Balance", {}, parse_balances)
        now = self._clock()
        return [BrokerBalance(BROKER, self._account, asset, amounts[asset], now) for asset in sorted(amounts)]

    def positions(self) -> list[BrokerPosition]:
        """As :meth:`BrokerAccount.positions`: holdings on the spot market and on margin, together.

        The average price is known if all of a position is on margin and on one side.
        """
        pairs = self._public.pairs()
        margin = self._private.ask("OpenPositions", {}, lambda result: parse_open_positions(result, pairs))
        spot = holdings(self._private.ask("Balance", {}, parse_balances), self._currency)
        now = self._clock()
        found = []
        for symbol in sorted({*margin, *spot}):
            quantity, price = margin.get(symbol, (Decimal(0), None))
            total = EXACT.add(quantity, spot.get(symbol, Decimal(0)))
            if total:
                average = None if symbol in spot else price
                found.append(BrokerPosition(BROKER, self._account, symbol, total, average, now))
        return found

    def cash(self) -> list[BrokerBalance]:
        """As :meth:`BrokerAccount.cash`; money that earns is added to the money itself.

        Raises:
            SourceRejected: if there are open positions on margin, whose fills do not pay quantity times price.
        """
        if self._private.ask("OpenPositions", {}, dict):
            raise SourceRejected(
                "The balances of an account that trades on margin do not follow from its fills.",
                expected="no open positions on margin",
                received="some",
                remedy="compare the balances with Kraken's ledger of the account",
            )
        amounts = money_in(self._private.ask("Balance", {}, parse_balances))
        now = self._clock()
        return [BrokerBalance(BROKER, self._account, asset, amounts[asset], now) for asset in sorted(amounts)]

    def settlement(self, instrument: Instrument) -> Settlement:
        """As :meth:`BrokerAccount.settlement`: what is held of a coin is one position, whatever it was paid with."""
        pair = self._public.pairs().find(instrument.symbol)
        if pair.base is None or pair.quote is None:
            raise SourceRejected(
                f"The name of {pair.symbol} at Kraken does not separate what is traded from what pays.",
                expected="a name with a slash, such as XBT/USD",
                received=pair.wsname,
                remedy="compare what it moves by hand",
            )
        position, paid_from = (
            None if asset in MONEY else f"{asset}{self._currency}" for asset in (pair.base, pair.quote)
        )
        quote, base = (asset if asset in MONEY else None for asset in (pair.quote, pair.base))
        return Settlement(position, quote, base, paid_from)

    def open_orders(self) -> list[BrokerOrder]:
        """As :meth:`BrokerAccount.open_orders`."""
        pairs = self._public.pairs()
        return self._private.ask("OpenOrders", {}, lambda result: parse_open_orders(result, pairs, self._account))

    def today(self) -> date:
        """As :meth:`BrokerAccount.today`: in UTC."""
        return self._clock().astimezone(UTC).date()

    def day(self, day: date, since: datetime | None) -> Window:
        """As :meth:`BrokerAccount.day`: a day in UTC, and at most a week before it."""
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        window = Window(start, start + timedelta(days=1))
        return window if since is None else Window(min(window.start, max(since, window.start - _LONGEST)), window.end)

    def fills(self, start: datetime, end: datetime) -> list[BrokerFill]:
        """As :meth:`BrokerAccount.fills`.

        The request includes a second more on both sides, so that Kraken's treatment of the ends does not matter.
        """
        pairs = self._public.pairs()
        request: dict[str, object] = {"start": _seconds(start) - 1, "end": _seconds(end) + 1}
        found = collect_fills(lambda offset: self._private.ask("TradesHistory", request | {"ofs": offset}, read_page))
        fills = parsed("TradesHistory", found, partial(_fills, pairs=pairs, account=self._account))
        inside = [fill for fill in fills if start <= fill.executed_at < end]
        return sorted(inside, key=lambda fill: (fill.executed_at, fill.execution_id))


def parse_balances(result: Mapping[str, Any]) -> dict[str, Decimal]:
    """The amount of each asset in a result of Balance.

    Raises:
        MalformedPayload: if an amount cannot be parsed.
    """
    amounts: dict[str, Decimal] = {}
    for code, text in result.items():
        asset = common_asset(code)
        amounts[asset] = EXACT.add(amounts.get(asset, Decimal(0)), _number("Balance", code, text))
    return amounts


def holdings(amounts: Mapping[str, Decimal], currency: str) -> dict[str, Decimal]:
    """The holdings in balances other than money, by the symbol of each asset's pair with a currency.

    An asset that earns or is bonded (``ETH.F``, ``DOT.S``) is added to the asset itself, because it is owned, too.
    """
    found: dict[str, Decimal] = {}
    for asset, held in amounts.items():
        base, _, kind = asset.partition(".")
        if base in MONEY or not held:
            continue
        symbol = f"{base if kind in KEPT else asset}{currency}"
        found[symbol] = EXACT.add(found.get(symbol, Decimal(0)), held)
    return found


def money_in(amounts: Mapping[str, Decimal]) -> dict[str, Decimal]:
    """The balances that are money, by currency."""
    found: dict[str, Decimal] = {}
    for asset, held in amounts.items():
        base, _, kind = asset.partition(".")
        if base in MONEY:
            name = base if kind in KEPT else asset
            found[name] = EXACT.add(found.get(name, Decimal(0)), held)
    return found


def parse_open_orders(result: Mapping[str, Any], pairs: PairBook, account: str) -> list[BrokerOrder]:
    """The orders of a result of OpenOrders, by id.

    Args:
        result: the result.
        pairs: translates the pairs' names.
        account: the platform's name of the account.

    Raises:
        MalformedPayload: if one cannot be parsed.
    """
    entries = result.get("open")
    if not isinstance(entries, Mapping):
        raise _malformed("OpenOrders", "open", entries)
    return [_open_order(number, entries[number], pairs, account) for number in sorted(entries)]


_LIMIT_FIELDS = {
    "limit": "price",
    "stop-loss-limit": "price2",
    "take-profit-limit": "price2",
}
"""The field of an order's description that has its limit price, by type of order; of the others, none has."""


def _open_order(number: str, entry: Any, pairs: PairBook, account: str) -> BrokerOrder:
    method = "OpenOrders"
    terms = _field(method, number, entry, "descr")
    quantity, filled = (_number(method, number, _field(method, number, entry, name)) for name in ("vol", "vol_exec"))
    symbol, _ = _symbol(str(_field(method, number, terms, "pair")), pairs)
    field = _LIMIT_FIELDS.get(str(_field(method, number, terms, "ordertype")))
    price = None if field is None else _number(method, number, _field(method, number, terms, field))
    return BrokerOrder(BROKER, account, number, symbol, _side(method, number, terms), quantity, filled, price)


def parse_open_positions(result: Mapping[str, Any], pairs: PairBook) -> dict[str, tuple[Decimal, Decimal | None]]:
    """Quantity and average price of the open positions on margin, by symbol.

    Raises:
        MalformedPayload: if a position cannot be parsed.
    """
    sides: dict[str, list[tuple[Decimal, Decimal]]] = {}
    for number, entry in result.items():
        sign = 1 if _side("OpenPositions", number, entry) == "buy" else -1
        opened, closed, cost = (
            _number("OpenPositions", number, _field("OpenPositions", number, entry, name))
            for name in ("vol", "vol_closed", "cost")
        )
        symbol, _ = _symbol(str(_field("OpenPositions", number, entry, "pair")), pairs)
        price = EXACT.divide(cost, opened) if opened else Decimal(0)
        sides.setdefault(symbol, []).append((EXACT.multiply(sign, EXACT.subtract(opened, closed)), price))
    return {symbol: _net(parts) for symbol, parts in sides.items()}


def parse_fill(number: str, entry: Mapping[str, Any], pairs: PairBook, account: str) -> BrokerFill:
    """A fill of a result of TradesHistory.

    Args:
        number: its key there.
        entry: its value.
        pairs: translates the pair's name.
        account: the platform's name of the account.

    Raises:
        MalformedPayload: if it cannot be parsed.
    """
    quantity, price, fee, seconds = (
        _number("TradesHistory", number, _field("TradesHistory", number, entry, name))
        for name in ("vol", "price", "fee", "time")
    )
    if not 0 <= seconds < LATEST:
        raise _malformed("TradesHistory", number, entry)
    symbol, quote = _symbol(str(_field("TradesHistory", number, entry, "pair")), pairs)
    order = entry.get("ordertxid")
    return BrokerFill(
        broker=BROKER,
        account=account,
        execution_id=number,
        order_id=str(order) if order else None,
        symbol=symbol,
        side=_side("TradesHistory", number, entry),
        quantity=quantity,
        price=price,
        commission=fee,
        commission_currency=quote,
        executed_at=_EPOCH + timedelta(microseconds=int(EXACT.multiply(seconds, 1_000_000))),
    )


def _fills(found: Mapping[str, Mapping[str, Any]], pairs: PairBook, account: str) -> list[BrokerFill]:
    return [parse_fill(number, entry, pairs, account) for number, entry in found.items()]


def _net(parts: list[tuple[Decimal, Decimal]]) -> tuple[Decimal, Decimal | None]:
    quantity = sum((held for held, _ in parts), Decimal(0))
    if not quantity or len({held > 0 for held, _ in parts}) > 1:
        return quantity, None
    cost = sum((EXACT.multiply(held, price) for held, price in parts), Decimal(0))
    return quantity, round_amount(EXACT.divide(cost, quantity))


def _symbol(spelling: str, pairs: PairBook) -> tuple[str, str | None]:
    """Symbol and quote of a pair; for a delisted one, derived from its name."""
    pair = pairs.get(spelling)
    if pair is not None:
        return pair.symbol, pair.quote
    base, quote = spelling[:4], spelling[4:]
    if common_asset(base) != base and common_asset(quote) != quote:
        return f"{common_asset(base)}{common_asset(quote)}", common_asset(quote)
    log.warning("Kraken does not list the pair %s any more; its name is used as the symbol", excerpt(spelling))
    return spelling, None


def _side(method: str, number: str, entry: Any) -> Literal["buy", "sell"]:
    side = _field(method, number, entry, "type")
    if side == "buy":
        return "buy"
    if side == "sell":
        return "sell"
    raise _malformed(method, number, entry)


def _field(method: str, number: str, entry: Any, name: str) -> Any:
    if not isinstance(entry, Mapping) or name not in entry:
        raise _malformed(method, number, entry)
    return entry[name]


def _number(method: str, number: str, text: Any) -> Decimal:
    found = number_of(text)
    if found is None:
        raise _malformed(method, number, text)
    return found


def _malformed(method: str, number: str, entry: Any) -> MalformedPayload:
    return MalformedPayload(
        f"An entry of Kraken's response to {method} cannot be parsed: {number[:50]}.",
        expected="the fields that docs.kraken.com describes, numbers as text",
        received=excerpt(entry),
        remedy="check that KRAKEN_API_URL is Kraken's; if it is, its interface has changed",
    )


def _seconds(timestamp: datetime) -> int:
    return (timestamp - _EPOCH) // _SECOND
