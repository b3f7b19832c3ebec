"""The statistics of features, beside their files: a file for each symbol, and the bins of all features.

::

    {directory}/_metadata/statistics/AAPL.parquet
    {directory}/_metadata/feature_bins.json

They can be computed again from the feature files (:mod:`trading_platform.stores.features.files`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from io import BytesIO
from pathlib import Path

import polars as pl

from trading_platform.domain.features.statistics import STATISTICS_SCHEMA, Bins
from trading_platform.domain.market.instruments import check_symbol
from trading_platform.stores.atomic_files import (
    exclusive,
    os_errors_as_store_errors,
    persist_folders,
    remove_drafts,
    replace_file,
)


class FeatureStatistics:
    """The statistics beside the files of a feature store.

    Args:
        directory: folder of the feature store.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._folder = directory / "_metadata" / "statistics"
        self._bins = directory / "_metadata" / "feature_bins.json"

    def read(self, symbols: Sequence[str]) -> pl.DataFrame:
        """The statistics of some symbols: ``symbol`` and the columns of ``STATISTICS_SCHEMA``.

        A damaged file is as one that is not there, since it is computed again.
        """
        parts = [self._of(symbol).with_columns(symbol=pl.lit(symbol)) for symbol in symbols]
        schema = {"symbol": pl.String(), **STATISTICS_SCHEMA}
        return pl.concat([part.select(*schema) for part in parts]) if parts else pl.DataFrame(schema=schema)

    def replace(self, symbol: str, months: Sequence[str], statistics: pl.DataFrame) -> None:
        """Replaces a symbol's statistics of some months.

        Args:
            symbol: the symbol.
            months: the months, as ``2024-01``; those without rows in ``statistics`` have none afterwards.
            statistics: frame of ``STATISTICS_SCHEMA``.

        Raises:
            StoreError: if the file cannot be written.
        """
        with os_errors_as_store_errors(self._directory), exclusive(self._lock(f"_statistics_{check_symbol(symbol)}")):
            others = self._of(symbol).filter(~pl.col("month").is_in(list(months)))
            buffer = BytesIO()
            pl.concat([others, statistics]).sort("month", "feature").write_parquet(buffer)
            remove_drafts(self._folder)
            persist_folders(replace_file(self._file(symbol), buffer.getvalue()))

    def bins(self) -> dict[str, Bins]:
        """The bins of each feature that has any."""
        with os_errors_as_store_errors(self._directory):
            return self._read_bins()

    def fix_bins(self, found: Mapping[str, Bins]) -> dict[str, Bins]:
        """Fixes the bins of features that have none by this definition; returns all.

        Those that are fixed already stay, whoever fixed them.
        """
        with os_errors_as_store_errors(self._directory), exclusive(self._lock("_bins")):
            known = self._read_bins()
            new = {
                name: each
                for name, each in found.items()
                if name not in known or known[name].definition_hash != each.definition_hash
            }
            if new:
                fixed = {**known, **new}
                content = json.dumps({name: asdict(each) for name, each in sorted(fixed.items())}, indent=2)
                persist_folders(replace_file(self._bins, content.encode()))
                return fixed
            return known

    def _of(self, symbol: str) -> pl.DataFrame:
        try:
            rows = pl.read_parquet(BytesIO(self._file(symbol).read_bytes()))
            return rows.select(*STATISTICS_SCHEMA).cast(STATISTICS_SCHEMA)  # type: ignore[arg-type]
        except (FileNotFoundError, pl.exceptions.PolarsError):
            return pl.DataFrame(schema=STATISTICS_SCHEMA)

    def _read_bins(self) -> dict[str, Bins]:
        try:
            entries = json.loads(self._bins.read_bytes())
            return {
                name: Bins(each["definition_hash"], tuple(each["edges"]), each["first"], each["last"])
                for name, each in entries.items()
            }
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError):
            return {}

    def _lock(self, name: str) -> Path:
        return self._directory / "_metadata" / "locks" / name

    def _file(self, symbol: str) -> Path:
        return self._folder / f"{check_symbol(symbol)}.parquet"
