"""Maps instruments to Interactive Brokers' contracts and back.

:func:`spec_of` defines the request and :func:`choose` selects from the response;
:mod:`trading_platform.sources.ibkr.client` sends the request. Only this module knows the vendor's spelling of symbols.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from trading_platform.domain.errors import InvalidRequest, SourceRejected
from trading_platform.domain.market.instruments import AssetClass, Instrument, check_symbol
from trading_platform.sources.ibkr.parse import number

if TYPE_CHECKING:
    from ib_async import Contract, ContractDetails

_US = ("NYSE", "ARCA", "AMEX", "BATS", "IEX", "NASDAQ", "ISLAND")

VENUES: dict[str, tuple[str, tuple[str, ...]]] = {
    "XNYS": ("USD", _US),
    "XNAS": ("USD", ("NASDAQ", "ISLAND", *_US[:-2])),
    "XETR": ("EUR", ("IBIS", "IBIS2")),
    "XFRA": ("EUR", ("FWB", "FWB2")),
    "XLON": ("GBP", ("LSE", "LSEETF")),
    "XPAR": ("EUR", ("SBF",)),
    "XAMS": ("EUR", ("AEB",)),
    "XBRU": ("EUR", ("ENEXT.BE",)),
    "XLIS": ("EUR", ("BVL",)),
    "XMIL": ("EUR", ("BVME", "BVME.ETF")),
    "XMAD": ("EUR", ("BM",)),
    "XWBO": ("EUR", ("VSE",)),
    "XHEL": ("EUR", ("HEX",)),
    "XSWX": ("CHF", ("EBS",)),
    "XSTO": ("SEK", ("SFB",)),
    "XCSE": ("DKK", ("CPH",)),
    "XOSL": ("NOK", ("OSE",)),
    "XTSE": ("CAD", ("TSE",)),
    "XTKS": ("JPY", ("TSEJ",)),
    "XHKG": ("HKD", ("SEHK",)),
    "XSES": ("SGD", ("SGX",)),
    "XASX": ("AUD", ("ASX",)),
}
"""For each exchange's calendar the currency, and the primary exchanges accepted for it, the preferred one first.
Calendars of the United States share their hours, so a share of another exchange there is accepted if it is the only
one."""

_INDEX_EXCHANGES = {"SPX": "CBOE", "VIX": "CBOE", "NDX": "NASDAQ", "DAX": "EUREX"}
_PAXOS = "PAXOS"
_NOT_IN_SYMBOLS = re.compile(r"[^A-Z0-9.\-]")
_LONGEST_CRYPTO_QUOTE = 4


@dataclass(frozen=True)
class ContractSpec:
    """The request for a contract.

    Attributes:
        security_type: STK, CASH, CRYPTO or IND.
        symbol: in the vendor's spelling.
        exchange: destination of requests.
        currency: currency of its prices.
        primary_exchanges: accepted listings, the preferred one first; none: any.
    """

    security_type: str
    symbol: str
    exchange: str
    currency: str
    primary_exchanges: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.symbol} ({self.security_type}, {self.exchange or 'any exchange'}, {self.currency})"


@dataclass(frozen=True)
class Qualified:
    """A contract confirmed by Interactive Brokers.

    Attributes:
        instrument: instrument of the contract.
        contract: contract to send with requests.
        min_tick: smallest price step; None if it is not reported.
    """

    instrument: Instrument
    contract: Contract
    min_tick: Decimal | None

    @property
    def what(self) -> str:
        """The kind of prices of its bars: trades if there are trades, else the middle of bid and ask."""
        return {"CASH": "MIDPOINT", "CRYPTO": "AGGTRADES"}.get(self.contract.secType, "TRADES")

    @property
    def has_volume(self) -> bool:
        """Whether its bars have a volume; those of currency pairs and indices have none."""
        return self.contract.secType in ("STK", "CRYPTO")


def spec_of(instrument: Instrument) -> ContractSpec:
    """The request for an instrument's contract.

    Raises:
        InvalidRequest: if the exchange of such an instrument is unknown.
    """
    symbol, kind = instrument.symbol, instrument.asset_class
    if kind is AssetClass.FX:
        if len(symbol) != len("EURUSD"):
            raise _unknown(instrument, "a pair of two currencies of three letters, such as EURUSD")
        return ContractSpec("CASH", symbol[:3], "IDEALPRO", symbol[3:])
    if kind is AssetClass.CRYPTO:
        base, quote = _crypto_pair(instrument)
        return ContractSpec("CRYPTO", base, _PAXOS, quote)
    venue = VENUES.get(instrument.calendar)
    if venue is None:
        raise _unknown(instrument, f"an exchange's calendar of {', '.join(VENUES)}")
    currency, primary = venue
    if kind is AssetClass.INDEX:
        return ContractSpec("IND", symbol, _INDEX_EXCHANGES.get(symbol, ""), currency)
    return ContractSpec("STK", symbol.replace(".", " "), "SMART", currency, primary)


def choose(spec: ContractSpec, instrument: Instrument, found: Sequence[ContractDetails]) -> Qualified:
    """The contract of the instrument among those found.

    Raises:
        SourceRejected: if none of them matches, or several.
    """
    matching = [
        details
        for details in found
        if details.contract is not None
        and details.contract.secType == spec.security_type
        and details.contract.currency == spec.currency
    ]
    listed = _best_listing(spec, matching) if spec.primary_exchanges else matching
    by_number = {details.contract.conId: details for details in listed if details.contract is not None}
    if len(by_number) != 1:
        raise SourceRejected(
            f"{instrument.symbol} is {'several contracts' if by_number else 'no contract'} of Interactive Brokers.",
            expected=f"one contract of {spec}"
            + (f" listed at {', '.join(spec.primary_exchanges)}" if spec.primary_exchanges else ""),
            received="; ".join(_described(found)) or "none",
            remedy="set the instrument's calendar to that of the exchange it is listed at, or choose another source",
        )
    details = next(iter(by_number.values()))
    contract = details.contract
    assert contract is not None  # noqa: S101 - those without were left out above
    if spec.exchange:
        contract.exchange = spec.exchange  # SMART, as requested; the response may name an exchange
    tick = number(details.minTick)
    return Qualified(instrument, contract, tick if tick is not None and tick > 0 else None)


def symbol_of(contract: Contract) -> str:
    """The platform's symbol of a contract; type and number for contracts it does not trade: ``OPT-1234``."""
    kind = contract.secType
    if kind in ("CASH", "CRYPTO"):
        spelled = f"{contract.symbol}{contract.currency}"
    elif kind in ("STK", "IND"):
        spelled = contract.symbol.replace(" ", ".")
    else:
        spelled = ""
    try:
        return check_symbol(_NOT_IN_SYMBOLS.sub("", spelled.upper()))
    except InvalidRequest:
        return f"{kind}-{contract.conId}"


