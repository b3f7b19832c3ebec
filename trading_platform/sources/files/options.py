"""What a user may say about a file instead of letting it be recognised."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from trading_platform.domain.errors import InvalidRequest, MalformedPayload
from trading_platform.domain.market.instruments import check_symbol
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.time import Timeframe


class FileFormat(StrEnum):
    """The shapes of files the platform reads; docs/sources/files.md shows a line of each."""

    YAHOO = "yahoo"
    OHLCV = "ohlcv"
    QUOTE_BARS = "quote-bars"
    TRADES = "trades"
    QUOTES = "quotes"
    LEAN = "lean"
    BINANCE = "binance"
    FREQTRADE = "freqtrade"
    KRAKEN_OHLCVT = "kraken-ohlcvt"
    KRAKEN_TRADES = "kraken-trades"
    HISTDATA = "histdata"
    TRUEFX = "truefx"


class PriceSide(StrEnum):
    """Which price of a quote becomes the price of a bar."""

    BID = "bid"
    ASK = "ask"
    MID = "mid"


class DateOrder(StrEnum):
    """How dates like 01/03/2017 are meant."""

    MONTH_FIRST = "month-first"
    DAY_FIRST = "day-first"


@dataclass(frozen=True)
class ImportOptions:
    """What was said about the files; None means: recognise it.

    Attributes:
        symbol: whose bars they are.
        timeframe: length of the bars.
        format: the shape of the files.
        price: the side of quotes that is used.
        timezone: IANA name of the zone of times written without one.
        dates: order of day and month where the dates themselves do not tell.

    Raises:
        InvalidRequest: for a symbol that is none, or a zone nobody knows.
    """

    symbol: str | None = None
    timeframe: Timeframe | None = None
    format: FileFormat | None = None
    price: PriceSide = PriceSide.MID
    timezone: str | None = None
    dates: DateOrder | None = None

    def __post_init__(self) -> None:
        if self.symbol is not None:
            check_symbol(self.symbol)
        if self.timezone is not None:
            _check_zone(self.timezone)

    def fingerprint(self) -> str:
        """The options that change what is read from the same bytes, as text to compare."""
        parts = (self.timeframe, self.format, self.price, self.timezone, self.dates)
        return "|".join("" if part is None else str(part) for part in parts)


def _check_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidRequest(
            f"There is no time zone {name!r}.",
            expected="a name of the IANA time zone database",
            received=repr(name),
            remedy="write it like UTC, America/New_York or Europe/Berlin",
        ) from None


class FileRejected(MalformedPayload):
    """A file no row of which can be used; it goes to the quarantine as a whole.

    Args:
        reason: the rule it breaks.
        detail: what is wrong with it.
        rows: how many rows it has, 0 where that cannot be told.
    """

    def __init__(self, reason: Reason, detail: str, *, rows: int = 0) -> None:
        super().__init__(f"The file cannot be imported: {detail}.", received=f"{rows} rows")
        self.reason = reason
        self.detail = detail
        self.rows = rows


def unreadable(detail: str) -> FileRejected:
    """The refusal of a file whose content cannot be made out."""
    from trading_platform.domain.rejection_reasons import Reason

    return FileRejected(Reason.UNREADABLE_FILE, detail)
