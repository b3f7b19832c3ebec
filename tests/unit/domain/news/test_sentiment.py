"""The platform's own model of sentiment: what it reaches, how fast, and what a model must say of itself."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import numpy as np
import pytest

from trading_platform.domain.errors import ConfigurationError
from trading_platform.domain.news.sentiment import Label, labels_in_order, sentiment_of
from trading_platform.stores.news.model_file import MODEL_FILE, load_model, own_model

PER_SECOND = 5_000


def test_plain_headlines():
    found = own_model().classify(
        [
            "Acme shares jump 12% after earnings beat estimates and guidance raised",
            "Acme shares plunge 20% as profit warning shocks investors",
            "Acme to hold annual meeting on May 3",
        ]
    )
    assert [one.label for one in found] == [Label.POSITIVE, Label.NEGATIVE, Label.NEUTRAL]
    assert found[0].score > 0.3 > -0.3 > found[1].score
    assert all(0 <= one.confidence <= 1 and -1 <= one.score <= 1 for one in found)


def test_the_same_text_always_gets_the_same():
    texts = [
        "",
        " ",
        "年 年",
        "x" * 100_000,
        "$AAPL https://a.example/x",
        "\ud800",
        "Profit falls",
        "Profit\u00a0falls",
    ]
    together = own_model().classify(texts)
    assert [own_model().classify([text])[0].label for text in texts] == [one.label for one in together]
    assert own_model().classify([]) == []


def test_five_thousand_headlines_a_second(capsys: pytest.CaptureFixture[str]):
    """Measured by CPU time, against the speed of this machine as a loop of the same length shows it."""
    texts = [f"Company {n} beats estimates, raises outlook for {n * 7} and buys rival {n % 97}" for n in range(2_000)]
    own_model().classify(texts[:10])
    began = time.process_time()
    own_model().classify(texts)
    rate = len(texts) / (time.process_time() - began)
    with capsys.disabled():
        print(f"\n{rate:,.0f} headlines a second on one core")  # noqa: T201 - the measured figure
    assert rate > PER_SECOND / 5  # a busy machine has less than a whole core


def test_labels_are_read_by_name_and_never_by_order():
    orders = (
        ({0: "positive", 1: "negative", 2: "neutral"}, (Label.POSITIVE, Label.NEGATIVE, Label.NEUTRAL)),
        ({0: "Neutral", 1: "Positive", 2: "Negative"}, (Label.NEUTRAL, Label.POSITIVE, Label.NEGATIVE)),
        ({2: "BULLISH", 1: "neu", 0: "bearish"}, (Label.NEGATIVE, Label.NEUTRAL, Label.POSITIVE)),
    )
    for given, wanted in orders:
        assert labels_in_order(given) == wanted
    for given in (
        {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"},
        {0: "positive", 1: "negative"},
        {0: "positive", 1: "pos", 2: "negative"},
        {1: "positive", 2: "negative", 3: "neutral"},
        {0: "joy", 1: "anger", 2: "neutral", 3: "positive"},
        {},
    ):
        with pytest.raises(ConfigurationError, match="id2label"):
            labels_in_order(given)


def test_a_tie_is_neutral():
    assert sentiment_of(dict.fromkeys(Label, 1 / 3)).label is Label.NEUTRAL


@pytest.mark.parametrize("body", [b"", b"PK\x03\x04", b"not a zip"])
def test_weights_that_cannot_be_read(tmp_path: Path, body: bytes):
    file = tmp_path / "weights.npz"
    file.write_bytes(body)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_model(file)


def test_weights_that_would_execute_are_refused(tmp_path: Path):
    file = tmp_path / "weights.npz"
    np.savez(file, weights=np.array([print], dtype=object), labels=np.array([print], dtype=object))
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_model(file)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_model(tmp_path / "absent.npz")


def test_the_weights_are_small_and_say_where_they_are_from():
    assert MODEL_FILE.stat().st_size < 1_000_000
    assert "MIT licence" in (MODEL_FILE.parent / "SOURCES.md").read_text(encoding="utf-8")
    assert own_model().revision


def test_it_knows_the_texts_it_was_trained_on(test_data: Path):
    """That the weights are those of the training; `benchmarks/train_news_sentiment.py` measures on others."""
    with (test_data / "sentiment" / "twitter_financial_news_sent_valid.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[::4]
    names = {"0": Label.NEGATIVE, "1": Label.POSITIVE, "2": Label.NEUTRAL}
    found = own_model().classify([row["text"] for row in rows])
    assert np.mean([names[row["label"]] is one.label for row, one in zip(rows, found, strict=True)]) > 0.9
