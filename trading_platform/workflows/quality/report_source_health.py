"""The health of sources over some days, for the asset ``source_health`` and the command ``source-health``.

The score is defined in :mod:`trading_platform.domain.quality.source_health`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from trading_platform.domain.charts import sparkline
from trading_platform.domain.quality.source_health import HEALTHY, SourceDay
from trading_platform.domain.time import Clock
from trading_platform.stores.market_data.source_health import SourceHealthStore
from trading_platform.stores.postgres.database import Database

_WIDTH, _HEIGHT = 360, 48


def source_health_of(database: Database, days: int, clock: Clock) -> dict[str, list[SourceDay]]:
    """The newest days of each source on which it did anything, the present one included.

    Args:
        database: the database.
        days: how many days back.
        clock: the present.
    """
    now = clock()
    end = datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
    found: dict[str, list[SourceDay]] = {}
    for each in SourceHealthStore(database).days(end - timedelta(days=days), end, now):
        found.setdefault(each.source, []).append(each)
    return found


def unhealthy(found: dict[str, list[SourceDay]], now: datetime) -> list[SourceDay]:
    """The sources that served badly today or yesterday: of each the worse day."""
    since = (now - timedelta(days=1)).date()
    recent = {source: [each for each in days if each.day >= since] for source, days in found.items()}
    worst = [min(days, key=lambda each: each.score) for days in recent.values() if days]
    return [each for each in worst if each.score < HEALTHY]


def score_chart(days: Sequence[SourceDay]) -> str:
    """A picture of the scores by day, as Markdown."""
    return sparkline([each.score for each in days], _WIDTH, _HEIGHT)
