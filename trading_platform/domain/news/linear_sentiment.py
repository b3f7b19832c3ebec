"""The platform's own model of sentiment: logistic regression over hashed words and parts of words.

It needs numpy alone and no network. `benchmarks/train_news_sentiment.py` trains it, and prints what it reaches on
texts that it was not trained on; `trading_platform/stores/news/models` has the weights and their licence. Hashing of
features: K. Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", 2009.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from trading_platform.domain.errors import ConfigurationError
from trading_platform.domain.news.sentiment import Label, Sentiment, labels_in_order, sentiment_of

BITS = 18
"""The number of features is two to this power."""

LONGEST = 2_000
"""Characters of a text that count: headline and summary."""

_ADDRESS = re.compile(r"https?://\S+")
_CASHTAG = re.compile(r"\$[a-z.]{1,6}\b")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_WORD = re.compile(r"[\w$%+\-']+")
_PART_LENGTHS = (3, 4, 5)
_SHIFT = 32 - BITS
_BATCH = 1_000  # texts that are classified together, so that memory is flat


@dataclass(frozen=True)
class LinearModel:
    """A trained model.

    Attributes:
        weights: one column for each output, a row for each feature; whole numbers of -127 to 127.
        scales: by which a column is multiplied.
        biases: of each output.
        importance: inverse document frequency of each feature, in the same form as a column.
        importance_scale: by which it is multiplied.
        labels: of the outputs, in their order.
        name: name of the model.
        revision: hash of the weights.
    """

    weights: NDArray[np.int8]
    scales: NDArray[np.float32]
    biases: NDArray[np.float32]
    importance: NDArray[np.uint8]
    importance_scale: float
    labels: tuple[Label, ...]
    name: str
    revision: str
    engine: str = "numpy"
    is_slow: bool = False

    def classify(self, texts: Sequence[str]) -> list[Sentiment]:
        """The sentiment of each text, in order."""
        found: list[Sentiment] = []
        for start in range(0, len(texts), _BATCH):
            rows = self.probabilities(texts[start : start + _BATCH])
            found += [sentiment_of(dict(zip(self.labels, row, strict=True))) for row in rows.tolist()]
        return found

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Probabilities of the outputs: a row for each text."""
        if not texts:
            return np.empty((0, len(self.labels)))
        lengths, together = _features_of_all(texts)
        starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
        values = self.importance[together] * self.importance_scale
        norms = np.sqrt(np.add.reduceat(values * values, starts))
        values /= np.repeat(np.maximum(norms, 1e-12), lengths)
        logits = np.add.reduceat(self.weights[together] * values[:, None], starts, axis=0) * self.scales + self.biases
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
        return shares


def features_of(text: str) -> NDArray[np.int64]:
    """Numbers of the features of a text, each once: words, two and three in a row, and parts of words. Never empty."""
    return np.unique(_all_features(text))


def _features_of_all(texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many features each text has, and the features of one text after those of the other, as features_of has them.

    All are sorted together, which takes a tenth of the time of text by text.
    """
    rows = [_all_features(text) for text in texts]
    numbers = np.repeat(np.arange(len(rows), dtype=np.int64), [len(row) for row in rows])
    keys = np.sort(numbers << BITS | np.concatenate(rows))
    keys = keys[np.concatenate(([True], keys[1:] != keys[:-1]))]
    return np.bincount(keys >> BITS, minlength=len(rows)), keys & ((1 << BITS) - 1)


def _all_features(text: str) -> NDArray[np.int64]:
    """The features of a text in the order of its words; some come several times."""
    cleaned = _NUMBER.sub("0", _CASHTAG.sub(" $t ", _ADDRESS.sub(" ", text[:LONGEST].lower())))
    words = _WORD.findall(cleaned)
    if not words:
        return np.zeros(1, dtype=np.int64)
    phrases = [f"b{first} {second}" for first, second in pairwise(words)]
    for first, second, third in zip(words, words[1:], words[2:], strict=False):
        phrases += (f"s{first} {third}", f"t{first} {second} {third}")
    return np.concatenate([*map(_of_word, words), np.array([*map(_number, phrases)], dtype=np.int64)])


def _number(key: str) -> int:
    return zlib.crc32(key.encode("utf-8", "replace")) >> _SHIFT


@lru_cache(maxsize=50_000)
def _of_word(word: str) -> NDArray[np.int64]:
    """Features of a word and its parts; words come back, so that they are kept."""
    whole = f"^{word[:40]}$"
    parts = {whole[at : at + size] for size in _PART_LENGTHS for at in range(len(whole) - size + 1)}
    keys = (f"w{word}", *(f"c{part}" for part in sorted(parts)))
    return np.array([_number(key) for key in keys], dtype=np.int64)


def check_model(model: LinearModel, labels: dict[int, str]) -> LinearModel:
    """The model itself, if its parts belong together.

    Raises:
        ConfigurationError: otherwise, or for unknown labels.
    """
    features, outputs = 1 << BITS, len(Label)
    shapes = (model.weights.shape, model.scales.shape, model.biases.shape, model.importance.shape)
    if shapes != ((features, outputs), (outputs,), (outputs,), (features,)) or labels_in_order(labels) != model.labels:
        raise ConfigurationError(
            "The weights of the model of sentiment do not belong together.",
            expected=f"{features:,} features and {outputs} outputs",
            received=", ".join(map(str, shapes)),
            remedy="install the platform again, or train the model with benchmarks/train_news_sentiment.py",
        )
    return model
