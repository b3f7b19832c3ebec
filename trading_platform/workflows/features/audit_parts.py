"""Reads partitions of features for the audit, with the bars, splits and gaps that they were computed from.

A partition that is up to date was computed from what is stored now. One that is stale was computed from what was stored
at that time: the bars and splits are then those recorded until its computation, revisions included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from fractions import Fraction

import polars as pl

from trading_platform.domain.derived.gaps import Gaps
from trading_platform.domain.derived.splits import Splits
from trading_platform.domain.features.audit.stored_part import StoredPart
from trading_platform.domain.features.feature_set import KEYS
from trading_platform.domain.features.trial.invented_market import Market
from trading_platform.domain.market.corporate_actions import ActionKind, CorporateAction
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Timeframe, Window
from trading_platform.stores.postgres.sql import query
from trading_platform.stores.stores import Stores
from trading_platform.workflows.derived.build_features import DATASET, inputs_of, stale_features
from trading_platform.workflows.derived.news_inputs import load_news, news_fingerprints
from trading_platform.workflows.derived.series_gaps import gaps_between

CLOCKS = timedelta(minutes=5)
"""How far the clock of a process may be from that of the database, by which bars are recorded."""


class NotAudited(StrEnum):
    """Why a partition cannot be compared."""

    NO_ROWS = "no rows stored"
    UNKNOWN_STATE = "stale, and what it was computed from is not kept"


class PartReader:
    """Reads partitions for the audit.

    Args:
        stores: the stores.
        universe: all instruments, by symbol.
        names: the features to audit.
        present: current time.
    """

    def __init__(
        self, stores: Stores, universe: Mapping[str, Instrument], names: Sequence[str], present: datetime
    ) -> None:
        self.stores = stores
        self.names = names
        self._universe = universe
        self._present = present
        self._stale: set[tuple[str, Window]] = set()

    def eventful(self, symbols: Sequence[str]) -> set[tuple[str, int]]:
        """Symbol and year of each split and each revised daily bar."""
        splits = self.stores.corporate_actions.splits(symbols)
        revised = self.stores.database.rows(
            query("market_data/revisions/revised_years"), {"symbols": list(symbols), "timeframe": Timeframe.D1.value}
        )
        found = {(symbol, date.year) for symbol, own in splits.items() for date, _ in own}
        return found | {(symbol, year) for symbol, year in revised}

    def prepare(self, parts: Sequence[tuple[str, Window]]) -> None:
        """Finds out which of some partitions are stale."""
        symbols, windows = sorted({symbol for symbol, _ in parts}), sorted({window for _, window in parts})
        self._stale -= set(parts)
        if parts:
            stale = stale_features(self.stores, self._universe, symbols, windows)
            found = {(symbol, window) for symbol, own in stale.items() for window in own}
            self._stale |= found & set(parts)

    def state(self, symbol: str, window: Window) -> tuple[object, ...]:
        """What changes whenever a partition is computed, or a bar that it is computed from changes."""
        versions, key = self.stores.input_versions, (symbol, window.start)
        names = inputs_of(symbol, self._universe)
        return (
            versions.read(DATASET, [symbol]).get(key),
            versions.computed_at(DATASET, [symbol]).get(key),
            versions.bar_versions(names, Timeframe.D1).before(names, window.end),
            self.stores.corporate_actions.version_of_splits(),
            news_fingerprints(self.stores, {symbol: names}, [window], Timeframe.D1),
        )

    def clock_shifts(self, symbol: str, window: Window) -> tuple[timedelta, ...]:
        """How far the recorded time of a stale partition's computation may be from the time of the database."""
        return (timedelta(0), -CLOCKS, CLOCKS) if (symbol, window) in self._stale else (timedelta(0),)

    def read(self, symbol: str, window: Window, shift: timedelta = timedelta(0)) -> StoredPart | NotAudited:
        """A partition's rows, and what they were computed from.

        Args:
            symbol: the symbol.
            window: the year.
            shift: added to the time at which a stale partition was computed.
        """
        rows = self._rows(symbol, window)
        if rows.is_empty():
            return NotAudited.NO_ROWS
        present = self._market(symbol, window, None)
        if (symbol, window) not in self._stale:
            return self._part(rows, window, present, None)
        computed_at = self.stores.input_versions.computed_at(DATASET, [symbol]).get((symbol, window.start))
        if computed_at is None or not self.stores.revisions.since() <= computed_at <= self._present:
            return NotAudited.UNKNOWN_STATE
        then = self._market(symbol, window, computed_at + shift)
        if then[0].bars.filter(symbol=symbol).is_empty():
            return NotAudited.UNKNOWN_STATE
        unchanged = then[0].bars.equals(present[0].bars) and then[0].splits == present[0].splits
        unchanged = unchanged and then[0].news.equals(present[0].news)
        return self._part(rows, window, then, None if unchanged else present[0])

    def _rows(self, symbol: str, window: Window) -> pl.DataFrame:
        """The stored rows with the features that were computed by their present definition in all months."""
        hashes = self.stores.features.definitions.hashes
        stamps = self.stores.features.stamps(symbol, window).values()
        names = [
            name for name in self.names if all(stamped.get(name, (0, ""))[1] == hashes[name] for stamped in stamps)
        ]
        return self.stores.features.read([symbol], window, names).select(*KEYS, *names)

    def _part(
        self,
        rows: pl.DataFrame,
        window: Window,
        source: tuple[Market, dict[tuple[str, datetime], datetime]],
        revised: Market | None,
    ) -> StoredPart:
        market, known_at = source
        return StoredPart(market, known_at, rows, window.start, self.stores.features.definitions.features, revised)

    def _market(
        self, symbol: str, window: Window, recorded: datetime | None
    ) -> tuple[Market, dict[tuple[str, datetime], datetime]]:
        """The bars of a partition with their warm-up, splits and gaps, as recorded at a time; None for now."""
        stores, names = self.stores, inputs_of(symbol, self._universe)
        warm_up = stores.features.definitions.features.warm_up
        bars = stores.bars.read_with_history(names, Timeframe.D1, window, warm_up)
        actions = stores.corporate_actions.read(names, (ActionKind.SPLIT,))
        gaps = gaps_between(stores, bars, Timeframe.D1, self._universe, self._present)
        if recorded is not None:
            now, begins = bars, stores.bars.history_begins(Timeframe.D1, [(n, window.start, warm_up) for n in names])
            first = min(begins.values(), default=window.start)
            bars = stores.revisions.bars(names, Timeframe.D1, Window(first, window.end), recorded)
            actions = stores.revisions.corporate_actions(names, recorded, (ActionKind.SPLIT,))
            gaps = _gaps_then(stores, bars, now, self._universe, self._present)
        instruments = {name: self._universe[name] for name in names}
        news = load_news(stores, bars, window, recorded)
        name = f"the stored bars of {symbol}"
        market = Market(symbol, bars, instruments, _splits(actions), gaps, name, news=news)
        return market, {(action.symbol, action.ex_date): action.known_at for action in actions}


def _splits(actions: Sequence[CorporateAction]) -> Splits:
    found: dict[str, list[tuple[datetime, Fraction]]] = {}
    for action in actions:
        if action.ratio is not None:
            found.setdefault(action.symbol, []).append((action.ex_date, action.ratio))
    return found


def _gaps_then(
    stores: Stores, bars: pl.DataFrame, now: pl.DataFrame, universe: Mapping[str, Instrument], present: datetime
) -> Gaps:
    """The gaps between bars of before: those of now, and bars that were stored only later."""
    found = {symbol: dict(own) for symbol, own in gaps_between(stores, bars, Timeframe.D1, universe, present).items()}
    added = now.select("symbol", "time").join(bars.select("symbol", "time"), on=["symbol", "time"], how="anti")
    for (symbol,), own in added.partition_by("symbol", as_dict=True).items():
        times = bars.filter(symbol=symbol)["time"]
        for time in own["time"].to_list():
            after = int(times.search_sorted(time))
            if 0 < after < len(times):
                counts = found.setdefault(str(symbol), {})
                counts[times[after]] = counts.get(times[after], 0) + 1
    return {symbol: sorted(counts.items()) for symbol, counts in found.items()}
