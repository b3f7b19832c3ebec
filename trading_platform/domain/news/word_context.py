"""The context of a word that may be the name of a company or coin, and the parts of a text that are no evidence."""

from __future__ import annotations

import re
from collections.abc import Container
from functools import cached_property

from trading_platform.domain.news.common_words import (
    AGAINST,
    BEFORE,
    CRYPTO_WORDS,
    GIVEN_NAMES,
    MOVES,
    NOUNS,
    OUNCES,
    PLACES_AFTER,
    PLACES_BEFORE,
    PRICE_MOVES,
    REGIONS,
    VERBS,
    WORDS,
)

_TOKEN = re.compile(r"[\w$&%][\w$&%.'’-]*[\w%]|[\w$&%]|[^\w\s]")
_SITES = (
    r"(?:Facebook|Twitter|X|LinkedIn|Instagram|YouTube|WhatsApp|Telegram|Reddit|Pinterest|Snapchat|TikTok|Messenger|"
    r"Google(?:\+| News)?|Email)"
)
_TELLING = (
    "shared?|follow|like|tweet|join|find|connect|watch|post|posted|posting|wrote|said|says|live|message|reply|statement"
)
_OUTLETS = (
    r"Yahoo(?: Finance)?|Google News|Reuters|Bloomberg|CNBC|MarketWatch|Nasdaq|Barron's|Forbes|The Motley Fool|"
    r"Apple News|Amazon News|MSN|Microsoft Start|Benzinga|Investing\.com"
)
_STORES = "Google Play|Apple Podcasts|Spotify|Amazon Music|YouTube"
_MASKED = re.compile(
    r"https?://\S+|www\.\S+|\S{1,64}@\S{1,255}\.\w+|(?<!\w)@\w+"
    rf"|\b(?:{_TELLING})(?:\s\w+){{0,3}}\s(?:on|via|to|with|at|in a)\s"
    rf"{_SITES}(?:(?:\s?[,/|&]\s?|\s(?:and|or)\s|\s){_SITES})*(?!\s(?:shares|stock))\b"
    rf"|\b{_SITES}(?:\s?[,/|&]?\s?{_SITES}){{2,}}\b"
    rf"|\b(?:on|in|via)\s(?:a\s|an\s|his\s|her\s|their\s|its\s)?{_SITES}\s"
    r"(?:post|page|video|message|account|thread|group|story|live)s?\b"
    rf"|\s[-–—|]\s(?:{_OUTLETS})\s*$"
    r"|\b(?:via|source:?|(?:seen|read|available|listen(?: to us)?|download(?:ed)?) (?:on|from))\s(?:the\s)?"
    rf"(?:Yahoo Finance|Google News|Apple News|App Store|Facebook|Twitter|{_STORES})"
    rf"(?:(?:\s?,\s?|\sand\s|\sor\s)(?:{_STORES}))*",
    re.IGNORECASE | re.MULTILINE,
)
_TELLTALES = (
    "://|www.|@|facebook|twitter|linkedin|instagram|youtube|whatsapp|telegram|reddit|pinterest|snapchat|tiktok|"
    "messenger|google|email|yahoo|reuters|bloomberg|cnbc|marketwatch|nasdaq|barron|forbes|motley|apple news|"
    "apple podcasts|app store|amazon news|amazon music|msn|microsoft start|benzinga|investing.com|spotify"
).split("|")
"""What all that is masked has some of, but for the site X: most texts have none, and a search for each is fast."""

