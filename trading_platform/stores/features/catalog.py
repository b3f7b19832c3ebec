"""The catalog of features: the table ``features.catalog``, filled from the definitions in code.

:mod:`trading_platform.stores.features.files` writes the same entries to ``_metadata/feature_catalog.json`` beside
the feature files. The definitions are in :mod:`trading_platform.domain.derived.features`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import polars as pl

from trading_platform.domain.derived.features import FEATURES, FeatureSpec
from trading_platform.domain.market.bars import TIME
from trading_platform.stores.postgres.database import Database, execute
from trading_platform.stores.postgres.records import json_text
from trading_platform.stores.postgres.sql import query

if TYPE_CHECKING:
    from sqlalchemy import Connection

CATALOG_SCHEMA: dict[str, pl.DataType] = {
    "feature_name": pl.String(),
    "description": pl.String(),
    "data_type": pl.String(),
    "category": pl.String(),
    "computation": pl.String(),
    "dependencies": pl.List(pl.String()),
    "lookback_days": pl.Int32(),
    "updated_at": TIME,
}
"""One row per feature. ``lookback_days`` are trading days; ``updated_at`` is when the entry last changed."""


def catalog_entry(spec: FeatureSpec) -> dict[str, Any]:
    """The catalog entry of a feature, by column, without ``updated_at``, which the store sets."""
    return {
        "feature_name": spec.name,
        "description": spec.description,
        "data_type": spec.data_type,
        "category": spec.category,
        "computation": spec.computation,
        "dependencies": list(spec.dependencies),
        "lookback_days": spec.lookback_days,
    }


def publish_catalog(connection: Connection, specs: Iterable[FeatureSpec] = FEATURES.values()) -> list[str]:
    """As :meth:`FeatureCatalogStore.publish`, in the caller's transaction; other publishers wait until it ends."""
    entries = json_text([catalog_entry(spec) for spec in specs], "feature catalog")
    execute(connection, query("features/catalog/lock_catalog"))
    return [name for (name,) in execute(connection, query("features/catalog/publish_catalog"), {"entries": entries})]


class FeatureCatalogStore:
    """The table ``features.catalog``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def publish(self, specs: Iterable[FeatureSpec] = FEATURES.values()) -> list[str]:
        """Replaces the catalog by these definitions.

        Unchanged entries are not written; entries that are no longer defined are deleted. Concurrent calls
        from several processes are safe.

        Returns:
            The names of the features with a new, changed or deleted entry, in order.
        """
        with self._database.begin() as connection:
            return publish_catalog(connection, specs)

    def read(self) -> pl.DataFrame:
        """The catalog: frame of :data:`CATALOG_SCHEMA`, sorted by ``feature_name``."""
        with self._database.begin() as connection:
            found = execute(connection, query("features/catalog/catalog"))
        return pl.DataFrame(found, schema=CATALOG_SCHEMA, orient="row")
