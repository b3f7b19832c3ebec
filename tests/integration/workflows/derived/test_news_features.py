"""The sentiment of stored news in the feature files: point-in-time, stale when news change, and audited."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import psycopg
import pytest
from polars.testing import assert_frame_equal

from trading_platform.client import Platform
from trading_platform.domain.features.built_in import BUILT_IN
from trading_platform.domain.features.compute import compute_features
from trading_platform.domain.market.bars import BAR_SCHEMA
from trading_platform.domain.market.instruments import AssetClass, Instrument
from trading_platform.domain.news.articles import Item
from trading_platform.domain.time import Timeframe, Window, month_window, year_window
from trading_platform.stores.features.definitions import load_files
from trading_platform.stores.market_data.completeness.coverage import Outcome, Request
from trading_platform.stores.news.model_file import own_model
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.derived.build_features import build_features, stale_features
from trading_platform.workflows.derived.build_hourly_features import build_hourly_features, stale_hourly_features
from trading_platform.workflows.features.audit import audit_features
from trading_platform.workflows.news.classify_news import classify_news

UNIVERSE = {
    "BTCUSD": Instrument("BTCUSD", AssetClass.CRYPTO, "24/7", "file"),
    "NVDA": Instrument("NVDA", AssetClass.EQUITY, "XNYS", "file"),
}
BEGIN, END = datetime(2024, 3, 4, tzinfo=UTC), datetime(2024, 3, 16, tzinfo=UTC)
YEAR, MONTH = year_window(BEGIN), month_window(BEGIN)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NAME = "news_sentiment_24h"


@dataclass
class Newsroom:
    """Bars of twelve days, and articles that are seen at times of the test's own."""

    stores: Stores
    now: datetime = END

    def clock(self) -> datetime:
        return self.now

    def see(self, item: Item, at: datetime) -> None:
        self.stores.articles.add("wire", [item], at)
        classify_news(self.stores, own_model(), clock=self.clock)

    def stale(self) -> set[str]:
        daily = stale_features(self.stores, UNIVERSE, list(UNIVERSE), [YEAR])
        hourly = stale_hourly_features(self.stores, UNIVERSE, list(UNIVERSE), [MONTH], self.now)
        return {*daily, *(f"{symbol} 1h" for symbol in hourly)}

    def build(self) -> None:
        build_features(self.stores, UNIVERSE, list(UNIVERSE), [YEAR], clock=self.clock)
        build_hourly_features(self.stores, UNIVERSE, list(UNIVERSE), [MONTH], clock=self.clock)
        assert self.stale() == set()

    def values(self, symbol: str, frequency: str = "1d") -> dict[datetime, float]:
        """By the time at which a row was available; NULL left out."""
        store = self.stores.features_of(Timeframe.parse(frequency))
        rows = store.read([symbol], YEAR, [NAME]).drop_nulls(NAME)
        return dict(zip(rows["available_at"].to_list(), rows[NAME].to_list(), strict=True))

    def scores(self, symbol: str) -> dict[str, tuple[float, float]]:
        """Score and confidence of each article about a symbol, by its headline, as agents read them now."""
        found = Platform(self.stores, clock=self.clock).sentiment([symbol], BEGIN - DAY, END + DAY)
        return {row["title"]: (row["score"], row["confidence"]) for row in found.iter_rows(named=True)}


