"""The health of a source is what its records say: each kind of trouble lowers the score of its day and source."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from dagster import materialize

from trading_platform.assets.source_health import CHECK, source_health
from trading_platform.domain.market.instruments import guess_instrument
from trading_platform.domain.quality.source_health import SourceDay
from trading_platform.resources.platform import PlatformContext
from trading_platform.stores.postgres.database import execute
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.quality.report_source_health import source_health_of

NOW = datetime(2026, 3, 12, 18, tzinfo=UTC)
TODAY = NOW.date()
TABLES = "coverage_requests, quarantine, bar_revisions, conflicting_versions, outages"


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Iterator[Stores]:
    with open_stores(database_url, tmp_path / "features", may_upgrade=True) as opened:
        tables = ", ".join(f"market_data.{name}" for name in TABLES.split(", "))
        with opened.database.begin() as connection:
            execute(connection, f"TRUNCATE {tables}")
            execute(connection, "DELETE FROM config.instruments")
        for symbol in ("BTCUSD", "ETHUSD"):
            opened.instruments.add(guess_instrument(symbol, "kraken"))
        yield opened
        with opened.database.begin() as connection:
            execute(connection, f"TRUNCATE {tables}")
            execute(connection, "DELETE FROM config.instruments")


def asked(stores: Stores, outcome: str, *, at: datetime, hours: tuple[int, int], stored: int = 0) -> None:
    first, last = (datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in hours)
    with stores.database.begin() as connection:
        execute(
            connection,
            "INSERT INTO market_data.coverage_requests"
            " (symbol, timeframe, source, asked, outcome, stored, origin, asked_at)"
            " VALUES ('BTCUSD', '1m', 'kraken', tstzrange(%(first)s, %(last)s), %(outcome)s, %(stored)s, 'test',"
            " %(at)s)",
            {"first": first, "last": last, "outcome": outcome, "stored": stored, "at": at},
        )


def only_day(stores: Stores, source: str = "kraken") -> SourceDay:
    (day,) = source_health_of(stores.database, 30, lambda: NOW)[source]
    return day


def test_a_day_without_trouble_has_the_full_score(stores: Stores) -> None:
    asked(stores, "stored", at=NOW, hours=(0, 6), stored=360)
    asked(stores, "empty", at=NOW, hours=(6, 7))
    found = only_day(stores)
    assert (found.day, found.requests, found.stored, found.score, found.words) == (TODAY, 2, 360, 100.0, "")


def test_failed_and_wrongly_empty_answers_lower_it(stores: Stores) -> None:
    asked(stores, "stored", at=NOW, hours=(0, 6), stored=360)
    asked(stores, "failed", at=NOW, hours=(7, 8))
    asked(stores, "empty", at=NOW, hours=(9, 12))
    asked(stores, "empty", at=NOW, hours=(13, 14))
    asked(stores, "stored", at=NOW, hours=(10, 11), stored=60)
    found = only_day(stores)
    assert (found.requests, found.failed, found.wrongly_empty) == (5, 1, 1)
    assert found.score == pytest.approx(100 * 0.8 * 0.8)
    assert found.words == "1 of 5 requests failed; 1 answers were empty although there were bars"


def test_rows_versions_corrections_and_outages_count_on_their_day(stores: Stores) -> None:
    asked(stores, "stored", at=NOW, hours=(0, 6), stored=90)
    with stores.database.begin() as connection:
        for number, (source, rows) in enumerate([("kraken", 10), ("file", 4)]):
            execute(
                connection,
                "INSERT INTO market_data.quarantine (recorded_at, source, origin, reason, row_count, fingerprint)"
                " VALUES (%(at)s, %(source)s, 'test', 'duplicate', %(rows)s, decode(%(key)s, 'hex'))",
                {"at": NOW, "source": source, "rows": rows, "key": f"{number:02x}"},
            )
        for minute in range(10):
            execute(
                connection,
                "INSERT INTO market_data.bar_revisions"
                " (symbol, timeframe, time, close, source, quality, replaced_at, reason)"
                " VALUES ('BTCUSD', '1m', %(time)s, %(close)s, 'kraken', 'traded', %(at)s, 'test')",
                {"time": NOW - timedelta(days=9, minutes=minute), "close": Decimal(1), "at": NOW},
            )
        execute(
            connection,
            "INSERT INTO market_data.outages (source, symbol, down_at, up_at, reason, state, repaired_at)"
            " VALUES ('kraken', 'BTCUSD', %(down)s, %(up)s, 'test', 'repaired', %(up)s)",
            {"down": NOW.replace(hour=0) - timedelta(hours=2), "up": NOW.replace(hour=12)},
        )
    before, today = source_health_of(stores.database, 30, lambda: NOW)["kraken"]
    assert (before.day, before.down) == (TODAY - timedelta(days=1), pytest.approx(2 / 24 / 2))
    assert (today.rejected, today.corrected, today.down) == (10, 10, pytest.approx(12 / 24 / 2))
    assert today.score == pytest.approx(100 * 0.9 * 0.9 * 0.75, abs=0.05)
    assert only_day(stores, "file").score == 0, "of a file all rows of which were rejected"


def test_the_asset_draws_the_scores_and_its_check_names_a_bad_source(stores: Stores) -> None:
    for days in range(5):
        asked(stores, "stored", at=NOW - timedelta(days=days), hours=(0, 6), stored=360)
    platform = PlatformContext(stores, {}, clock=lambda: NOW)
    good = materialize([source_health], resources={"platform": platform})
    (check,) = good.get_asset_check_evaluations()
    assert (check.check_name, check.passed) == (CHECK, True)
    (made,) = good.asset_materializations_for_node("source_health")
    assert "score of kraken" in made.metadata
    for _ in range(4):
        asked(stores, "failed", at=NOW - timedelta(days=1), hours=(7, 8))
    (check,) = materialize([source_health], resources={"platform": platform}).get_asset_check_evaluations()
    assert not check.passed
    assert "kraken scored 20 on 2026-03-11: 4 of 5 requests failed" in str(check.description)


def test_a_day_has_no_share_of_nothing() -> None:
    assert SourceDay("x", date(2026, 1, 1), 0, 0, 0, 0, 0, 0, 0, 0.0).score == 100
    assert SourceDay("x", date(2026, 1, 1), 0, 0, 0, 0, 3, 0, 0, 0.0).score == 0
