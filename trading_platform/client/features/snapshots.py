"""Snapshots of features: saved once, read again with the same bytes.

:class:`trading_platform.client.market_data.MarketData` has these, and the reads of features and all else.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from trading_platform.client.names import symbols_of
from trading_platform.client.timestamps import Timestamp, as_timestamp, as_window
from trading_platform.domain.features.feature_set import KEYS
from trading_platform.domain.market.bars import TIME
from trading_platform.domain.market.instruments import Instrument
from trading_platform.domain.time import Clock, rfc3339
from trading_platform.stores.features.files import FeatureStore
from trading_platform.stores.features.recorded.manifests import Contents
from trading_platform.stores.features.recorded.months import FeatureMonths
from trading_platform.stores.postgres.records import texts_of
from trading_platform.stores.stores import Stores

_SNAPSHOTS: dict[str, pl.DataType] = {
    "name": pl.String(),
    "created_at": TIME,
    "rows": pl.Int64(),
    "files": pl.Int64(),
    "recorded_as_of": TIME,
    "checksum": pl.String(),
}


class FeatureSnapshots:
    """The snapshots of stored features.

    Args:
        stores: the stores to read.
        clock: the time of reads as of now.
    """

    def __init__(self, stores: Stores, clock: Clock) -> None:
        self._stores = stores
        self._clock = clock

    def save_snapshot(
        self,
        name: str,
        symbols: str | Sequence[str],
        start: Timestamp,
        end: Timestamp,
        names: Sequence[str] | None = None,
        as_of: Timestamp | None = None,
        recorded_as_of: Timestamp | None = None,
    ) -> pl.DataFrame:
        """Reads features as ``features`` does and saves them: :meth:`snapshot` gives the same ever after.

        Args:
            name: a name that is not taken: letters, digits, dots, dashes and underscores.
            symbols: as for ``features``, as all that follow.
            start: first day, included.
            end: last day, not included.
            names: which features; all by default.
            as_of: point in time of the read.
            recorded_as_of: what this platform had stored at a time.

        Returns:
            The features.

        Raises:
            InvalidRequest: as raised by ``features``, or if the name is taken.
            StoreFull: if no space is left.
            StoreError: if it cannot be saved, for example because the folder of the features is read-only here.
        """
        wanted = None if names is None else texts_of(names, "features")
        chosen, window = list(self._instruments(symbols)), as_window(start, end)
        state = self._months(self._stores.features, recorded_as_of)
        known = None if as_of is None else as_timestamp(as_of)
        recorded = None if recorded_as_of is None else as_timestamp(recorded_as_of)
        with self._stores.features.snapshots.saving(name) as saving:
            rows = self._stores.features.read(chosen, window, wanted, saving.months(state))
            rows = rows if known is None else rows.filter(pl.col("available_at") <= known)
            parameters = {
                "symbols": chosen,
                "start": rfc3339(window.start),
                "end": rfc3339(window.end),
                "names": rows.columns[len(KEYS) :],
                "as_of": None if known is None else rfc3339(known),
            }
            saving.save(rows, Contents(parameters, recorded))
        return rows

    def snapshot(self, name: str) -> pl.DataFrame:
        """The rows of a saved snapshot, the same as when it was saved.

        Raises:
            InvalidRequest: if there is none of this name.
            StoreError: if its file is missing or damaged.
        """
        return self._stores.features.snapshots.open(name).read()

    def snapshots(self) -> pl.DataFrame:
        """The saved snapshots, sorted by name.

        Returns:
            ``name``, ``created_at`` (UTC), ``rows``, ``files`` that it was read from, ``recorded_as_of`` (UTC; NULL:
            when it was saved), ``checksum`` of its rows' file (SHA-256).
        """
        found = [
            (each.name, each.created_at, each.rows, len(each.months), each.contents.recorded_as_of, each.data)
            for each in self._stores.features.snapshots.all()
        ]
        return pl.DataFrame(found, schema=_SNAPSHOTS, orient="row")

    def _months(self, store: FeatureStore, recorded_as_of: Timestamp | None) -> FeatureMonths:
        """The state of a feature store to read."""
        return store.live if recorded_as_of is None else store.recorded(as_timestamp(recorded_as_of), self._clock())

    def _instruments(self, symbols: str | Sequence[str]) -> dict[str, Instrument]:
        return self._stores.instruments.require(symbols_of(symbols))
