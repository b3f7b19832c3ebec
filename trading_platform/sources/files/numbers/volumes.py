"""Which column of a table is the volume: units of the instrument, not the quote's turnover and not a column of zeros.

The name decides where it names the base or the quote, the content where it does not: turnover divided by volume is a
price between the bar's low and high. Where both leave it open, the user is asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

import polars as pl

from trading_platform.domain.market.instruments import CRYPTO, CRYPTO_QUOTES, FIAT
from trading_platform.domain.rejection_reasons import Reason
from trading_platform.sources.files.content.column_names import plain_name
from trading_platform.sources.files.content.options import FileRejected


class Meaning(Enum):
    """What a column of amounts counts, by its name."""

    BASE = "units of the base"
    VOLUME = "volume"
    TICKS = "ticks"
    TURNOVER = "the quote's money"
    UNKNOWN = "amounts of unknown unit"
    PART = "a part of the volume, or another measure of it"


_VOLUMES = frozenset(
    "volume vol v realvolume realvol totalvolume tradedvolume volumetraded sharevolume shares sharestraded "
    "quantity qty totaltradedquantity tradedquantity ttltrdqnty pxvolume volumen volumenes volumi stucke titres".split()
)
_QUANTITIES = frozenset("quantity qty size tradesize volume vol".split())
_TICKS = frozenset("tickvolume tickvol ticks tickcount".split())
_BASES = frozenset(
    "basevolume basevol volumebase volbase volumebaseccy volumefrom volumecrypto basequantity baseqty baseamount "
    "homenotional".split()
)
_TURNOVERS = frozenset(
    "quotevolume quotevol volumequote volquote volumequoteccy quoteassetvolume quoteqty quotequantity quoteamount "
    "volumeto turnover volumecurrency volumefiat dollarvolume notional foreignnotional grossvalue value cost funds "
    "amountquote volccyquote".split()
)
_OPEN_NAMES = frozenset("amount umsatz negociado contracts lots lotes".split())
_SOME_VOLUME = re.compile(r"vol(?!atility)|turnover|shares")
"""Other names of amounts, such as ``Volume (thousands)`` and ``BidVolume``, which are no units of the whole."""
_STABLE = frozenset("USDT USDC BUSD TUSD DAI FDUSD".split())
_SAME = {"XBT": "BTC", "XDG": "DOGE"}
_QUOTES = FIAT | CRYPTO_QUOTES | _STABLE
_LEAST_SHARE = 0.8
"""Of the rows with both amounts, the share that has to agree for the content to decide."""
_ROUNDED = 0.002
"""How far a turnover may lie outside the bar's prices: it is often rounded."""


@dataclass(frozen=True)
class Candidate:
    """A column that may be the volume.

    Attributes:
        column: its name in the frame.
        name: its name in the header.
        meaning: what its name says.
    """

    column: str
    name: str
    meaning: Meaning


@dataclass(frozen=True)
class ChosenVolume:
    """The chosen column.

    Attributes:
        column: its name in the frame; None if the table has no volume.
        note: the choice in words; None if there was nothing to choose.
    """

    column: str | None
    note: str | None = None


def _common(code: str) -> str:
    return _SAME.get(code, code)


def volume_candidates(names: Sequence[str], symbol: str, *, trades: bool) -> list[Candidate]:
    """The columns that may be the volume.

    Args:
        names: the header, in the order of the frame's columns ``c0``, ``c1`` …
        symbol: symbol of the rows, which tells base and quote apart.
        trades: the rows are trades, whose quantity is meant.
    """
    found = ((index, name, _meaning(plain_name(name), symbol, trades=trades)) for index, name in enumerate(names))
    return [Candidate(f"c{index}", name, meaning) for index, name, meaning in found if meaning is not None]


