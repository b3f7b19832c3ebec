"""Links stored articles to the instruments of the universe, and scores the sentiment of those that are about any.

What is fetched or imported is linked as it is stored; here is what was not, and what must be again. Both resume where
they ended, and do nothing where nothing changed: a version is linked again when the rules, the
universe or a user's names change, and scored again by another model or revision, beside the earlier scores.
"""

from __future__ import annotations

from dataclasses import dataclass

from trading_platform.domain.news.linking import InstrumentDictionary, dictionary_of, link
from trading_platform.domain.news.sentiment import SentimentModel
from trading_platform.domain.time import Clock
from trading_platform.stores.stores import Stores
from trading_platform.workflows.progress import Progress, silent

_BATCH = 1_000  # versions of one transaction
_SLOW_BATCH = 100  # of a slow model, so that one that is ended loses little


@dataclass(frozen=True)
class Classified:
    """What was linked and scored.

    Attributes:
        linked: versions that were compared with the dictionary.
        about: those of them that are about any instrument.
        scored: versions that were scored.
    """

    linked: int
    about: int
    scored: int


def classify_news(stores: Stores, model: SentimentModel, *, clock: Clock, progress: Progress = silent) -> Classified:
    """Links and scores what was not linked and scored yet.

    Args:
        stores: the stores.
        model: classifies texts.
        clock: returns the current time.
        progress: receives the number of versions.
    """
    dictionary = instrument_dictionary(stores)
    linked = about = scored = 0
    while True:
        count, found = stores.sentiment.link_some(
            dictionary.version, lambda text: link(text, dictionary), text_of, clock(), _BATCH
        )
        linked, about = linked + count, about + found
        progress("linked articles", linked, linked)
        if count < _BATCH:
            break
    batch = _SLOW_BATCH if model.is_slow else _BATCH
    while True:
        count, found = stores.sentiment.score_some(model, text_of, clock(), batch)
        scored += found
        progress("scored articles", scored, scored)
        if count < batch:
            break
    return Classified(linked, about, scored)


def instrument_dictionary(stores: Stores) -> InstrumentDictionary:
    """What texts call the instruments of the universe now, with a user's own names."""
    return dictionary_of(stores.instruments.all().values(), stores.sentiment.aliases())


def text_of(title: str, summary: str | None) -> str:
    """Headline and summary, the text that is linked and classified."""
    return f"{title}\n{summary}" if summary else title
