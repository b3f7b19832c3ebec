"""What a model of sentiment gives, whichever it is: a label, a score and a confidence for each text.

:mod:`trading_platform.domain.news.linear_sentiment` is the platform's own model;
:mod:`trading_platform.stores.news.transformer_model` runs others, such as FinBERT.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from trading_platform.domain.errors import ConfigurationError


class Label(StrEnum):
    """The three labels of a sentiment; every model's own labels are mapped to them by name."""

    NEGATIVE = "negative"
    NEUTRAL = "neutral"
    POSITIVE = "positive"


_NAMES = {
    **dict.fromkeys(("negative", "neg", "bearish"), Label.NEGATIVE),
    **dict.fromkeys(("neutral", "neu"), Label.NEUTRAL),
    **dict.fromkeys(("positive", "pos", "bullish"), Label.POSITIVE),
}


@dataclass(frozen=True)
class Sentiment:
    """The sentiment of a text.

    Attributes:
        label: the most probable label.
        score: probability of positive minus that of negative, from -1 to 1.
        confidence: probability of the label, from 0 to 1.
    """

    label: Label
    score: float
    confidence: float


class SentimentModel(Protocol):
    """A model that classifies texts."""

    @property
    def name(self) -> str:
        """Its name, at most 50 characters."""

    @property
    def revision(self) -> str:
        """Identifies its weights; another revision is another model."""

    @property
    def engine(self) -> str:
        """What computes it, at most 20 characters."""

    @property
    def is_slow(self) -> bool:
        """Whether it takes longer to classify a text than to look for a stored score of the same text."""

    def classify(self, texts: Sequence[str]) -> list[Sentiment]:
        """The sentiment of each text, in order; the same text always gets the same."""


def labels_in_order(by_index: Mapping[int, str]) -> tuple[Label, ...]:
    """The labels of a model's outputs, by the names that the model itself gives them.

    The order differs between models of the same family, so it is never assumed.

    Raises:
        ConfigurationError: if a name is unknown, or the three labels are not there once each.
    """
    indexes = sorted(by_index)
    found = tuple(_NAMES.get(str(by_index[index]).strip().lower()) for index in indexes)
    if indexes != list(range(len(Label))) or None in found or len(set(found)) != len(Label):
        raise ConfigurationError(
            "The labels of this model of sentiment are not known.",
            expected="outputs 0, 1 and 2 called negative, neutral and positive, in any order",
            received=str(dict(by_index)),
            remedy="use a model with these labels, or correct id2label in its config.json",
        )
    return tuple(label for label in found if label is not None)


def sentiment_of(probabilities: Mapping[Label, float]) -> Sentiment:
    """The sentiment for the probabilities of the three labels."""
    label = max(Label, key=lambda each: (probabilities[each], each is Label.NEUTRAL))
    score = probabilities[Label.POSITIVE] - probabilities[Label.NEGATIVE]
    return Sentiment(label, min(1.0, max(-1.0, float(score))), float(probabilities[label]))
