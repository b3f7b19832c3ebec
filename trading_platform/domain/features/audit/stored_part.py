"""A part of the feature store with what it was computed from, and the values that its definitions give of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

import polars as pl

from trading_platform.domain.derived.splits import Splits
from trading_platform.domain.features.compute import compute_features, compute_labels
from trading_platform.domain.features.feature_set import FeatureSet
from trading_platform.domain.features.trial.invented_market import Market
from trading_platform.domain.features.trial.known_market import closes_of, known_by
from trading_platform.domain.market.calendars import availability
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Timeframe

Computed = Mapping[str, Mapping[datetime, float | None]]
"""Values by feature and time of the row, as floats."""


@dataclass(frozen=True)
class StoredPart:
    """The stored features of a symbol in a partition, and what they were computed from.

    Attributes:
        market: the daily bars of the partition and the warm-up before it, of the symbol and of all symbols that its
            features use, as they were stored when the features were computed, with splits and gaps.
        split_known_at: when each split could be known, by symbol and date; missing ones are known at their date.
        rows: the stored rows: time, symbol, available_at and the features to audit.
        start: start of the partition; the rows before it are not audited.
        definitions: the definitions.
        revised: the market as it is stored now, if bars or splits have changed since; None if they have not.
    """

    market: Market
    split_known_at: Mapping[tuple[str, datetime], datetime]
    rows: pl.DataFrame
    start: datetime
    definitions: FeatureSet
    revised: Market | None = None
    _kept: dict[object, Computed] = field(default_factory=dict, compare=False, repr=False)

    @property
    def symbol(self) -> str:
        """The symbol."""
        return self.market.symbol

    @cached_property
    def names(self) -> list[str]:
        """The features to audit."""
        return [name for name in self.rows.columns if name in self.definitions.features]

    @cached_property
    def own(self) -> Instrument:
        """The symbol's instrument."""
        return self.market.instruments[self.symbol]

    @cached_property
    def closes(self) -> pl.DataFrame:
        """When each bar of the market closed."""
        return closes_of(self.market)

    @cached_property
    def bars(self) -> pl.DataFrame:
        """The symbol's own bars in the partition: ``time`` and ``closed``."""
        return self.closes.filter((pl.col("symbol") == self.symbol) & (pl.col("time") >= self.start)).drop("symbol")

    @cached_property
    def known(self) -> pl.Series:
        """When each stored row could be known, by the calendar of the symbol's market."""
        return availability(self.own.calendar, Timeframe.D1, self.rows.select("time"))

    def market_at(self, moment: datetime) -> Market:
        """The market that was known at a time: bars that had closed, splits that were announced."""
        return self._with_known_splits(known_by(self.market, self.closes, moment), moment)

    def frame_at(self, moment: datetime) -> pl.DataFrame:
        """The rows of the partition that could be computed at a time, with the features to audit."""
        return self._frame(self.market_at(moment))

    def hindsight(self) -> Computed:
        """The values that the definitions give with all bars, later ones included."""
        return self._values("hindsight", self.market)

    def with_all_splits(self, moment: datetime) -> Computed:
        """The values of a time, with splits that were not announced yet."""
        return self._values(("splits", moment), known_by(self.market, self.closes, moment))

    def with_revised(self, moment: datetime) -> Computed:
        """The values of a time, from bars and splits as they were revised later; empty if none were."""
        if self.revised is None:
            return {}
        revised = known_by(self.revised, closes_of(self.revised), moment)
        return self._values(("revised", moment), self._with_known_splits(revised, moment))

    def with_others_later(self, moment: datetime) -> Computed:
        """The values of a time, with later bars of other symbols."""
        later = (self.closes["closed"] <= moment) | (self.closes["symbol"] != self.symbol)
        market = self._with_known_splits(replace(self.market, bars=self.market.bars.filter(later)), moment)
        return self._values(("others", moment), market)

    def with_others_of_the_date(self, moment: datetime, others: Sequence[str]) -> Computed:
        """The values of a time, with some other symbols' bars of the same date as if their markets closed together."""
        known = self.bars.filter(pl.col("closed") <= moment)["time"].max()
        kept = (self.closes["closed"] <= moment) | (
            self.closes["symbol"].is_in(others) & (self.closes["time"] <= known)
        )
        market = replace(
            self.market,
            bars=self.market.bars.filter(kept),
            instruments={
                name: replace(each, calendar=self.own.calendar) if name in others else each
                for name, each in self.market.instruments.items()
            },
        )
        return self._values(("date", moment, *others), self._with_known_splits(market, moment))

    def closing_apart(self) -> list[str]:
        """The other symbols whose market has another calendar than the symbol's own."""
        return [name for name, each in self.market.instruments.items() if each.calendar != self.own.calendar]

    def labels(self) -> Computed:
        """The values of all labels, with all bars."""
        if "labels" not in self._kept:
            found = {
                name: compute_labels(
                    *self._given(self.market), definitions=self.definitions, name=name, news=self.market.news
                )
                for name in self.definitions.labels
            }
            self._kept["labels"] = {name: _by_time(frame, name) for name, frame in found.items()}
        return self._kept["labels"]

    def later_splits(self, time: datetime) -> Sequence[tuple[datetime, float]]:
        """Date and ratio of the symbol's splits after a time, in order."""
        return [(date, float(ratio)) for date, ratio in self.market.splits.get(self.symbol, ()) if date > time]

    def _with_known_splits(self, market: Market, moment: datetime) -> Market:
        known: Splits = {
            symbol: [each for each in own if self.split_known_at.get((symbol, each[0]), each[0]) <= moment]
            for symbol, own in market.splits.items()
        }
        return replace(market, splits=known)

    def _values(self, key: object, market: Market) -> Computed:
        if key not in self._kept:
            frame = self._frame(market)
            self._kept[key] = {name: _by_time(frame, name) for name in self.names}
        return self._kept[key]

    def _frame(self, market: Market) -> pl.DataFrame:
        computed = compute_features(
            *self._given(market), definitions=self.definitions, names=self.names, news=market.news
        )
        return computed.filter(pl.col("time") >= self.start)

    def _given(
        self, market: Market
    ) -> tuple[pl.DataFrame, Mapping[str, Instrument], list[str], Splits, Mapping[str, Sequence[tuple[datetime, int]]]]:
        return market.bars, market.instruments, [self.symbol], market.splits, market.gaps


def _by_time(frame: pl.DataFrame, name: str) -> dict[datetime, float | None]:
    return dict(zip(frame["time"].to_list(), frame[name].cast(pl.Float64).to_list(), strict=True))
