"""An invented market to try definitions on: a symbol with a sector of different calendars and a benchmark.

The benchmark and one peer trade round the clock, so that their daily bars close hours after the symbol's: a definition
that uses their bar of the same date uses what nobody knew. The symbol has a short and a long gap, and some volumes
are unknown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import numpy as np
import polars as pl

from trading_platform.domain.derived.gaps import Gaps
from trading_platform.domain.derived.splits import Splits
from trading_platform.domain.features.inputs import NEWS_SCHEMA, NO_NEWS
from trading_platform.domain.market.bars import BAR_SCHEMA, PRICES
from trading_platform.domain.market.calendars import ALWAYS_OPEN, expected_times
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.time import Timeframe, Window

SYMBOL = "TEST"
_SECTOR = "invented"
_BEGIN = datetime(2004, 1, 1, tzinfo=UTC)
_CALENDARS = {SYMBOL: "XNYS", "PEER1": "XNYS", "PEER2": "24/7", "BENCH": "24/7"}
_SPAN = 1.7  # days of the calendar for a session of New York, with room for gaps
_UNKNOWN = 4  # bars of a symbol without a volume
_GAPS = ((0.35, 2), (0.55, 9))  # where, as a share of the rows, and how many sessions
_NEWS_EVERY, _EDITED = timedelta(hours=6), 0.2


@dataclass(frozen=True)
class Market:
    """Bars to try a definition on.

    Attributes:
        symbol: the symbol whose values are examined.
        bars: bars of it and of the symbols that its features need, sorted by (symbol, time).
        instruments: their instruments.
        splits: their splits.
        gaps: their gaps.
        name: what the market is, in words.
        news: the scored news about the symbols.
    """

    symbol: str
    bars: pl.DataFrame
    instruments: dict[str, Instrument]
    splits: Splits = field(default_factory=dict)
    gaps: Gaps = field(default_factory=dict)
    name: str = "invented bars"
    timeframe: Timeframe = Timeframe.D1
    news: pl.DataFrame = field(default_factory=lambda: NO_NEWS)


def invented_market(rows: int, seed: int, timeframe: Timeframe = Timeframe.D1) -> Market:
    """A market of about so many daily or hourly bars of the symbol; equal for equal seeds.

    Of hourly bars all symbols trade round the clock, as only these have hourly rows of features.
    """
    random = np.random.default_rng(seed)
    is_daily = timeframe is Timeframe.D1
    window = Window(_BEGIN, _BEGIN + int(rows * (_SPAN if is_daily else 1)) * timeframe.duration)
    calendars = _CALENDARS if is_daily else dict.fromkeys(_CALENDARS, ALWAYS_OPEN)
    frames = []
    for symbol, calendar in sorted(calendars.items()):
        times = expected_times(calendar, timeframe, window)
        frames.append(_bars(symbol, times, timeframe, random))
    bars = pl.concat(frames)
    own = bars.filter(symbol=SYMBOL)["time"]
    gaps, missing = [], []
    for share, count in _GAPS:
        first = int(share * len(own))
        missing += own[first : first + count].to_list()
        gaps.append((own[first + count], count))
    split = own[int(0.8 * len(own))]
    return Market(
        SYMBOL,
        bars.filter((pl.col("symbol") != SYMBOL) | ~pl.col("time").is_in(missing)),
        {
            symbol: Instrument(symbol, AssetClass.EQUITY, calendar, "file", sector=_SECTOR, benchmark="BENCH")
            for symbol, calendar in calendars.items()
        },
        {SYMBOL: [(split, Fraction(2))]},
        {SYMBOL: gaps},
        timeframe=timeframe,
        news=pl.concat(_news(symbol, window, random) for symbol in sorted(calendars)),
    )


def _news(symbol: str, window: Window, random: np.random.Generator) -> pl.DataFrame:
    """An article every six hours from the day before the window on; a fifth of them is edited some hours later."""
    first = window.start - timedelta(days=1)
    count = (window.end - first) // _NEWS_EVERY
    seen = [first + number * _NEWS_EVERY for number in range(count)]
    edited = random.random(count) < _EDITED
    until = [at + timedelta(hours=5) if is_edited else None for at, is_edited in zip(seen, edited, strict=True)]
    versions = [(at, at, end) for at, end in zip(seen, until, strict=True)]
    versions += [(at, end, None) for at, end in zip(seen, until, strict=True) if end is not None]
    return pl.DataFrame(
        {
            "symbol": [symbol] * len(versions),
            **{name: [row[place] for row in versions] for place, name in enumerate(("seen_at", "known_at", "until"))},
            "sentiment": random.uniform(-1.0, 1.0, len(versions)),
            "confidence": random.uniform(0.4, 1.0, len(versions)),
        },
        schema=NEWS_SCHEMA,
    )


def _bars(symbol: str, times: pl.Series, timeframe: Timeframe, random: np.random.Generator) -> pl.DataFrame:
    size = len(times)
    close = 100.0 * np.exp(np.cumsum(random.normal(0.0002, 0.015, size)))
    opened = close * np.exp(random.normal(0.0, 0.005, size))
    spread = np.abs(random.normal(0.0, 0.006, size))
    return pl.DataFrame(
        {
            "time": times,
            "symbol": [symbol] * size,
            "timeframe": [timeframe.value] * size,
            "open": opened,
            "high": np.maximum(opened, close) * (1 + spread),
            "low": np.minimum(opened, close) * (1 - spread),
            "close": close,
            "volume": pl.Series(np.round(random.lognormal(12.0, 0.6, size))).scatter(
                random.choice(size - 1, _UNKNOWN, replace=False), None
            ),
            "source": ["file"] * size,
            "quality": ["traded"] * size,
        },
        schema_overrides={name: pl.Float64() for name in (*PRICES, "volume")},
    ).cast(BAR_SCHEMA)  # type: ignore[arg-type]
