"""The account at the local exchange: its balances, and fills that continue while they are read.

Equal seeds give equal fills for any requests at any time; only the times of later fills come from the clock.
Balances are the deposits plus the effect of the fills.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from trading_platform.domain.time import Clock
from trading_platform.simulator.pairs import LOT_DECIMALS, Pair, units_text

KEY = "local-exchange-key"
SECRET = base64.b64encode(b"opens the account of the local exchange and nothing else").decode()
"""API key and secret of the default account: public, because the exchange is on loopback and its money is invented."""

PAGE = 50
"""Number of fills per response."""
PAID_IN = Decimal(10_000_000)
"""Deposit of each quote currency."""
HELD = Decimal(1_000)
"""Amount of each other asset before the first fill."""

_UNITS = 10_000  # Kraken sends times of fills with four decimals
_SPACING = 90 * _UNITS
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


@dataclass(frozen=True)
class Fill:
    """One execution.

    Attributes:
        number: Kraken's id of it.
        order: id of its order.
        pair: traded pair.
        time: in units of 1e-4 s since 1970.
        buys: whether the account bought.
        price: in ticks of the pair.
        quantity: in units of 1e-8.
    """

    number: str
    order: str
    pair: Pair
    time: int
    buys: bool
    price: int
    quantity: int

    @property
    def cost(self) -> Decimal:
        """Price times quantity."""
        return Decimal(self.price).scaleb(-self.pair.price_decimals) * Decimal(self.quantity).scaleb(-LOT_DECIMALS)

    @property
    def fee(self) -> Decimal:
        """The fee, in the quote currency."""
        return (self.cost * Decimal("0.0026")).quantize(Decimal("0.00001"))

    def entry(self) -> dict[str, object]:
        """The fill in the form of TradesHistory."""
        return {
            "ordertxid": self.order,
            "postxid": f"TKH2SE-{self.order[2:7]}-LT2XF7",
            "pair": self.pair.name,
            "time": self.time / _UNITS,
            "type": "buy" if self.buys else "sell",
            "ordertype": "limit",
            "price": units_text(self.price, self.pair.price_decimals, 5),
            "cost": f"{self.cost:.5f}",
            "fee": f"{self.fee:.5f}",
            "vol": units_text(self.quantity, LOT_DECIMALS),
            "margin": "0.00000",
            "leverage": "0",
            "misc": "",
            "maker": True,
        }


class Account:
    """The account: its balances and fills.

    ``orders`` are its open orders in the form of OpenOrders (:meth:`order` makes an entry), ``deposits`` what was paid
    in or out later, by Kraken's code of the asset.

    Args:
        pairs: pairs it trades.
        clock: the present.
        fills: number of fills at the beginning, the last of them now.
        grows: number of additional fills at each request for the history.
        seed: equal seeds give equal fills.
        key: API key.
        secret: secret for signatures, in Base64.
        margin: whether it has open positions on margin.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        clock: Clock,
        *,
        fills: int = 120,
        grows: int = 0,
        seed: int = 7,
        key: str = KEY,
        secret: str = SECRET,
        margin: bool = True,
    ) -> None:
        self.orders: dict[str, dict[str, object]] = {}
        self.deposits: dict[str, Decimal] = {}
        self._margin = margin
        self.key = key
        self.secret = secret
        self.grows = grows
        self._pairs = tuple(pairs)
        self._clock = clock
        self._random = random.Random(f"account {seed}")  # noqa: S311  (repeatable, not secret)
        self.fills: list[Fill] = []
        self._opened = now = _timestamp(clock())
        for left in range(fills, 0, -1):
            self._add(now - (left - 1) // 2 * _SPACING)  # two at a time, like an order that matches two others

    def grow(self) -> None:
        """Executes the fills that arrive before the next response of the history."""
        for _ in range(self.grows):
            last = self.fills[-1].time if self.fills else 0
            self._add(max(_timestamp(self._clock()), last))

    def balances(self) -> dict[str, Decimal]:
        """The balances, by Kraken's code; a part of the first asset is lent out."""
        found = {pair.quote: PAID_IN for pair in self._pairs} | {pair.base: HELD for pair in self._pairs}
        for fill in self.fills:
            sign = 1 if fill.buys else -1
            found[fill.pair.base] += sign * Decimal(fill.quantity).scaleb(-LOT_DECIMALS)
            found[fill.pair.quote] -= sign * fill.cost + fill.fee
        for asset, amount in self.deposits.items():
            found[asset] += amount
        first = self._pairs[0].base
        lent = Decimal("1.5")
        found[first] -= lent
        return found | {f"{first.removeprefix('X')}.F": lent}

    def order(self, pair: Pair, side: str, quantity: str, price: str, *, filled: str = "0") -> dict[str, object]:
        """A limit order in the form of OpenOrders."""
        return {
            "refid": None,
            "userref": 0,
            "status": "open",
            "opentm": self._opened / _UNITS,
            "starttm": 0,
            "expiretm": 0,
            "descr": {
                "pair": pair.altname,
                "type": side,
                "ordertype": "limit",
                "price": price,
                "price2": "0",
                "leverage": "none",
                "order": f"{side} {quantity} {pair.altname} @ limit {price}",
                "close": "",
            },
            "vol": quantity,
            "vol_exec": filled,
            "cost": "0.00000",
            "fee": "0.00000",
            "price": "0.00000",
            "stopprice": "0.00000",
            "limitprice": "0.00000",
            "misc": "",
            "oflags": "fciq",
        }

    def positions(self) -> dict[str, dict[str, object]]:
        """The open positions on margin, in the form of OpenPositions: two lots of the last pair, one partly closed."""
        if not self._margin:
            return {}
        pair, opened = self._pairs[-1], self._opened
        return {
            f"TLOT{number}X-OPENS-MARGIN": {
                "ordertxid": f"OLOT{number}X-OPENS-MARGIN",
                "posstatus": "open",
                "pair": pair.name,
                "time": opened / _UNITS,
                "type": "buy",
                "ordertype": "limit",
                "cost": f"{Decimal(str(pair.price)) * volume * Decimal(factor):.5f}",
                "fee": "0.00000",
                "vol": f"{volume:.8f}",
                "vol_closed": f"{closed:.8f}",
                "margin": "0.00000",
                "terms": "0.0100% per 4 hours",
                "rollovertm": str(opened // _UNITS + 14_400),
                "misc": "",
                "oflags": "",
            }
            for number, volume, closed, factor in ((1, Decimal(3), Decimal(1), "1"), (2, Decimal(2), Decimal(0), "1.1"))
        }

    def history(self, start: Decimal | None, end: Decimal | None, offset: int) -> tuple[list[Fill], int]:
        """A page, the newest first, and the total number of fills.

        Args:
            start: seconds since 1970, not included.
            end: seconds since 1970, included.
            offset: number of the newest fills to skip.
        """
        first = -1 if start is None else start * _UNITS
        last = self.fills[-1].time if end is None and self.fills else (end or 0) * _UNITS
        chosen = [fill for fill in reversed(self.fills) if first < fill.time <= last]
        return chosen[offset : offset + PAGE], len(chosen)

    def _add(self, time: int) -> None:
        draw = self._random
        pair = draw.choice(self._pairs)
        ticks = round(pair.price * draw.uniform(0.9, 1.1) * 10**pair.price_decimals)
        number, order = (f"{kind}{self._id(5)}-{self._id(5)}-{self._id(6)}" for kind in "TO")
        self.fills.append(
            Fill(number, order, pair, time, draw.choice((True, False)), ticks, draw.randint(10_000, 10**8))
        )

    def _id(self, length: int) -> str:
        return "".join(self._random.choices(_LETTERS, k=length))


def _timestamp(timestamp: datetime) -> int:
    return int((timestamp - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()) * _UNITS
