"""Why a row is rejected: the values of the quarantine's column ``reason``.

This module is separate from the rules (:mod:`trading_platform.domain.quality.rules`), so that importing a
reason does not load Polars.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why a row was rejected."""

    MISSING_VALUE = "missing_value"
    UNREADABLE_TIME = "unreadable_time"
    UNREADABLE_NUMBER = "unreadable_number"
    OUT_OF_RANGE = "out_of_range"
    TOO_FINE = "too_fine"
    NON_POSITIVE_PRICE = "non_positive_price"
    NEGATIVE_VOLUME = "negative_volume"
    FUTURE_TIME = "future_time"
    OFF_GRID = "off_grid"
    OHLC_INCONSISTENT = "ohlc_inconsistent"
    DUPLICATE = "duplicate"
    NOT_FINAL = "not_final"
    MARKET_CLOSED = "market_closed"
    UNSUPPORTED = "unsupported"
    UNREADABLE_FILE = "unreadable_file"