_SITE_X = re.compile(r"\bx\b")
_CAPITALS = 0.7  # share of words in capitals from which a text is all in capitals
_TITLE_CASE = 0.7
_LONG = 4  # letters of the words that title case writes with a capital
_SHORT_TEXT = 3
_NEAR = 200  # characters on each side, as long as a headline
_JOINING = frozenset({",", "and", "&", "y", "vs", "vs.", "e", "+"})
_OF_VERBS = ("s", "ed", "ing", "ly")  # endings of what may stand before a name in title case
_AGAINST_ONE = {
    "visa": frozenset(
        "student students immigration immigrant immigrants migrants embassy consulate passport tourist tourists h-1b"
        " schengen applicants asylum".split()
    )
}
_FUNDS = frozenset({"etf", "etfs"})
_BEFORE_METAL = frozenset("el la the spot as why and y while but physical".split())
_IDIOMS = {"apple": {"big", "pink"}, "target": {"bullseye"}, "delta": {"river"}}
_RECOMMENDED = re.compile(
    r"(?:\s(?:still|now|really|currently))?\sa(?:n)?\s(?:\w+\s)?(?:buy|sell|hold|bargain|value|compra)\b", re.IGNORECASE
)
_PERCENT = re.compile(r"[+-]?\d+(?:[.,]\d+)?\s?%")
_COMMON = WORDS | VERBS | NOUNS | GIVEN_NAMES | REGIONS
_NO_NAMES = WORDS | BEFORE | VERBS | NOUNS
_FOLLOWING = 3  # words after a name that say what it is


def masked(text: str) -> str:
    """The text with blanks for addresses, share buttons, mentions of where something was said, and attributions."""
    folded = text.casefold()
    if not any(each in folded for each in _TELLTALES) and not _SITE_X.search(folded):
        return text
    return _MASKED.sub(lambda found: " " * len(found[0]), text)


def is_all_capitals(text: str) -> bool:
    """Whether a text is written in capitals, which then say nothing about a word."""
    words = re.findall(r"[^\W\d_]{2,}", text)
    return len(words) > _SHORT_TEXT and sum(word.isupper() for word in words) >= _CAPITALS * len(words)


