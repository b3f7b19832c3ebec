"""The catalog of features and labels: the table ``features.catalog``, filled from the definitions in code.

:mod:`trading_platform.stores.features.files` writes the same entries to ``_metadata/feature_catalog.json`` beside
the feature files. The definitions are in :mod:`trading_platform.stores.features.definitions`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from trading_platform.domain.features.declaration import Feature, Label
from trading_platform.domain.market.bars import TIME
from trading_platform.stores.features.definitions import BUILT_IN_DEFINITIONS, Definitions
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
    "kind": pl.String(),
    "version": pl.Int32(),
    "definition_hash": pl.String(),
    "needed_by": pl.List(pl.String()),
    "warm_up_bars": pl.Int32(),
    "horizon_bars": pl.Int32(),
    "availability": pl.String(),
    "awaits": pl.String(),
    "defined_in": pl.String(),
    "frequency": pl.String(),
}
"""One row per feature and label. ``lookback_days`` are trading days; ``updated_at`` is when the entry last changed;
``dependencies`` is what it is computed from, ``needed_by`` what is computed from it. ``awaits`` is why all its values
are NULL for now, ``defined_in`` a user's file, ``horizon_bars`` how far a label looks ahead. ``frequency`` is ``1h``
for features of hourly bars, which only hourly rows have."""


def catalog_entries(definitions: Definitions) -> list[dict[str, Any]]:
    """The entries of all features, then of all labels, by column; without ``updated_at``, which the store sets."""
    known = definitions.features
    listed: list[Feature | Label] = [*known.features.values(), *known.labels.values()]
    return [_entry(each, definitions) for each in listed]


def _entry(each: Feature | Label, definitions: Definitions) -> dict[str, Any]:
    own: dict[str, Any] = {"lookback_days": 0, "warm_up_bars": 0, "horizon_bars": None, "awaits": None}
    if isinstance(each, Feature):
        own |= {"lookback_days": each.lookback_days, "warm_up_bars": each.warm_up, "awaits": each.awaits}
    else:
        own["horizon_bars"] = each.horizon
    return {
        "feature_name": each.name,
        "description": each.description,
        "data_type": each.data_type,
        "category": each.category,
        "computation": each.formula,
        "dependencies": list(each.dependencies),
        "kind": each.kind,
        "version": each.version,
        "definition_hash": definitions.hashes[each.name],
        "needed_by": list(definitions.features.needed_by(each.name)),
        "availability": each.availability,
        "defined_in": definitions.files.get(each.name),
        "frequency": each.frequency,
        **own,
    }


def publish_catalog(connection: Connection, definitions: Definitions = BUILT_IN_DEFINITIONS) -> list[str]:
    """As :meth:`FeatureCatalogStore.publish`, in the caller's transaction; other publishers wait until it ends."""
    given = {
        "entries": json_text(catalog_entries(definitions), "feature catalog"),
        "kept": sorted({error.file for error in definitions.errors}),
        "keep_all": definitions.without_users,
    }
    execute(connection, query("features/catalog/lock_catalog"))
    return [name for (name,) in execute(connection, query("features/catalog/publish_catalog"), given)]


class FeatureCatalogStore:
    """The table ``features.catalog``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def publish(self, definitions: Definitions = BUILT_IN_DEFINITIONS) -> list[str]:
        """Replaces the catalog by these definitions.

        Unchanged entries are not written; entries that are no longer defined are deleted, unless their file cannot
        be read here. Concurrent calls from several processes are safe.

        Returns:
            The names of the features and labels with a new, changed or deleted entry, in order.
        """
        with self._database.begin() as connection:
            return publish_catalog(connection, definitions)

    def read(self) -> pl.DataFrame:
        """The catalog: frame of :data:`CATALOG_SCHEMA`, sorted by ``feature_name``."""
        with self._database.begin() as connection:
            found = execute(connection, query("features/catalog/catalog"))
        return pl.DataFrame(found, schema=CATALOG_SCHEMA, orient="row")
