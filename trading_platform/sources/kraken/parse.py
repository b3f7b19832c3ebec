"""Parses Kraken's responses into frames, independent of windows, requests and the network.

Values stay text until :mod:`trading_platform.domain.quality.rules` has screened them. A response that does not
have the agreed shape is rejected as a whole; rows with invalid values are left to the screening.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from trading_platform.domain.errors import MalformedPayload
from trading_platform.domain.money import EXACT
from trading_platform.domain.quality.rules import RAW_BAR_SCHEMA, RAW_TRADE_SCHEMA
from trading_platform.sources.strict_json import excerpt

_OHLC_ROW = 8  # time, open, high, low, close, vwap, volume, count
_TRADE_ROW = 7  # price, volume, time, side, order type, miscellaneous, trade id
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NANOSECONDS = 10**9
_CURSOR = re.compile("[0-9]{1,19}")
_LARGEST = 2**63  # an id or a cursor must be below it

LATEST = 253_402_300_800
"""Seconds of the year 10000; later times cannot be a datetime."""

KRAKEN_TRADE_SCHEMA: dict[str, pl.DataType] = {**RAW_TRADE_SCHEMA, "trade_id": pl.Int64(), "nanoseconds": pl.Int64()}
"""Raw trades with Kraken's ``trade_id`` and their time in nanoseconds since 1970, as its cursor counts."""


@dataclass(frozen=True)
class OhlcResponse:
    """A parsed response of OHLC.

    Attributes:
        pair: Kraken's name of the pair.
        rows: frame of ``RAW_BAR_SCHEMA``, every row of the response; the last is the running candle.
        last: open of the last closed candle, seconds since 1970.
    """

    pair: str
    rows: pl.DataFrame
    last: int


@dataclass(frozen=True)
class TradesResponse:
    """A parsed response of Trades.

    Attributes:
        pair: Kraken's name of the pair.
        rows: frame of :data:`KRAKEN_TRADE_SCHEMA`, in the order of the response.
        last: the cursor of the next page, nanoseconds since 1970.
    """

    pair: str
    rows: pl.DataFrame
    last: int


def parse_ohlc(payload: Mapping[str, Any]) -> OhlcResponse:
    """Parses a result of OHLC.

    Args:
        payload: the envelope's ``result``, JSON numbers as ``Decimal``.

    Raises:
        MalformedPayload: if it does not have the agreed shape.
    """
    pair, rows, last = _named_rows("OHLC", payload, _OHLC_ROW)
    times = [_seconds(row[0]) for row in rows]
    frame = pl.DataFrame(
        {
            "line": range(1, len(rows) + 1),
            "record": [_record(row) for row in rows],
            "time": [None if time is None else _timestamp(time) for time in times],
            "time_text": [str(row[0]) for row in rows],
            **{name: [_text(row[at]) for row in rows] for at, name in enumerate(("open", "high", "low", "close"), 1)},
            "volume": [_text(row[6]) or "" for row in rows],
        },
        schema=RAW_BAR_SCHEMA,
        strict=False,
    )
    return OhlcResponse(pair, frame, last)


def parse_trades(payload: Mapping[str, Any]) -> TradesResponse:
    """Parses a result of Trades.

    Times are truncated to the microsecond; Kraken's full precision is in ``nanoseconds``.

    Args:
        payload: the envelope's ``result``, JSON numbers as ``Decimal``.

    Raises:
        MalformedPayload: if it does not have the agreed shape, or a trade id is not an integer.
    """
    pair, rows, last = _named_rows("Trades", payload, _TRADE_ROW)
    if not all(type(row[6]) is int and 0 <= row[6] < _LARGEST for row in rows):
        raise _malformed("Trades", "an integer trade_id in every row", payload)
    times = [_seconds(row[2]) for row in rows]
    frame = pl.DataFrame(
        {
            "line": range(1, len(rows) + 1),
            "record": [_record(row) for row in rows],
            "time": [None if time is None else _timestamp(time) for time in times],
            "time_text": [str(row[2]) for row in rows],
            "price": [_text(row[0]) for row in rows],
            "quantity": [_text(row[1]) or "" for row in rows],
            "trade_id": [row[6] for row in rows],
            "nanoseconds": [None if time is None else _nanoseconds(time) for time in times],
        },
        schema=KRAKEN_TRADE_SCHEMA,
        strict=False,
    )
    return TradesResponse(pair, frame, last)


def _named_rows(method: str, payload: Mapping[str, Any], width: int) -> tuple[str, Sequence[Sequence[Any]], int]:
    """The one entry that is not ``last``, under any spelling of the pair."""
    names = [name for name in payload if name != "last"]
    if len(names) != 1:
        raise _malformed(method, "the rows of one pair, and last", payload)
    rows = payload[names[0]]
    if not isinstance(rows, list) or not all(isinstance(row, list) and len(row) >= width for row in rows):
        raise _malformed(method, f"rows of {width} values", payload)
    last = payload.get("last")
    if isinstance(last, str) and _CURSOR.fullmatch(last):
        last = int(last)
    if type(last) is not int or not 0 <= last < _LARGEST:
        raise _malformed(method, "last, an integer or its text", payload)
    return names[0], rows, last


def _seconds(value: object) -> Decimal | None:
    """Seconds since 1970, or None if the value is not a time."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    seconds = Decimal(value)
    return seconds if seconds.is_finite() and 0 <= seconds < LATEST else None


def _timestamp(seconds: Decimal) -> datetime:
    return _EPOCH + timedelta(microseconds=int(EXACT.multiply(seconds, 1_000_000)))


def _nanoseconds(seconds: Decimal) -> int | None:
    """None beyond what the column holds, in the year 2262."""
    count = int(EXACT.multiply(seconds, _NANOSECONDS))
    return count if count < _LARGEST else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _record(row: Sequence[object]) -> str:
    texts: list[str] = [_as_json(value) for value in row]
    return f"[{','.join(texts)}]"


def _as_json(value: object) -> str:
    quoted: Callable[[str], str] = '"{}"'.format
    return quoted(value) if isinstance(value, str) else str(value)


def _malformed(method: str, expected: str, payload: Mapping[str, Any]) -> MalformedPayload:
    return MalformedPayload(
        f"Kraken's response to {method} does not have the agreed shape.",
        expected=expected,
        received=excerpt(payload),
        remedy="check that KRAKEN_API_URL is Kraken's; if it is, its interface has changed",
    )
