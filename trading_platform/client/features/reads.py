"""Reads of features: rows of a window, training sets, the catalog, and what is done where values are missing.

:class:`trading_platform.client.market_data.MarketData` has these and the reads of bars; snapshots are in
:mod:`trading_platform.client.features.snapshots`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import get_args, overload

import polars as pl

from trading_platform.client.features.snapshots import FeatureSnapshots
from trading_platform.client.features.training_sets.spine import SpineFrame
from trading_platform.client.features.training_sets.training_set import RowFrequency, Tolerance, TrainingSet
from trading_platform.client.timestamps import Timestamp, as_timestamp, as_window
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.features.declaration import Frequency
from trading_platform.domain.features.inputs import parse_frequency
from trading_platform.domain.features.missing_values import Missing, with_missing
from trading_platform.domain.texts import shown
from trading_platform.domain.time import Clock, Window, month_window, shifted
from trading_platform.stores.features.files import FeatureStore
from trading_platform.stores.features.recorded.manifests import Contents
from trading_platform.stores.features.recorded.months import FeatureMonths
from trading_platform.stores.features.scan import MonthReader
from trading_platform.stores.postgres.records import texts_of
from trading_platform.stores.stores import Stores
from trading_platform.workflows.progress import Progress

_BEFORE = timedelta(days=31)  # days before a window whose values may be imputed into it


class FeatureReads(FeatureSnapshots):
    """The stored features.

    Args:
        stores: the stores to read.
        clock: the time of reads as of now.
        missing: what reads of features do where too many values are missing, unless they say otherwise.
    """

    def __init__(self, stores: Stores, clock: Clock, missing: Missing = "keep") -> None:
        super().__init__(stores, clock)
        self._missing = missing

    def features(
        self,
        symbols: str | Sequence[str],
        start: Timestamp,
        end: Timestamp,
        names: Sequence[str] | None = None,
        as_of: Timestamp | None = None,
        recorded_as_of: Timestamp | None = None,
        frequency: Frequency = "1d",
        missing: Missing | None = None,
    ) -> pl.DataFrame:
        """Features of a half-open window, one column each.

        Args:
            symbols: one or several.
            start: start of the window, included; of daily rows its first day.
            end: end of the window, not included.
            names: which features; all by default.
            as_of: point in time of the read: leaves out rows that could not be known by then.
            recorded_as_of: what this platform had stored at a time, as for :meth:`bars`. Features are those defined
                now; one that was added later is NULL.
            frequency: ``1d``, a row for each daily bar; ``1h``, a row for each hourly bar, which only instruments that
                trade round the clock have.
            missing: where more than a tenth of a symbol's values of a feature in the month until the row are missing:
                ``keep`` NULL, ``impute`` the last value of the symbol, at most five rows old, or ``exclude`` the row.
                None means the setting FEATURE_MISSING (docs/features.md).

        Returns:
            ``time`` (open of the bar, UTC), ``symbol``, ``available_at`` and the features as floats; sorted by
            (symbol, time). With ``impute`` also a column such as ``rsi_14_imputed`` for each, which is true where the
            value is imputed.

        Raises:
            InvalidRequest: unknown symbol, feature, frequency or rule for missing values, an end before the start, or a
                ``recorded_as_of`` in the future or before the feature store kept what it replaces.
        """
        wanted = None if names is None else texts_of(names, "features")
        rule = self._missing if missing is None else _known_rule(missing)
        window, known = as_window(start, end), list(self._instruments(symbols))
        store = self._stores.features_of(parse_frequency(frequency))
        months = self._months(store, recorded_as_of)
        begin = window.start if rule == "keep" else month_window(shifted(window.start, -_BEFORE)).start
        rows = store.read(known, Window(begin, window.end), wanted, months)
        if as_of is not None:
            rows = rows.filter(pl.col("available_at") <= as_timestamp(as_of))
        if rule == "keep":
            return rows
        treated = with_missing(rows, rule, store.definitions.features, self._stores.instruments.all())
        return treated.filter(pl.col("time") >= window.start)

    @overload
    def training_set(
        self,
        spine: SpineFrame,
        names: Sequence[str],
        *,
        as_of: str = ...,
        tolerance: Tolerance | None = ...,
        reasons: bool = ...,
        frequency: RowFrequency | None = ...,
        recorded_as_of: Timestamp | None = ...,
        save: str | None = ...,
        to: None = ...,
        progress: Progress | None = ...,
    ) -> pl.DataFrame: ...

    @overload
    def training_set(
        self,
        spine: SpineFrame,
        names: Sequence[str],
        *,
        as_of: str = ...,
        tolerance: Tolerance | None = ...,
        reasons: bool = ...,
        frequency: RowFrequency | None = ...,
        recorded_as_of: Timestamp | None = ...,
        save: str | None = ...,
        to: str | Path,
        progress: Progress | None = ...,
    ) -> int: ...

    def training_set(
        self,
        spine: SpineFrame,
        names: Sequence[str],
        *,
        as_of: str = "time",
        tolerance: Tolerance | None = None,
        reasons: bool = False,
        frequency: RowFrequency | None = None,
        recorded_as_of: Timestamp | None = None,
        save: str | None = None,
        to: str | Path | None = None,
        progress: Progress | None = None,
    ) -> pl.DataFrame | int:
        """The features that were available at each symbol and time of a spine (docs/training-sets.md).

        Each row gets the values of the last feature row of its symbol with an ``available_at`` at or before its time.

        Args:
            spine: frame of Polars, pandas or Arrow with the columns ``symbol`` and ``time``, in any order; a symbol and
                time may be repeated. Further columns are kept. A LazyFrame is read in batches where ``to`` is given.
            names: the features.
            as_of: the column of times: aware times, dates (their midnight in UTC), or either as ISO 8601 text.
            tolerance: how long before the time of its row a feature row may have become available; an older one gives
                NULL. One for all features, or one for each that is named. None means any length.
            reasons: add the column ``null_reasons``, a struct with a field for each feature that says why it is NULL
                (:class:`~trading_platform.domain.features.point_in_time.NullReason`). The whole history until the
                last time of each symbol is then read.
            frequency: which rows to join from: ``1d``, ``1h``, or one for each feature that is named. Without it,
                features of hourly bars are joined from hourly rows, and all others from daily rows. Instruments that do
                not trade round the clock have no hourly rows: NULL.
            recorded_as_of: what this platform had stored at a time, as for :meth:`features`.
            save: a name that is not taken: :meth:`snapshot` of this name gives the same bytes ever after.
            to: a file ``.parquet`` to write in batches, for more than memory holds; it is replaced when it is whole.
            progress: receives progress reports.

        Returns:
            The spine, in its order, with a column for each feature; with ``to`` the number of rows written.

        Raises:
            InvalidRequest: an unknown symbol or feature, a label, a spine without these columns or with a column of a
                requested feature's name, a row without symbol or time, or with a time without zone; a name that is
                taken, or a ``recorded_as_of`` in the future or before the feature store kept what it replaces.
            StoreFull: if no space is left for the file.
            StoreError: if a feature file cannot be read or the file cannot be written.
        """

        def state(store: FeatureStore) -> FeatureMonths:
            return self._months(store, recorded_as_of)

        def computed(reader: Callable[[FeatureStore], MonthReader]) -> TrainingSet:
            return TrainingSet(
                self._stores,
                spine,
                names,
                as_of=as_of,
                tolerance=tolerance,
                reasons=reasons,
                frequency=frequency,
                reader=reader,
                progress=progress,
            )

        def result(wanted: TrainingSet) -> pl.DataFrame | int:
            return wanted.frame() if to is None else wanted.write(Path(to))

        if save is None:
            return result(computed(state))
        with self._stores.features.snapshots.saving(save) as saving:
            wanted = computed(lambda store: saving.months(state(store)))
            found = result(wanted)
            recorded = None if recorded_as_of is None else as_timestamp(recorded_as_of)
            rows = found if isinstance(found, pl.DataFrame) else Path(to or "")
            saving.save(rows, Contents(wanted.parameters, recorded, wanted.spine_hash()))
        return found

    def feature_catalog(self) -> pl.DataFrame:
        """The definition of each feature: one row for each, sorted by name.

        Returns:
            ``feature_name``, ``description``, ``data_type``, ``category``, ``computation``, ``dependencies`` (a
            list), ``lookback_days`` (trading days), ``updated_at`` (UTC, when the entry last changed), ``version``,
            ``definition_hash``, ``needed_by`` (a list), ``warm_up_bars``, ``availability``, ``awaits`` (why all values
            are NULL for now), ``defined_in`` (a user's file), ``frequency`` (``1h`` for features of hourly bars, which
            only hourly rows have).
        """
        return self._stores.catalog.read().filter(kind="feature").drop("kind", "horizon_bars")


def _known_rule(missing: Missing) -> Missing:
    if missing not in get_args(Missing):
        raise InvalidRequest(
            "There is no such rule for missing values of features.",
            expected=f"one of {', '.join(get_args(Missing))}",
            received=shown(missing),
            remedy="choose one of them, or leave it out to use the setting FEATURE_MISSING",
        )
    return missing
