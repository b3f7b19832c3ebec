"""The configured sources of bars, and which of them an instrument's bars come from."""

from __future__ import annotations

from collections.abc import Mapping

from trading_platform.domain.errors import ConfigurationError
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Timeframe
from trading_platform.sources.base import NEEDS_SETTING, BarSource

Sources = Mapping[str, BarSource]
"""The configured sources, by the name that instruments give as their source."""


def source_of(sources: Sources, instrument: Instrument) -> BarSource:
    """The source of an instrument.

    Raises:
        ConfigurationError: if the source does not exist or is not configured.
    """
    try:
        return sources[instrument.source]
    except KeyError:
        setting = NEEDS_SETTING.get(instrument.source)
        if setting is not None:
            raise ConfigurationError(
                f"{instrument.symbol} takes its bars from {instrument.source}, which is not configured.",
                expected=f"{setting} set in the environment or in .env",
                received="nothing",
                remedy=f"set {setting} (.env.example explains it), or give the instrument another source",
            ) from None
        raise ConfigurationError(
            f"{instrument.symbol} takes its bars from an unknown source.",
            expected=f"one of {', '.join(sorted(sources))}",
            received=instrument.source,
            remedy=f"`trading-platform instruments add {instrument.symbol} --source …` changes it",
        ) from None


def is_rolled_up(sources: Sources, instrument: Instrument, timeframe: Timeframe) -> bool:
    """Whether these bars are rolled up from stored shorter bars, because the source does not offer the timeframe."""
    return timeframe is not Timeframe.M1 and not source_of(sources, instrument).available_history(instrument, timeframe)