def _meaning(plain: str, symbol: str, *, trades: bool) -> Meaning | None:  # noqa: PLR0911 - one for each family of names
    if plain in (_QUANTITIES if trades else _VOLUMES):
        return Meaning.VOLUME
    if plain in _TICKS and not trades:
        return Meaning.TICKS
    if plain in _BASES:
        return Meaning.BASE
    if plain in _TURNOVERS:
        return Meaning.TURNOVER
    if plain in _OPEN_NAMES:
        return Meaning.VOLUME if trades else Meaning.UNKNOWN
    code = re.fullmatch(r"vol(?:ume)?(?:in)?([a-z0-9]{2,10})|([a-z0-9]{2,10})vol(?:ume)?", plain)
    by_code = _meaning_of_code(_common((code[1] or code[2]).upper()), symbol) if code else None
    if by_code is None and not trades and _SOME_VOLUME.search(plain) and not plain.startswith("adj"):
        return Meaning.PART
    return by_code


def _meaning_of_code(code: str, symbol: str) -> Meaning | None:
    """What ``Volume BTC`` counts in the rows of a symbol."""
    letters = re.sub(r"[^A-Z0-9]", "", symbol.upper())
    for theirs, ours in _SAME.items():
        letters = re.sub(rf"^{theirs}|{theirs}$", ours, letters)
    rest = letters.removeprefix(code)
    if rest in _QUOTES or (rest == "" and code in CRYPTO):
        return Meaning.BASE
    if code in _QUOTES and (letters.endswith(code) or code not in CRYPTO):
        return Meaning.TURNOVER
    return Meaning.UNKNOWN if code in CRYPTO | _QUOTES else None


