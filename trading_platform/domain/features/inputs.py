"""What a feature is computed from: the inputs that its definition declares, and the frames that it receives of them.

Each input gives the definition columns of these names:

================================  ===========================================================================
``bars("close", "volume")``       ``close``, ``volume``: of the symbol's bars of a day, or of an hour
``indicator("sma_50")``           ``sma_50``: :mod:`trading_platform.domain.derived.indicators`
``feature("returns_1d")``         ``returns_1d``: another feature of the same symbol
``peers("returns_20d")``          ``peers.returns_20d``: a list, of the other members of the sector
``benchmark("returns_1d")``       ``benchmark.returns_1d``: of the instrument's benchmark
``news("sentiment")``             no column: ``FeatureInputs.news``, the scored news about the symbol
================================  ===========================================================================

Definitions are in :mod:`trading_platform.domain.features.declaration`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import polars as pl

from trading_platform.domain.derived.indicators import INDICATOR_NAMES
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.market.bars import PRICES, TIME
from trading_platform.domain.texts import shown
from trading_platform.domain.time import Timeframe

BAR_COLUMNS: tuple[str, ...] = (*PRICES, "volume")

FREQUENCIES = (Timeframe.D1, Timeframe.H1)
"""The bars that features are computed from; the shorter ones only in hourly rows
(:mod:`trading_platform.domain.features.hourly`)."""


def parse_frequency(text: str) -> Timeframe:
    """The length of the bars that rows of features are of.

    Raises:
        InvalidRequest: if there are no features of that length.
    """
    length = Timeframe.parse(text)
    if length not in FREQUENCIES:
        raise InvalidRequest(
            f"There are no features of {length} bars.",
            expected=f"one of {', '.join(FREQUENCIES)}",
            received=shown(text),
            remedy="1d for a row a day, 1h for the hourly rows of instruments that trade round the clock",
        )
    return length


NEWS_SCHEMA: dict[str, pl.DataType] = {
    "symbol": pl.String(),
    "seen_at": TIME,
    "known_at": TIME,
    "until": TIME,
    "sentiment": pl.Float64(),
    "confidence": pl.Float64(),
}
"""Scored versions of articles about symbols: ``seen_at``, when the article was available and about the symbol;
``known_at`` and ``until``, from when and until when (not included; NULL: for ever) this version of it is the newest;
``sentiment`` from -1 to 1; ``confidence`` from 0 to 1. Of articles that repeat one another only the first is there."""

NO_NEWS = pl.DataFrame(schema=NEWS_SCHEMA)

NEWS_MEASURES = ("sentiment", "confidence")


class InputKind(StrEnum):
    """Where an input comes from."""

    BARS = "bars"
    INDICATOR = "indicator"
    FEATURE = "feature"
    PEERS = "peers"
    BENCHMARK = "benchmark"
    NEWS = "news"


OF_OTHERS = frozenset({InputKind.PEERS, InputKind.BENCHMARK})
"""Inputs from the bars of other symbols."""

_QUALIFIED = OF_OTHERS | {InputKind.NEWS}


@dataclass(frozen=True)
class Input:
    """One declared input.

    Attributes:
        kind: where it comes from.
        names: columns of bars, indicators, features, or measures of news.
        timeframe: length of the bars.
    """

    kind: InputKind
    names: tuple[str, ...]
    timeframe: Timeframe = Timeframe.D1

    @property
    def is_of_bars(self) -> bool:
        """Whether it is a column of the symbol's bars, or an indicator of them."""
        return self.kind in (InputKind.BARS, InputKind.INDICATOR)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that the definition receives."""
        return tuple(f"{self.kind}.{name}" if self.kind in _QUALIFIED else name for name in self.names)

    @property
    def dependencies(self) -> tuple[str, ...]:
        """The names with their kind, as in the catalog: ``bars.close``, ``bars_1h.close``, ``peers.returns_20d``."""
        length = "" if self.timeframe is Timeframe.D1 else f"_{self.timeframe}"
        return tuple(f"{self.kind}{length}.{name}" for name in self.names)


def bars(*columns: str, timeframe: str = "1d") -> Input:
    """Columns of the symbol's bars: ``open``, ``high``, ``low``, ``close``, ``volume``.

    They are floats of a holding of one share through all splits, so that they do not jump at a split.

    Args:
        *columns: the columns.
        timeframe: ``1d``, or ``1h`` for a feature of the frequency ``1h``.

    Raises:
        InvalidRequest: if bars have no such column, or features of that timeframe cannot be computed.
    """
    return Input(InputKind.BARS, _known("column of bars", columns, BAR_COLUMNS), _length(timeframe))


def indicator(*names: str, timeframe: str = "1d") -> Input:
    """Indicators of the symbol's bars; those in units of price do not jump at a split, as bars do not.

    Args:
        *names: the indicators.
        timeframe: as for :func:`bars`.

    Raises:
        InvalidRequest: if there is no such indicator, or features of that timeframe cannot be computed.
    """
    return Input(InputKind.INDICATOR, _known("indicator", names, INDICATOR_NAMES), _length(timeframe))


def _length(timeframe: str) -> Timeframe:
    length = Timeframe.parse(timeframe)
    if length not in FREQUENCIES:
        raise InvalidRequest(
            f"Features cannot be computed from {length.value} bars.",
            expected=f"bars of one of the timeframes {', '.join(FREQUENCIES)}",
            received=shown(timeframe),
            remedy="leave out `timeframe` for daily bars, or use hourly ones",
        )
    return length


def feature(*names: str) -> Input:
    """Other features of the same symbol and bar, of the platform or of any file of definitions."""
    return Input(InputKind.FEATURE, _texts("feature", names))


def peers(*names: str) -> Input:
    """Features of the other members of the symbol's sector: the latest value of each that was available by then.

    A value from a bar more than seven days older than the symbol's is left out. The column is a list, empty where the
    symbol has no sector or no other member has a value.
    """
    return Input(InputKind.PEERS, _texts("feature", names))


def benchmark(*names: str) -> Input:
    """Features of the symbol's benchmark: the latest value that was available by then, at most seven days old."""
    return Input(InputKind.BENCHMARK, _texts("feature", names))


