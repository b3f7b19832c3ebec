"""A training set that was asked for, and how it is computed.

:class:`trading_platform.client.market_data.MarketData` has the read, ``training_set``. The spine is checked in
:mod:`trading_platform.client.features.training_sets.spine`, the feature rows are read in
:mod:`trading_platform.stores.features.scan` and joined in :mod:`trading_platform.domain.features.point_in_time`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from trading_platform.client.features.training_sets.file import write_batches
from trading_platform.client.features.training_sets.spine import SYMBOL, Spine, SpineFrame, cells_of
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.features.declaration import Frequency
from trading_platform.domain.features.inputs import parse_frequency
from trading_platform.domain.features.point_in_time import Joined, JoinedFeature, join_as_of
from trading_platform.domain.texts import shown
from trading_platform.domain.time import Timeframe, month_window
from trading_platform.stores.features.definitions import Definitions
from trading_platform.stores.features.files import FeatureStore
from trading_platform.stores.features.recorded.manifests import hash_of
from trading_platform.stores.features.scan import FeatureScan, MonthReader
from trading_platform.stores.postgres.records import texts_of
from trading_platform.stores.stores import Stores
from trading_platform.workflows.progress import Progress, silent

ROWS_AT_ONCE = 250_000
"""Rows of a training set in memory at once, where it is written to a file."""

Tolerance = timedelta | Mapping[str, timedelta]
"""For how long a feature row may have been available; of all features, or of each that is named."""

REASONS_COLUMN = "null_reasons"
"""The column of reasons: a struct with a field for each feature, NULL where the feature has a value."""

_ROWS_A_MONTH = {Timeframe.D1: 31, Timeframe.H1: 31 * 24}
_ANY_MONTH = month_window(datetime(2000, 1, 1, tzinfo=UTC))


RowFrequency = Frequency | Mapping[str, Frequency]
"""Which rows features are joined from: all of them, or each that is named."""


@dataclass(frozen=True)
class FeatureSource:
    """Features that are stored together, with one row for each bar of the same timeframe.

    Attributes:
        reader: gives their files.
        definitions: those of these rows.
        features: how each is joined.
        rows_a_month: how many rows a file has at most.
    """

    reader: MonthReader
    definitions: Definitions
    features: tuple[JoinedFeature, ...]
    rows_a_month: int


class TrainingSet:
    """A training set that was asked for; it is computed by :meth:`frame` or :meth:`write`.

    Args:
        stores: the stores to read.
        spine: a row for each symbol and time.
        names: the features.
        as_of: the column of times in the spine.
        tolerance: for how long a row may have been available.
        reasons: whether to say why a value is NULL.
        frequency: which rows the features are joined from. Unless it says otherwise, features of hourly bars are joined
            from hourly rows, and all others from daily rows.
        reader: gives the feature files of daily or hourly rows; None means the present ones.
        progress: receives progress reports.

    Raises:
        InvalidRequest: if the spine, a name, a tolerance or a frequency cannot be used, or a symbol is unknown.
    """

    def __init__(
        self,
        stores: Stores,
        spine: SpineFrame,
        names: Sequence[str],
        *,
        as_of: str = "time",
        tolerance: Tolerance | None = None,
        reasons: bool = False,
        frequency: RowFrequency | None = None,
        reader: Callable[[FeatureStore], MonthReader] | None = None,
        progress: Progress | None = None,
    ) -> None:
        found = _known(stores, names, frequency)
        schema = {name: dtype for name, (_, dtype) in found.items()}
        self._names = list(schema)
        self._frequencies = {name: timeframe for name, (timeframe, _) in found.items()}
        self._spine = Spine(spine, as_of, [*schema, *([REASONS_COLUMN] if reasons else [])])
        self._as_of, self._with_reasons = as_of, reasons
        self._tolerances = _tolerances(tolerance, self._names)
        sources = self._sources(stores, reader or (lambda store: store.live))
        cells = self._spine.cells()
        self._rows = int(cells["rows"].sum())
        if self._rows:
            stores.instruments.require(cells[SYMBOL].unique().sort().to_list())
        self._progress = progress or silent
        self._joins = [
            _Join(
                source,
                {each.name: schema[each.name] for each in source.features},
                cells,
                reasons=reasons,
                progress=self._progress,
            )
            for source in sources
        ]

    def _sources(self, stores: Stores, reader: Callable[[FeatureStore], MonthReader]) -> list[FeatureSource]:
        """The daily and the hourly rows, as far as features are joined from them."""
        sources = []
        for frequency in dict.fromkeys(self._frequencies.values()):
            store = stores.features_of(frequency)
            own = {name: self._tolerances[name] for name, each in self._frequencies.items() if each is frequency}
            features = _joined(stores, store, own, reasons=self._with_reasons)
            sources.append(FeatureSource(reader(store), store.definitions, features, _ROWS_A_MONTH[frequency]))
        return sources

    @property
    def parameters(self) -> dict[str, object]:
        """What was asked for beside the spine, as JSON has it; tolerances in seconds."""
        tolerances = self._tolerances
        return {
            "names": self._names,
            "frequency": {name: each.value for name, each in self._frequencies.items()},
            "as_of": self._as_of,
            "tolerance": {name: None if each is None else each.total_seconds() for name, each in tolerances.items()},
            "reasons": self._with_reasons,
        }

    def spine_hash(self) -> str:
        """A hash of the spine: of the hashes of its batches, which are the same whether it is read whole or not."""
        found = hashlib.sha256()
        for batch in self._spine.batches(ROWS_AT_ONCE):
            found.update(hash_of(batch).encode())
        return found.hexdigest()

    def frame(self) -> pl.DataFrame:
        """The spine with its features."""
        return self._with_features(self._spine.whole())

    def write(self, file: Path) -> int:
        """Writes the spine with its features to a Parquet file, in batches; returns the number of rows.

        Raises:
            InvalidRequest: if the name does not end in ``.parquet``, or a column cannot be stored.
            StoreFull: if no space is left; there is no file then, or the one before.
            StoreError: if it cannot be written.
        """
        return write_batches(self._batches(), file)

    def _batches(self) -> Iterator[pl.DataFrame]:
        done = 0
        for batch in self._spine.batches(ROWS_AT_ONCE):
            yield self._with_features(batch)
            done += batch.height
            self._progress("rows of the training set", done, self._rows)

    def _with_features(self, batch: pl.DataFrame) -> pl.DataFrame:
        moments = self._spine.moments(batch)
        joined = [join.columns(moments) for join in self._joins]
        values = pl.concat([each.values for each in joined], how="horizontal").select(self._names)
        reasons = [each.reasons for each in joined if each.reasons is not None]
        if reasons:
            why = pl.concat(reasons, how="horizontal").select(pl.struct(self._names).alias(REASONS_COLUMN))
            values = values.hstack(why)
        return batch.hstack(values)


class _Join:
    """The join of the features of one source; rows that fit into memory are read once for all batches."""

    def __init__(
        self,
        source: FeatureSource,
        schema: Mapping[str, pl.DataType],
        cells: pl.DataFrame,
        *,
        reasons: bool,
        progress: Progress,
    ) -> None:
        self._source = source
        self._reasons = reasons
        self._progress = progress
        self._scan = FeatureScan(
            source.reader,
            schema,
            source.definitions,
            rows_a_month=source.rows_a_month,
            whole_history=reasons,
            progress=self._count,
        )
        parts = list(self._scan.parts(cells))
        self._cells = parts[0] if len(parts) == 1 else None
        self._rows: pl.DataFrame | None = None if parts else self._scan.empty

    def columns(self, moments: pl.DataFrame) -> Joined:
        """The features for some rows of the spine, in their order."""
        if self._rows is None and self._cells is not None:
            self._rows = self._scan.rows(self._cells)
        if self._rows is not None:
            return self._joined(moments, self._rows)
        numbered = moments.with_row_index("row")
        rows, parts = [], []
        for cells in self._scan.parts(cells_of(moments.lazy()).collect()):
            own = numbered.filter(pl.col(SYMBOL).is_in(cells[SYMBOL].unique().implode()))
            rows.append(own["row"])
            parts.append(self._joined(own, self._scan.rows(cells)))
        order = pl.concat(rows).arg_sort()
        reasons = [part.reasons for part in parts if part.reasons is not None]
        return Joined(pl.concat([part.values for part in parts])[order], pl.concat(reasons)[order] if reasons else None)

    def _joined(self, moments: pl.DataFrame, rows: pl.DataFrame) -> Joined:
        computed = {each for each in moments[SYMBOL].unique() if self._scan.months(each)} if self._reasons else ()
        return join_as_of(moments, rows, self._source.features, computed=computed, reasons=self._reasons)

    def _count(self, done: int, total: int) -> None:
        self._progress("feature files", done, total)


def _known(
    stores: Stores, names: Sequence[str], frequency: RowFrequency | None
) -> dict[str, tuple[Timeframe, pl.DataType]]:
    """The features of these names with the length of the bars of their rows and their types, each once.

    Raises:
        InvalidRequest: if there is none, one is unknown or a label, or a frequency cannot be used.
    """
    wanted = texts_of(names, "features")
    if not wanted:
        raise InvalidRequest(
            "No feature was given.",
            expected="at least one name of a feature",
            remedy="name the features you want; feature_catalog() lists them",
        )
    said = frequency if isinstance(frequency, Mapping) else dict.fromkeys(wanted, frequency)
    unknown = [name for name in said if name not in wanted]
    if unknown:
        raise InvalidRequest(
            "This frequency cannot be used.",
            expected="1d or 1h, or one for each of some of the requested features",
            received=f"{shown(unknown[0])}, which is not requested",
            remedy="give frequency='1h', or frequency={'returns_1d': '1h'}",
        )
    daily, hourly = stores.features.schema, stores.hourly_features.schema
    lengths = {}
    for name in wanted:
        asked, only_hourly = said.get(name), name not in daily and name in hourly
        lengths[name] = parse_frequency(asked) if asked else Timeframe.H1 if only_hourly else Timeframe.D1
    types: dict[str, pl.DataType] = {}
    for length in dict.fromkeys(lengths.values()):
        own = [name for name in lengths if lengths[name] is length]
        types |= stores.features_of(length).read([], _ANY_MONTH, own).schema  # names are checked as by every other read
    return {name: (length, types[name]) for name, length in lengths.items()}


def _tolerances(tolerance: Tolerance | None, names: Sequence[str]) -> dict[str, timedelta | None]:
    """The tolerance of each feature; None where none was given."""
    given = tolerance if isinstance(tolerance, Mapping) else dict.fromkeys(names, tolerance)
    unknown = [name for name in given if name not in names]
    unusable = [each for each in given.values() if each is not None and not _is_span(each)]
    if unknown or unusable:
        raise InvalidRequest(
            "This tolerance cannot be used.",
            expected="a timedelta of zero or more, or one for each of some of the requested features",
            received=f"{shown(unknown[0])}, which is not requested" if unknown else shown(unusable[0]),
            remedy="give timedelta(days=5), or {'rsi_14': timedelta(days=5)}",
        )
    return {name: given.get(name) for name in names}


def _is_span(value: object) -> bool:
    return isinstance(value, timedelta) and value >= timedelta(0)


def _joined(
    stores: Stores, store: FeatureStore, tolerances: Mapping[str, timedelta | None], *, reasons: bool
) -> tuple[JoinedFeature, ...]:
    """How each feature is joined; what its definition says of NULL is needed for reasons only."""
    known = store.definitions.features.features
    listed: dict[str, dict[str, Any]] = {}
    if reasons and any(name not in known for name in tolerances):  # of a user's file that this process does not read
        listed = {row["feature_name"]: row for row in stores.catalog.read().iter_rows(named=True)}
    found = []
    for name, tolerance in tolerances.items():
        if name in known:
            before, awaits = known[name].rows_before_first_of(store.frequency), known[name].awaits
            inputs = known[name].dependencies
        else:
            entry = listed.get(name, {})
            before, awaits = entry.get("warm_up_bars") or 0, entry.get("awaits")
            inputs = tuple(entry.get("dependencies") or ())
        of_news = any(each.startswith("news.") for each in inputs)
        found.append(JoinedFeature(name, tolerance, before, has_source=awaits is None, is_of_news=of_news))
    return tuple(found)
