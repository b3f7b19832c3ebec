"""Monthly statistics against their definitions, of one symbol and of several, and the distance of distributions."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from trading_platform.domain.features.statistics import (
    STATISTICS_SCHEMA,
    by_chance,
    inner_edges,
    monthly_statistics,
    pooled,
    stability_index,
)

EDGES = {"a": [-0.5, 0.0, 0.5]}


def rows(seed: int, days: int = 100) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    values = np.where(random.random(days) < 0.1, np.nan, random.normal(size=days))
    start = datetime(2024, 1, 10, tzinfo=UTC)
    times = pl.datetime_range(start, start + timedelta(days=days - 1), "1d", time_unit="us", eager=True)
    nothing = pl.Series([None] * days, dtype=pl.Float64)
    return pl.DataFrame({"time": times, "a": pl.Series(values, nan_to_null=True), "b": nothing})


def test_a_month_is_counted_as_its_values_are() -> None:
    frame = rows(1)
    found = monthly_statistics(frame, EDGES)
    assert dict(found.schema) == STATISTICS_SCHEMA
    assert found["month"].to_list() == [m for m in ("2024-01", "2024-02", "2024-03", "2024-04") for _ in "ab"]
    for row in found.filter(feature="a").iter_rows(named=True):
        own = frame.filter(pl.col("time").dt.strftime("%Y-%m") == row["month"])["a"]
        known = own.drop_nulls()
        assert (row["rows"], row["nulls"]) == (len(own), own.null_count())
        assert row["mean"] == pytest.approx(known.mean())
        assert row["deviation"] == pytest.approx(known.std())
        assert row["counts"] == [
            int(((known >= low) & (known < high)).sum())
            for low, high in ((-math.inf, -0.5), (-0.5, 0.0), (0.0, 0.5), (0.5, math.inf))
        ]
    nothing = found.filter(feature="b").row(0, named=True)
    assert (nothing["nulls"], nothing["mean"], nothing["deviation"], nothing["counts"]) == (22, None, None, None)


def test_symbols_together_are_as_all_their_values() -> None:
    frames = [rows(seed) for seed in (1, 2, 3)]
    together = pooled(pl.concat([monthly_statistics(frame, EDGES) for frame in frames]))
    every = monthly_statistics(pl.concat(frames).sort("time"), EDGES)
    assert together.drop("mean", "deviation").equals(every.drop("mean", "deviation"))
    for name in ("mean", "deviation"):
        assert together[name].is_null().equals(every[name].is_null())
        assert (together[name] - every[name]).abs().max() == pytest.approx(0.0, abs=1e-12)


def test_edges_hold_equally_many_values() -> None:
    values = pl.Series(np.random.default_rng(1).normal(size=1_000))
    edges = inner_edges(values)
    assert edges is not None
    counts = np.histogram(values.to_numpy(), bins=[-np.inf, *edges, np.inf])[0]
    assert set(counts) == {100}
    assert inner_edges(values[:199]) is None
    assert inner_edges(pl.Series([1.0] * 1_000)) == (1.0,), "values that repeat give fewer bins"


def test_the_index_is_that_of_its_formula() -> None:
    expected, actual = [100, 200, 300], [50, 200, 350]
    shares = [[(each + 0.5) / 601.5 for each in counts] for counts in (expected, actual)]
    by_hand = sum((a - e) * math.log(a / e) for e, a in zip(*shares, strict=True))
    assert stability_index(expected, actual) == pytest.approx(by_hand)
    assert stability_index(expected, [10, 20, 30]) == pytest.approx(0.0, abs=1e-3)
    assert math.isfinite(stability_index([10, 0], [0, 10]))


@pytest.mark.exhaustive
def test_chance_exceeds_its_limit_once_in_a_thousand_times() -> None:
    random = np.random.default_rng(5)
    drawn = random.multinomial([2_000, 300], [0.1] * 10, size=(2_000, 2))
    above = sum(stability_index(list(e), list(a)) > by_chance(list(e), list(a)) for e, a in drawn)
    assert above <= 7
    looser = sum(stability_index(list(e), list(a)) > 0.6 * by_chance(list(e), list(a)) for e, a in drawn)
    assert looser > 15, "the limit is not far above what chance gives"
