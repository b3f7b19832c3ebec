"""Options a user can give for a file instead of letting it be recognised."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from trading_platform.domain.errors import InvalidRequest, MalformedPayload
from trading_platform.domain.market.instruments import check_symbol
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.domain.texts import shown
from trading_platform.domain.time import Timeframe


class FileFormat(StrEnum):
    """The file formats the platform reads; docs/sources/files.md shows a line of each."""

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
    """The price of a quote that becomes the price of a bar."""

    BID = "bid"
    ASK = "ask"
    MID = "mid"


class DateOrder(StrEnum):
    """The order of day and month in dates like 01/03/2017."""

    MONTH_FIRST = "month-first"
    DAY_FIRST = "day-first"


class DecimalSign(StrEnum):
    """The sign before the decimals of a number."""

    POINT = "point"
    COMMA = "comma"


@dataclass(frozen=True)
class ImportOptions:
    """The user's options for files; None means: recognise it.

    Attributes:
        symbol: symbol of the bars.
        ticker: what the file itself calls the instrument, where its column of symbols does not call it so.
        timeframe: length of the bars.
        format: format of the files.
        price: the side of quotes that is used.
        timezone: IANA name of the zone of times without a zone.
        dates: order of day and month if the dates themselves are ambiguous.
        any_price_level: import prices that no market move takes the stored ones to.
        decimal: the decimal sign if the numbers themselves are ambiguous.
        volume: name of the column of volumes, in any spelling.

    Raises:
        InvalidRequest: for an invalid symbol, or an unknown zone.
    """

    symbol: str | None = None
    ticker: str | None = None
    timeframe: Timeframe | None = None
    format: FileFormat | None = None
    price: PriceSide = PriceSide.MID
    timezone: str | None = None
    dates: DateOrder | None = None
    any_price_level: bool = False
    decimal: DecimalSign | None = None
    volume: str | None = None

    def __post_init__(self) -> None:
        if self.symbol is not None:
            check_symbol(self.symbol)
        if self.timezone is not None:
            _check_zone(self.timezone)

    def fingerprint(self) -> str:
        """The options that affect how the same bytes are read, as text to compare."""
        parts = [self.timeframe, self.format, self.price, self.timezone, self.dates]
        named = {"ticker": self.ticker, "decimal": self.decimal, "volume": self.volume}
        given = [f"{name}={value}" for name, value in named.items() if value is not None]
        return "|".join(["" if part is None else str(part) for part in parts] + given)


def _check_zone(name: str) -> None:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidRequest(
            f"There is no time zone {name!r}.",
            expected="a name of the IANA time zone database",
            received=shown(name),
            remedy="write it in the form UTC, America/New_York or Europe/Berlin",
        ) from None


class FileRejected(MalformedPayload):
    """A file without any usable row; it goes to the quarantine as a whole.

    Args:
        reason: the rule it breaks.
        detail: a description.
        rows: number of its rows, 0 if unknown.
    """

    def __init__(self, reason: Reason, detail: str, *, rows: int = 0) -> None:
        super().__init__(f"The file cannot be imported: {detail}.", received=f"{rows} rows")
        self.reason = reason
        self.detail = detail
        self.rows = rows


def unreadable(detail: str) -> FileRejected:
    """The rejection of a file with unreadable content."""
    from trading_platform.domain.rejection_reasons import Reason

    return FileRejected(Reason.UNREADABLE_FILE, detail)