def save(stores: Stores, instrument: Instrument, timeframe: Timeframe, start: datetime, end: datetime) -> pl.DataFrame:
    """Stores and returns flat bars of an instrument, those of an exchange on weekdays."""
    stores.instruments.add(instrument)
    length = timeframe.duration
    times = [start + number * length for number in range((end - start) // length)]
    times = [time for time in times if instrument.calendar == "24/7" or time.weekday() < 5]
    bars, whole = flat_bars(instrument.symbol, timeframe, times), Window(start, end)
    request = Request(instrument.symbol, timeframe, "file", whole, Outcome.STORED, "test", end, changed=True)
    stores.bars.prepare(timeframe, bars)
    with stores.database.begin() as connection:
        stores.bars.replace(connection, instrument.symbol, timeframe, whole, bars)
        stores.coverage.record(connection, request, [whole])
    return bars


def flat_bars(symbol: str, timeframe: Timeframe, times: list[datetime]) -> pl.DataFrame:
    cells = {"time": times, "open": 10, "high": 11, "low": 9, "close": 10, "volume": 5}
    fixed = {"symbol": symbol, "timeframe": timeframe.value, "source": "file", "quality": "traded"}
    return pl.DataFrame(cells | fixed).select(pl.col(name).cast(dtype) for name, dtype in BAR_SCHEMA.items())


@pytest.fixture
def newsroom(database_url: str, tmp_path: Path) -> Iterator[Newsroom]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("TRUNCATE news.raw_news, news.identities CASCADE")
    with open_stores(database_url, tmp_path / "features", may_upgrade=True) as stores:
        for symbol, timeframe in (("BTCUSD", Timeframe.D1), ("BTCUSD", Timeframe.H1), ("NVDA", Timeframe.D1)):
            save(stores, UNIVERSE[symbol], timeframe, BEGIN, END)
        made = Newsroom(stores)
        made.build()
        yield made


GOOD = Item("Bitcoin surges to a record as strong demand grows", guid="1", published_at=BEGIN)
BAD = Item("Bitcoin plunges, traders fear heavy losses", guid="2", published_at=BEGIN)
SEEN = datetime(2024, 3, 6, 9, 30, tzinfo=UTC)


def weighted(at: datetime, *articles: tuple[datetime, tuple[float, float]]) -> float:
    weights = [confidence * 0.5 ** ((at - seen) / timedelta(hours=6)) for seen, (_, confidence) in articles]
    return sum(w * score for w, (_, (score, _)) in zip(weights, articles, strict=True)) / sum(weights)


def test_news_count_from_when_they_were_seen_for_a_day(newsroom: Newsroom) -> None:
    newsroom.see(GOOD, SEEN)
    newsroom.see(BAD, SEEN + 8 * HOUR)
    assert newsroom.stale() == {"BTCUSD", "BTCUSD 1h"}
    newsroom.build()
    scores = newsroom.scores("BTCUSD")
    good, bad = (SEEN, scores[GOOD.title]), (SEEN + 8 * HOUR, scores[BAD.title])
    assert good[1][0] > 0.2 > -0.2 > bad[1][0]
    midnight = datetime(2024, 3, 7, tzinfo=UTC)
    (at,) = found = newsroom.values("BTCUSD")
    assert at == midnight
    assert math.isclose(found[midnight], weighted(midnight, good, bad))
    hourly = newsroom.values("BTCUSD", "1h")
    assert (min(hourly), max(hourly)) == (SEEN + HOUR / 2, SEEN + 31.5 * HOUR)
    assert hourly[SEEN + HOUR / 2] == pytest.approx(scores[GOOD.title][0])
    assert hourly[midnight] == pytest.approx(found[midnight])
    assert newsroom.values("NVDA") == {}


def test_an_exchange_counts_until_its_close(newsroom: Newsroom) -> None:
    close = datetime(2024, 3, 8, 21, tzinfo=UTC)
    item = Item("Nvidia shares jump after profit beats estimates", guid="n", published_at=BEGIN)
    newsroom.see(item, close + HOUR)
    newsroom.build()
    (monday,) = [datetime(2024, 3, 11, 20, tzinfo=UTC)]
    assert newsroom.values("NVDA") == {}, "seen after Friday's close, and more than a day before Monday's"
    newsroom.see(replace(item, title="Nvidia hits a record high", guid="m"), monday)
    newsroom.build()
    assert list(newsroom.values("NVDA")) == [monday]


def test_a_late_an_edited_and_a_repeated_article_change_no_row_before(newsroom: Newsroom) -> None:
    newsroom.see(GOOD, SEEN)
    newsroom.build()
    first = newsroom.values("BTCUSD", "1h")
    newsroom.see(replace(GOOD, title=BAD.title), SEEN + 5 * HOUR)
    repeated = replace(GOOD, guid="9", title=f"{BAD.title} again", url="https://other.example/9")
    newsroom.see(repeated, SEEN + 6 * HOUR)
    newsroom.see(Item("Bitcoin gains", guid="late", published_at=SEEN - DAY), SEEN + 20 * HOUR)
    assert newsroom.stale() == {"BTCUSD", "BTCUSD 1h"}
    newsroom.build()
    then = newsroom.values("BTCUSD", "1h")
    edited = SEEN + 5 * HOUR
    assert {at: value for at, value in then.items() if at < edited} == {
        at: value for at, value in first.items() if at < edited
    }
    assert then[edited + HOUR / 2] == pytest.approx(newsroom.scores("BTCUSD")[BAD.title][0])
    assert all(value < 0 for at, value in then.items() if edited <= at < SEEN + 20 * HOUR)


def test_what_changes_no_row_makes_none_stale(newsroom: Newsroom) -> None:
    newsroom.see(replace(GOOD, title="Weather: snow is expected in the Alps"), SEEN)
    newsroom.see(replace(BAD, guid="3"), END + HOUR)
    assert newsroom.stale() == set(), "about no instrument; after the last bar had closed"
    newsroom.see(GOOD, SEEN)
    newsroom.build()
    newsroom.see(GOOD, SEEN + HOUR)
    assert newsroom.stale() == set(), "seen again"


def test_the_audit_knows_the_news_of_each_time(newsroom: Newsroom) -> None:
    newsroom.see(GOOD, SEEN)
    newsroom.see(BAD, SEEN + 3 * DAY)
    newsroom.build()
    assert findings(newsroom) == []
    rows = newsroom.stores.features.read(["BTCUSD"], YEAR, list(newsroom.stores.definitions.features.names))
    published = pl.when(pl.col("time") == BEGIN).then(0.4).otherwise(pl.col(NAME)).alias(NAME)
    newsroom.stores.features.replace(rows.with_columns(published), "BTCUSD", YEAR)
    assert findings(newsroom) == [(NAME, BEGIN)]


DEFINITIONS = """
import polars as pl
from trading_platform.domain.features import Feature, feature, peers

FEATURES = [
    Feature(
        name="news_trend", category="sentiment", description="Mean of five days", formula="mean over 5 rows",
        inputs=[feature("news_sentiment_24h")], lookback_days=5, warm_up=4, gaps="span",
        compute=pl.col("news_sentiment_24h").rolling_mean(5, min_samples=1),
    ),
    Feature(
        name="news_of_others", category="cross-sectional", description="Of the sector", formula="mean of the others",
        inputs=[peers("news_sentiment_24h")], lookback_days=1, warm_up=0, gaps="span",
        compute=pl.col("peers.news_sentiment_24h").list.mean(),
    ),
]
"""


def test_features_that_look_back_at_news_or_at_those_of_others(database_url: str, tmp_path: Path) -> None:
    """Their partitions are as if all were computed at once, and stale when news of before or of others change."""
    first, end = datetime(2023, 12, 25, tzinfo=UTC), datetime(2024, 1, 8, tzinfo=UTC)
    names = ("BTCUSD", "XRPUSD")
    coins = {name: Instrument(name, AssetClass.CRYPTO, "24/7", "file", sector="coins") for name in names}
    years = [year_window(first), year_window(end)]
    file = tmp_path / "own.py"
    file.write_text(DEFINITIONS)
    definitions = load_files([file])
    assert not definitions.errors
    assert definitions.features.looks_back_at_news
    assert not BUILT_IN.looks_back_at_news
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("TRUNCATE news.raw_news, news.identities CASCADE")
        connection.execute("TRUNCATE market_data.bars_1d, market_data.coverage_requests, market_data.input_versions")
    with open_stores(database_url, tmp_path / "features", definitions=definitions) as stores:
        bars = [save(stores, coins[name], Timeframe.D1, first, end) for name in coins]
        newsroom = Newsroom(stores)

        def stale() -> set[tuple[str, int]]:
            found = stale_features(stores, coins, list(coins), years)
            return {(symbol, window.start.year) for symbol, own in found.items() for window in own}

        def build() -> pl.DataFrame:
            build_features(stores, coins, list(coins), years, clock=newsroom.clock)
            assert stale() == set()
            return stores.features.read(list(coins), Window(first, end))

        build()
        newsroom.see(replace(GOOD, published_at=first), datetime(2023, 12, 31, 9, tzinfo=UTC))
        assert stale() == {(symbol, year) for symbol in coins for year in (2023, 2024)}
        stored = build()
        assert stored.filter(symbol="BTCUSD")["news_trend"].count() == 5
        assert stored.filter(symbol="XRPUSD")["news_of_others"].count() > 0
        everything = pl.concat(bars).sort("symbol", "time")
        news = stores.sentiment.of_stories(list(coins), Window(first, end))
        whole = compute_features(everything, coins, list(coins), definitions=definitions.features, news=news)
        columns = ["time", "symbol", NAME, "news_trend", "news_of_others"]
        assert_frame_equal(stored.select(columns), whole.select(columns))


def findings(newsroom: Newsroom) -> list[tuple[str, datetime]]:
    report = audit_features(
        newsroom.stores, UNIVERSE, clock=newsroom.clock, seed=1, symbols=["BTCUSD"], samples=3, partitions=[YEAR]
    )
    assert report.values > 0
    return [(each.feature, each.time) for each in report.findings]