def news(*measures: str) -> Input:
    """Measures of the news about the symbol: ``sentiment`` and ``confidence``.

    News are not aligned with bars, so that a function computes with them (``FeatureInputs.news``). Of other measures
    there is no source yet; their features say what they await.
    """
    return Input(InputKind.NEWS, _texts("measure of news", measures))


@dataclass(frozen=True)
class FeatureInputs:
    """What the function of a definition receives, of one symbol.

    Attributes:
        frame: a row for each bar, in order: ``time``, ``available_at``, ``position`` (number of the bar, lacking
            ones counted) and the declared columns of the symbol itself; NULL where a value is not defined.
        peers: for each other member of the sector, ``time``, ``available_at`` and the declared features. They are not
            aligned with ``frame``: only rows with ``available_at`` at or before that of a row may be used for it.
        benchmark: the same of the benchmark; None if there is none.
        news: the scored news about the symbol (:data:`NEWS_SCHEMA` without the symbol), not aligned with ``frame``
            either: for a row only versions with ``known_at`` <= ``available_at`` < ``until`` may be used.
    """

    frame: pl.DataFrame
    peers: Mapping[str, pl.DataFrame]
    benchmark: pl.DataFrame | None
    news: pl.DataFrame = field(default_factory=lambda: NO_NEWS)


def _texts(what: str, names: tuple[str, ...]) -> tuple[str, ...]:
    if not names or not all(isinstance(name, str) and name for name in names):
        raise InvalidRequest(
            f"An input needs the name of a {what}.",
            expected=f"one or more names, each a {what}",
            received=", ".join(shown(name) for name in names) or "nothing",
            remedy="name what the feature is computed from",
        )
    return names


def _known(what: str, names: tuple[str, ...], known: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in _texts(what, names) if name not in known]
    if unknown:
        raise InvalidRequest(
            f"There is no {what} {unknown[0]!r}.",
            expected=f"some of {', '.join(known)}",
            received=", ".join(unknown),
            remedy="choose among the listed names",
        )
    return names
