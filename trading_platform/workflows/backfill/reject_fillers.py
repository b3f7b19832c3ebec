"""Rejects bars of a response that only repeat a price while the market was closed, whatever the source.

The rule is in :mod:`trading_platform.domain.quality.closed_time`. It is applied to responses and not at the import of
a file, because it needs the instrument's calendar, which a user can correct after the import.
"""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.quality.closed_time import split_off_fillers
from trading_platform.domain.time import Timeframe
from trading_platform.sources.base import BarResponse


def without_fillers(response: BarResponse, instrument: Instrument, timeframe: Timeframe) -> BarResponse:
    """The same response, with such bars among the rejected."""
    bars, rejected = split_off_fillers(response.bars, instrument.calendar, timeframe)
    if rejected.is_empty():
        return response
    return replace(response, bars=bars, rejected=pl.concat([response.rejected, rejected]))