class VolumeChoice:
    """The choice of a table's volume.

    Args:
        candidates: the columns that may be it.
        numbers: reads a candidate's column as floats, null where it is no number.
        prices: gives the lowest and the highest price of each row, as floats.
        first_text: gives the first text of a column that is not blank, None if all are.
        is_damaged: whether a column of amounts has so few texts that these are damaged cells.
        rows: number of the rows, for a rejection.
    """

    def __init__(
        self,
        candidates: Sequence[Candidate],
        numbers: Callable[[str], pl.Series],
        prices: Callable[[], tuple[pl.Series, pl.Series]],
        first_text: Callable[[str], str | None],
        is_damaged: Callable[[str], bool],
        *,
        rows: int,
    ) -> None:
        self._values = {each.column: numbers(each.column) for each in candidates}
        self._empty = [
            each
            for each in candidates
            if self._values[each.column].drop_nulls().is_empty() and not is_damaged(each.column)
        ]
        self._candidates = [each for each in candidates if each not in self._empty]
        self._prices = prices
        self._first_text = first_text
        self._rows = rows

    def given(self, name: str) -> ChosenVolume:
        """The column that the user named.

        Raises:
            FileRejected: if there is no such column.
        """
        for each in (*self._candidates, *self._empty):
            if plain_name(each.name) == plain_name(name):
                return ChosenVolume(each.column, f"volume from the column {each.name}, as given")
        present = ", ".join(each.name for each in self._candidates) or "none"
        detail = f"it has no column {name} of volumes; it has: {present}"
        raise FileRejected(Reason.UNSUPPORTED, detail, rows=self._rows)

    def choose(self) -> ChosenVolume:
        """The volume.

        Raises:
            FileRejected: if names and content contradict each other, or allow several columns.
        """
        bases, plain = self._of(Meaning.BASE), self._of(Meaning.VOLUME)
        ticks, turnovers = self._of(Meaning.TICKS), self._of(Meaning.TURNOVER)
        unknown = self._of(Meaning.UNKNOWN)
        preferred = bases or plain
        if preferred:
            best = self._best(preferred)
            self._check_no_turnover(best, [*unknown, *turnovers])
            if ticks and self._mostly_zero_beside(best, ticks[0]):
                return self._ticks(ticks[0], f", as {best.name} is zero")
            return ChosenVolume(best.column, self._note(best))
        if unknown:
            return self._by_content(unknown, turnovers)
        if ticks:
            return self._ticks(ticks[0])
        return ChosenVolume(None, self._why_none(turnovers))

    def _ticks(self, chosen: Candidate, why: str = "") -> ChosenVolume:
        """A column of ticks, which are whole: fractions are thousands, written with the other sign."""
        values = self._values[chosen.column].drop_nulls()
        fractions = values.filter(values != values.floor())
        if not fractions.is_empty():
            detail = (
                f"{chosen.name} counts ticks, and {fractions[0]} would be a fraction of one: say with --decimal which "
                "sign is the decimal one, or name another column with --volume"
            )
            raise FileRejected(Reason.UNSUPPORTED, detail, rows=self._rows)
        return ChosenVolume(chosen.column, f"tick volume from {chosen.name}{why}")

    def _why_none(self, turnovers: list[Candidate]) -> str:
        if turnovers:
            return f"no volume: {turnovers[0].name} counts the quote's money"
        if parts := self._of(Meaning.PART):
            return f"no volume: {parts[0].name} does not say what it counts; --volume takes it"
        if self._empty:
            text = self._first_text(self._empty[0].column)
            why = "is empty" if text is None else f"holds no numbers, such as {text!r}"
            return f"no volume: {self._empty[0].name} {why}"
        return "no volume: it has no column of one"

    def _of(self, meaning: Meaning) -> list[Candidate]:
        return [each for each in self._candidates if each.meaning is meaning]

    def _note(self, chosen: Candidate) -> str | None:
        others = [each.name for each in self._candidates if each is not chosen and each.meaning is not Meaning.PART]
        values = self._values[chosen.column].drop_nulls()
        if not values.is_empty() and values.eq(0).all():
            return f"every volume in {chosen.name} is zero"
        return f"volume from {chosen.name}, not from {', '.join(others)}" if others else None

    def _best(self, candidates: list[Candidate]) -> Candidate:
        """The one of equal names: they hold the same, or the content tells turnover from volume."""
        first, *others = candidates
        for other in others:
            if self._values[first.column].equals(self._values[other.column]):
                continue
            mine, theirs = self._values[first.column], self._values[other.column]
            if theirs.drop_nulls().eq(0).all() or self._is_turnover(theirs, mine):
                continue
            if mine.drop_nulls().eq(0).all() or self._is_turnover(mine, theirs):
                first = other
                continue
            raise self._ask(f"{first.name} and {other.name} may both be its volume")
        return first

    def _by_content(self, unknown: list[Candidate], turnovers: list[Candidate]) -> ChosenVolume:
        first, *others = unknown
        for other in (*others, *turnovers):
            mine, theirs = self._values[first.column], self._values[other.column]
            if self._is_turnover(theirs, mine):
                continue
            if other.meaning is Meaning.UNKNOWN and self._is_turnover(mine, theirs):
                first = other
                continue
            raise self._ask(f"{first.name} and {other.name} may both be its volume")
        if not others and not turnovers:
            return ChosenVolume(None, f"no volume: {first.name} does not say what it counts; --volume takes it")
        return ChosenVolume(first.column, self._note(first))

    def _check_no_turnover(self, chosen: Candidate, others: list[Candidate]) -> None:
        for other in others:
            if self._is_turnover(self._values[chosen.column], self._values[other.column]) and not self._is_turnover(
                self._values[other.column], self._values[chosen.column]
            ):
                raise self._ask(f"{chosen.name} is {other.name} times the price, against their names")

    def _mostly_zero_beside(self, chosen: Candidate, ticks: Candidate) -> bool:
        """Whether most bars that had ticks have a volume of zero."""
        ticked = (self._values[ticks.column] > 0).fill_null(value=False)
        zero = (self._values[chosen.column].fill_null(0) <= 0) & ticked
        return int(zero.sum()) * 2 > int(ticked.sum())

    def _is_turnover(self, turnover: pl.Series, volume: pl.Series) -> bool:
        """Whether one column is the other times the price of its row."""
        low, high = self._prices()
        frame = pl.DataFrame({"t": turnover, "v": volume, "low": low, "high": high})
        both = frame.filter((pl.col("t") > 0) & (pl.col("v") > 0) & (pl.col("low") > 0))
        if both.is_empty():
            return False
        price = pl.col("t") / pl.col("v")
        inside = price.is_between(pl.col("low") * (1 - _ROUNDED), pl.col("high") * (1 + _ROUNDED))
        return float(both.select(inside.mean()).item()) >= _LEAST_SHARE

    def _ask(self, problem: str) -> FileRejected:
        return FileRejected(Reason.UNSUPPORTED, f"{problem}: name the column with --volume", rows=self._rows)
