"""All stores of one database and one feature folder, opened together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trading_platform.domain.features.latest import LatestFeatures
from trading_platform.domain.time import Timeframe
from trading_platform.stores.audit.archive import AuditArchive
from trading_platform.stores.config.instruments import InstrumentStore
from trading_platform.stores.features.catalog import FeatureCatalogStore
from trading_platform.stores.features.definitions import BUILT_IN_DEFINITIONS, Definitions
from trading_platform.stores.features.files import FeatureStore
from trading_platform.stores.features.recorded.locks import DatabaseLocks
from trading_platform.stores.market_data.bars import BarStore
from trading_platform.stores.market_data.completeness.checkpoints import CheckpointStore
from trading_platform.stores.market_data.completeness.coverage import CoverageStore
from trading_platform.stores.market_data.completeness.gaps import GapStore
from trading_platform.stores.market_data.completeness.outages import OutageStore
from trading_platform.stores.market_data.conflicting_versions import ConflictingVersionStore
from trading_platform.stores.market_data.corporate_actions import CorporateActionStore
from trading_platform.stores.market_data.fingerprints import FingerprintStore
from trading_platform.stores.market_data.indicators import IndicatorStore
from trading_platform.stores.market_data.input_versions import InputVersionStore
from trading_platform.stores.market_data.quarantine import QuarantineStore
from trading_platform.stores.market_data.retention import RetentionStore
from trading_platform.stores.market_data.revisions import RevisionStore
from trading_platform.stores.market_data.stream.store import StreamStore
from trading_platform.stores.news.articles import ArticleStore
from trading_platform.stores.news.feeds import FeedStore
from trading_platform.stores.news.sentiment import SentimentStore
from trading_platform.stores.postgres.database import Database
from trading_platform.stores.postgres.roles import needs_owner, role_of
from trading_platform.stores.schema import ensure_schema


@dataclass(frozen=True)
class Stores:
    """The stores that workflows read and write.

    Attributes:
        database: the database, with the role of the process.
        owner_if_configured: the database as the owner of the schema; None if only a role is configured.
        latest_features: the latest features for fast reads; None where they are not kept.
        quality_rules: the file of a user's own rules for stored rows; None where there is none.
    """

    database: Database
    owner_if_configured: Database | None
    bars: BarStore
    indicators: IndicatorStore
    coverage: CoverageStore
    input_versions: InputVersionStore
    quarantine: QuarantineStore
    instruments: InstrumentStore
    retention: RetentionStore
    features: FeatureStore
    hourly_features: FeatureStore
    archive: AuditArchive
    catalog: FeatureCatalogStore
    stream: StreamStore
    outages: OutageStore
    checkpoints: CheckpointStore
    conflicting_versions: ConflictingVersionStore
    corporate_actions: CorporateActionStore
    fingerprints: FingerprintStore
    gaps: GapStore
    revisions: RevisionStore
    articles: ArticleStore
    feeds: FeedStore
    sentiment: SentimentStore
    latest_features: LatestFeatures | None = None
    quality_rules: Path | None = None

    @property
    def definitions(self) -> Definitions:
        """The definitions of the features that are computed and written, those of hourly bars included."""
        return self.hourly_features.definitions

    def features_of(self, frequency: Timeframe) -> FeatureStore:
        """The features of daily or of hourly rows."""
        return self.hourly_features if frequency is Timeframe.H1 else self.features

    @property
    def owner(self) -> Database:
        """The database as the owner of the schema, for work that changes tables: retention, archive, upgrades.

        Raises:
            ConfigurationError: if only a role is configured.
        """
        if self.owner_if_configured is None:
            raise needs_owner()
        return self.owner_if_configured


@contextmanager
def open_stores(
    database_url: str,
    features_directory: Path,
    *,
    archive_directory: Path | None = None,
    owner_url: str | None = None,
    may_upgrade: bool = False,
    definitions: Definitions = BUILT_IN_DEFINITIONS,
    latest_features: LatestFeatures | None = None,
    quality_rules: Path | None = None,
) -> Iterator[Stores]:
    """Opens the stores of a database and a feature folder, and closes them on leaving.

    Args:
        database_url: URL of the database; its schema must be the newest.
        features_directory: folder of the feature files.
        archive_directory: folder of archived audit rows; None means ``archive`` beside the feature files.
        owner_url: URL of the same database as the owner of its schema; None means ``database_url``, unless that
            belongs to a role.
        may_upgrade: bring the schema up to date first, if needed.
        definitions: the features that are computed and written.
        latest_features: where the latest features are kept for fast reads; None means nowhere.
        quality_rules: the file of a user's own rules for stored rows.

    Raises:
        ConfigurationError: if the schema is not the newest and may not be upgraded.
    """
    database = Database(database_url)
    owner = None if role_of(owner_url or database_url) else Database(owner_url or database_url)
    locks = DatabaseLocks(database, features_directory)
    try:
        ensure_schema(owner or database, may_upgrade=may_upgrade)
        yield Stores(
            database=database,
            owner_if_configured=owner,
            bars=BarStore(database),
            indicators=IndicatorStore(database),
            coverage=CoverageStore(database),
            input_versions=InputVersionStore(database),
            quarantine=QuarantineStore(database),
            instruments=InstrumentStore(database),
            retention=RetentionStore(database, owner),
            features=FeatureStore(features_directory, definitions=definitions, locks=locks),
            hourly_features=FeatureStore(
                features_directory, definitions=definitions, frequency=Timeframe.H1, locks=locks
            ),
            archive=AuditArchive(archive_directory or features_directory.parent / "archive"),
            catalog=FeatureCatalogStore(database),
            stream=StreamStore(database),
            outages=OutageStore(database),
            checkpoints=CheckpointStore(database),
            conflicting_versions=ConflictingVersionStore(database),
            corporate_actions=CorporateActionStore(database),
            fingerprints=FingerprintStore(database),
            gaps=GapStore(database),
            revisions=RevisionStore(database),
            latest_features=latest_features,
            quality_rules=quality_rules,
            articles=ArticleStore(database),
            feeds=FeedStore(database),
            sentiment=SentimentStore(database),
        )
    finally:
        database.close()
        if owner is not None:
            owner.close()
