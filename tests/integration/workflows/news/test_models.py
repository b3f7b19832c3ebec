"""Scores of more than one model in a real database: each text once a model, both kept, the newest read by default."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from commands import rows
from tiny_models import ORDERS, tiny_model

from trading_platform.domain.market.instruments import guess_instrument
from trading_platform.domain.news.articles import Item
from trading_platform.domain.news.sentiment import Sentiment
from trading_platform.domain.time import Window
from trading_platform.stores.news.model_file import own_model
from trading_platform.stores.news.model_folder import write_manifest
from trading_platform.stores.news.transformer_model import TransformerModel, load_transformer
from trading_platform.stores.stores import Stores, open_stores
from trading_platform.workflows.news.classify_news import classify_news

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = Window(NOON - timedelta(days=1), NOON + timedelta(days=2))
LATER = NOON + timedelta(days=1)


class Recording:
    """A model, and the texts that it was given."""

    def __init__(self, model: TransformerModel) -> None:
        self._model, self.texts = model, []
        self.name, self.revision, self.engine, self.is_slow = model.name, model.revision, model.engine, True

    def classify(self, texts: Sequence[str]) -> list[Sentiment]:
        self.texts += texts
        return self._model.classify(texts)


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Iterator[Stores]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("TRUNCATE news.raw_news, news.identities, news.feeds, news.aliases CASCADE")
        connection.execute("TRUNCATE config.instruments CASCADE")
    with open_stores(database_url, tmp_path / "features") as opened:
        for symbol in ("AAPL", "TSLA"):
            opened.instruments.add(guess_instrument(symbol, "file"))
        yield opened


def tiny(folder: Path, revision: str) -> Recording:
    tiny_model(folder, ORDERS["yiyanghkust/finbert-tone"])
    write_manifest(folder, "tiny", revision)
    return Recording(load_transformer(folder))


def test_a_change_of_model_scores_again_and_keeps_both(stores: Stores, database_url: str, tmp_path: Path):
    clock = lambda: NOON + timedelta(minutes=1)  # noqa: E731 - a constant time
    items = [
        Item("Apple shares surges", guid="1", published_at=NOON),
        Item("Tesla profit falls", guid="2", published_at=NOON),
    ]
    stores.articles.add("wire", items, NOON)
    assert classify_news(stores, own_model(), clock=clock).scored == 2
    first = tiny(tmp_path / "first", "abc")
    assert classify_news(stores, first, clock=clock).scored == 2
    assert classify_news(stores, first, clock=clock).scored == 0
    assert sorted(first.texts) == ["Apple shares surges", "Tesla profit falls"]
    assert rows(database_url, "SELECT model, revision, engine, count(*) FROM news.news_sentiment GROUP BY 1, 2, 3") in (
        [("linear", own_model().revision, "numpy", 2), ("tiny", "abc", "onnx-int8", 2)],
        [("tiny", "abc", "onnx-int8", 2), ("linear", own_model().revision, "numpy", 2)],
    )
    assert set(stores.sentiment.sentiment(None, DAY, LATER)["model"]) == {"tiny"}
    assert stores.sentiment.sentiment(["AAPL"], DAY, LATER)["label"].to_list() == ["positive"]
    assert stores.sentiment.sentiment(None, DAY, LATER, own_model().name).height == 2

    assert classify_news(stores, own_model(), clock=clock).scored == 2
    assert set(stores.sentiment.sentiment(None, DAY, LATER)["model"]) == {"linear"}
    assert set(stores.sentiment.sentiment(None, DAY, LATER, "tiny")["revision"]) == {"abc"}
    classify_news(stores, first, clock=clock)
    assert len(first.texts) == 2  # its stored scores are taken over

    second = tiny(tmp_path / "second", "def")
    classify_news(stores, second, clock=lambda: LATER)
    assert set(stores.sentiment.sentiment(None, DAY, LATER, "tiny")["revision"]) == {"def"}
    assert len(second.texts) == 2


def test_a_text_of_another_article_is_not_classified_again(stores: Stores, database_url: str, tmp_path: Path):
    model = tiny(tmp_path / "tiny", "abc")
    for source in ("wire", "other"):
        item = Item("Apple shares surges", guid=source, url=f"http://{source}.example/a", published_at=NOON)
        stores.articles.add(source, [item], NOON)
        classify_news(stores, model, clock=lambda: NOON)
    assert model.texts == ["Apple shares surges"]
    assert rows(database_url, "SELECT count(*), min(score) = max(score) FROM news.news_sentiment") == [(2, True)]
    assert stores.sentiment.add_alias("TSLA", "shares surges")
    classify_news(stores, model, clock=lambda: NOON)
    assert len(model.texts) == 1
    assert rows(database_url, "SELECT count(*) FROM news.news_sentiment WHERE symbol = 'TSLA'") == [(2,)]


def test_a_slow_model_begins_with_the_newest(stores: Stores, tmp_path: Path):
    model = tiny(tmp_path / "tiny", "abc")
    for hour in range(3):
        at = NOON + timedelta(hours=hour)
        stores.articles.add("wire", [Item(f"Apple shares, story {hour}", guid=str(hour), published_at=at)], at)
    classify_news(stores, own_model(), clock=lambda: NOON)
    assert stores.sentiment.score_some(model, lambda title, _: title, NOON, 1) == (1, 1)
    assert model.texts == ["Apple shares, story 2"]