class Context:
    """What stands around a word of a text.

    Args:
        text: the text.
        start: where the word begins.
        end: where it ends.
        names: names of instruments, in small letters.
    """

    def __init__(self, text: str, start: int, end: int, names: Container[str] = ()) -> None:
        self._names = names
        self._text, self._word = text, text[start:end]
        self._left = text[max(0, start - _NEAR) : start].rpartition("\n")[2]
        self._right = text[end : end + _NEAR].partition("\n")[0]
        self._line = f"{self._left}{self._word}{self._right}"

    @cached_property
    def _before(self) -> list[str]:
        return _TOKEN.findall(self._left)

    @cached_property
    def _after(self) -> list[str]:
        return _TOKEN.findall(self._right)

    @cached_property
    def _next(self) -> list[str]:
        """The first three words after, without a look at the others: no word has a space in it."""
        return _TOKEN.findall(" ".join(self._right.split(None, _FOLLOWING)[:_FOLLOWING]))[:_FOLLOWING]

    def is_persons(self) -> bool:
        """Whether a given name or a title stands before the word."""
        last = _TOKEN.findall(" ".join(self._left.rsplit(None, 1)[-1:]))
        return bool(last) and last[-1].lower().rstrip(".") in GIVEN_NAMES

    def is_another_name(self) -> bool:
        """Whether the name is a person's, a place's or an event's: `Nikola Tesla`, `Santander, Chile`, `Citi Field`."""
        following = [token.lower() for token in self._next[:2]]
        is_place = bool(following) and following[0] in PLACES_AFTER and self._next[0][0].isupper()
        is_town = len(following) > 1 and following[0] == "," and following[1] in REGIONS
        is_made = bool(following) and following[0] in AGAINST
        return self.is_persons() or is_place or is_town or is_made or self._is_of_a_place()

    def _is_of_a_place(self) -> bool:
        """Whether it is the place that something belongs to: `el puerto de Santander`."""
        words = self._left.lower().split()[-2:]
        return len(words) > 1 and words[1] in {"of", "de"} and words[0] in PLACES_BEFORE

    def means_company(self) -> bool:
        """Whether a word that is also a name means the company."""
        if self.is_another_name() or not self._word[:1].isupper() or self._follows_proper_noun():
            return False
        is_company = self._has_company_beside()
        against = _AGAINST_ONE.get(self._word.lower(), frozenset())
        if (AGAINST | against) & self._others() or self._has_article():
            return is_company and bool(NOUNS & {token.lower() for token in self._next[:1]})
        if is_company:
            return True
        return not self._says_nothing_by_capitals() and not self._is_of_larger_name()

    def means_coin(self) -> bool:
        """Whether a word that is also the name of a coin means the coin."""
        return self._has_company_beside() or bool(CRYPTO_WORDS & self._others())

    def means_ticker(self, *, is_coin: bool) -> bool:
        """Whether a word in capitals that is also an abbreviation means the instrument."""
        if is_coin:
            return bool(CRYPTO_WORDS & self._others())
        following = self._after[0].lower() if self._after else ""
        beside = {token.lower() for token in (*self._before[-3:], *self._next)}
        return following in NOUNS | MOVES or self._before_of() in {"shares", "stock"} or bool(_FUNDS & beside)

    def means_metal(self) -> bool:
        """Whether a metal's word means its price: the price moves, or the text counts in ounces."""
        if re.search(r"[^\W\d_]$", self._left.rstrip()) and self._left.split()[-1].lower() not in _BEFORE_METAL:
            return bool(OUNCES & self._others())
        following = self._next[0].lower() if self._next else ""
        return following in MOVES | PRICE_MOVES or bool(OUNCES & self._others())

    def _others(self) -> set[str]:
        return {token.lower() for token in (*self._before, *self._after)}

    def _has_company_beside(self) -> bool:
        if re.match(r"['’]s?\s", self._right) or _RECOMMENDED.match(self._right) or _PERCENT.match(self._right.strip()):
            return not re.match(r"['’]s?\s(?:day|tree|pie)", self._right)
        following = [token.lower() for token in self._next]
        if following[:1] and (following[0] in VERBS or following[0] in NOUNS) and following[:2] != ["to", "the"]:
            return True
        has_ticker = following[:1] == ["("] and len(following) > 1 and self._next[1].isupper()
        begins = following[:1] == [":"] and not self._before
        return has_ticker or begins or self._before_of() in BEFORE or self._is_listed()

    def _before_of(self) -> str:
        """The word before; with `of`, `in`, `by` or `de` between, the one before that."""
        words = [token.lower() for token in self._before[-3:]]
        while words and words[-1] in {"of", "in", "de", "the", "en", "at"}:
            words.pop()
        return words[-1] if words else ""

    def _is_listed(self) -> bool:
        """Whether the word stands in a list with a name that is no word, as in `Apple, Microsoft and Tesla`."""
        others = []
        if len(self._after) > 1 and self._after[0].lower() in _JOINING:
            others.append(self._after[1])
        if len(self._before) > 1 and self._before[-1].lower() in _JOINING:
            others.append(self._before[-2])
        return any(
            other[:1].isupper() and (other.lower() in self._names or other.lower() not in _COMMON) for other in others
        )

    def _says_nothing_by_capitals(self) -> bool:
        """Whether any word here would have a capital: at the beginning of a sentence, or in title case."""
        if not self._before or self._before[-1] in {".", ":", "?", "!", '"', "“", "‘", "'", "-", "–", "—", "|", "•"}:
            return True
        words = [word for word in re.findall(r"[^\W\d_]+", self._line) if len(word) >= _LONG]
        capital = sum(word[0].isupper() for word in words)
        return len(words) > 1 and capital >= _TITLE_CASE * len(words)

    def _has_article(self) -> bool:
        return bool(self._before) and self._before[-1].lower() in {"the", "el", "la", "los", "las"}

    def _follows_proper_noun(self) -> bool:
        """Whether the word ends a larger name, as in `Mekong Delta` or `Big Apple`."""
        left = re.search(r"([^\W\d_][\w.]*)\s$", self._left)
        if not left or not left[1][0].isupper():
            return False
        before = left[1].lower()
        if before in _IDIOMS.get(self._word.lower(), ()):
            return True
        return before not in _NO_NAMES and not before.endswith(_OF_VERBS)

    def _is_of_larger_name(self) -> bool:
        """Whether a further capitalised word stands directly beside, as in `Ford Foundation`."""
        right = re.match(r"[ \-]([^\W\d_]\S*)", self._right)
        left = re.search(r"(\S*[^\W\d_])[ \-]$", self._left)
        return bool((right and right[1][0].isupper()) or (left and left[1][:1].isupper() and len(self._before) > 1))
