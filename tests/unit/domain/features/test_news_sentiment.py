"""news_sentiment_24h by its definition, written plainly; it never changes with news that came later."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from trading_platform.domain.features.formulas import news_sentiment_24h
from trading_platform.domain.features.inputs import NEWS_SCHEMA, FeatureInputs
from trading_platform.domain.features.trial.known_market import news_by

BEGIN = datetime(2024, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
Version = tuple[datetime, datetime, datetime | None, float, float]
"""seen_at, known_at, until, sentiment, confidence."""


@st.composite
def versions(draw: st.DrawFn) -> list[Version]:
    """Articles of four days, some of them edited once or twice, some with an edit by which they are about another."""
    found: list[Version] = []
    for _ in range(draw(st.integers(0, 8))):
        times = sorted(draw(st.sets(st.integers(0, 96 * 4), min_size=1, max_size=3)))
        moments = [BEGIN + number * HOUR / 4 for number in times]
        for number, known in enumerate(moments):
            until = moments[number + 1] if number + 1 < len(moments) else None
            if number == 0 or draw(st.booleans()):
                sentiment, confidence = draw(st.floats(-1, 1)), draw(st.floats(0.34, 1))
                found.append((moments[0], known, until, sentiment, confidence))
    return found


def frame(rows: list[Version]) -> pl.DataFrame:
    return pl.DataFrame([("AAA", *row) for row in rows], schema=NEWS_SCHEMA, orient="row").sample(
        fraction=1.0, shuffle=True, seed=1
    )


def computed(available: list[datetime], news: pl.DataFrame) -> list[float]:
    rows = pl.DataFrame({"available_at": pl.Series(available, dtype=NEWS_SCHEMA["seen_at"])})
    return [float(value) for value in news_sentiment_24h(FeatureInputs(rows, {}, None, news))]


def plainly(at: datetime, rows: list[Version]) -> float:
    sums = weights = 0.0
    for seen, known, until, sentiment, confidence in rows:
        if known <= at and (until is None or at < until) and at - timedelta(days=1) < seen <= at:
            weight = confidence * 0.5 ** ((at - seen) / timedelta(hours=6))
            sums, weights = sums + weight * sentiment, weights + weight
    return sums / weights if weights else math.nan


def same(one: float, other: float) -> bool:
    return math.isnan(one) == math.isnan(other) and (math.isnan(one) or math.isclose(one, other, abs_tol=1e-12))


ROWS = st.sets(st.integers(0, 30 * 4), max_size=20).map(lambda hours: [BEGIN + hour * HOUR for hour in sorted(hours)])


@given(versions(), ROWS)
def test_it_is_its_definition(news: list[Version], available: list[datetime]) -> None:
    found = computed(available, frame(news))
    assert all(same(value, plainly(at, news)) for value, at in zip(found, available, strict=True))


@given(versions(), ROWS)
def test_what_comes_later_changes_nothing(news: list[Version], available: list[datetime]) -> None:
    """Late articles, edits, and edits by which an article is about something else."""
    whole = computed(available, frame(news))
    for number, at in enumerate(available):
        then = computed(available[: number + 1], news_by(frame(news), at))
        assert all(map(same, then, whole[: number + 1]))


def test_without_news_it_is_null_and_never_neutral() -> None:
    assert all(math.isnan(value) for value in computed([BEGIN, BEGIN + HOUR], frame([])))
    old: Version = (BEGIN, BEGIN, None, 0.5, 0.9)
    (before, at, day_after) = computed([BEGIN - HOUR, BEGIN, BEGIN + 24 * HOUR], frame([old]))
    assert math.isnan(before)
    assert at == 0.5
    assert math.isnan(day_after)