def _best_listing(spec: ContractSpec, matching: Iterable[ContractDetails]) -> list[ContractDetails]:
    by_exchange: dict[str, list[ContractDetails]] = {}
    for details in matching:
        if details.contract is not None:
            by_exchange.setdefault(details.contract.primaryExchange, []).append(details)
    return next((by_exchange[name] for name in spec.primary_exchanges if name in by_exchange), [])


def _crypto_pair(instrument: Instrument) -> tuple[str, str]:
    symbol = instrument.symbol
    for length in (3, _LONGEST_CRYPTO_QUOTE):
        if symbol[-length:] in ("USD", "EUR", "GBP", "USDT", "USDC") and len(symbol) > length:
            return symbol[:-length], symbol[-length:]
    raise _unknown(instrument, "a coin and the currency it is priced in, such as BTCUSD")


def _described(found: Sequence[ContractDetails]) -> list[str]:
    return [
        f"{each.contract.symbol} {each.contract.secType} {each.contract.primaryExchange or each.contract.exchange} "
        f"{each.contract.currency} (conId {each.contract.conId})"
        for each in found
        if each.contract is not None
    ]


def _unknown(instrument: Instrument, expected: str) -> InvalidRequest:
    return InvalidRequest(
        f"The contract of {instrument.symbol} at Interactive Brokers is unknown.",
        expected=expected,
        received=f"{instrument.symbol}, {instrument.asset_class}, calendar {instrument.calendar}",
        remedy="correct the instrument (`trading-platform instruments add …`), or choose another source",
    )
