"""What definitions of a user receive: others as they were known, prices through splits, rows between gaps, labels."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import polars as pl
import pytest
from daily_bars import bars_of
from definition_files import declared, label, write

from trading_platform.domain.derived.gaps import NO_GAPS, Gaps
from trading_platform.domain.derived.splits import NO_SPLITS, Splits
from trading_platform.domain.errors import InvalidRequest
from trading_platform.domain.features.compute import compute_features, compute_labels
from trading_platform.domain.features.feature_set import FeatureSet
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.stores.features.definitions import load_files

START = datetime(2024, 3, 4, tzinfo=UTC)  # a Monday
DAY = timedelta(days=1)


def defined(folder: Path, text: str) -> FeatureSet:
    found = load_files([write(folder, "mine.py", text)])
    assert not found.errors
    return found.features


def instrument(symbol: str, calendar: str = "24/7", sector: str | None = "s") -> Instrument:
    return Instrument(symbol, AssetClass.CRYPTO, calendar, "file", sector=sector, benchmark="MKT")


def computed(
    definitions: FeatureSet, closes: list[float], name: str, *, splits: Splits = NO_SPLITS, gaps: Gaps = NO_GAPS
) -> list[object]:
    bars = bars_of(closes, "OWN", start=START)
    found = compute_features(
        bars, {"OWN": instrument("OWN")}, ["OWN"], splits, gaps, definitions=definitions, names=[name]
    )
    return found[name].to_list()


def test_others_are_seen_as_they_were_known_at_the_close(tmp_path: Path) -> None:
    """Round the clock the day of the date ends four hours after New York: the row has the day before of the others."""
    definitions = defined(
        tmp_path,
        declared("theirs", 'pl.col("peers.returns_1d").list.sum()', 'peers("returns_1d")', 1, gaps='"span"')
        + declared("count", 'pl.col("peers.returns_1d").list.len().cast(pl.Float64)', 'peers("returns_1d")', 1)
        + declared("market", 'pl.col("benchmark.returns_1d")', 'benchmark("returns_1d")', 1, gaps='"span"'),
    )
    own, peer, market = [10.0, 11.0, 12.0, 13.0], [1.0, 2.0, 4.0, 8.0], [100.0, 110.0, 132.0, 132.0]
    universe = {
        "MKT": instrument("MKT", sector=None),
        "OWN": Instrument("OWN", AssetClass.EQUITY, "XNYS", "file", sector="s", benchmark="MKT"),
        "PEER": instrument("PEER"),
    }
    bars = pl.concat(
        bars_of(closes, symbol, start=START) for symbol, closes in (("MKT", market), ("OWN", own), ("PEER", peer))
    )
    found = compute_features(bars, universe, ["OWN"], definitions=definitions, names=["theirs", "count", "market"])
    assert found["theirs"].to_list() == [0.0, 0.0, 1.0, 1.0]
    assert found["count"].to_list() == [0.0, 0.0, 1.0, 1.0]
    assert found["market"].to_list() == pytest.approx([None, None, 0.1, 0.2])
    alone = compute_features(
        bars.filter(symbol="OWN"), universe, ["OWN"], definitions=definitions, names=["theirs", "market"]
    )
    assert alone["theirs"].to_list() == [0.0] * 4
    assert alone["market"].null_count() == 4


def test_prices_go_through_splits_and_come_back_in_shares_of_the_day(tmp_path: Path) -> None:
    definitions = defined(
        tmp_path,
        declared("ratio", 'pl.col("close") / pl.col("close").shift(1)', warm_up=1)
        + declared("mean", 'pl.col("close").rolling_mean(2)', warm_up=1, unit='"price"')
        + declared("traded", 'pl.col("volume").rolling_sum(2)', 'bars("volume")', 1, unit='"volume"')
        + declared("of_mean", 'pl.col("close") / pl.col("mean")', 'bars("close"), feature("mean")', 1),
    )
    splits = {"OWN": [(START + 2 * DAY, Fraction(2))]}
    closes = [10.0, 20.0, 10.0, 15.0]
    assert computed(definitions, closes, "ratio", splits=splits) == [None, 2.0, 1.0, 1.5]
    assert computed(definitions, closes, "mean", splits=splits) == [None, 15.0, 10.0, 12.5]
    assert computed(definitions, closes, "traded", splits=splits) == [None, 2000.0, 3000.0, 2000.0]
    assert computed(definitions, closes, "of_mean", splits=splits) == [None, 20 / 15, 1.0, 1.2]


@pytest.mark.parametrize(
    ("rule", "lacking", "expected"),
    [
        ("break", 1, [None, 2.0, 2.0, None, 2.0, 2.0]),
        ("bridge", 1, [None, 2.0, 2.0, 2.0, 2.0, 2.0]),
        ("bridge", 6, [None, 2.0, 2.0, None, 2.0, 2.0]),
        ("span", 6, [None, 2.0, 2.0, 2.0, 2.0, 2.0]),
    ],
)
def test_rows_between_gaps(tmp_path: Path, rule: str, lacking: int, expected: list[float | None]) -> None:
    text = declared("step", 'pl.col("close") / pl.col("close").shift(1)', warm_up=1, gaps=f'"{rule}"')
    text += declared("place", 'pl.col("position")', warm_up=0, gaps=f'"{rule}"', data_type='"int64"')
    definitions = defined(tmp_path, text)
    gaps = {"OWN": [(START + 3 * DAY, lacking)]}
    closes = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
    assert computed(definitions, closes, "step", gaps=gaps) == expected
    assert computed(definitions, closes, "place", gaps=gaps) == [0, 1, 2, 3 + lacking, 4 + lacking, 5 + lacking]


def test_values_that_are_not_finite_are_null(tmp_path: Path) -> None:
    definitions = defined(tmp_path, declared("odd", '(pl.col("close") - 2) / (pl.col("close") - 2) * 1', warm_up=0))
    assert computed(definitions, [1.0, 2.0, 3.0], "odd") == [1.0, None, 1.0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (declared("bad", 'pl.col("close").head(2)'), "2 values for 3 rows"),
        (declared("bad", 'pl.col("close").max()'), "1 values for 3 rows"),
        (declared("bad", 'pl.col("close") > 1'), "values of type Boolean"),
        (declared("bad", 'pl.col("close")', data_type='"boolean"'), "values of type Float64"),
        (declared("bad", 'pl.col("close") + 0.5', data_type='"int64"'), "no int64"),
        ("def f(inputs):\n    raise KeyError('x')\n" + declared("bad", "f"), "KeyError: 'x'"),
        ("def f(inputs):\n    return None\n" + declared("bad", "f"), "0 values for 3 rows"),
        ("def f(inputs):\n    return inputs.frame['open']\n" + declared("bad", "f"), "not among its declared inputs"),
    ],
)
def test_a_definition_that_fails_is_named_with_its_symbol(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        computed(defined(tmp_path, text), [1.0, 2.0, 3.0], "bad")
    assert refused.value.message == "The feature bad of OWN cannot be computed."
    assert said in str(refused.value.received)


def test_a_label_is_available_when_its_last_bar_has_closed(tmp_path: Path) -> None:
    definitions = defined(tmp_path, label("ahead", 2, 'pl.col("close").shift(-2) / pl.col("close")'))
    bars = bars_of([1.0, 2.0, 4.0, 8.0], "OWN", start=START)
    found = compute_labels(bars, {"OWN": instrument("OWN")}, ["OWN"], definitions=definitions, name="ahead")
    assert found["ahead"].to_list() == [4.0, 4.0, None, None]
    assert found["available_at"].to_list() == [START + 3 * DAY, START + 4 * DAY, None, None]
    with pytest.raises(InvalidRequest, match="no label 'rsi_14'"):
        compute_labels(bars, {"OWN": instrument("OWN")}, ["OWN"], definitions=definitions, name="rsi_14")
