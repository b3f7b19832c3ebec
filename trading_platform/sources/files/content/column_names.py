"""Names of columns: their plain form, and prices that a header names twice."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from trading_platform.domain.rejection_reasons import Reason
from trading_platform.sources.files.content.options import FileRejected

_PRICES = frozenset(
    "open high low close adjclose bid ask price last o h l c max min openprice highprice lowprice closeprice bidprice "
    "askprice lastprice closelast pxopen pxhigh pxlow pxlast apertura abertura eroffnung eroffn ouverture ouv maximo "
    "maxima massimo hoch haut minimo minima tief bas cierre fechamento chiusura schluss schlusskurs cloture clot "
    "ultimo zuletzt dernier".split()
)
_REPEATED = re.compile(r"^(?P<name>[A-Za-z*. ]*[A-Za-z*])(?:\.\d{1,2}|_[xy]|_left|_right|_duplicated_\d+)$")
"""A name with the mark that pandas and Polars give to a repeated column: ``Close.1``, ``close_x``."""


def plain_name(name: str) -> str:
    """A column's name in small letters and digits, without accents and a number before it.

    ``1. open`` is ``open``, ``Máximo`` is ``maximo``, ``Schluß`` is ``schluss``.
    """
    letters = name.lower() if name.isascii() else unicodedata.normalize("NFKD", name.casefold())
    return re.sub(r"^\d+(?=[a-z])", "", re.sub(r"[^a-z0-9]", "", letters))


def check_prices_once(names: Sequence[str], rows: int) -> None:
    """Checks that a header has no price twice: the file would not say which of them is the instrument's.

    Args:
        names: the columns' names.
        rows: number of rows, for the rejection.

    Raises:
        FileRejected: if it has.
    """
    seen: dict[str, str] = {}
    for name in names:
        repeated = _REPEATED.match(name.strip())
        plain = plain_name(repeated["name"] if repeated else name)
        if plain not in _PRICES:
            continue
        if plain in seen:
            detail = (
                f"its header has the price {plain} twice ({seen[plain]!r} and {name!r}); "
                "keep one column of each price, or one file for each instrument"
            )
            raise FileRejected(Reason.UNSUPPORTED, detail, rows=rows)
        seen[plain] = name
